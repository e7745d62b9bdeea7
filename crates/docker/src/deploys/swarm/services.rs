//! Services of a workload, and what is done to them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::models::{ContainerSummary, Service, ServiceSpec};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListServicesOptionsBuilder, UpdateServiceOptions,
};
use futures_util::future::join_all;
use shipslog_core::deploys::{DispatchError, FailureMarker, PinnedReference};
use shipslog_core::id::{DeployId, WorkloadId};

use super::classify::{is_outdated, refused};
use super::{SWARM, SwarmPlugin};
use crate::deploys::auth::Credentials;
use crate::deploys::classify::{Phase, failed};
use crate::deploys::image::ImagePlugin;
use crate::deploys::image::config::Role;
use crate::deploys::image::parts::WORK_LIMIT;
use crate::deploys::reference::ImageReference;
use crate::engine::Fault;
use crate::labels;

/// How often an update is sent again because somebody else was faster.
const ATTEMPTS: u32 = 5;
/// How often a node is asked whether containers are gone.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What it may take until the containers of a service are gone, beyond the time that they may take to stop.
const REMOVAL_SLACK: Duration = Duration::from_secs(30);
/// Engines give a container so long to stop unless it was configured otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// A service, as a manager lists it.
#[derive(Debug, Clone)]
pub(super) struct Managed {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) deploy: Option<DeployId>,
    /// The deploy that the engine's own rollback would bring back.
    pub(super) replaces: Option<DeployId>,
    pub(super) is_trial: bool,
    /// How long its containers may take to stop.
    pub(super) grace: Duration,
    pub(super) replicas: u32,
    version: i32,
    spec: ServiceSpec,
}

impl Managed {
    fn of(service: Service) -> Option<Self> {
        let spec = service.spec?;
        let label = |key: &str| spec.labels.as_ref().and_then(|labels| labels.get(key));
        let deploy = |key: &str| label(key).and_then(|id| id.parse().ok());
        Some(Self {
            id: service.id?,
            name: spec.name.clone()?,
            deploy: deploy(labels::DEPLOY),
            replaces: deploy(labels::REPLACES),
            is_trial: label(labels::ROLE).map(String::as_str) == Role::Trial.label(),
            grace: grace(&spec).unwrap_or(DEFAULT_GRACE),
            replicas: replicas(&spec),
            version: i32::try_from(service.version?.index?).ok()?,
            spec,
        })
    }
}

fn grace(spec: &ServiceSpec) -> Option<Duration> {
    let container = spec.task_template.as_ref()?.container_spec.as_ref()?;
    let nanos = u64::try_from(container.stop_grace_period?).ok()?;
    Some(Duration::from_nanos(nanos))
}

fn replicas(spec: &ServiceSpec) -> u32 {
    let mode = spec.mode.as_ref().and_then(|mode| mode.replicated.as_ref());
    let replicas = mode.and_then(|mode| mode.replicas);
    replicas
        .and_then(|replicas| u32::try_from(replicas).ok())
        .unwrap_or(1)
}

/// What an engine says that does not manage a swarm.
fn is_no_manager(fault: &Fault) -> bool {
    matches!(fault, Fault::Answer { status: 503, message } if message.starts_with("This node is not a swarm manager"))
}

impl SwarmPlugin {
    /// Every service that this kind made for the workload. `None` where there is no swarm, or none that this engine manages.
    pub(super) async fn services(
        &self,
        workload: &WorkloadId,
    ) -> Result<Option<Vec<Managed>>, DispatchError> {
        let own = vec![
            format!("{}={workload}", labels::WORKLOAD),
            format!("{}={SWARM}", labels::KIND),
        ];
        let options = ListServicesOptionsBuilder::default()
            .filters(&HashMap::from([("label", own)]))
            .build();
        let listed = self
            .engine()
            .ask(async |docker| docker.list_services(Some(options)).await)
            .await;
        match listed {
            Ok(listed) => Ok(Some(listed.into_iter().filter_map(Managed::of).collect())),
            Err(fault) if is_no_manager(&fault) => Ok(None),
            Err(fault) => Err(failed(Phase::Manage, &fault)),
        }
    }

    /// One service as it is now; `None` when it is gone.
    pub(super) async fn service(&self, id: &str) -> Result<Option<Service>, DispatchError> {
        let inspected = self
            .engine()
            .ask(async |docker| docker.inspect_service(id, None).await)
            .await;
        match inspected {
            Ok(service) => Ok(Some(service)),
            Err(Fault::Answer { status: 404, .. }) => Ok(None),
            Err(fault) => Err(failed(Phase::Manage, &fault)),
        }
    }

    /// Makes a service, and answers its id. Whoever drops this does not leave it half done.
    pub(super) async fn create(
        &self,
        workload: &WorkloadId,
        spec: ServiceSpec,
        image: &PinnedReference,
    ) -> Result<String, DispatchError> {
        let credentials = self.credentials(image).await;
        let creating = async move |plugin: ImagePlugin| {
            let request = async |docker: Docker| docker.create_service(spec, credentials).await;
            let created = plugin.engine.call(WORK_LIMIT, request).await;
            let id = created.map_err(|fault| refused(&fault))?.id;
            id.ok_or_else(|| DispatchError::new(FailureMarker::Internal, "a service without an id"))
        };
        self.images.carry_through(workload, creating).await
    }

    /// Changes a service to `spec`.
    pub(super) async fn update(
        &self,
        workload: &WorkloadId,
        service: &Managed,
        spec: ServiceSpec,
        image: &PinnedReference,
    ) -> Result<(), DispatchError> {
        let credentials = self.credentials(image).await;
        let (plugin, service) = (self.clone(), service.clone());
        let updating = async move |_| {
            plugin
                .send(&service, spec, credentials, UpdateServiceOptions::default())
                .await
        };
        self.images.carry_through(workload, updating).await
    }

    /// Has the engine put back what the service was before its last update.
    pub(super) async fn undo(&self, service: &Managed) -> Result<(), DispatchError> {
        let options = UpdateServiceOptions {
            registry_auth_from: "previous-spec".to_owned(),
            rollback: Some("previous".to_owned()),
            ..UpdateServiceOptions::default()
        };
        self.send(service, service.spec.clone(), None, options).await
    }

    async fn send(
        &self,
        service: &Managed,
        spec: ServiceSpec,
        credentials: Option<DockerCredentials>,
        mut options: UpdateServiceOptions,
    ) -> Result<(), DispatchError> {
        options.version = service.version;
        for _ in 0..ATTEMPTS {
            match self.send_once(&service.id, &spec, &credentials, &options).await {
                // The manager writes to the service, too, as an update proceeds.
                Err(fault) if is_outdated(&fault) => options.version = self.version(service).await?,
                sent => return sent.map_err(|fault| refused(&fault)),
            }
        }
        let detail = "the service is changed by others all the time";
        Err(DispatchError::new(FailureMarker::Internal, detail))
    }

    async fn send_once(
        &self,
        id: &str,
        spec: &ServiceSpec,
        credentials: &Option<DockerCredentials>,
        options: &UpdateServiceOptions,
    ) -> Result<(), Fault> {
        let (spec, options, credentials) = (spec.clone(), options.clone(), credentials.clone());
        let request = async |docker: Docker| docker.update_service(id, spec, options, credentials).await;
        self.engine().call(WORK_LIMIT, request).await.map(drop)
    }

    async fn version(&self, service: &Managed) -> Result<i32, DispatchError> {
        let now = self.service(&service.id).await?.and_then(Managed::of);
        let gone = || DispatchError::new(FailureMarker::ExitedAtOnce, "the service was removed");
        now.map(|now| now.version).ok_or_else(gone)
    }

    /// Removes services, all at the same time.
    pub(super) async fn remove_all(&self, services: &[Managed]) -> Result<(), DispatchError> {
        let removed = join_all(services.iter().map(|service| self.remove(service))).await;
        removed.into_iter().collect()
    }

    /// Removes a service, and waits until this node has no container of it: one may hold ports, or locks on volumes.
    async fn remove(&self, service: &Managed) -> Result<(), DispatchError> {
        let request = async |docker: Docker| docker.delete_service(&service.id).await;
        match self.engine().call(WORK_LIMIT, request).await {
            Ok(()) | Err(Fault::Answer { status: 404, .. }) => {}
            Err(fault) => return Err(failed(Phase::Manage, &fault)),
        }
        let until = Instant::now() + service.grace + REMOVAL_SLACK;
        while self.has_containers(service).await? {
            if Instant::now() >= until {
                let detail = "containers of a service that was removed are still there";
                return Err(DispatchError::new(FailureMarker::Internal, detail));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }

    async fn has_containers(&self, service: &Managed) -> Result<bool, DispatchError> {
        let of_service = format!("{}={}", labels::SWARM_SERVICE, service.id);
        Ok(!self.containers(vec![of_service]).await?.is_empty())
    }

    /// Containers of this node that carry all of the labels.
    pub(super) async fn containers(
        &self,
        labels: Vec<String>,
    ) -> Result<Vec<ContainerSummary>, DispatchError> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&HashMap::from([("label", labels)]))
            .build();
        let listed = self
            .engine()
            .ask(async |docker| docker.list_containers(Some(options)).await)
            .await;
        listed.map_err(|fault| failed(Phase::Manage, &fault))
    }

    async fn credentials(&self, image: &PinnedReference) -> Option<DockerCredentials> {
        image.name()?;
        let image = ImageReference::parse(image.as_str()).ok()?;
        Credentials::of(&image, self.images.docker_config.as_deref())
            .await
            .header()
    }
}

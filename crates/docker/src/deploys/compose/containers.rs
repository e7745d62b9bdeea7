//! The containers of a workload's services, as the engine tells of them.

use std::collections::HashMap;

use bollard::models::{
    ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum as State, RestartPolicyNameEnum,
};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveContainerOptionsBuilder, RenameContainerOptionsBuilder,
};
use shipslog_core::deploys::{DispatchError, PartName, Running};
use shipslog_core::id::WorkloadId;

use super::super::classify::{Phase, failed};
use super::super::image::gate::is_done;
use super::super::image::parts::{WORK_LIMIT, is_going};
use super::super::image::swap::grace;
use super::{COMPOSE, ComposePlugin, DEFINITION};
use crate::engine::Fault;
use crate::labels;

const SERVICE: &str = "com.docker.compose.service";
const ONE_OFF: &str = "com.docker.compose.oneoff";
const HASH: &str = "com.docker.compose.config-hash";

/// A container of a service.
#[derive(Debug, Clone)]
pub(super) struct Container {
    pub(super) id: String,
    pub(super) service: PartName,
    pub(super) name: String,
    pub(super) image: String,
    definition: String,
    hash: Option<String>,
    project: Option<String>,
    state: State,
}

impl Container {
    /// `None` for what no service is: a command that somebody ran once.
    fn of(entry: ContainerSummary) -> Option<Self> {
        let entry_labels = entry.labels.unwrap_or_default();
        let label = |key: &str| entry_labels.get(key).cloned();
        if label(ONE_OFF).is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            return None;
        }
        let names = entry.names.unwrap_or_default();
        Some(Self {
            id: entry.id?,
            service: label(SERVICE)?.parse().ok()?,
            name: names
                .first()
                .map_or_else(String::new, |name| name.trim_start_matches('/').to_owned()),
            image: entry.image_id.unwrap_or_default(),
            definition: label(DEFINITION).unwrap_or_default(),
            hash: label(HASH),
            project: label(labels::COMPOSE_PROJECT),
            state: entry.state.unwrap_or(State::EMPTY),
        })
    }

    pub(super) fn runs(&self) -> bool {
        self.state == State::RUNNING
    }

    /// Whether it was made and never started.
    pub(super) fn is_fresh(&self) -> bool {
        self.state == State::CREATED
    }

    /// Whether it could be started.
    pub(super) fn is_startable(&self) -> bool {
        matches!(self.state, State::CREATED | State::EXITED)
    }

    /// Whether it is made of this image, as this definition says.
    pub(super) fn is_made_of(&self, image: &str, definition: &str) -> bool {
        self.image == image && self.definition == definition
    }

    /// Whether Compose recorded this hash of what it made.
    pub(super) fn has_hash(&self, hash: &str) -> bool {
        self.hash.as_deref() == Some(hash)
    }

    pub(super) fn running(&self) -> Option<Running> {
        Some(Running {
            deploy: None,
            part: Some(self.service.clone()),
            content: self.image.parse().ok()?,
        })
    }
}

/// Whether a container is there to do something once: nothing waits for it, and nobody starts it again.
pub(super) fn is_one_shot(container: &ContainerInspectResponse) -> bool {
    let host = container.host_config.as_ref();
    let policy = host.and_then(|host| host.restart_policy.as_ref()?.name);
    let stays_ended = matches!(
        policy,
        None | Some(
            RestartPolicyNameEnum::NO | RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::ON_FAILURE
        )
    );
    let publishes = host
        .and_then(|host| host.port_bindings.as_ref())
        .is_some_and(|ports| !ports.is_empty());
    let check = container
        .config
        .as_ref()
        .and_then(|config| config.healthcheck.as_ref());
    let test = check.and_then(|check| check.test.as_ref()?.first());
    stays_ended && !publishes && test.is_none_or(|test| test == "NONE")
}

/// Whether it did what it was there for.
pub(super) fn did_its_work(container: &ContainerInspectResponse) -> bool {
    is_done(container) && is_one_shot(container)
}

fn of_workload(workload: &WorkloadId) -> HashMap<&'static str, Vec<String>> {
    let label = format!("{}={workload}", labels::WORKLOAD);
    HashMap::from([("label", vec![label, format!("{}={COMPOSE}", labels::KIND)])])
}

impl ComposePlugin {
    /// The containers of the workload's services, whether they run or not.
    pub(super) async fn containers(&self, workload: &WorkloadId) -> Result<Vec<Container>, DispatchError> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&of_workload(workload))
            .build();
        let listed = self
            .engine()
            .ask(async |docker| docker.list_containers(Some(options)).await)
            .await;
        let listed = listed.map_err(|fault| failed(Phase::Manage, &fault))?;
        Ok(listed.into_iter().filter_map(Container::of).collect())
    }

    /// Those of them that work or did their work.
    pub(super) async fn working(&self, containers: Vec<Container>) -> Result<Vec<Container>, DispatchError> {
        let mut working = Vec::new();
        for container in containers {
            if container.runs() || self.is_done(&container).await? {
                working.push(container);
            }
        }
        Ok(working)
    }

    /// Whether it ran to its end, and was there for that.
    pub(super) async fn is_done(&self, container: &Container) -> Result<bool, DispatchError> {
        if container.state != State::EXITED {
            return Ok(false);
        }
        match self.image.inspect(&container.id).await {
            Ok(inspected) => Ok(did_its_work(&inspected)),
            Err(Fault::Answer { status: 404, .. }) => Ok(false),
            Err(fault) => Err(failed(Phase::Manage, &fault)),
        }
    }

    /// What the engine tells of a container.
    pub(super) async fn inspect(
        &self,
        container: &Container,
    ) -> Result<ContainerInspectResponse, DispatchError> {
        let inspected = self.image.inspect(&container.id).await;
        inspected.map_err(|fault| failed(Phase::Manage, &fault))
    }

    /// The project's name, from what there is of it: a workload may be renamed, and its volumes are found by this name.
    pub(super) async fn known_project(&self, workload: &WorkloadId) -> Result<Option<String>, DispatchError> {
        let containers = self.containers(workload).await?;
        if let Some(project) = containers.into_iter().find_map(|container| container.project) {
            return Ok(Some(project));
        }
        let options = ListVolumesOptionsBuilder::default()
            .filters(&of_workload(workload))
            .build();
        let listed = self
            .engine()
            .ask(async |docker| docker.list_volumes(Some(options)).await)
            .await;
        let volumes = listed.map_err(|fault| failed(Phase::Manage, &fault))?.volumes;
        let mut volumes = volumes.into_iter().flatten();
        Ok(volumes.find_map(|mut volume| volume.labels.remove(labels::COMPOSE_PROJECT)))
    }

    /// Has a container end, in the time that it was configured with.
    pub(super) async fn stop(&self, container: &Container) -> Result<(), DispatchError> {
        let inspected = self.image.inspect(&container.id).await;
        let inspected = inspected.map_err(|fault| failed(Phase::Manage, &fault))?;
        self.image.stop(&container.id, grace(&inspected)).await
    }

    /// Gives a container a name like that which Compose gives those in between, so that another one can have its own. Compose has its own from
    /// the beginning of the id.
    pub(super) async fn set_name_aside(&self, container: &Container) -> Result<(), DispatchError> {
        let mark = container.id.get(12..24).unwrap_or(&container.id);
        if container.name.starts_with(mark) {
            return Ok(());
        }
        let aside = format!("{mark}_{}", container.name);
        let renamed = self.rename(&container.id, &aside).await;
        renamed.map_err(|fault| failed(Phase::Manage, &fault))
    }

    pub(super) async fn rename(&self, id: &str, name: &str) -> Result<(), Fault> {
        let options = RenameContainerOptionsBuilder::default().name(name).build();
        self.engine()
            .ask(async |docker| docker.rename_container(id, options).await)
            .await
    }

    /// Ends and removes a container. Volumes stay, also those without a name: they may hold data.
    pub(super) async fn remove(&self, id: &str) -> Result<(), DispatchError> {
        let options = RemoveContainerOptionsBuilder::default().force(true).build();
        let removed = self
            .engine()
            .call(WORK_LIMIT, async |docker| {
                docker.remove_container(id, Some(options)).await
            })
            .await;
        match removed {
            Ok(()) => Ok(()),
            Err(fault) if is_going(&fault) => Ok(()),
            Err(fault) => Err(failed(Phase::Manage, &fault)),
        }
    }

    /// Removes the networks that were made for the workload. One that others joined meanwhile stays.
    pub(super) async fn remove_networks(&self, workload: &WorkloadId) -> Result<(), DispatchError> {
        let options = ListNetworksOptionsBuilder::default()
            .filters(&of_workload(workload))
            .build();
        let listed = self
            .engine()
            .ask(async |docker| docker.list_networks(Some(options)).await)
            .await;
        let networks = listed.map_err(|fault| failed(Phase::Manage, &fault))?;
        for id in networks.into_iter().filter_map(|network| network.id) {
            let removed = self
                .engine()
                .call(WORK_LIMIT, async |docker| docker.remove_network(&id).await)
                .await;
            if let Err(fault @ Fault::Unreachable(_)) = removed {
                return Err(failed(Phase::Manage, &fault));
            }
        }
        Ok(())
    }
}

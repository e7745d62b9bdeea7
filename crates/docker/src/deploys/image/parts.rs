//! Containers of a workload, and what is done to them.

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum as State};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use shipslog_core::deploys::{DispatchError, Running};
use shipslog_core::id::{DeployId, WorkloadId};

use super::config::Role;
use super::{IMAGE, ImagePlugin};
use crate::deploys::classify::{Phase, failed};
use crate::engine::Fault;
use crate::labels;

/// How long the engine may work on a container: unpack its volumes, run its hooks.
pub(in crate::deploys) const WORK_LIMIT: Duration = Duration::from_secs(120);
/// What the engine may take to stop a container, beyond the time that the container itself may take.
const STOP_SLACK: Duration = Duration::from_secs(30);

/// A container of a workload, as the engine lists it.
#[derive(Debug, Clone)]
pub(super) struct Part {
    pub(super) id: String,
    pub(super) deploy: Option<DeployId>,
    pub(super) is_trial: bool,
    state: State,
    image: Option<String>,
}

impl Part {
    fn of(entry: ContainerSummary) -> Option<Self> {
        let entry_labels = entry.labels.unwrap_or_default();
        Some(Self {
            id: entry.id?,
            deploy: entry_labels.get(labels::DEPLOY).and_then(|id| id.parse().ok()),
            is_trial: entry_labels.get(labels::ROLE).map(String::as_str) == Role::Trial.label(),
            state: entry.state.unwrap_or(State::EMPTY),
            image: entry.image_id,
        })
    }

    pub(super) fn is_service_of(&self, deploy: &DeployId) -> bool {
        !self.is_trial && self.deploy.as_ref() == Some(deploy)
    }

    /// Whether it has a process, or is about to have one again, and so may hold ports.
    pub(super) fn is_active(&self) -> bool {
        matches!(
            self.state,
            State::RUNNING | State::PAUSED | State::RESTARTING | State::STOPPING
        )
    }

    /// Whether it could be started.
    pub(super) fn is_startable(&self) -> bool {
        matches!(self.state, State::CREATED | State::EXITED)
    }

    /// Whether it was made and never started.
    pub(super) fn is_fresh(&self) -> bool {
        self.state == State::CREATED
    }

    /// What the ledger is to be compared with; `None` for what does not run or does not serve.
    pub(super) fn running(&self) -> Option<Running> {
        let serves = self.state == State::RUNNING && !self.is_trial;
        let content = self.image.as_ref().filter(|_| serves)?.parse().ok()?;
        Some(Running::new(self.deploy.clone()?, content))
    }
}

impl ImagePlugin {
    /// Every container that this kind made for the workload, whether it runs or not.
    pub(super) async fn parts(&self, workload: &WorkloadId) -> Result<Vec<Part>, DispatchError> {
        let of_workload = HashMap::from([("label", vec![format!("{}={workload}", labels::WORKLOAD)])]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&of_workload)
            .build();
        let listed = self
            .engine
            .ask(async |docker| docker.list_containers(Some(options)).await)
            .await;
        let listed = listed.map_err(|fault| failed(Phase::Manage, &fault))?;
        let own = listed.into_iter().filter(|entry| is_of(self.kind, entry));
        Ok(own.filter_map(Part::of).collect())
    }

    pub(in crate::deploys) async fn inspect(&self, id: &str) -> Result<ContainerInspectResponse, Fault> {
        self.engine
            .ask(async |docker| docker.inspect_container(id, None).await)
            .await
    }

    pub(in crate::deploys) async fn start(&self, id: &str) -> Result<(), DispatchError> {
        let started = self
            .engine
            .call(WORK_LIMIT, async |docker| docker.start_container(id, None).await)
            .await;
        started.map_err(|fault| failed(Phase::Start, &fault))
    }

    /// Asks its process to end, and ends it after `grace`, the time it was configured with.
    pub(in crate::deploys) async fn stop(&self, id: &str, grace: Duration) -> Result<(), DispatchError> {
        self.manage(grace + STOP_SLACK, async |docker| {
            docker.stop_container(id, None).await
        })
        .await
    }

    /// Ends and removes it. The engine's own volumes, which nobody can name, go with a trial alone: they may
    /// hold data.
    pub(super) async fn remove(&self, part: &Part) -> Result<(), DispatchError> {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(part.is_trial)
            .build();
        self.manage(WORK_LIMIT, async |docker| {
            docker.remove_container(&part.id, Some(options)).await
        })
        .await
    }

    /// A container that is gone already, or about to go, is as it should be.
    async fn manage<F, Fut>(&self, limit: Duration, request: F) -> Result<(), DispatchError>
    where
        F: FnOnce(Docker) -> Fut + Send,
        Fut: Future<Output = Result<(), Error>> + Send,
    {
        match self.engine.call(limit, request).await {
            Ok(()) => Ok(()),
            Err(fault) if is_going(&fault) => Ok(()),
            Err(fault) => Err(failed(Phase::Manage, &fault)),
        }
    }
}

fn is_of(kind: &str, entry: &ContainerSummary) -> bool {
    let label = entry.labels.as_ref().and_then(|labels| labels.get(labels::KIND));
    label.map_or(IMAGE, String::as_str) == kind
}

pub(in crate::deploys) fn is_going(fault: &Fault) -> bool {
    match fault {
        Fault::Answer { status: 404, .. } => true,
        Fault::Answer { status: 409, message } => message.starts_with("removal of container "),
        _ => false,
    }
}

//! Workloads and containers as they are found.

use serde::{Deserialize, Serialize};

use super::spec::Spec;
use crate::id::{ContainerId, DeployId, WorkloadId};
use crate::time::Timestamp;

/// Something that runs as one: a managed workload with a spec, or observed containers that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Workload {
    /// Never reused.
    pub id: WorkloadId,
    /// The spec's name, or that of the Compose project or container observed. Unique within its kind.
    pub name: String,
    /// Managed with a spec, or observed.
    pub kind: WorkloadKind,
    /// When it was created here, or first seen.
    pub created_at: Timestamp,
}

/// Who decides what the workload is.
#[derive(Debug, Clone, PartialEq)]
pub enum WorkloadKind {
    /// Created through shipslog, which deploys it.
    Managed {
        /// The newest spec.
        spec: Box<Spec>,
        /// Its number: 1 for the first, one more for each change.
        revision: u32,
    },
    /// Started by somebody else; shipslog only looks.
    Observed,
}

impl Workload {
    /// The newest spec and its revision; `None` for an observed workload.
    pub fn spec(&self) -> Option<(&Spec, u32)> {
        match &self.kind {
            WorkloadKind::Managed { spec, revision } => Some((spec, *revision)),
            WorkloadKind::Observed => None,
        }
    }
}

/// A container as the engine lists it. Labels other than the ones named here stay in the engine: they may hold secrets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Container {
    /// The engine's id.
    pub id: ContainerId,
    /// The engine's name, without the leading slash.
    pub name: String,
    /// The reference that it was created from.
    pub image: String,
    /// The engine's id of that image, such as `sha256:…`; `None` when it is not known.
    pub image_id: Option<String>,
    /// What the engine says of its process.
    pub state: ContainerState,
    /// What its healthcheck says; `None` without one, or while it does not run.
    pub health: Option<Health>,
    /// When it was created.
    pub created_at: Timestamp,
    /// Its last start. Lists leave it out; see [`Inventory::lives`](super::Inventory::lives).
    pub life: Option<Life>,
    /// The label `shipslog.workload`.
    pub workload: Option<WorkloadId>,
    /// The label `shipslog.deploy`.
    pub deploy: Option<DeployId>,
    /// The Compose project label.
    pub project: Option<String>,
}

/// What a container lived through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Life {
    /// When it was started last.
    pub started_at: Timestamp,
    /// How often the engine started it again because it had ended, since somebody started it.
    pub restarts: u32,
}

/// State of a container's process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ContainerState {
    /// Never started.
    Created,
    /// Running.
    Running,
    /// Frozen, and counted as not running.
    Paused,
    /// Ended, and about to be started again by the engine.
    Restarting,
    /// Ended.
    Exited,
    /// Being removed.
    Removing,
    /// Could not be removed.
    Dead,
    /// The engine cannot be asked, or says something unheard of.
    Unknown,
}

/// Verdict of a healthcheck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Health {
    /// Not decided yet.
    Starting,
    /// The last probe succeeded.
    Healthy,
    /// As many probes in a row failed as the healthcheck allows.
    Unhealthy,
}

/// State of a workload, summed up from its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WorkloadState {
    /// All containers run and none is unhealthy.
    Running,
    /// Some containers run, or one that runs is unhealthy.
    Degraded,
    /// There are containers and none runs.
    Stopped,
    /// There is no container.
    Absent,
    /// The engine cannot be asked.
    Unknown,
}

impl WorkloadState {
    /// Sums up containers; `Absent` for none.
    pub fn of(containers: &[Container]) -> Self {
        let count = |wanted: fn(&Container) -> bool| containers.iter().filter(|c| wanted(c)).count();
        let unknown = count(|c| c.state == ContainerState::Unknown);
        let running = count(|c| c.state == ContainerState::Running);
        let unhealthy = count(|c| c.health == Some(Health::Unhealthy));
        match (containers.len(), running) {
            (0, _) => Self::Absent,
            _ if unknown > 0 => Self::Unknown,
            (_, 0) => Self::Stopped,
            (all, some) if some < all || unhealthy > 0 => Self::Degraded,
            _ => Self::Running,
        }
    }
}

/// Whose a container is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Owner {
    /// That of a managed workload.
    Managed(WorkloadId),
    /// That of an observed workload of this name.
    Observed(String),
}

impl Container {
    /// Decides whose the container is: the managed workload of its label if `is_managed` knows it, else an observed one
    /// by Compose project, else one by its own name.
    pub fn owner(&self, is_managed: impl Fn(&WorkloadId) -> bool) -> Owner {
        match (&self.workload, &self.project) {
            (Some(id), _) if is_managed(id) => Owner::Managed(id.clone()),
            (_, Some(project)) => Owner::Observed(project.clone()),
            _ => Owner::Observed(self.name.clone()),
        }
    }
}

//! Deploys of images as services of a swarm.

mod classify;
mod config;
mod gate;
mod images;
mod options;
mod readiness;
mod services;
mod settle;
mod tasks;
mod watch;

use std::path::PathBuf;

use async_trait::async_trait;
use shipslog_core::deploys::{
    DispatchError, DispatchPlugin, FailureMarker, Job, Pinned, Readiness, Record, RollbackCapable,
    RollbackRefusal, Running, Strategy,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::workloads::{FieldError, Spec};

use super::image::{ImagePlugin, check_reference};
use crate::DockerEngine;

/// The kind's name.
const SWARM: &str = "swarm";

/// The source kind `swarm`: runs images as services of the swarm that the engine manages.
///
/// A workload is one service, with the workload's name. The service and its containers carry the labels `shipslog.workload`,
/// `shipslog.deploy`, `shipslog.spec-revision` and `shipslog.kind`; by these alone it is found again. Its tasks name their image
/// by digest, and it is this digest that is pinned and compared; of tasks on this node the container's image is looked at as well.
///
/// Which image is run is found out as by [`ImagePlugin`]: tags are pulled on this node. Every other node pulls by digest, with the
/// credentials that this host has for the registry. An image that never was in a registry cannot be pulled: its tasks are
/// placed on this node alone.
///
/// Options of the source, all of which may be left out:
/// - `parallelism`: tasks that are replaced at a time, 1 by default;
/// - `delay_s`: seconds between one such batch and the next, 0 by default;
/// - `publish`: `ingress` (the default), where every node answers on a published port, or `host`, where a port is that of the node on
///   which a task runs, and each node has room for one task.
///
/// New tasks take the place of old ones start-first, unless the strategy is [`Strategy::Recreate`] or ports are those of the hosts:
/// then stop-first. The engine stops at the first task that fails, and what ran before is put back.
///
/// An engine counts a task without healthcheck as running the moment it is started, and stops an old one for it. So before a
/// service is updated to a version without healthcheck, or stop-first with [`Strategy::VerifyThenSwap`], one task of it has to prove
/// itself as a service of its own, `<workload>-<end of the deploy's id>-trial`, without ports and without networks of the workload.
///
/// Clones share their state.
#[derive(Debug, Clone)]
pub struct SwarmPlugin {
    images: ImagePlugin,
}

impl SwarmPlugin {
    /// A plugin for this engine, which should be a manager of a swarm; without one, dispatches are refused. Registry
    /// credentials come from where [`ImagePlugin::new`] has them from.
    pub fn new(engine: DockerEngine) -> Self {
        Self {
            images: ImagePlugin::new(engine),
        }
    }

    /// Reads `config.json` in this folder instead.
    #[must_use]
    pub fn with_docker_config(mut self, folder: impl Into<PathBuf>) -> Self {
        self.images = self.images.with_docker_config(folder);
        self
    }

    fn engine(&self) -> &DockerEngine {
        &self.images.engine
    }
}

#[async_trait]
impl DispatchPlugin for SwarmPlugin {
    fn kind(&self) -> &str {
        SWARM
    }

    fn check(&self, spec: &Spec) -> Result<(), FieldError> {
        check_reference(spec)?;
        options::check(spec)
    }

    fn strategy(&self, spec: &Spec) -> Option<Strategy> {
        Some(spec.strategy())
    }

    async fn readiness(&self) -> Readiness {
        self.look_for_swarm().await
    }

    async fn resolve(&self, job: &Job) -> Result<Pinned, DispatchError> {
        self.resolve_image(job).await.map(Pinned::from)
    }

    async fn run(&self, job: &Job, pinned: &Pinned) -> Result<(), DispatchError> {
        self.roll(job, &pinned.pin).await
    }

    async fn running(&self, workload: &WorkloadId) -> Result<Vec<Running>, DispatchError> {
        self.what_runs(workload).await
    }

    async fn falter(&self, workload: &WorkloadId, deploy: &DeployId) -> Result<FailureMarker, DispatchError> {
        self.until_it_falters(workload, deploy).await
    }

    async fn settle(&self, workload: &WorkloadId, keep: Option<&Record>) -> Result<(), DispatchError> {
        self.put_in_order(workload, keep).await
    }

    fn rollback(&self) -> Option<&dyn RollbackCapable> {
        Some(self)
    }
}

#[async_trait]
impl RollbackCapable for SwarmPlugin {
    async fn preflight(&self, target: &Record) -> Result<(), RollbackRefusal> {
        let pinned = target.pinned.as_ref().ok_or(RollbackRefusal::NotPinned)?;
        self.can_be_had(&pinned.pin).await
    }

    async fn obtain(&self, job: &Job, pinned: &Pinned) -> Result<Pinned, DispatchError> {
        self.fetch(job, &pinned.pin).await?;
        Ok(pinned.clone())
    }
}

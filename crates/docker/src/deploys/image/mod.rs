//! Deploys of images.

pub(super) mod config;
mod create;
pub(super) mod gate;
mod layers;
pub(super) mod parts;
mod preflight;
pub(super) mod pull;
mod settle;
pub(super) mod swap;
mod turns;
pub(super) mod watch;

use std::path::PathBuf;

use async_trait::async_trait;
use shipslog_core::deploys::{
    DispatchError, DispatchPlugin, FailureMarker, Job, Pinned, Record, RollbackCapable, RollbackRefusal,
    Running, Strategy,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::workloads::{FieldError, Spec};

use super::reference::{ImageReference, InvalidReference};
use crate::DockerEngine;
use turns::Turns;

/// The kind of what carries no label of another.
const IMAGE: &str = "image";

/// The source kind `image`: runs images as containers of one engine.
///
/// Containers are named `<workload>-<end of the deploy's id>` and carry the labels `shipslog.workload`,
/// `shipslog.deploy`, `shipslog.spec-revision` and `shipslog.kind`; a trial, which proves a version before anything is stopped
/// for it, also `shipslog.role`. By these labels alone they are found again. They are made from the image's id, so
/// that no tag that moves can change what runs. Images are never removed, nor are volumes, not even the nameless
/// ones that the engine makes for an image: those go with a trial alone.
///
/// Which image is run:
/// - a reference with a tag is pulled, so that a tag that moved is followed. When the registry cannot be asked,
///   the deploy fails: the ledger would else claim an old image for the tag;
/// - an image that is on the engine and never was in the repository named (a local build) is used as it is,
///   without asking any registry;
/// - a reference with a digest is pulled only if the engine does not have it.
///
/// How it takes the place of what ran before, besides what [`Strategy`] says: with `verify_then_swap` a trial is
/// needed only when old and new publish a port in common. With none in common, or with nothing before it, the new
/// version is proven in its own place while the old one serves. Several replicas are then replaced one at a time, as
/// [`Strategy::StartThenStop`] says; the rollout ends at the first that fails.
///
/// Clones share their state.
#[derive(Debug, Clone)]
pub struct ImagePlugin {
    pub(super) kind: &'static str,
    pub(super) engine: DockerEngine,
    pub(super) docker_config: Option<PathBuf>,
    pub(super) turns: Turns,
}

impl ImagePlugin {
    /// A plugin for this engine. Registry credentials come from the Docker client's configuration:
    /// `DOCKER_CONFIG`, else `~/.docker`, with its credential helpers; it is read anew for each pull.
    pub fn new(engine: DockerEngine) -> Self {
        Self {
            kind: IMAGE,
            engine,
            docker_config: None,
            turns: Turns::default(),
        }
    }

    /// Reads `config.json` in this folder instead.
    #[must_use]
    pub fn with_docker_config(mut self, folder: impl Into<PathBuf>) -> Self {
        self.docker_config = Some(folder.into());
        self
    }
}

/// Whether the source is an image reference.
pub(super) fn check_reference(spec: &Spec) -> Result<(), FieldError> {
    let parsed = ImageReference::parse(&spec.source.reference);
    let wrong = |error: InvalidReference| FieldError::new("source.reference", error.to_string());
    parsed.map(drop).map_err(wrong)
}

#[async_trait]
impl DispatchPlugin for ImagePlugin {
    fn kind(&self) -> &str {
        self.kind
    }

    fn check(&self, spec: &Spec) -> Result<(), FieldError> {
        check_reference(spec)?;
        spec.source.options.refuse_any()?;
        spec.check_host_ports()
    }

    fn strategy(&self, spec: &Spec) -> Option<Strategy> {
        Some(spec.strategy())
    }

    async fn resolve(&self, job: &Job) -> Result<Pinned, DispatchError> {
        self.resolve_image(&job.requested, &job.progress)
            .await
            .map(Pinned::from)
    }

    async fn run(&self, job: &Job, pinned: &Pinned) -> Result<(), DispatchError> {
        self.replace(job, &pinned.pin).await
    }

    async fn running(&self, workload: &WorkloadId) -> Result<Vec<Running>, DispatchError> {
        Ok(self
            .parts(workload)
            .await?
            .iter()
            .filter_map(parts::Part::running)
            .collect())
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
impl RollbackCapable for ImagePlugin {
    async fn preflight(&self, target: &Record) -> Result<(), RollbackRefusal> {
        let pinned = target.pinned.as_ref().ok_or(RollbackRefusal::NotPinned)?;
        self.can_be_had(&pinned.pin).await
    }

    async fn obtain(&self, job: &Job, pinned: &Pinned) -> Result<Pinned, DispatchError> {
        self.fetch(&pinned.pin, &job.progress).await?;
        Ok(pinned.clone())
    }
}

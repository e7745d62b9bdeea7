//! What an engine says about itself and its containers.

use std::fmt::Debug;

use async_trait::async_trait;

use super::{Container, Life};
use crate::id::ContainerId;

/// Lists containers. An adapter takes its engine up again by itself: a failed call says nothing about the next.
#[async_trait]
pub trait Inventory: Debug + Send + Sync + 'static {
    /// Every container, also those that do not run, in no particular order.
    ///
    /// # Errors
    /// [`EngineUnavailable`] within seconds, never a hang.
    async fn containers(&self) -> Result<Vec<Container>, EngineUnavailable>;

    /// What containers lived through, in the order in which they are asked for; `None` for one that is not there, was never started, or could not be
    /// asked.
    async fn lives(&self, ids: &[ContainerId]) -> Vec<Option<Life>>;

    /// Asks the engine who it is.
    ///
    /// # Errors
    /// [`EngineUnavailable`] within seconds, never a hang.
    async fn engine(&self) -> Result<EngineInfo, EngineUnavailable>;
}

/// An engine that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EngineInfo {
    /// Its version, such as `20.10.24`.
    pub version: String,
}

/// Why the engine cannot be asked: a text written by the adapter, such as `no socket at /var/run/docker.sock`. It quotes
/// no answer of the engine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct EngineUnavailable {
    /// For people.
    pub reason: String,
}

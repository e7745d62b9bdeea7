//! Where counters come from.

use std::fmt::Debug;

use async_trait::async_trait;

use super::Counters;
use crate::id::ContainerId;

/// Why a container, or the whole engine, could not be read. It quotes nothing of the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CollectError {
    /// No answer in time. Says nothing about other containers.
    #[error("no answer in time")]
    TimedOut,
    /// The container does not run, or is gone.
    #[error("the container does not run")]
    NotRunning,
    /// The answer could not be read.
    #[error("the answer could not be read")]
    Unreadable,
    /// The engine does not answer.
    #[error("the container engine does not answer")]
    Unavailable,
}

/// Reads cumulative counters. Rates are core's business, so that every backend gives the same numbers.
#[async_trait]
pub trait Collector: Debug + Send + Sync + 'static {
    /// How it reads, for `/api/system`: `docker_api`.
    fn kind(&self) -> &'static str;

    /// Reads these containers side by side, each with a time-out of its own, so that one that hangs costs only itself.
    ///
    /// One answer for each id, in the order of `ids`.
    async fn collect(&self, ids: &[ContainerId]) -> Vec<Result<Counters, CollectError>>;
}

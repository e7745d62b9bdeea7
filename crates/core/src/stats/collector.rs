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

/// How a collector reads at the moment, and why so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorStatus {
    /// The way in which most containers were read when they were last asked for, such as `cgroup` or `docker_api`. Before
    /// that, the way that is tried first.
    pub kind: &'static str,
    /// Why it is that way, in words that are safe to show. `None` when there is no choice, or nothing was read yet.
    pub reason: Option<String>,
    /// The containers that are followed, way by way and reason by reason, the largest share first. Empty when the collector
    /// follows none: it has but one way, or nothing was read yet.
    pub shares: Vec<CollectorShare>,
}

/// The containers that are read in one way for one reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorShare {
    /// How they are read.
    pub kind: &'static str,
    /// Why so, in words that are safe to show.
    pub reason: String,
    /// How many they are, at least 1.
    pub containers: usize,
}

impl From<&'static str> for CollectorStatus {
    /// Of a collector that has but one way of reading, of this kind.
    fn from(kind: &'static str) -> Self {
        Self {
            kind,
            reason: None,
            shares: Vec::new(),
        }
    }
}

/// Reads cumulative counters. Rates are core's business, so that every backend gives the same numbers.
#[async_trait]
pub trait Collector: Debug + Send + Sync + 'static {
    /// How it reads where it can: `cgroup` or `docker_api`. It never changes.
    fn kind(&self) -> &'static str;

    /// How it reads at the moment, and why, for `/api/system`. Answered from memory, at once.
    ///
    /// A collector with one way of reading has nothing to add to its [`kind`](Self::kind).
    fn status(&self) -> CollectorStatus {
        self.kind().into()
    }

    /// Reads these containers side by side, each with a time-out of its own, so that one that hangs costs only itself.
    ///
    /// One answer for each id, in the order of `ids`.
    async fn collect(&self, ids: &[ContainerId]) -> Vec<Result<Counters, CollectError>>;
}

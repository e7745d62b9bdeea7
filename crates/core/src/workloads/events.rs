//! What happens to containers, as an engine tells it.

use std::fmt::Debug;

use async_trait::async_trait;
use tokio::sync::mpsc;

use super::EngineUnavailable;
use crate::id::ContainerId;

/// Something happened to a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerEvent {
    /// To which.
    pub id: ContainerId,
    /// What.
    pub change: ContainerChange,
}

/// What can happen to a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ContainerChange {
    /// Its process was started.
    Started,
    /// Its process ended.
    Stopped,
    /// It was frozen.
    Paused,
    /// It goes on after it was frozen.
    Unpaused,
    /// It is gone for good.
    Removed,
    /// Something else, such as its creation or a new name: the list says more.
    Other,
}

/// Tells what happens to containers. It is a hint: nothing relies on each event being told, and the
/// [list](super::Inventory::containers) is read again now and then.
#[async_trait]
pub trait EngineEvents: Debug + Send + Sync + 'static {
    /// Tells of events from now on, in order, until the engine ends or loses the connection; dropping the future ends it too. It waits
    /// while `events` is full. `Ok` is an end without an error, as when an engine is shut down; it says nothing about containers.
    ///
    /// # Errors
    /// [`EngineUnavailable`] when the connection could not be made or broke off.
    async fn follow(&self, events: mpsc::Sender<ContainerEvent>) -> Result<(), EngineUnavailable>;
}

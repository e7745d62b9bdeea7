//! What the engine's containers do, as far as is known.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::time::Instant;

use crate::id::{ContainerId, WorkloadId};
use crate::workloads::{Container, ContainerChange, ContainerEvent, ContainerState};

/// A container with its owner.
#[derive(Debug, Clone)]
pub(super) struct Listed {
    pub(super) container: Container,
    /// `None` while the store does not say.
    pub(super) workload: Option<WorkloadId>,
}

/// The newest list, with what events changed since.
#[derive(Debug, Clone, Default)]
pub(super) struct Listing {
    /// When the engine was asked last of what it answered or failed to, and which; `None` before that.
    pub(super) asked: Option<(Instant, bool)>,
    pub(super) containers: Arc<Vec<Listed>>,
    /// The last change of each container that was told of since the engine was asked for the next list, which may be from before it.
    told: HashMap<ContainerId, ContainerChange>,
}

/// What an engine calls a short id.
const SHORT_ID: usize = 12;

impl Listed {
    /// Containers mostly are created to be started at once.
    pub(super) fn is_starting(&self) -> bool {
        self.container.state == ContainerState::Created
    }
}

impl Listing {
    /// By its id, or by the beginning of the id as far as engines show it.
    pub(super) fn find(&self, id: &ContainerId) -> Option<&Listed> {
        let exact = self.containers.iter().find(|listed| listed.container.id == *id);
        exact.or_else(|| self.find_short(id.as_str()))
    }

    fn find_short(&self, text: &str) -> Option<&Listed> {
        if text.len() < SHORT_ID {
            return None;
        }
        let fits = |listed: &&Listed| listed.container.id.as_str().starts_with(text);
        let mut fitting = self.containers.iter().filter(fits);
        let first = fitting.next();
        first.filter(|_| fitting.next().is_none())
    }

    /// Whether it shows a container that was started.
    pub(super) fn shows(&self, id: &ContainerId) -> bool {
        self.find(id).is_some_and(|listed| !listed.is_starting())
    }

    /// Whether the engine was asked then or later.
    pub(super) fn is_since(&self, then: Instant) -> bool {
        self.asked.is_some_and(|(at, _)| at >= then)
    }

    /// Whether the engine did not answer when it was asked last.
    pub(super) fn is_away(&self) -> bool {
        matches!(self.asked, Some((_, false)))
    }

    /// The engine is about to be asked for a list.
    pub(super) fn begin(&mut self) {
        self.told.clear();
    }

    /// Takes up what the engine answered, or that it did not. What it told meanwhile is still so.
    pub(super) fn end(&mut self, asked: Instant, containers: Option<Vec<Listed>>) {
        self.asked = Some((asked, containers.is_some()));
        let told = std::mem::take(&mut self.told);
        if let Some(containers) = containers {
            self.containers = Arc::new(containers);
            told.iter().for_each(|(id, change)| self.change(id, *change));
        }
    }

    /// Nobody needs it any more, and by the time somebody does it would be old.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Says of a container what an event told; a container that is not listed has to be listed first.
    pub(super) fn apply(&mut self, event: &ContainerEvent) {
        if event.change != ContainerChange::Other {
            self.told.insert(event.id.clone(), event.change);
            self.change(&event.id, event.change);
        }
    }

    fn change(&mut self, id: &ContainerId, change: ContainerChange) {
        let containers = Arc::make_mut(&mut self.containers);
        let state = match change {
            ContainerChange::Removed => return containers.retain(|listed| listed.container.id != *id),
            ContainerChange::Started | ContainerChange::Unpaused => ContainerState::Running,
            ContainerChange::Stopped => ContainerState::Exited,
            ContainerChange::Paused => ContainerState::Paused,
            ContainerChange::Other => return,
        };
        let changed = containers.iter_mut().find(|listed| listed.container.id == *id);
        if let Some(listed) = changed {
            listed.container.state = state;
        }
    }
}

//! What a running dispatch tells those who watch it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::broadcast;

use super::Deploy;

/// Events that a slow watcher may lag behind before it misses some.
const BACKLOG: usize = 256;

/// A step of a dispatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "step", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeployStep {
    /// Finding out what the reference stands for.
    Resolving,
    /// Pulling; told again as it proceeds.
    Pulling {
        /// Layers that are complete.
        layers_done: u32,
        /// Layers known so far.
        layers_total: u32,
        /// Bytes downloaded of the layers known so far.
        bytes_done: u64,
        /// Size of the layers known so far, in bytes.
        bytes_total: u64,
    },
    /// Creating containers.
    Creating,
    /// Starting containers.
    Starting,
    /// Waiting until they are healthy, or have run for long enough.
    WaitingForHealth,
    /// Taking the old containers out and the new ones in.
    Swapping,
    /// Comparing what runs with what was pinned.
    Verifying,
    /// Putting back what ran before.
    Restoring,
}

impl DeployStep {
    fn same_kind(&self, other: &Self) -> bool {
        std::mem::discriminant(self) == std::mem::discriminant(other)
    }
}

/// What a watcher of a dispatch receives.
#[derive(Debug, Clone, PartialEq)]
pub enum DeployEvent {
    /// A step began or went on.
    Step(DeployStep),
    /// The watcher was too slow: so many events are lost to it.
    Missed(u64),
    /// The row was closed. Nothing follows.
    Closed(Box<Deploy>),
}

#[derive(Debug)]
struct Channel {
    /// One entry a step, the newest of its kind, for those who come late.
    told: Vec<DeployEvent>,
    live: broadcast::Sender<DeployEvent>,
}

/// The telling end, which a plugin holds. Cheap to clone; telling never waits.
#[derive(Debug, Clone)]
pub struct Progress(Arc<Mutex<Channel>>);

impl Default for Progress {
    fn default() -> Self {
        let live = broadcast::Sender::new(BACKLOG);
        Self(Arc::new(Mutex::new(Channel {
            told: Vec::new(),
            live,
        })))
    }
}

impl Progress {
    /// Tells all watchers of a step.
    pub fn step(&self, step: DeployStep) {
        self.tell(DeployEvent::Step(step));
    }

    pub(crate) fn closed(&self, row: Deploy) {
        self.tell(DeployEvent::Closed(Box::new(row)));
    }

    fn tell(&self, event: DeployEvent) {
        let mut channel = self.lock();
        remember(&mut channel.told, &event);
        // No receiver is no error: nobody has to watch.
        let _ = channel.live.send(event);
    }

    /// What was told so far, then what comes. Nothing is lost or doubled in between.
    pub fn subscribe(&self) -> DeployEvents {
        let channel = self.lock();
        DeployEvents {
            told: channel.told.clone().into(),
            live: Some(channel.live.subscribe()),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Channel> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Repeats of the newest step replace it, so that a long pull stays one entry.
fn remember(told: &mut Vec<DeployEvent>, event: &DeployEvent) {
    let repeats = match (told.last(), event) {
        (Some(DeployEvent::Step(last)), DeployEvent::Step(step)) => last.same_kind(step),
        _ => false,
    };
    if repeats {
        told.pop();
    }
    told.push(event.clone());
}

/// The watching end: events in order, ending after [`DeployEvent::Closed`].
#[derive(Debug)]
pub struct DeployEvents {
    told: VecDeque<DeployEvent>,
    live: Option<broadcast::Receiver<DeployEvent>>,
}

impl DeployEvents {
    /// The events of a dispatch that is over: its outcome alone.
    pub fn of_closed(row: Deploy) -> Self {
        Self {
            told: [DeployEvent::Closed(Box::new(row))].into(),
            live: None,
        }
    }

    /// The next event; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<DeployEvent> {
        let event = match self.told.pop_front() {
            Some(event) => event,
            None => receive(self.live.as_mut()?).await?,
        };
        if matches!(event, DeployEvent::Closed(_)) {
            self.live = None;
        }
        Some(event)
    }
}

async fn receive(live: &mut broadcast::Receiver<DeployEvent>) -> Option<DeployEvent> {
    match live.recv().await {
        Ok(event) => Some(event),
        Err(broadcast::error::RecvError::Lagged(count)) => Some(DeployEvent::Missed(count)),
        Err(broadcast::error::RecvError::Closed) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulling(bytes_done: u64) -> DeployStep {
        DeployStep::Pulling {
            layers_done: 0,
            layers_total: 1,
            bytes_done,
            bytes_total: 10,
        }
    }

    #[tokio::test]
    async fn who_comes_late_hears_each_step_once_and_then_what_follows() {
        let progress = Progress::default();
        progress.step(DeployStep::Resolving);
        progress.step(pulling(1));
        progress.step(pulling(9));
        let mut events = progress.subscribe();
        progress.step(DeployStep::Creating);
        for expected in [DeployStep::Resolving, pulling(9), DeployStep::Creating] {
            assert_eq!(events.next().await, Some(DeployEvent::Step(expected)));
        }
    }

    #[tokio::test]
    async fn who_is_slow_is_told_how_much_was_missed() {
        let progress = Progress::default();
        let mut events = progress.subscribe();
        for i in 0..BACKLOG as u64 + 5 {
            progress.step(pulling(i));
        }
        assert_eq!(events.next().await, Some(DeployEvent::Missed(5)));
        assert_eq!(events.next().await, Some(DeployEvent::Step(pulling(5))));
    }

    #[tokio::test]
    async fn a_dispatch_that_vanishes_ends_its_streams() {
        let progress = Progress::default();
        let mut events = progress.subscribe();
        drop(progress);
        assert_eq!(events.next().await, None);
    }
}

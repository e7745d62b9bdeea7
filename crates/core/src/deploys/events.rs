//! The one stream of what happens to dispatches.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use tokio::sync::broadcast;

use super::flights::lock;
use super::{Deploy, DeployStep};
use crate::id::{DeployId, WorkloadId};

/// Events that a slow subscriber may lag behind before it misses some.
const BACKLOG: usize = 1024;

/// What happens to dispatches, deploys and rollbacks alike.
///
/// Those of one dispatch come in order: it was started, its steps, then it was closed or given up. Those of several are interleaved.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum DispatchEvent {
    /// The row was opened; nothing has been touched.
    Started(Box<Deploy>),
    /// A step began or went on.
    Step {
        /// Whose dispatch.
        workload: WorkloadId,
        /// Its row.
        deploy: DeployId,
        /// What it is at.
        step: DeployStep,
    },
    /// The row was closed, and what runs was put in order as far as possible. Nothing follows.
    Closed(Box<Deploy>),
    /// The dispatch is over and its row could not be closed: it will be, before the next dispatch or at the next start. Nothing follows.
    GivenUp {
        /// Whose dispatch.
        workload: WorkloadId,
        /// Its row.
        deploy: DeployId,
    },
    /// The subscriber was too slow: so many events, of whatever dispatches, are lost to it.
    Missed(u64),
}

impl DispatchEvent {
    /// The row that it is about; `None` for [`Missed`](Self::Missed).
    pub fn deploy(&self) -> Option<&DeployId> {
        match self {
            Self::Started(row) | Self::Closed(row) => Some(&row.id),
            Self::Step { deploy, .. } | Self::GivenUp { deploy, .. } => Some(deploy),
            Self::Missed(_) => None,
        }
    }

    /// Whether nothing follows of the same dispatch.
    pub fn is_last(&self) -> bool {
        matches!(self, Self::Closed(_) | Self::GivenUp { .. })
    }

    fn repeats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Step { step, .. }, Self::Step { step: other, .. }) => step.repeats(other),
            _ => false,
        }
    }
}

#[derive(Debug)]
struct State {
    /// Of each dispatch under way, one entry a step, the newest of its kind: for those who come late.
    told: HashMap<DeployId, Vec<DispatchEvent>>,
    live: broadcast::Sender<DispatchEvent>,
}

/// Where everything is told, and heard. Cheap to clone; telling never waits.
#[derive(Debug, Clone)]
pub(super) struct Hub(Arc<Mutex<State>>);

impl Default for Hub {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State {
            told: HashMap::new(),
            live: broadcast::Sender::new(BACKLOG),
        })))
    }
}

impl Hub {
    /// Tells of a dispatch; whoever is given the first event of it by name hears the rest until it is over.
    pub(super) fn tell(&self, event: DispatchEvent) {
        let mut state = self.lock();
        state.remember(&event);
        // No receiver is no error: nobody has to listen.
        let _ = state.live.send(event);
    }

    /// Takes up a dispatch, which is remembered until the value is dropped.
    pub(super) fn take_up(&self, workload: &WorkloadId, deploy: &DeployId) -> Telling {
        self.lock().told.insert(deploy.clone(), Vec::new());
        Telling(Progress {
            hub: self.clone(),
            workload: workload.clone(),
            deploy: deploy.clone(),
        })
    }

    pub(super) fn subscribe(&self) -> DispatchEvents {
        DispatchEvents(self.lock().live.subscribe())
    }

    /// What was told so far of a dispatch under way, then what comes. Nothing is lost or doubled in between.
    pub(super) fn subscribe_to(&self, deploy: &DeployId) -> Option<DeployEvents> {
        let state = self.lock();
        let told = state.told.get(deploy)?.clone().into();
        let live = Some(DispatchEvents(state.live.subscribe()));
        Some(DeployEvents {
            deploy: deploy.clone(),
            told,
            live,
        })
    }

    /// What was taken up and never ended was given up.
    fn end(&self, workload: &WorkloadId, deploy: &DeployId) {
        if self.lock().told.contains_key(deploy) {
            let (workload, deploy) = (workload.clone(), deploy.clone());
            self.tell(DispatchEvent::GivenUp { workload, deploy });
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.0)
    }
}

impl State {
    /// Repeats of the newest step replace it, so that a long pull stays one entry. Of what is over, the ledger knows the outcome.
    fn remember(&mut self, event: &DispatchEvent) {
        let Some(deploy) = event.deploy() else { return };
        if event.is_last() {
            self.told.remove(deploy);
            return;
        }
        let Some(told) = self.told.get_mut(deploy) else {
            return;
        };
        if told.last().is_some_and(|last| event.repeats(last)) {
            told.pop();
        }
        told.push(event.clone());
    }
}

/// A dispatch that is told of. Dropping it ends the streams of it.
#[derive(Debug)]
pub(super) struct Telling(Progress);

impl Telling {
    pub(super) fn progress(&self) -> &Progress {
        &self.0
    }

    pub(super) fn tell(&self, event: DispatchEvent) {
        self.0.hub.tell(event);
    }

    /// There was no dispatch after all, and nobody is told of it.
    pub(super) fn withdraw(&self) {
        self.0.hub.lock().told.remove(&self.0.deploy);
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        let Progress {
            hub,
            workload,
            deploy,
        } = &self.0;
        hub.end(workload, deploy);
    }
}

/// The telling end of one dispatch, which a plugin holds. Cheap to clone; telling never waits.
#[derive(Debug, Clone)]
pub struct Progress {
    hub: Hub,
    workload: WorkloadId,
    deploy: DeployId,
}

impl Progress {
    /// One that belongs to no dispatcher. For tests of plugins.
    pub fn detached(workload: &WorkloadId, deploy: &DeployId) -> Self {
        let hub = Hub::default();
        hub.lock().told.insert(deploy.clone(), Vec::new());
        Self {
            hub,
            workload: workload.clone(),
            deploy: deploy.clone(),
        }
    }

    /// Tells all subscribers of a step.
    pub fn step(&self, step: DeployStep) {
        self.hub.tell(DispatchEvent::Step {
            workload: self.workload.clone(),
            deploy: self.deploy.clone(),
            step,
        });
    }

    /// What was told so far, then what comes. Nothing is lost or doubled in between.
    pub fn subscribe(&self) -> DeployEvents {
        let events = self.hub.subscribe_to(&self.deploy);
        events.unwrap_or_else(|| DeployEvents {
            deploy: self.deploy.clone(),
            told: VecDeque::new(),
            live: None,
        })
    }
}

/// The events of all dispatches, from the moment of the subscription on.
#[derive(Debug)]
pub struct DispatchEvents(broadcast::Receiver<DispatchEvent>);

impl DispatchEvents {
    /// The next event; `None` when the dispatcher is gone. Cancel-safe.
    pub async fn next(&mut self) -> Option<DispatchEvent> {
        match self.0.recv().await {
            Ok(event) => Some(event),
            Err(broadcast::error::RecvError::Lagged(count)) => Some(DispatchEvent::Missed(count)),
            Err(broadcast::error::RecvError::Closed) => None,
        }
    }
}

/// The events of one dispatch in order, ending after the [last](DispatchEvent::is_last).
#[derive(Debug)]
pub struct DeployEvents {
    deploy: DeployId,
    told: VecDeque<DispatchEvent>,
    live: Option<DispatchEvents>,
}

impl DeployEvents {
    /// The events of a dispatch that is over: its outcome alone.
    pub fn of_closed(row: Deploy) -> Self {
        Self {
            deploy: row.id.clone(),
            told: [DispatchEvent::Closed(Box::new(row))].into(),
            live: None,
        }
    }

    /// The next event; `None` at the end. Cancel-safe.
    pub async fn next(&mut self) -> Option<DispatchEvent> {
        let event = match self.told.pop_front() {
            Some(event) => event,
            None => self.receive().await?,
        };
        if event.is_last() {
            self.live = None;
        }
        Some(event)
    }

    async fn receive(&mut self) -> Option<DispatchEvent> {
        let live = self.live.as_mut()?;
        loop {
            let event = live.next().await?;
            if event.deploy().is_none_or(|deploy| *deploy == self.deploy) {
                return Some(event);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Timestamp;

    fn pulling(bytes_done: u64) -> DeployStep {
        DeployStep::Pulling {
            layers_done: 0,
            layers_total: 1,
            bytes_done,
            bytes_total: 10,
        }
    }

    fn taken_up(hub: &Hub) -> Telling {
        let now = Timestamp::new(1, 0).unwrap();
        hub.take_up(&WorkloadId::generate(now), &DeployId::generate(now))
    }

    async fn step_of(events: &mut DeployEvents) -> Option<DeployStep> {
        match events.next().await {
            Some(DispatchEvent::Step { step, .. }) => Some(step),
            _ => None,
        }
    }

    #[tokio::test]
    async fn who_comes_late_hears_each_step_once_and_then_what_follows() {
        let telling = taken_up(&Hub::default());
        let progress = telling.progress();
        progress.step(DeployStep::Resolving);
        progress.step(pulling(1));
        progress.step(pulling(9));
        let mut events = progress.subscribe();
        progress.step(DeployStep::Creating);
        for expected in [DeployStep::Resolving, pulling(9), DeployStep::Creating] {
            assert_eq!(step_of(&mut events).await, Some(expected));
        }
    }

    #[tokio::test]
    async fn who_is_slow_is_told_how_much_was_missed() {
        let telling = taken_up(&Hub::default());
        let mut events = telling.progress().subscribe();
        for i in 0..BACKLOG as u64 + 5 {
            telling.progress().step(pulling(i));
        }
        assert_eq!(events.next().await, Some(DispatchEvent::Missed(5)));
        assert_eq!(step_of(&mut events).await, Some(pulling(5)));
    }

    #[tokio::test]
    async fn a_dispatch_that_never_began_is_told_to_nobody() {
        let hub = Hub::default();
        let mut all = hub.subscribe();
        let never = taken_up(&hub);
        never.withdraw();
        drop(never);
        taken_up(&hub).progress().step(DeployStep::Creating);
        assert!(matches!(all.next().await, Some(DispatchEvent::Step { .. })));
    }

    #[tokio::test]
    async fn a_dispatch_that_vanishes_ends_its_streams_and_leaves_others_alone() {
        let hub = Hub::default();
        let (one, other) = (taken_up(&hub), taken_up(&hub));
        let (mut of_one, mut of_other) = (one.progress().subscribe(), other.progress().subscribe());
        drop(one);
        assert!(matches!(of_one.next().await, Some(DispatchEvent::GivenUp { .. })));
        assert_eq!(of_one.next().await, None);
        other.progress().step(DeployStep::Creating);
        assert_eq!(step_of(&mut of_other).await, Some(DeployStep::Creating));
    }
}

//! The newest numbers, in memory: who asks gets them, who subscribes is told.

mod points;
#[cfg(test)]
mod tests;
mod topic;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;
use tokio::time::Instant;

use self::points::{by_workload, sum};
pub use self::topic::{Received, Update};
use self::topic::{Receiver, Topic};
use super::{Point, Sample};
use crate::id::{ContainerId, WorkloadId};

/// How long a number counts as live.
const FRESH_FOR: Duration = Duration::from_secs(45);

/// Who read the numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Origin {
    /// Live sampling, which will read again after this time.
    Live(Duration),
    /// Stored sampling. What it reads gives way to what live sampling reads, for as long as that goes on, so that the
    /// two cadences do not mix in one stream.
    Stored,
}

/// What was read of one container.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    /// The engine's id.
    pub container: ContainerId,
    /// Whose it is; `None` when that is not known, and then it counts for the total alone.
    pub workload: Option<WorkloadId>,
    /// What was measured.
    pub sample: Sample,
}

/// All that was read at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Readout {
    /// Unix seconds.
    pub ts: i64,
    /// Who read it.
    pub origin: Origin,
    /// What was looked at.
    pub coverage: Coverage,
    /// One a container that could be read. Of a workload all containers were looked at, or none.
    pub readings: Vec<Reading>,
}

/// What a [`Readout`] says something of, also by saying nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// The workloads that are in it.
    Part,
    /// All workloads that somebody is subscribed to.
    Watched,
    /// All containers of the engine: only then does it make a total.
    Everything,
}

/// A workload's part of a [`LiveUsage`].
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct WorkloadPoint {
    /// The workload.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub workload_id: WorkloadId,
    /// What its containers use.
    pub point: Point,
}

/// What everything on the engine uses at one moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LiveUsage {
    /// Unix seconds.
    pub ts: i64,
    /// The sum over all containers.
    pub total: Point,
    /// One a workload that has a container that was read, by id.
    pub workloads: Vec<WorkloadPoint>,
}

impl LiveUsage {
    /// That of a moment at which nothing could be read.
    pub fn unread(ts: i64) -> Self {
        Self {
            ts,
            total: Point::unread(ts),
            workloads: Vec::new(),
        }
    }
}

/// A number that is not older than 45 seconds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Latest<T> {
    /// The number.
    pub value: T,
    /// How long ago it came in.
    pub age: Duration,
}

/// Holds the latest point of each container and workload for 45 seconds, and tells subscribers of new ones. Cheap to clone; clones share all.
///
/// # Slow readers
/// A subscription holds its place and nothing else. Who does not come to read in time finds the newest update alone, with the number of those
/// that went by in between. Publishing waits for nobody, and memory does not depend on how slow anybody is.
///
/// ```
/// use shipslog_core::stats::{Coverage, LiveHub, Origin, Reading, Readout, Sample};
///
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let hub = LiveHub::default();
/// let web: shipslog_core::id::WorkloadId = "web".parse().unwrap();
/// let mut updates = hub.subscribe(&web);
/// for ts in [10, 20, 30] {
///     let sample = Sample { memory_usage: Some(500), ..Sample::default() };
///     let reading = Reading { container: "c1".parse().unwrap(), workload: Some(web.clone()), sample };
///     hub.publish(Readout { ts, origin: Origin::Stored, coverage: Coverage::Everything, readings: vec![reading] });
/// }
/// let received = updates.next().await.unwrap();
/// assert_eq!((received.update.value().ts, received.missed), (30, 2));
/// assert_eq!(hub.workload(&web).unwrap().value.memory_usage, Some(500));
/// # });
/// ```
#[derive(Debug, Clone, Default)]
pub struct LiveHub {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    subscribed: Notify,
}

#[derive(Debug, Default)]
struct State {
    containers: HashMap<ContainerId, Held<Sample>>,
    workloads: HashMap<WorkloadId, Held<Point>>,
    all: Option<Held<()>>,
    topics: HashMap<WorkloadId, Topic<Point>>,
    everything: Option<Topic<LiveUsage>>,
}

/// A number with where it is from.
#[derive(Debug)]
struct Held<T> {
    value: T,
    ts: i64,
    at: Instant,
    origin: Origin,
}

impl<T> Held<T> {
    fn is_fresh(&self) -> bool {
        self.at.elapsed() < FRESH_FOR
    }

    /// Whether what comes in is to be left out: it is older, or stored sampling speaks into live sampling.
    fn outranks(&self, ts: i64, origin: Origin) -> bool {
        let speaks_in = match (self.origin, origin) {
            (Origin::Live(every), Origin::Stored) => self.at.elapsed() < every * 2,
            _ => false,
        };
        self.is_fresh() && (ts < self.ts || speaks_in)
    }
}

impl LiveHub {
    /// Takes in what was read, and tells those who subscribed to it.
    ///
    /// What is older than what is held is left out, and so is what [`Origin`] says. Live sampling that read nothing of a workload tells its
    /// subscribers so, with [`Point::unread`]; the point that is held stays until it is too old.
    pub fn publish(&self, readout: Readout) {
        let mut state = self.lock();
        state.forget();
        let points = by_workload(readout.ts, &readout.readings);
        state.tell_all(&readout, &points);
        for WorkloadPoint { workload_id, point } in points {
            state.tell(workload_id, point, readout.origin);
        }
        state.tell_unread(&readout);
        state.hold(readout);
    }

    /// The latest point of a workload.
    pub fn workload(&self, id: &WorkloadId) -> Option<Latest<Point>> {
        latest(self.lock().workloads.get(id))
    }

    /// The latest sample of a container.
    pub fn container(&self, id: &ContainerId) -> Option<Latest<Sample>> {
        latest(self.lock().containers.get(id))
    }

    /// The points of a workload from now on, beginning with the one that is held, if any. The subscription ends when it is dropped.
    pub fn subscribe(&self, id: &WorkloadId) -> Subscription<Point> {
        let mut state = self.lock();
        let held = latest(state.workloads.get(id));
        let topic = state.topics.entry(id.clone()).or_insert_with(Topic::new);
        if let Some(held) = held.filter(|_| !topic.is_fresh()) {
            topic.publish(held.value, held.age);
        }
        let receiver = topic.receiver();
        drop(state);
        self.subscription(receiver, Some(id.clone()))
    }

    /// The points of all workloads from now on, beginning with those that are held, if any. The subscription ends when it is dropped.
    pub fn subscribe_all(&self) -> Subscription<LiveUsage> {
        let mut state = self.lock();
        let receiver = state.everything.get_or_insert_with(Topic::new).receiver();
        drop(state);
        self.subscription(receiver, None)
    }

    /// How many subscriptions there are, to workloads and to everything.
    pub fn subscribers(&self) -> usize {
        let state = self.lock();
        let of_all = state.everything.as_ref().map_or(0, Topic::subscribers);
        state.topics.values().map(Topic::subscribers).sum::<usize>() + of_all
    }

    fn subscription<T>(&self, receiver: Receiver<T>, of: Option<WorkloadId>) -> Subscription<T> {
        self.shared.subscribed.notify_one();
        Subscription {
            receiver,
            _end: End {
                hub: self.clone(),
                of,
            },
        }
    }

    /// Waits until somebody subscribed since it was last waited for.
    pub(super) async fn subscribed(&self) {
        self.shared.subscribed.notified().await;
    }

    /// The workloads that somebody is subscribed to.
    pub(super) fn watched(&self) -> Vec<WorkloadId> {
        self.lock().topics.keys().cloned().collect()
    }

    /// Whether somebody is subscribed to everything.
    pub(super) fn everything_is_watched(&self) -> bool {
        self.lock().everything.as_ref().is_some_and(Topic::is_watched)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn forget(&mut self) {
        self.containers.retain(|_, held| held.is_fresh());
        self.workloads.retain(|_, held| held.is_fresh());
    }

    fn tell(&mut self, id: WorkloadId, point: Point, origin: Origin) {
        if outranked(self.workloads.get(&id), point.ts, origin) {
            return;
        }
        if let Some(topic) = self.topics.get(&id) {
            topic.publish(point, Duration::ZERO);
        }
        self.workloads.insert(id, Held::new(point, point.ts, origin));
    }

    /// Keeps the streams going of workloads that live sampling could read nothing of.
    fn tell_unread(&self, readout: &Readout) {
        if readout.origin == Origin::Stored || readout.coverage == Coverage::Part {
            return;
        }
        let unread = |id: &&WorkloadId| {
            readout
                .readings
                .iter()
                .all(|reading| reading.workload.as_ref() != Some(id))
        };
        for (_, topic) in self.topics.iter().filter(|(id, _)| unread(id)) {
            topic.publish(Point::unread(readout.ts), Duration::ZERO);
        }
    }

    fn tell_all(&mut self, readout: &Readout, points: &[WorkloadPoint]) {
        let (ts, origin) = (readout.ts, readout.origin);
        if readout.coverage != Coverage::Everything || outranked(self.all.as_ref(), ts, origin) {
            return;
        }
        self.all = Some(Held::new((), ts, origin));
        let usage = LiveUsage {
            ts,
            total: sum(ts, readout.readings.iter().map(|reading| &reading.sample)),
            workloads: points.to_vec(),
        };
        let everything = self.everything.get_or_insert_with(Topic::new);
        everything.publish(usage, Duration::ZERO);
    }

    fn hold(&mut self, readout: Readout) {
        for reading in readout.readings {
            if outranked(
                self.containers.get(&reading.container),
                readout.ts,
                readout.origin,
            ) {
                continue;
            }
            let held = Held::new(reading.sample, readout.ts, readout.origin);
            self.containers.insert(reading.container, held);
        }
    }
}

impl<T> Held<T> {
    fn new(value: T, ts: i64, origin: Origin) -> Self {
        Self {
            value,
            ts,
            at: Instant::now(),
            origin,
        }
    }
}

fn outranked<T>(held: Option<&Held<T>>, ts: i64, origin: Origin) -> bool {
    held.is_some_and(|held| held.outranks(ts, origin))
}

fn latest<T: Copy>(held: Option<&Held<T>>) -> Option<Latest<T>> {
    held.filter(|held| held.is_fresh()).map(|held| Latest {
        value: held.value,
        age: held.at.elapsed(),
    })
}

/// Updates of one workload, or of all. Dropping it ends it.
#[derive(Debug)]
pub struct Subscription<T> {
    // Before the end, which counts those that are left.
    receiver: Receiver<T>,
    _end: End,
}

impl<T: Send + Sync> Subscription<T> {
    /// The newest update that was not received yet; waits for one if there is none. `None` never comes while the hub is there. Cancel-safe.
    pub async fn next(&mut self) -> Option<Received<T>> {
        self.receiver.next().await
    }
}

/// Takes the topic away with its last subscriber.
#[derive(Debug)]
struct End {
    hub: LiveHub,
    of: Option<WorkloadId>,
}

impl Drop for End {
    fn drop(&mut self) {
        let mut state = self.hub.lock();
        if let Some(id) = &self.of
            && !state.topics.get(id).is_some_and(Topic::is_watched)
        {
            state.topics.remove(id);
        }
    }
}

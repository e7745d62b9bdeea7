//! Live sampling: of what somebody asks for, for as long as somebody asks.

mod follow;
mod listing;
mod sampler;
mod wanted;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;

use self::listing::{Listed, Listing};
use self::wanted::Wanted;
use super::{Collector, Cursor, LiveHub, RingBuffer, Sample};
use crate::id::{ContainerId, WorkloadId};
use crate::time::Clock;
use crate::workloads::{ContainerState, EngineEvents, Inventory, WorkloadStore};

/// How long somebody who asks is kept waiting for a first reading.
const PATIENCE: Duration = Duration::from_secs(2);

/// Settings of a [`Poller`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PollerOptions {
    /// Time between two readings, 3 seconds by default; less than a second is taken as one.
    pub every: Duration,
    /// How long sampling goes on after the last who asked, 30 minutes by default.
    pub idle: Duration,
}

impl Default for PollerOptions {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(3),
            idle: Duration::from_secs(30 * 60),
        }
    }
}

/// One reading of a container that was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Metric {
    /// Processor use: 100 for one fully used core, to a thousandth; `null` when not known, as in a first reading.
    pub cpu: Option<f64>,
    /// Memory that cannot be taken back at once, in bytes; `null` when not known.
    pub mem: Option<u64>,
    /// Unix seconds.
    pub timestamp: i64,
}

impl Metric {
    fn new(timestamp: i64, sample: &Sample) -> Self {
        Self {
            cpu: sample
                .cpu_percent
                .map(|percent| (percent * 1_000.0).round() / 1_000.0),
            mem: sample.memory_usage,
            timestamp,
        }
    }
}

/// What is buffered of a container after a cursor.
#[derive(Debug, Clone, PartialEq)]
pub struct Metrics {
    /// Oldest first; none while the container does not run.
    pub metrics: Vec<Metric>,
    /// Where to go on.
    pub next: Cursor,
    /// Readings after the cursor that are not in the buffer any more.
    pub missed: u64,
    /// Whether the container runs. One that is paused does not.
    pub is_running: bool,
}

impl Metrics {
    fn not_running(from: Cursor) -> Self {
        Self {
            metrics: Vec::new(),
            next: from,
            missed: 0,
            is_running: false,
        }
    }
}

/// Samples the containers that somebody asks for, and publishes what it read to a [`LiveHub`]. Cheap to clone; clones share all.
///
/// Asking for a container or a workload begins it, and so does a subscription at the hub; it ends when nobody asked for as long as
/// [`PollerOptions::idle`]. Nothing depends on one viewer's coming and going. While nothing is asked for, it does nothing at all.
///
/// # What it follows
/// The engine's events tell of starts, stops, pauses and removals as they happen, and the list of containers is read every 10 seconds as a check.
/// An engine that does not answer is asked again after 1 second, then 2, and so on up to 30. A container that does not answer is left out for as long, so
/// that it does not hold up the others.
///
/// # One of each
/// All containers are read by one loop, inside the future of [`run`](Self::run). So there is nothing that could be doubled or left behind.
#[derive(Debug, Clone)]
pub struct Poller(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    inventory: Arc<dyn Inventory>,
    events: Arc<dyn EngineEvents>,
    collector: Arc<dyn Collector>,
    workloads: Arc<dyn WorkloadStore>,
    clock: Arc<dyn Clock>,
    hub: LiveHub,
    options: PollerOptions,
    wanted: Mutex<Wanted>,
    /// Whether anything is wanted.
    active: watch::Sender<bool>,
    listing: watch::Sender<Listing>,
    /// Counts the deliveries.
    delivered: watch::Sender<u64>,
    /// The list is out of date.
    relist: Notify,
    /// There may be something that was never read.
    fresh: Notify,
    /// Held by whoever runs.
    running: tokio::sync::Mutex<()>,
}

impl Poller {
    /// A poller that samples nothing until it [runs](Self::run) and something is asked for.
    pub fn new(
        inventory: Arc<dyn Inventory>,
        events: Arc<dyn EngineEvents>,
        collector: Arc<dyn Collector>,
        workloads: Arc<dyn WorkloadStore>,
        clock: Arc<dyn Clock>,
        hub: LiveHub,
        options: PollerOptions,
    ) -> Self {
        let options = PollerOptions {
            every: options.every.max(Duration::from_secs(1)),
            ..options
        };
        Self(Arc::new(Inner {
            inventory,
            events,
            collector,
            workloads,
            clock,
            hub,
            options,
            wanted: Mutex::default(),
            active: watch::Sender::new(false),
            listing: watch::Sender::new(Listing::default()),
            delivered: watch::Sender::new(0),
            relist: Notify::new(),
            fresh: Notify::new(),
            running: tokio::sync::Mutex::default(),
        }))
    }

    /// Samples until cancelled; without it nothing is ever read. While it runs, another call returns at once.
    pub async fn run(&self, cancel: CancellationToken) {
        let inner = &self.0;
        let Ok(_one) = inner.running.try_lock() else {
            return;
        };
        let work = async {
            tokio::join!(
                inner.keep_listing(),
                inner.heed_events(),
                inner.keep_sampling(),
                inner.heed_subscribers(),
            )
        };
        cancel.run_until_cancelled(work).await;
    }

    /// How many containers are read at each reading: those that live and that somebody asks for.
    pub fn sampled(&self) -> usize {
        self.0.sampled()
    }

    /// Where the numbers go.
    pub fn hub(&self) -> &LiveHub {
        &self.0.hub
    }

    /// Asks for a container, and answers what is buffered of it after a cursor.
    ///
    /// Of a container that is asked for the first time there is one reading, after at most 2 seconds; it has no processor use yet. A container that does not
    /// run, or that the engine does not list, has nothing, and the cursor stays where it is. What was read before a restart of the same container is still there
    /// after it.
    pub async fn metrics(&self, id: &ContainerId, from: Cursor) -> Metrics {
        let inner = &self.0;
        let deadline = Instant::now() + PATIENCE;
        let Some(listed) = inner.find(id, deadline).await else {
            return Metrics::not_running(from);
        };
        let ring = inner.ask(&listed.container.id);
        if inner.is_running(&listed.container.id) {
            inner.first_reading(&ring, deadline).await;
        }
        if !inner.is_running(&listed.container.id) {
            return Metrics::not_running(from);
        }
        let batch = ring.since(from);
        Metrics {
            metrics: batch.items,
            next: batch.next,
            missed: batch.missed,
            is_running: true,
        }
    }

    /// Asks for a workload: its containers are sampled from now on, also those that come later.
    pub fn ask_workload(&self, id: &WorkloadId) {
        let mut wanted = self.0.wanted();
        wanted.ask_workload(id);
        self.0.activate(&wanted);
    }
}

impl Inner {
    fn wanted(&self) -> MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ask(&self, id: &ContainerId) -> Arc<RingBuffer<super::Metric>> {
        let mut wanted = self.wanted();
        let ring = wanted.ask(id);
        self.activate(&wanted);
        ring
    }

    /// The lock is held so that it does not cross with going idle.
    fn activate(&self, _wanted: &MutexGuard<'_, Wanted>) {
        self.active.send_replace(true);
        self.fresh.notify_one();
    }

    async fn heed_subscribers(&self) {
        loop {
            self.hub.subscribed().await;
            let mut wanted = self.wanted();
            wanted.ask_for_subscribers(&self.hub);
            if !wanted.is_empty() {
                self.activate(&wanted);
            }
        }
    }

    /// Drops what was not asked for in a while, and says whether anything is left.
    fn is_still_wanted(&self) -> bool {
        let mut wanted = self.wanted();
        wanted.ask_for_subscribers(&self.hub);
        wanted.expire(self.options.idle);
        let any = !wanted.is_empty();
        self.active.send_replace(any);
        any
    }

    fn is_active(&self) -> bool {
        *self.active.borrow()
    }

    async fn until_active(&self) {
        // The sender is our own: it does not go away.
        let _ = self.active.subscribe().wait_for(|active| *active).await;
    }

    async fn until_idle(&self) {
        let _ = self.active.subscribe().wait_for(|active| !active).await;
    }

    /// The container as it is listed; one that is not listed is looked for in a new list, and so is one that was listed before its start.
    async fn find(&self, id: &ContainerId, deadline: Instant) -> Option<Listed> {
        let mut listings = self.listing.subscribe();
        let known = listings.borrow_and_update().clone();
        let found = known.find(id).cloned();
        let starting = found.as_ref().is_some_and(Listed::is_starting);
        let followed = found.is_some() && self.is_active();
        if known.is_away() || !starting && (followed || known.is_new()) {
            return found;
        }
        let now = Instant::now();
        self.relist.notify_one();
        // One that is on its way may show the container already, and does not show that it is not there.
        let tells = listings.wait_for(|listing| listing.is_since(now) || listing.shows(id));
        let listing = timeout_at(deadline, tells).await.ok()?.ok()?;
        listing.find(id).cloned()
    }

    /// An engine that does not answer says nothing of its containers; then one runs that can still be read.
    fn is_running(&self, id: &ContainerId) -> bool {
        let listing = self.listing.borrow();
        let state = listing.find(id).map(|listed| listed.container.state);
        state == Some(ContainerState::Running) && (!listing.is_away() || self.was_read_just_now(id))
    }

    fn was_read_just_now(&self, id: &ContainerId) -> bool {
        let latest = self.hub.container(id);
        latest.is_some_and(|latest| latest.age < self.options.every * 2)
    }

    async fn first_reading(&self, ring: &RingBuffer<Metric>, deadline: Instant) {
        let mut deliveries = self.delivered.subscribe();
        while ring.latest().is_none() {
            let delivery = timeout_at(deadline, deliveries.changed()).await;
            if delivery.is_err() {
                return;
            }
        }
    }
}

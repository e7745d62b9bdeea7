//! Reading what is wanted.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::listing::{Listed, Listing};
use super::{Inner, Metric};
use crate::backoff::Backoff;
use crate::id::{ContainerId, WorkloadId};
use crate::stats::readings::{Readings, has_process};
use crate::stats::{CollectError, Counters, Coverage, Origin, Reading, Readout, RingBuffer, Sample};
use crate::workloads::ContainerState;

/// Processor use takes two readings: the second comes this soon after a first one.
const SOON: Duration = Duration::from_secs(1);

/// How long a collector may take altogether. It has its own time-outs; this is for one that does not keep to them.
const COLLECT_TIME: Duration = Duration::from_secs(10);

/// Which of the wanted containers are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// All.
    Tick,
    /// Those that were never read, so that who asks first has not to wait for the tick.
    New,
}

/// What sampling remembers from one tick to the next: its own counters, apart from those of stored sampling.
#[derive(Debug, Default)]
struct Memory {
    readings: Readings,
    suspects: HashMap<ContainerId, Suspect>,
    /// Whether the engine was away at the tick before.
    away: bool,
}

/// A container that did not answer, and would hold up the others each time.
#[derive(Debug)]
struct Suspect {
    until: Instant,
    backoff: Backoff,
}

/// The containers of one tick.
#[derive(Debug)]
struct Round {
    ts: i64,
    /// Alive and wanted.
    wanted: Vec<Listed>,
    /// Those of them that are read.
    due: Vec<ContainerId>,
    coverage: Coverage,
    /// Workloads all of whose containers are looked at.
    whole: HashSet<WorkloadId>,
}

impl Inner {
    /// Samples whenever anything is wanted.
    pub(super) async fn keep_sampling(&self) {
        loop {
            self.until_active().await;
            self.sample_while_wanted().await;
        }
    }

    async fn sample_while_wanted(&self) {
        let mut memory = Memory::default();
        let every = self.options.every;
        let mut last = Instant::now();
        let mut next = last + SOON.min(every);
        loop {
            tokio::select! {
                () = sleep_until(next) => {
                    last = Instant::now();
                    if !self.is_still_wanted() {
                        return;
                    }
                    self.read(&mut memory, Scope::Tick).await;
                    next = after(next, every);
                }
                () = self.fresh.notified() => {
                    if self.read(&mut memory, Scope::New).await {
                        next = next.min(Instant::now() + SOON).max(last + SOON.min(every));
                    }
                }
            }
        }
    }

    /// Reads once, and says whether there was anything to read.
    async fn read(&self, memory: &mut Memory, scope: Scope) -> bool {
        let round = self.round(memory, scope);
        if scope == Scope::New && round.due.is_empty() {
            return false;
        }
        let counters = self.collect(&round.due).await;
        memory.note(&round.due, &counters);
        if counters.contains(&Err(CollectError::NotRunning)) {
            self.relist.notify_one();
        }
        let samples = memory.readings.take(round.due.clone(), counters);
        self.deliver(&round, &samples);
        true
    }

    fn round(&self, memory: &mut Memory, scope: Scope) -> Round {
        let ts = self.clock.now().as_second().max(0);
        let listing = self.listing.borrow().clone();
        memory.heed(&listing);
        let (wanted, wants_all) = self.alive_and_wanted(&listing);
        if scope == Scope::Tick {
            let ids: Vec<ContainerId> = wanted.iter().map(|listed| listed.container.id.clone()).collect();
            memory.keep(&ids);
        }
        let looked_at =
            |listed: &&Listed| scope == Scope::Tick || !memory.readings.knows(&listed.container.id);
        let looked_at: Vec<&Listed> = wanted.iter().filter(looked_at).collect();
        let complete = wants_all && looked_at.len() == wanted.len();
        let coverage = match scope {
            _ if complete => Coverage::Everything,
            Scope::Tick => Coverage::Watched,
            Scope::New => Coverage::Part,
        };
        let whole = whole(&listing, &looked_at);
        let due = looked_at.into_iter().map(|listed| listed.container.id.clone());
        let due = due.filter(|id| !memory.is_suspect(id)).collect();
        Round {
            ts,
            wanted,
            due,
            coverage,
            whole,
        }
    }

    fn alive_and_wanted(&self, listing: &Listing) -> (Vec<Listed>, bool) {
        let mut wanted = self.wanted();
        wanted.ask_for_subscribers(&self.hub);
        wanted.ask_for_containers(listing);
        let alive = listing
            .containers
            .iter()
            .filter(|listed| has_process(&listed.container));
        let alive_and_wanted = alive.filter(|listed| wanted.wants(listed)).cloned().collect();
        (alive_and_wanted, wanted.wants_all())
    }

    /// How many containers a tick would read now.
    pub(super) fn sampled(&self) -> usize {
        if !self.is_active() {
            return 0;
        }
        let containers = Arc::clone(&self.listing.borrow().containers);
        let wanted = self.wanted();
        let is_sampled = |listed: &&Listed| has_process(&listed.container) && wanted.wants(listed);
        containers.iter().filter(is_sampled).count()
    }

    async fn collect(&self, ids: &[ContainerId]) -> Vec<Result<Counters, CollectError>> {
        if ids.is_empty() {
            return Vec::new();
        }
        timeout(COLLECT_TIME, self.collector.collect(ids))
            .await
            .unwrap_or_else(|_| vec![Err(CollectError::TimedOut); ids.len()])
    }

    fn deliver(&self, round: &Round, samples: &HashMap<ContainerId, Sample>) {
        let read = round
            .wanted
            .iter()
            .filter_map(|listed| Some((listed, samples.get(&listed.container.id)?)));
        let mut readings = Vec::with_capacity(samples.len());
        {
            let wanted = self.wanted();
            for (listed, sample) in read {
                if let Some(ring) = wanted.ring(&listed.container.id)
                    && listed.container.state == ContainerState::Running
                {
                    push(ring, Metric::new(round.ts, sample));
                }
                readings.push(round.reading(listed, sample));
            }
        }
        self.hub.publish(Readout {
            ts: round.ts,
            origin: Origin::Live(self.options.every),
            coverage: round.coverage,
            readings,
        });
        self.delivered.send_modify(|count| *count += 1);
    }
}

/// A second reading within one second would be two values for one time.
fn push(ring: &RingBuffer<Metric>, metric: Metric) {
    let newest = ring.latest();
    if newest.is_none_or(|newest| newest.timestamp != metric.timestamp) {
        ring.push(metric);
    }
}

impl Round {
    fn reading(&self, listed: &Listed, sample: &Sample) -> Reading {
        let workload = listed.workload.clone();
        Reading {
            container: listed.container.id.clone(),
            workload: workload.filter(|id| self.whole.contains(id)),
            sample: *sample,
        }
    }
}

/// The workloads none of whose living containers is left out.
fn whole(listing: &Listing, looked_at: &[&Listed]) -> HashSet<WorkloadId> {
    let ids: HashSet<&ContainerId> = looked_at.iter().map(|listed| &listed.container.id).collect();
    let alive = listing
        .containers
        .iter()
        .filter(|listed| has_process(&listed.container));
    let left_out = alive.filter(|listed| !ids.contains(&listed.container.id));
    let left_out: HashSet<&WorkloadId> = left_out.filter_map(|listed| listed.workload.as_ref()).collect();
    let owners = looked_at.iter().filter_map(|listed| listed.workload.as_ref());
    owners.filter(|id| !left_out.contains(id)).cloned().collect()
}

/// The next tick of a steady cadence; one that takes longer than its time makes the next ones drop out.
fn after(due: Instant, every: Duration) -> Instant {
    let next = due + every;
    let now = Instant::now();
    if next > now { next } else { now + every }
}

impl Memory {
    /// An engine that is back may well answer for all its containers.
    fn heed(&mut self, listing: &Listing) {
        let away = listing.is_away();
        if self.away && !away {
            self.suspects.clear();
        }
        self.away = away;
    }

    fn keep(&mut self, ids: &[ContainerId]) {
        self.readings.keep(ids);
        let mut before = std::mem::take(&mut self.suspects);
        let kept = ids.iter().filter_map(|id| before.remove_entry(id));
        self.suspects.extend(kept);
    }

    fn is_suspect(&self, id: &ContainerId) -> bool {
        self.suspects
            .get(id)
            .is_some_and(|suspect| suspect.until > Instant::now())
    }

    /// Leaves those alone for a while that did not answer.
    fn note(&mut self, ids: &[ContainerId], counters: &[Result<Counters, CollectError>]) {
        for (id, counters) in ids.iter().zip(counters) {
            match counters {
                Err(CollectError::TimedOut | CollectError::Unavailable) => self.suspect(id),
                _ => {
                    self.suspects.remove(id);
                }
            }
        }
    }

    fn suspect(&mut self, id: &ContainerId) {
        let now = Instant::now();
        let suspect = self.suspects.entry(id.clone()).or_insert_with(|| Suspect {
            until: now,
            backoff: Backoff::default(),
        });
        suspect.until = now + suspect.backoff.pause();
    }
}

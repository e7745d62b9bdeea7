//! Who asked for what, and when last.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::Metric;
use super::listing::{Listed, Listing};
use crate::id::{ContainerId, WorkloadId};
use crate::stats::{LiveHub, RingBuffer};

/// What is to be sampled. Everything in it was asked for less than the idle time ago.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    containers: HashMap<ContainerId, Asked>,
    workloads: HashMap<WorkloadId, Instant>,
    all: Option<Instant>,
}

/// A container that was asked for by itself or by its workload.
#[derive(Debug)]
struct Asked {
    last: Instant,
    ring: Arc<RingBuffer<Metric>>,
}

impl Wanted {
    pub(super) fn is_empty(&self) -> bool {
        self.containers.is_empty() && self.workloads.is_empty() && self.all.is_none()
    }

    pub(super) fn wants_all(&self) -> bool {
        self.all.is_some()
    }

    pub(super) fn wants(&self, listed: &Listed) -> bool {
        let by_workload = |id| self.workloads.contains_key(id);
        self.all.is_some()
            || self.containers.contains_key(&listed.container.id)
            || listed.workload.as_ref().is_some_and(by_workload)
    }

    /// Asks for a container that is there, and gives what is buffered of it.
    pub(super) fn ask(&mut self, id: &ContainerId) -> Arc<RingBuffer<Metric>> {
        self.asked(id, Instant::now())
    }

    fn asked(&mut self, id: &ContainerId, at: Instant) -> Arc<RingBuffer<Metric>> {
        let asked = self.containers.entry(id.clone()).or_insert_with(|| Asked {
            last: at,
            ring: Arc::default(),
        });
        asked.last = asked.last.max(at);
        Arc::clone(&asked.ring)
    }

    pub(super) fn ask_workload(&mut self, id: &WorkloadId) {
        self.workloads.insert(id.clone(), Instant::now());
    }

    /// Who is subscribed asks all the time.
    pub(super) fn ask_for_subscribers(&mut self, hub: &LiveHub) {
        for id in hub.watched() {
            self.ask_workload(&id);
        }
        if hub.everything_is_watched() {
            self.all = Some(Instant::now());
        }
    }

    /// Asks for the containers of workloads that were asked for.
    pub(super) fn ask_for_containers(&mut self, listing: &Listing) {
        for listed in listing.containers.iter() {
            let at = listed.workload.as_ref().and_then(|id| self.workloads.get(id));
            if let Some(at) = at.copied() {
                self.asked(&listed.container.id, at);
            }
        }
    }

    /// Drops what nobody asked for in so long.
    pub(super) fn expire(&mut self, idle: Duration) {
        self.containers.retain(|_, asked| asked.last.elapsed() < idle);
        self.workloads.retain(|_, last| last.elapsed() < idle);
        self.all = self.all.filter(|last| last.elapsed() < idle);
    }

    /// Drops the containers that are gone for good.
    pub(super) fn keep_listed(&mut self, listing: &Listing) {
        let listed: HashSet<&ContainerId> = listing
            .containers
            .iter()
            .map(|listed| &listed.container.id)
            .collect();
        self.containers.retain(|id, _| listed.contains(id));
    }

    pub(super) fn ring(&self, id: &ContainerId) -> Option<&RingBuffer<Metric>> {
        self.containers.get(id).map(|asked| asked.ring.as_ref())
    }
}

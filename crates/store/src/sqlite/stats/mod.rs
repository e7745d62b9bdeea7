//! Samples, and the containers they are of.
//!
//! The key of a sample is its time and, below it, the number of its container. So a tick is appended to the end of one
//! tree, no text stands in a sample, and a workload's window is read by looking up the keys that its containers can have
//! on the axis of recorded ticks, whatever else was recorded.

mod containers;
mod present;
mod prune;
mod samples;
mod tick;

use async_trait::async_trait;
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Columns, ContainerRecord, StatsStore, Tick};
use shipslog_core::store::StoreError;

use super::{SqliteStore, blocking, blocking_in_place};

pub(super) use containers::detach as detach_containers;
pub(super) use present::Present;

/// Bits of a key below the time.
const NUMBER_BITS: u32 = 24;

/// The highest container number.
const MAX_NUMBER: i64 = (1 << NUMBER_BITS) - 1;

/// The first time that does not fit above the number: about the year 19,400.
const END_OF_TIME: i64 = 1 << (63 - NUMBER_BITS);

/// The key of a sample.
fn key(ts: i64, number: i64) -> i64 {
    ts << NUMBER_BITS | number
}

#[async_trait]
impl StatsStore for SqliteStore {
    /// Works on the thread of the caller's task when the runtime has several. Like all that does so, it panics within a
    /// `LocalSet` of such a runtime.
    async fn record_tick(&self, tick: &Tick) -> Result<(), StoreError> {
        if !(0..END_OF_TIME).contains(&tick.ts) {
            return Err(StoreError::Invalid { what: "tick" });
        }
        let mut writers = self.writers().await;
        let plan = tick::Plan::new(tick, writers.present.as_mut());
        blocking_in_place("record_tick", move || {
            // Left out until the commit: after a failure it is read anew.
            let present = writers.present.take();
            writers.present = Some(tick::record(&mut writers.samples, present, plan)?);
            Ok(())
        })
        .await
    }

    async fn samples(&self, workload: &WorkloadId, from: i64, to: i64) -> Result<Columns, StoreError> {
        let workload = workload.clone();
        self.read("samples", move |tx, _| samples::window(tx, &workload, from, to))
            .await
    }

    async fn seen_containers(&self, workload: &WorkloadId) -> Result<Vec<ContainerRecord>, StoreError> {
        let workload = workload.clone();
        self.read("seen_containers", move |tx, _| containers::seen(tx, &workload))
            .await
    }

    /// Samples of deleted workloads count too, whatever their age. On a full disk it takes from a reserve that it keeps
    /// for that, and fills it up again once there is room.
    async fn prune_samples(&self, before: i64, limit: u32) -> Result<u32, StoreError> {
        let before = before.clamp(0, END_OF_TIME - 1);
        let mut writers = self.writers().await;
        blocking("prune_samples", move || prune::chunk(&mut writers, before, limit)).await
    }
}

//! Samples, and the containers they are of.
//!
//! Ticks are kept as they came, each one value, until there are enough to seal: then each container's part of them becomes
//! a block of compressed columns. A workload's window is read from the blocks of its containers, and from the newest ticks.

mod codec;
mod containers;
mod packed;
mod patched;
mod present;
mod prune;
mod rollups;
mod rows;
mod samples;
mod sealing;
mod spans;
mod tick;
mod varint;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Columns, ContainerRecord, Revision, Rollup, StatsStore, Tick, Tier};
use shipslog_core::store::StoreError;

use super::connection::{value, writing};
use super::{SqliteStore, blocking, blocking_in_place};

pub(super) use containers::detach as detach_containers;
pub(super) use present::Present;
pub(super) use rollups::delete as delete_rollups;
pub(super) use rows::pack_rows;

/// Bits of a key below the time.
const NUMBER_BITS: u32 = 24;

/// The highest container number.
const MAX_NUMBER: i64 = (1 << NUMBER_BITS) - 1;

/// The first time that does not fit above the number: about the year 19,400.
const END_OF_TIME: i64 = 1 << (63 - NUMBER_BITS);

/// The key of a block: the first timestamp of its span, and its container.
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
        let shared = Arc::clone(&self.shared);
        let plan = tick::Plan::new(tick, writers.present.as_mut());
        blocking_in_place("record_tick", move || {
            // Left out until the commit: after a failure it is read anew.
            let present = writers.present.take();
            let written = tick::record(&mut writers.samples, present, plan)?;
            writers.present = Some(written.present);
            let changed = if written.appended {
                &shared.appended
            } else {
                &shared.rewritten
            };
            changed.fetch_add(1, Ordering::SeqCst);
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

    /// Seals at most a span of 512 ticks. It is read and compressed while others write; only then writers wait, for as long
    /// as it takes to write what is about a tenth of the size.
    async fn seal_samples(&self) -> Result<bool, StoreError> {
        let before = self.revision().rewritten;
        let draft = self.read("seal_samples", |tx, _| sealing::draft(tx)).await?;
        let Some(draft) = draft else {
            return Ok(false);
        };
        let mut writers = self.writers().await;
        let shared = Arc::clone(&self.shared);
        blocking("seal_samples", move || {
            // Otherwise what it is made of has changed meanwhile, and it is made again at the next call.
            if shared.rewritten.load(Ordering::SeqCst) == before {
                sealing::write(&mut writers.samples, &draft)?;
            }
            Ok(true)
        })
        .await
    }

    /// Samples of deleted workloads go too, whatever their age. A sealed span goes once all of it is old. On a full disk it
    /// takes from a reserve that it keeps for that, and fills it up again once there is room.
    async fn prune_samples(&self, before: i64, limit: u32) -> Result<bool, StoreError> {
        let before = before.clamp(0, END_OF_TIME - 1);
        let mut writers = self.writers().await;
        let shared = Arc::clone(&self.shared);
        blocking("prune_samples", move || {
            let more = prune::chunk(&mut writers, before, limit);
            shared.rewritten.fetch_add(1, Ordering::SeqCst);
            more
        })
        .await
    }

    async fn oldest_sample(&self) -> Result<Option<i64>, StoreError> {
        self.read("oldest_sample", |tx, _| {
            let sql = "SELECT min(ts) FROM (SELECT min(first) AS ts FROM spans UNION ALL SELECT min(ts) FROM recent)";
            Ok(value::<Option<i64>, _>(tx, sql, [])?.flatten())
        })
        .await
    }

    /// Like samples, roll-ups outlive the process, and the loss of power may cost the newest: they are made again.
    async fn record_rollups(
        &self,
        tier: Tier,
        rollups: &[(WorkloadId, Vec<Rollup>)],
        through: i64,
    ) -> Result<(), StoreError> {
        let rollups = rollups.to_vec();
        let mut writers = self.writers().await;
        blocking("record_rollups", move || {
            let tx = writing(&mut writers.samples)?;
            rollups::record(&tx, tier, &rollups, through)?;
            Ok(tx.commit()?)
        })
        .await
    }

    async fn rollups(
        &self,
        workload: &WorkloadId,
        tier: Tier,
        from: i64,
        to: i64,
    ) -> Result<Vec<Rollup>, StoreError> {
        let workload = workload.clone();
        self.read("rollups", move |tx, _| {
            rollups::window(tx, &workload, tier, from, to)
        })
        .await
    }

    async fn rolled_through(&self, tier: Tier) -> Result<Option<i64>, StoreError> {
        self.read("rolled_through", move |tx, _| rollups::through(tx, tier))
            .await
    }

    async fn prune_rollups(&self, tier: Tier, before: i64) -> Result<(), StoreError> {
        let mut writers = self.writers().await;
        blocking("prune_rollups", move || {
            let tx = writing(&mut writers.samples)?;
            rollups::prune(&tx, tier, before)?;
            Ok(tx.commit()?)
        })
        .await
    }

    fn revision(&self) -> Revision {
        Revision {
            rewritten: self.shared.rewritten.load(Ordering::SeqCst),
            appended: self.shared.appended.load(Ordering::SeqCst),
        }
    }
}

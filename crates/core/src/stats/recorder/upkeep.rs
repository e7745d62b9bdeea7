//! What is done with samples once they are stored, beside the sampling: rolled up, sealed, and in the end deleted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::TickError;
use super::loss::Loss;
use crate::id::WorkloadId;
use crate::stats::rollup::LEAD;
use crate::stats::{Retention, Rollup, StatsStore, Tier, aggregate, roll_up};
use crate::store::{StoreError, StoreHealth};
use crate::time::Clock;
use crate::workloads::WorkloadStore;

/// Time between two rounds.
const EVERY: Duration = Duration::from_secs(5 * 60);

/// Samples that are deleted at a time: a tick that is due in between waits for no more than these.
const CHUNK: u32 = 5_000;

/// Time between two pieces of work, for writers that wait.
const PAUSE: Duration = Duration::from_millis(5);

/// Seconds after its end that a bucket is rolled up: a tick takes its time to be read and written.
const GRACE: i64 = 30;

/// Seconds that are rolled up in one go, when there is much to be made up for.
const STRETCH: i64 = 6 * 3_600;

/// Parts in which history is given up when there is no room for it.
const PARTS: i64 = 8;

/// Seconds of samples that are kept whatever the room.
const LEAST: i64 = 3_600;

/// Looks after what is stored.
#[derive(Debug)]
pub(super) struct Upkeep {
    pub(super) workloads: Arc<dyn WorkloadStore>,
    pub(super) samples: Arc<dyn StatsStore>,
    pub(super) health: Arc<dyn StoreHealth>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) retention: Retention,
    pub(super) max_size: Option<u64>,
    pub(super) cancel: CancellationToken,
}

impl Upkeep {
    /// Works at once and then every 5 minutes, until cancelled.
    pub(super) async fn run(self) {
        let mut cadence = tokio::time::interval(EVERY);
        cadence.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut loss = Loss::new(
            "old samples cannot be looked after",
            "old samples are looked after again",
        );
        while self.cancel.run_until_cancelled(cadence.tick()).await.is_some() {
            loss.note(self.round().await.err().map(TickError::from));
        }
    }

    async fn round(&self) -> Result<(), StoreError> {
        let now = self.clock.now().as_second();
        let mut rolled = now;
        for tier in Tier::ALL {
            rolled = rolled.min(self.roll_up(tier, now).await?);
        }
        while self.samples.seal_samples().await? && self.pause().await {}
        self.prune(now, rolled).await?;
        match self.max_size {
            Some(max) => self.fit(now, rolled, max).await,
            None => Ok(()),
        }
    }

    /// Waits a little; `false` once cancelled.
    async fn pause(&self) -> bool {
        self.cancel
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_some()
    }

    /// Makes the buckets that are whole, and says up to when samples are not needed for that any more.
    async fn roll_up(&self, tier: Tier, now: i64) -> Result<i64, StoreError> {
        let Some(oldest) = self.samples.oldest_sample().await? else {
            return Ok(now);
        };
        let through = self.samples.rolled_through(tier).await?.unwrap_or(i64::MIN);
        let mut start = through.max(tier.bucket(oldest));
        let end = tier.bucket(now - GRACE);
        while start < end && self.pause().await {
            let to = end.min(start + STRETCH);
            let rollups = self.rollups(tier, start, to).await?;
            self.samples.record_rollups(tier, &rollups, to).await?;
            start = to;
        }
        Ok(start)
    }

    async fn rollups(
        &self,
        tier: Tier,
        from: i64,
        to: i64,
    ) -> Result<Vec<(WorkloadId, Vec<Rollup>)>, StoreError> {
        let mut rollups = Vec::new();
        for workload in self.workloads.workloads().await? {
            let columns = self.samples.samples(&workload.id, from - LEAD, to).await?;
            rollups.push((workload.id, roll_up(&aggregate(&columns).points(), tier, from)));
        }
        Ok(rollups)
    }

    /// Deletes what is past its retention. Samples stay until they are rolled up, however old they are.
    async fn prune(&self, now: i64, rolled: i64) -> Result<(), StoreError> {
        let before = now.saturating_sub(self.retention.of_samples().seconds());
        self.prune_samples(before.min(rolled - LEAD)).await?;
        for tier in Tier::ALL {
            let before = now.saturating_sub(self.retention.of(tier).seconds());
            self.samples.prune_rollups(tier, before).await?;
        }
        Ok(())
    }

    async fn prune_samples(&self, before: i64) -> Result<(), StoreError> {
        while self.samples.prune_samples(before, CHUNK).await? && self.pause().await {}
        Ok(())
    }

    /// Gives up the oldest of what takes the most room, part by part, until the rest has room: samples but for the last hour,
    /// then minutes, then 5 minutes.
    async fn fit(&self, now: i64, rolled: i64, max: u64) -> Result<(), StoreError> {
        for part in 1..=PARTS {
            if self.health.size().await? <= max {
                return Ok(());
            }
            let before = now - remaining(self.retention.of_samples().seconds(), part).max(LEAST);
            self.prune_samples(before.min(rolled - LEAD)).await?;
        }
        for tier in Tier::ALL {
            for part in 1..=PARTS {
                if self.health.size().await? <= max {
                    return Ok(());
                }
                let before = now - remaining(self.retention.of(tier).seconds(), part);
                self.samples.prune_rollups(tier, before).await?;
            }
        }
        tracing::warn!(
            max,
            "the database is larger than it may be, and nothing is left that could be deleted"
        );
        Ok(())
    }
}

/// What is left of a length after giving up some of its parts.
fn remaining(seconds: i64, parts: i64) -> i64 {
    seconds / PARTS * (PARTS - parts)
}

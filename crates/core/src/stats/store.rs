//! What a store keeps of container numbers.

use std::fmt::Debug;

use async_trait::async_trait;

use super::{Columns, Rollup, Sample, Tier};
use crate::id::{ContainerId, WorkloadId};
use crate::store::StoreError;

/// All samples of one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct Tick {
    /// Unix seconds, the same for every row, at least 0.
    pub ts: i64,
    /// One a container.
    pub rows: Vec<TickRow>,
}

/// A container's part of a tick.
#[derive(Debug, Clone, PartialEq)]
pub struct TickRow {
    /// The engine's id.
    pub container: ContainerId,
    /// Its name at that moment.
    pub name: String,
    /// Whose it is. A container that changes hands takes its earlier samples along.
    pub workload: WorkloadId,
    /// What was measured; `None` for a container that was listed and not read: it is remembered as seen, without a sample.
    pub sample: Option<Sample>,
}

/// A container that was seen at some time; it may be long gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerRecord {
    /// The engine's id.
    pub id: ContainerId,
    /// Its last known name.
    pub name: String,
    /// Unix seconds of the first tick with it.
    pub first_seen: i64,
    /// Unix seconds of the last tick with it.
    pub last_seen: i64,
}

/// How often the samples of a store changed, from any beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revision {
    /// Another number whenever samples up to the newest tick may have been added, replaced or deleted, or may have changed hands: as
    /// long as it stays the same, a window that was read before has only got longer.
    pub rewritten: u64,
    /// Another number whenever a newer tick was added: as long as both stay the same, there is nothing new at all.
    pub appended: u64,
}

/// Samples, and an index of the containers they are of.
///
/// Samples are durable against the end of the process. The loss of power may cost the newest ticks, whole ones.
#[async_trait]
pub trait StatsStore: Debug + Send + Sync + 'static {
    /// Writes a tick, all of it or nothing. Rows of workloads that do not exist (any more) are left out. A repeat of a timestamp replaces the
    /// samples of the containers it names, also by none. Ticks may come in any order; one that is earlier than what was rolled
    /// up takes [`rolled_through`](Self::rolled_through) back to the beginning of its bucket.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] on `tick` for a time below 0, or beyond what the store can hold.
    async fn record_tick(&self, tick: &Tick) -> Result<(), StoreError>;

    /// The samples of a workload's containers with `from <= ts < to`, oldest first; empty for an unknown workload.
    async fn samples(&self, workload: &WorkloadId, from: i64, to: i64) -> Result<Columns, StoreError>;

    /// Every container of a workload that was ever seen and is not forgotten, newest first: by when it was last seen, and where that
    /// is the same, first seen.
    async fn seen_containers(&self, workload: &WorkloadId) -> Result<Vec<ContainerRecord>, StoreError>;

    /// Brings a piece of what is no longer new into the form in which it is kept, and says whether there may be more to do: a
    /// caller goes on until `false`. Readers notice nothing, and a sample is never lost or doubled, wherever it breaks off. A
    /// store with one form alone always answers `false`.
    async fn seal_samples(&self) -> Result<bool, StoreError>;

    /// Deletes the oldest samples with `ts < before`, about `limit` of them and never a part of a tick, and says whether there may
    /// be more to delete: a caller goes on until `false`. A store that keeps samples in blocks may keep those of a block until all
    /// of it is old. The last call also forgets containers last seen before that, and observed workloads, created before that,
    /// without any container or roll-up left. Gives freed space back to the file system, bit by bit.
    async fn prune_samples(&self, before: i64, limit: u32) -> Result<bool, StoreError>;

    /// The time of the oldest sample; `None` when there is none.
    async fn oldest_sample(&self) -> Result<Option<i64>, StoreError>;

    /// Writes roll-ups of workloads, each in the place of one of the same workload, tier and time, and says that everything up to
    /// `through`, a bucket's beginning, is rolled up. All or nothing. Those of workloads that do not exist (any more) are left out.
    async fn record_rollups(
        &self,
        tier: Tier,
        rollups: &[(WorkloadId, Vec<Rollup>)],
        through: i64,
    ) -> Result<(), StoreError>;

    /// The roll-ups of a workload that begin at `from <= ts < to`, oldest first; none for an unknown workload. Averages are kept to
    /// a thousandth of a percent, core-seconds to a thousandth, byte-seconds to one.
    async fn rollups(
        &self,
        workload: &WorkloadId,
        tier: Tier,
        from: i64,
        to: i64,
    ) -> Result<Vec<Rollup>, StoreError>;

    /// The time up to which a tier is rolled up; `None` before the first roll-up.
    async fn rolled_through(&self, tier: Tier) -> Result<Option<i64>, StoreError>;

    /// Deletes the roll-ups of a tier that begin before that time. A store that keeps them in pages may keep those of a page until
    /// all of it is old.
    async fn prune_rollups(&self, tier: Tier, before: i64) -> Result<(), StoreError>;

    /// How often samples changed. A store that cannot tell gives another one each time. Does no I/O.
    fn revision(&self) -> Revision;
}

//! Container numbers: counters in, rates and sums out.
//!
//! A [`Collector`] reads cumulative counters, [`rates()`] makes a [`Sample`] of two readings, and a [`Recorder`] does so for
//! every container at a steady tick and hands each [`Tick`] to a [`StatsStore`]. The store gives the window of a workload
//! back as [`Columns`]; [`aggregate()`] sums them to one [`Point`] a timestamp, [`downsample`] thins the points of a long
//! window, and [`roll_up`] makes buckets that outlive the samples. [`HistoryQuery`] answers from whichever of them reaches
//! back far enough, and [`usage()`] adds up core-seconds and byte-seconds. A [`RingBuffer`] holds the latest items of a
//! stream for readers that poll.

mod aggregate;
mod collector;
mod columns;
mod history;
mod live;
mod owners;
mod poller;
mod rates;
mod readings;
mod recorder;
mod retention;
mod ring;
mod rollup;
mod sample;
mod steps;
mod store;
mod usage;

pub use aggregate::{Point, Totals, aggregate};
pub use collector::{CollectError, Collector, CollectorShare, CollectorStatus};
pub use columns::{Block, BlockColumn, BlockRun, BrokenBlock, Columns, ColumnsBuilder, Values};
pub use history::{History, HistoryQuery, Step, usage_in};
pub use live::{
    Coverage, Latest, LiveHub, LiveUsage, Origin, Reading, Readout, Received, Subscription, Update,
    WorkloadPoint,
};
pub use poller::{Metric, Metrics, Poller, PollerOptions};
pub use rates::rates;
pub use recorder::{Recorder, RecorderOptions, RecorderProgress, RecorderStatus, TickError};
pub use retention::Retention;
pub use ring::{Batch, Cursor, InvalidCursor, Read, RingBuffer};
pub use rollup::{Rollup, Tier, roll_up};
pub use sample::{Counters, CpuCounters, IoCounters, MemoryCounters, Sample};
pub use steps::{SteppedPoint, auto_step, coarsen, downsample};
pub use store::{ContainerRecord, Revision, StatsStore, Tick, TickRow};
pub use usage::{Usage, UsageBucket, usage};

//! Sums per timestamp.

mod limits;
mod points;
mod sums;
mod tally;

use serde::Serialize;

use self::points::Points;
use super::Columns;

/// What a workload's containers used at one timestamp, all of them together. `None`, or `null`, means not known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Point {
    /// Unix seconds.
    pub ts: i64,
    /// Processor use: 100 for one fully used core, so that it may be far above 100.
    pub cpu_percent: Option<f64>,
    /// Memory that cannot be taken back at once, in bytes.
    pub memory_usage: Option<u64>,
    /// The highest limit of a single container in bytes; 0 = unlimited.
    pub memory_limit: Option<u64>,
    /// Bytes per second received.
    pub network_rx: Option<u64>,
    /// Bytes per second sent.
    pub network_tx: Option<u64>,
    /// Bytes per second read from block devices.
    pub block_read: Option<u64>,
    /// Bytes per second written to block devices.
    pub block_write: Option<u64>,
    /// Containers that were read.
    pub containers: u32,
}

/// One point for each timestamp, oldest first; none for columns without samples.
///
/// A sum is over the containers that have a sample at that timestamp and know the value; it is `None` only where none of
/// them does. The memory limit is the highest of theirs, and unlimited is higher than any. Sums past 64 bits stay at the
/// largest number.
///
/// ```
/// use shipslog_core::stats::{ColumnsBuilder, Sample, aggregate};
///
/// let mut builder = ColumnsBuilder::new();
/// let sample = |memory| Sample { memory_usage: Some(memory), ..Sample::default() };
/// builder.push(1_700_000_000, 1, &sample(300));
/// builder.push(1_700_000_000, 2, &sample(200));
/// builder.push(1_700_000_010, 2, &sample(250));
/// let points = aggregate(&builder.finish());
/// assert_eq!((points[0].memory_usage, points[0].containers), (Some(500), 2));
/// assert_eq!((points[1].memory_usage, points[1].containers), (Some(250), 1));
/// assert_eq!(points[0].network_rx, None);
/// ```
pub fn aggregate(columns: &Columns) -> Vec<Point> {
    Points::new(columns).all()
}

//! Sums per timestamp.

mod limits;
mod points;
mod sums;
mod tally;

use std::ops::Range;

use serde::Serialize;

use self::limits::{Limit, highest};
use self::points::Points;
use self::sums::{BLOCK, Sums, pieces};
use self::tally::Tally;
use super::Columns;
use super::columns::{Measure, Series};

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

impl Point {
    /// The point of a moment at which nothing could be read.
    pub fn unread(ts: i64) -> Self {
        Self {
            ts,
            cpu_percent: None,
            memory_usage: None,
            memory_limit: None,
            network_rx: None,
            network_tx: None,
            block_read: None,
            block_write: None,
            containers: 0,
        }
    }
}

/// Sums of a window, in columns: as narrow and as near to each other as the columns that they come from, so that making
/// them costs little more than reading those.
#[derive(Debug)]
pub struct Totals<'a> {
    axis: &'a [i64],
    blocks: Vec<[Sums; 6]>,
    limits: Vec<Limit>,
    present: Tally,
    unknown: [Tally; 6],
}

impl Totals<'_> {
    /// The timestamps in unix seconds, oldest first.
    pub fn timestamps(&self) -> &[i64] {
        self.axis
    }

    /// How many timestamps there are.
    pub fn len(&self) -> usize {
        self.axis.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.axis.is_empty()
    }

    /// One point for each timestamp, oldest first.
    pub fn points(&self) -> Vec<Point> {
        Points::new(self).all()
    }
}

/// Sums the samples of a window per timestamp.
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
/// let points = aggregate(&builder.finish()).points();
/// assert_eq!((points[0].memory_usage, points[0].containers), (Some(500), 2));
/// assert_eq!((points[1].memory_usage, points[1].containers), (Some(250), 1));
/// assert_eq!(points[0].network_rx, None);
/// ```
pub fn aggregate(columns: &Columns) -> Totals<'_> {
    let (axis, series) = (columns.timestamps(), columns.series());
    let runs = series.iter().flat_map(Series::runs).map(|run| run.places.clone());
    let unknown = |measure| {
        Tally::new(
            series
                .iter()
                .flat_map(move |series| unknown_ranges(series, measure)),
        )
    };
    Totals {
        axis,
        blocks: (0..axis.len())
            .step_by(BLOCK)
            .map(|start| block(series, start..axis.len().min(start + BLOCK)))
            .collect(),
        limits: highest(series, axis.len()),
        present: Tally::new(runs),
        unknown: Measure::ALL.map(unknown),
    }
}

fn block(series: &[Series], places: Range<usize>) -> [Sums; 6] {
    let pieces = pieces(series, &places);
    Measure::ALL.map(|measure| Sums::new(measure, &pieces, places.len()))
}

fn unknown_ranges(series: &Series, measure: Measure) -> impl Iterator<Item = Range<u32>> + Clone {
    series.column(measure).unknown().iter().cloned()
}

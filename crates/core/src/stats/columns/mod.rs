//! Samples of a window as columns.

mod block;
mod builder;
mod column;
mod series;
mod values;

pub use block::{Block, BlockColumn, BlockRun, BrokenBlock};
pub use builder::ColumnsBuilder;
pub(super) use series::{Measure, Run, Series, Stretch};
pub use values::Values;

use super::Sample;

/// Samples of a window as a struct of arrays: one axis of timestamps, and for each container dense columns with a list
/// of where on the axis they stand. No container needs to have every timestamp.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Columns {
    axis: Vec<i64>,
    series: Vec<Series>,
}

impl Columns {
    /// The distinct timestamps, in unix seconds, oldest first.
    pub fn timestamps(&self) -> &[i64] {
        &self.axis
    }

    /// How many containers have samples in the window.
    pub fn containers(&self) -> usize {
        self.series.len()
    }

    /// How many samples there are, of all containers.
    pub fn len(&self) -> usize {
        self.series.iter().map(Series::len).sum()
    }

    /// Whether there is no sample at all.
    pub fn is_empty(&self) -> bool {
        self.axis.is_empty()
    }

    /// Every sample with its timestamp and the number of its container as it was pushed: container by container, each
    /// oldest first. CPU comes back rounded to a thousandth.
    pub fn samples(&self) -> impl Iterator<Item = (i64, u64, Sample)> {
        self.series.iter().flat_map(|series| {
            series
                .samples()
                .map(|(place, sample)| (self.axis[place as usize], series.container(), sample))
        })
    }

    /// Bytes that the values take, without the index over them: what an aggregation has to read.
    pub fn value_bytes(&self) -> usize {
        self.series.iter().map(Series::bytes).sum()
    }

    pub(super) fn series(&self) -> &[Series] {
        &self.series
    }
}

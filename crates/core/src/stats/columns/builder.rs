//! From samples in the order of time to columns.

use std::collections::HashMap;

use super::{Columns, Series};
use crate::stats::Sample;

/// Builds [`Columns`] from samples in the order of their timestamps.
///
/// ```
/// use shipslog_core::stats::{ColumnsBuilder, Sample};
///
/// let mut builder = ColumnsBuilder::new();
/// builder.push(1_700_000_000, 1, &Sample::default());
/// builder.push(1_700_000_000, 2, &Sample::default());
/// builder.push(1_700_000_010, 1, &Sample::default());
/// let columns = builder.finish();
/// assert_eq!((columns.timestamps().len(), columns.containers(), columns.len()), (2, 2, 3));
/// ```
#[derive(Debug, Default)]
pub struct ColumnsBuilder {
    pub(super) columns: Columns,
    slots: HashMap<u64, usize>,
    expected: usize,
}

impl ColumnsBuilder {
    /// A builder without samples.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a sample of the container that the store knows by the number `container`.
    ///
    /// Timestamps do not decrease; within one, containers come in any order. A sample that breaks this, or is a
    /// container's second of a timestamp, is left out.
    pub fn push(&mut self, ts: i64, container: u64, sample: &Sample) {
        let Some(place) = self.place(ts) else { return };
        let slot = self.slot(container);
        self.columns.series[slot].push(place, sample);
        self.expected = slot + 1;
    }

    /// The columns.
    pub fn finish(self) -> Columns {
        self.columns
    }

    fn place(&mut self, ts: i64) -> Option<u32> {
        match self.columns.axis.last() {
            Some(last) if ts < *last => return None,
            Some(last) if ts == *last => {}
            _ => self.columns.axis.push(ts),
        }
        u32::try_from(self.columns.axis.len() - 1).ok()
    }

    /// Where the container's series is. Ticks mostly repeat the order of the one before, which saves the look-up.
    pub(super) fn slot(&mut self, container: u64) -> usize {
        let series = &mut self.columns.series;
        for guess in [self.expected, 0] {
            if series
                .get(guess)
                .is_some_and(|series| series.container() == container)
            {
                return guess;
            }
        }
        *self.slots.entry(container).or_insert_with(|| {
            series.push(Series::new(container));
            series.len() - 1
        })
    }
}

//! The columns of one container.

use std::ops::Range;

use super::column::Column;
use crate::stats::Sample;

/// What is summed over containers, each in a column of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::stats) enum Measure {
    /// In thousandths of a percent.
    Cpu,
    /// In bytes, as all that follow, or bytes a second.
    Memory,
    NetworkRx,
    NetworkTx,
    BlockRead,
    BlockWrite,
}

impl Measure {
    /// All, in the order of their columns.
    pub(in crate::stats) const ALL: [Self; 6] = [
        Self::Cpu,
        Self::Memory,
        Self::NetworkRx,
        Self::NetworkTx,
        Self::BlockRead,
        Self::BlockWrite,
    ];

    /// Columns count in units of `1 << shift`: memory comes in pages of at least 4 KiB.
    pub(in crate::stats) fn shift(self) -> u32 {
        if self == Self::Memory { 12 } else { 0 }
    }

    fn of(self, sample: &Sample) -> Option<u64> {
        match self {
            Self::Cpu => sample.cpu_percent.and_then(thousandths),
            Self::Memory => sample.memory_usage,
            Self::NetworkRx => sample.network_rx,
            Self::NetworkTx => sample.network_tx,
            Self::BlockRead => sample.block_read,
            Self::BlockWrite => sample.block_write,
        }
    }
}

fn thousandths(percent: f64) -> Option<u64> {
    let known = percent.is_finite() && percent >= 0.0;
    known.then(|| (percent * 1000.0).round() as u64)
}

/// The samples of one container.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::stats) struct Series {
    pub(super) container: u64,
    pub(super) runs: Vec<Run>,
    stretches: Vec<Stretch>,
    pub(super) columns: [Column; 6],
}

/// Samples at every place of a part of the axis, with one memory limit.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::stats) struct Run {
    /// Places on the axis.
    pub(in crate::stats) places: Range<u32>,
    /// Of all these samples.
    pub(in crate::stats) limit: Option<u64>,
}

/// A part of the axis that the columns hold a value for at every place: runs, and short gaps between them as zeros.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::stats) struct Stretch {
    /// Places on the axis.
    pub(in crate::stats) places: Range<u32>,
    /// Where in the columns its values begin.
    pub(in crate::stats) offset: usize,
}

/// Gaps up to this many places are filled with zeros. Long stretches are what sums are fast over: with gaps of a place or
/// two here and there, windows are added up in a quarter to a half of the time that their bare runs take.
const LONGEST_FILL: u32 = 64;

impl Series {
    pub(super) fn new(container: u64) -> Self {
        let columns = Measure::ALL.map(|measure| Column::new(measure.shift()));
        Self {
            container,
            runs: Vec::new(),
            stretches: Vec::new(),
            columns,
        }
    }

    /// The number that the store knows the container by.
    pub(super) fn container(&self) -> u64 {
        self.container
    }

    /// Where there are samples, in order.
    pub(in crate::stats) fn runs(&self) -> &[Run] {
        &self.runs
    }

    /// Where there are values, in order.
    pub(in crate::stats) fn stretches(&self) -> &[Stretch] {
        &self.stretches
    }

    /// The values of a measure.
    pub(in crate::stats) fn column(&self, measure: Measure) -> &Column {
        &self.columns[measure as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.runs.iter().map(|run| run.places.len()).sum()
    }

    pub(super) fn bytes(&self) -> usize {
        self.columns.iter().map(|column| column.values().bytes()).sum()
    }

    /// Appends a sample; one that is not after the last is left out.
    pub(super) fn push(&mut self, place: u32, sample: &Sample) {
        if self.runs.last().is_some_and(|run| run.places.end > place) {
            return;
        }
        let places = place..place + 1;
        self.extend_runs(&places, sample.memory_limit);
        self.extend_stretches(&places);
        for measure in Measure::ALL {
            self.columns[measure as usize].push(place, measure.of(sample));
        }
    }

    pub(super) fn extend_runs(&mut self, places: &Range<u32>, limit: Option<u64>) {
        match self.runs.last_mut() {
            Some(run) if run.places.end == places.start && run.limit == limit => run.places.end = places.end,
            _ => self.runs.push(Run {
                places: places.clone(),
                limit,
            }),
        }
    }

    /// Makes room for values at `places`, which follow as they are: in the last stretch if that is near, else in a new one.
    pub(super) fn extend_stretches(&mut self, places: &Range<u32>) {
        let Some(last) = self.stretches.last_mut() else {
            return self.stretches.push(Stretch {
                places: places.clone(),
                offset: 0,
            });
        };
        let gap = places.start - last.places.end;
        // At most a quarter of a column is fill, however the gaps lie.
        if gap > LONGEST_FILL.min(last.places.len() as u32 / 4) {
            let offset = last.offset + last.places.len();
            return self.stretches.push(Stretch {
                places: places.clone(),
                offset,
            });
        }
        last.places.end = places.end;
        if gap > 0 {
            self.columns
                .iter_mut()
                .for_each(|column| column.pad(gap as usize));
        }
    }

    /// Every sample with its place, in order.
    pub(super) fn samples(&self) -> impl Iterator<Item = (u32, Sample)> {
        self.runs.iter().flat_map(move |run| {
            run.places
                .clone()
                .map(move |place| (place, self.sample(run, place)))
        })
    }

    fn sample(&self, run: &Run, place: u32) -> Sample {
        let value = |measure| self.column(measure).get(self.index(place), place);
        Sample {
            cpu_percent: value(Measure::Cpu).map(|thousandths| thousandths as f64 / 1000.0),
            memory_usage: value(Measure::Memory),
            memory_limit: run.limit,
            network_rx: value(Measure::NetworkRx),
            network_tx: value(Measure::NetworkTx),
            block_read: value(Measure::BlockRead),
            block_write: value(Measure::BlockWrite),
        }
    }

    pub(super) fn index(&self, place: u32) -> usize {
        let at = self
            .stretches
            .partition_point(|stretch| stretch.places.end <= place);
        let stretch = &self.stretches[at];
        stretch.offset + (place - stretch.places.start) as usize
    }
}

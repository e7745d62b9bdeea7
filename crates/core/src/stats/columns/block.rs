//! Columns in parts, as a store keeps them.

use std::ops::Range;

use super::{Columns, ColumnsBuilder, Measure, Series, Values};

/// The columns of one container over a span of time, apart from all others: what a store may compress and keep.
///
/// [`Columns::blocks`] takes a window apart, [`ColumnsBuilder::extend`] puts it together again, whole or in part.
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    container: u64,
    runs: Vec<BlockRun>,
    columns: [BlockColumn; 6],
}

/// Neighbouring places of the span's axis, at each of which there is a sample, all with one memory limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockRun {
    /// Places on the axis, counted from the beginning of the span.
    pub places: Range<u32>,
    /// The memory limit of these samples in bytes; 0 = unlimited, `None` = not known.
    pub limit: Option<u64>,
}

/// The values of one measure, one for each place of all runs together.
#[derive(Debug, Clone, PartialEq)]
pub struct BlockColumn {
    /// The values, 0 where one is not known.
    pub values: Values,
    /// Places on the axis at which the value is not known, in order.
    pub unknown: Vec<Range<u32>>,
}

/// A block whose parts do not fit together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the columns of a block do not fit together")]
pub struct BrokenBlock;

impl Block {
    /// A block of its parts: `columns` are CPU in thousandths of a percent, memory, bytes per second received, sent, read
    /// and written, in this order.
    ///
    /// # Errors
    /// [`BrokenBlock`] when runs or unknown places are empty or out of order, or a column has not a value for each place.
    pub fn new(container: u64, runs: Vec<BlockRun>, columns: [BlockColumn; 6]) -> Result<Self, BrokenBlock> {
        let len: usize = runs.iter().map(|run| run.places.len()).sum();
        let fits = |column: &BlockColumn| column.values.len() == len && in_order(column.unknown.iter());
        let fit = in_order(runs.iter().map(|run| &run.places)) && columns.iter().all(fits);
        fit.then_some(Self {
            container,
            runs,
            columns,
        })
        .ok_or(BrokenBlock)
    }

    /// The number that the store knows the container by.
    pub fn container(&self) -> u64 {
        self.container
    }

    /// Where there are samples.
    pub fn runs(&self) -> &[BlockRun] {
        &self.runs
    }

    /// The measures, in the order of [`Block::new`].
    pub fn columns(&self) -> &[BlockColumn; 6] {
        &self.columns
    }
}

fn in_order<'a>(ranges: impl Iterator<Item = &'a Range<u32>>) -> bool {
    let mut end = 0;
    ranges.into_iter().all(|range| {
        let fits = range.start >= end && !range.is_empty();
        end = range.end;
        fits
    })
}

impl Columns {
    /// The columns of each container, apart. Places are counted on [`timestamps`](Self::timestamps).
    pub fn blocks(&self) -> impl Iterator<Item = Block> {
        self.series.iter().map(Series::block)
    }
}

impl ColumnsBuilder {
    /// Adds samples of a later span: of each block, those that stand at `places` of the span's `axis`. A timestamp at which
    /// none of the blocks has a sample is not added.
    ///
    /// A span that does not begin after all that is there already is left out, as [`push`](Self::push) leaves out samples,
    /// and so are blocks of a container after its first, and what lies beyond the axis.
    pub fn extend(&mut self, axis: &[i64], places: Range<u32>, blocks: &[Block]) {
        let places = overlap(&places, &(0..axis.len() as u32));
        for part in covered(blocks, &places) {
            let axis = &axis[part.start as usize..part.end as usize];
            if self.columns.axis.last() < axis.first() {
                self.extend_part(axis, &part, blocks);
            }
        }
    }

    fn extend_part(&mut self, axis: &[i64], places: &Range<u32>, blocks: &[Block]) {
        let at = self.columns.axis.len() as u32;
        self.columns.axis.extend_from_slice(axis);
        for block in blocks {
            let slot = self.slot(block.container);
            self.columns.series[slot].extend(at, places, block);
        }
    }
}

/// The parts of a window at which any of the blocks has a sample, in order.
fn covered(blocks: &[Block], window: &Range<u32>) -> Vec<Range<u32>> {
    let runs = blocks.iter().flat_map(Block::runs);
    let inside = runs
        .map(|run| overlap(&run.places, window))
        .filter(|places| !places.is_empty());
    let mut parts: Vec<Range<u32>> = inside.collect();
    parts.sort_unstable_by_key(|places| places.start);
    parts.dedup_by(|next, part| {
        let joined = next.start <= part.end;
        if joined {
            part.end = part.end.max(next.end);
        }
        joined
    });
    parts
}

impl Series {
    fn block(&self) -> Block {
        let runs = self.runs.iter().map(|run| BlockRun {
            places: run.places.clone(),
            limit: run.limit,
        });
        let column = |measure: Measure| BlockColumn {
            values: self.dense(measure),
            unknown: self.column(measure).unknown().to_vec(),
        };
        Block {
            container: self.container,
            runs: runs.collect(),
            columns: Measure::ALL.map(column),
        }
    }

    /// The values without what fills gaps.
    fn dense(&self, measure: Measure) -> Values {
        let ranges = self.runs.iter().map(|run| {
            let first = self.index(run.places.start);
            first..first + run.places.len()
        });
        self.column(measure).values().gather(ranges)
    }

    /// Appends what a block has at `window`, whose first place is now place `at`.
    fn extend(&mut self, at: u32, window: &Range<u32>, block: &Block) {
        if self.runs.last().is_some_and(|run| run.places.end > at) {
            return;
        }
        let mut index = 0;
        for run in &block.runs {
            let part = overlap(&run.places, window);
            let skipped = part.start.saturating_sub(run.places.start) as usize;
            if !part.is_empty() {
                let values = index + skipped..index + skipped + part.len();
                let places = shifted(&part, at, window.start);
                self.append(places, run.limit, &block.columns, values);
            }
            index += run.places.len();
        }
        for (column, given) in self.columns.iter_mut().zip(&block.columns) {
            let inside = given.unknown.iter().map(|range| overlap(range, window));
            let known = inside.filter(|range| !range.is_empty());
            column.forget(known.map(|range| shifted(&range, at, window.start)));
        }
    }

    fn append(
        &mut self,
        places: Range<u32>,
        limit: Option<u64>,
        given: &[BlockColumn; 6],
        values: Range<usize>,
    ) {
        self.extend_runs(&places, limit);
        self.extend_stretches(&places);
        for (column, given) in self.columns.iter_mut().zip(given) {
            column.append(&given.values, values.clone());
        }
    }
}

fn overlap(a: &Range<u32>, b: &Range<u32>) -> Range<u32> {
    a.start.max(b.start)..a.end.min(b.end)
}

fn shifted(places: &Range<u32>, at: u32, from: u32) -> Range<u32> {
    at + places.start - from..at + places.end - from
}

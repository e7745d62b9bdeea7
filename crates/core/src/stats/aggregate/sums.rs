//! Sums of one measure over a block of the axis.

use std::ops::Range;

use crate::stats::columns::{Measure, Series, Stretch, Values};

/// Places that are summed at a time: few enough for the running sums of a measure to stay in the first-level cache,
/// enough for the memory to be read in long pieces.
pub(super) const BLOCK: usize = 8192;

/// Columns that are added in one go. It takes a running sum from the cache once for all of them, and has the memory
/// fetch several columns at a time: half the time of one by one, also far beyond the caches. Eight are no better.
const GROUP: usize = 4;

/// Below this many places in common a group is not worth it.
const SHORTEST_GROUP: usize = 32;

/// The part of a series that lies in a block.
#[derive(Debug)]
pub(super) struct Piece<'a> {
    series: &'a Series,
    /// Places, counted from the beginning of the block.
    places: Range<usize>,
    /// The index in the columns of the first place.
    offset: usize,
}

impl<'a> Piece<'a> {
    fn new(series: &'a Series, stretch: &Stretch, block: &Range<usize>) -> Self {
        let first = stretch.places.start as usize;
        let start = first.max(block.start);
        let end = block.end.min(stretch.places.end as usize);
        Self {
            series,
            places: start - block.start..end - block.start,
            offset: stretch.offset + start - first,
        }
    }
}

/// The parts of all series that lie in a block.
pub(super) fn pieces<'a>(series: &'a [Series], block: &Range<usize>) -> Vec<Piece<'a>> {
    let inside = |series: &'a Series| {
        let stretches = series.stretches();
        let first = stretches.partition_point(|stretch| stretch.places.end as usize <= block.start);
        let rest = stretches[first..].iter();
        rest.take_while(|stretch| (stretch.places.start as usize) < block.end)
            .map(move |stretch| Piece::new(series, stretch, block))
    };
    series.iter().flat_map(inside).collect()
}

/// Sums of one measure, one for each place of a block.
///
/// Columns narrower than 64 bits are added up in 32, which takes half the time, for as long as their largest values
/// leave room.
#[derive(Debug)]
pub(super) struct Sums {
    shift: u32,
    narrow: Vec<u32>,
    room: u32,
    /// Empty until it is needed.
    wide: Vec<u64>,
}

/// Values that belong to a range of places.
type Part<'a, T> = (Range<usize>, &'a [T]);

impl Sums {
    /// The sums of a measure over the pieces of a block of `len` places.
    pub(super) fn new(measure: Measure, pieces: &[Piece<'_>], len: usize) -> Self {
        let mut sums = Self {
            shift: measure.shift(),
            narrow: vec![0; len],
            room: u32::MAX,
            wide: Vec::new(),
        };
        let (mut short, mut long) = (Vec::with_capacity(GROUP), Vec::with_capacity(GROUP));
        for piece in pieces {
            let column = piece.series.column(measure);
            match column.values() {
                Values::U16(values) => sums.group(&mut short, column.max(), part(piece, values)),
                Values::U32(values) => sums.group(&mut long, column.max(), part(piece, values)),
                Values::U64(values) => sums.add_wide(part(piece, values)),
            }
        }
        sums.add_each(&short);
        sums.add_each(&long);
        sums
    }

    /// Writes the sums of the places from `first` on, in units of one.
    pub(super) fn write(&self, first: usize, totals: &mut [u64]) {
        for (total, narrow) in totals.iter_mut().zip(&self.narrow[first..]) {
            *total = u64::from(*narrow) << self.shift;
        }
        for (total, wide) in totals.iter_mut().zip(self.wide.get(first..).unwrap_or_default()) {
            *total = total.saturating_add(*wide);
        }
    }

    fn group<'a, T: Copy + Into<u32>>(&mut self, group: &mut Vec<Part<'a, T>>, max: u32, part: Part<'a, T>) {
        if self.room < max {
            self.add_each(group);
            group.clear();
            self.fold();
        }
        self.room -= max;
        group.push(part);
        if group.len() == GROUP {
            self.add_group(group);
            group.clear();
        }
    }

    fn add_group<T: Copy + Into<u32>>(&mut self, group: &[Part<'_, T>]) {
        let start = group.iter().map(|part| part.0.start).max().unwrap_or(0);
        let end = group.iter().map(|part| part.0.end).min().unwrap_or(0);
        if end < start + SHORTEST_GROUP {
            return self.add_each(group);
        }
        add_together(&mut self.narrow[start..end], group, start);
        for part in group {
            self.add(part.0.start..start, part);
            self.add(end..part.0.end, part);
        }
    }

    fn add_each<T: Copy + Into<u32>>(&mut self, group: &[Part<'_, T>]) {
        for part in group {
            self.add(part.0.clone(), part);
        }
    }

    fn add<T: Copy + Into<u32>>(&mut self, places: Range<usize>, part: &Part<'_, T>) {
        let values = &part.1[places.start - part.0.start..places.end - part.0.start];
        for (sum, value) in self.narrow[places].iter_mut().zip(values) {
            *sum = sum.wrapping_add((*value).into());
        }
    }

    fn add_wide(&mut self, (places, values): Part<'_, u64>) {
        self.wide.resize(self.narrow.len(), 0);
        for (sum, value) in self.wide[places].iter_mut().zip(values) {
            *sum = sum.saturating_add(*value);
        }
    }

    /// Moves what was added up in 32 bits over, which makes room again.
    fn fold(&mut self) {
        self.wide.resize(self.narrow.len(), 0);
        for (wide, narrow) in self.wide.iter_mut().zip(&mut self.narrow) {
            *wide = wide.saturating_add(u64::from(*narrow) << self.shift);
            *narrow = 0;
        }
        self.room = u32::MAX;
    }
}

fn part<'a, T>(piece: &Piece<'_>, values: &'a [T]) -> Part<'a, T> {
    (
        piece.places.clone(),
        &values[piece.offset..][..piece.places.len()],
    )
}

fn add_together<T: Copy + Into<u32>>(sums: &mut [u32], group: &[Part<'_, T>], start: usize) {
    let len = sums.len();
    let column = |i: usize| &group[i].1[start - group[i].0.start..][..len];
    let columns: [&[T]; GROUP] = std::array::from_fn(column);
    for i in 0..len {
        sums[i] = columns
            .iter()
            .fold(sums[i], |sum, column| sum.wrapping_add(column[i].into()));
    }
}

//! Counting what covers each place of the axis.

use std::ops::Range;

/// How many ranges cover each place: ranges in, in any order; counts out, in the order of the axis.
#[derive(Debug)]
pub(super) struct Tally {
    /// By how much the count changes at each place, up to the end of the last range.
    steps: Vec<i32>,
}

/// Goes along the axis.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    steps: &'a [i32],
    level: i32,
}

impl Tally {
    pub(super) fn new(ranges: impl Iterator<Item = Range<u32>> + Clone) -> Self {
        let len = ranges
            .clone()
            .map(|range| range.end as usize + 1)
            .max()
            .unwrap_or(0);
        let mut steps = vec![0; len];
        for range in ranges {
            steps[range.start as usize] += 1;
            steps[range.end as usize] -= 1;
        }
        Self { steps }
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        Reader {
            steps: &self.steps,
            level: 0,
        }
    }
}

impl Reader<'_> {
    /// Writes the counts of the next places, and says whether any of them is covered.
    pub(super) fn next(&mut self, places: Range<usize>, counts: &mut [u32]) -> bool {
        let end = places.end.min(self.steps.len());
        let steps = self.steps.get(places.start..end).unwrap_or_default();
        let flat = steps.iter().fold(0, |any, step| any | step) == 0;
        if flat && self.level == 0 {
            return false;
        }
        counts.fill(self.level as u32);
        if !flat {
            self.climb(steps.len(), places.start, counts);
        }
        true
    }

    fn climb(&mut self, len: usize, first: usize, counts: &mut [u32]) {
        let steps = &self.steps[first..first + len];
        for (count, step) in counts.iter_mut().zip(steps) {
            self.level += step;
            *count = self.level as u32;
        }
        counts[len..].fill(0);
    }
}

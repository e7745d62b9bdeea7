//! The highest memory limit at each place of the axis.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use crate::stats::columns::{Run, Series};

/// A part of the axis, and the highest limit of all that stand there.
#[derive(Debug)]
pub(super) struct Limit {
    pub(super) places: Range<usize>,
    pub(super) bytes: u64,
}

/// The highest limit of all runs that cover a place, where 0 = unlimited is the highest of all. In no particular order;
/// no part is where none is known.
pub(super) fn highest(series: &[Series], len: usize) -> Vec<Limit> {
    let mut limits = Vec::new();
    let mut open = BTreeMap::from([(0, len)]);
    for runs in highest_first(series) {
        for run in runs {
            let places = run.places.start as usize..run.places.end as usize;
            while let Some(part) = take(&mut open, &places) {
                limits.extend(run.limit.map(|bytes| Limit { places: part, bytes }));
            }
        }
        if open.is_empty() {
            break;
        }
    }
    limits
}

/// Runs of one series and one limit, in the order of their limits.
fn highest_first(series: &[Series]) -> Vec<&[Run]> {
    let alike = series
        .iter()
        .flat_map(|series| series.runs().chunk_by(|a, b| a.limit == b.limit));
    let mut known: Vec<&[Run]> = alike.filter(|runs| runs[0].limit.is_some()).collect();
    // One less than unlimited wraps round to the highest number.
    known.sort_by_key(|runs| Reverse(runs[0].limit.map(|limit| limit.wrapping_sub(1))));
    known
}

/// Takes a part of `places` out of what is still open.
fn take(open: &mut BTreeMap<usize, usize>, places: &Range<usize>) -> Option<Range<usize>> {
    let (&start, &end) = open.range(..places.end).next_back()?;
    if end <= places.start {
        return None;
    }
    open.remove(&start);
    if start < places.start {
        open.insert(start, places.start);
    }
    if places.end < end {
        open.insert(places.end, end);
    }
    Some(start.max(places.start)..end.min(places.end))
}

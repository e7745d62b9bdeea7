//! One measure of one container, kept as narrow as its values allow.

use std::ops::Range;

use super::Values;

/// The values of one measure, one after another.
///
/// The width follows the largest value seen: sums over long windows run at the speed of memory, and half the bytes are
/// half the time. An unknown value stands in the column as 0, so that it adds nothing and no sum ever has to ask; where
/// the unknown values are is said beside it, in ranges.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::stats) struct Column {
    values: Values,
    shift: u32,
    max: u32,
    unknown: Vec<Range<u32>>,
}

impl Column {
    /// An empty column in units of `1 << shift`.
    pub(super) fn new(shift: u32) -> Self {
        Self {
            values: Values::U16(Vec::new()),
            shift,
            max: 0,
            unknown: Vec::new(),
        }
    }

    /// The values, with 0 for each unknown one.
    pub(in crate::stats) fn values(&self) -> &Values {
        &self.values
    }

    /// The largest value, in units, while the width is below 64 bits.
    pub(in crate::stats) fn max(&self) -> u32 {
        self.max
    }

    /// Places on the axis where the container has a sample that does not know this measure, in order.
    pub(in crate::stats) fn unknown(&self) -> &[Range<u32>] {
        &self.unknown
    }

    /// Appends the value that stands at `place` on the axis, which is after all earlier ones.
    pub(super) fn push(&mut self, place: u32, value: Option<u64>) {
        if value.is_none() {
            self.forget(std::iter::once(place..place + 1));
        }
        let value = value.unwrap_or(0);
        while !self.try_push(value) {
            self.widen();
        }
    }

    /// Appends zeros, for places where there is no sample.
    pub(super) fn pad(&mut self, count: usize) {
        match &mut self.values {
            Values::U16(values) => values.resize(values.len() + count, 0),
            Values::U32(values) => values.resize(values.len() + count, 0),
            Values::U64(values) => values.resize(values.len() + count, 0),
        }
    }

    /// Appends values of another column of the same measure, which has the same units.
    pub(super) fn append(&mut self, given: &Values, range: Range<usize>) {
        while self.values.width() < given.width() {
            self.widen();
        }
        match (&mut self.values, given) {
            (Values::U16(values), Values::U16(given)) => values.extend_from_slice(&given[range.clone()]),
            (Values::U32(values), Values::U32(given)) => values.extend_from_slice(&given[range.clone()]),
            (Values::U64(values), Values::U64(given)) => values.extend_from_slice(&given[range.clone()]),
            (Values::U32(values), Values::U16(given)) => {
                values.extend(given[range.clone()].iter().copied().map(u32::from))
            }
            (Values::U64(values), given) => values.extend(range.clone().map(|i| given.whole(i, self.shift))),
            // Widened above.
            (Values::U16(_), _) | (Values::U32(_), Values::U64(_)) => {}
        }
        self.max = self.max.max(given.max(range));
    }

    /// Marks places as not known. They are after all that are marked already.
    pub(super) fn forget(&mut self, unknown: impl Iterator<Item = Range<u32>>) {
        for range in unknown {
            match self.unknown.last_mut() {
                Some(last) if last.end == range.start => last.end = range.end,
                _ => self.unknown.push(range),
            }
        }
    }

    /// The value at `index` of the column, which stands at `place` on the axis.
    pub(super) fn get(&self, index: usize, place: u32) -> Option<u64> {
        let next = self.unknown.partition_point(|range| range.end <= place);
        if self.unknown.get(next).is_some_and(|range| range.contains(&place)) {
            return None;
        }
        Some(self.values.whole(index, self.shift))
    }

    fn try_push(&mut self, value: u64) -> bool {
        let units = in_units(value, self.shift);
        match &mut self.values {
            Values::U16(values) => push_narrow(values, &mut self.max, units),
            Values::U32(values) => push_narrow(values, &mut self.max, units),
            Values::U64(values) => {
                values.push(value);
                true
            }
        }
    }

    fn widen(&mut self) {
        match &self.values {
            Values::U16(values) => self.values = Values::U32(values.iter().copied().map(u32::from).collect()),
            Values::U32(values) => {
                let whole = |units: &u32| u64::from(*units) << self.shift;
                self.values = Values::U64(values.iter().map(whole).collect());
            }
            Values::U64(_) => {}
        }
    }
}

/// The value in units; `None` if it is no whole number of them, or too large.
fn in_units(value: u64, shift: u32) -> Option<u32> {
    let units = u32::try_from(value >> shift).ok()?;
    (u64::from(units) << shift == value).then_some(units)
}

fn push_narrow<T: TryFrom<u32>>(values: &mut Vec<T>, max: &mut u32, units: Option<u32>) -> bool {
    let narrow = units.and_then(|units| T::try_from(units).ok().map(|value| (units, value)));
    let Some((units, value)) = narrow else {
        return false;
    };
    *max = units.max(*max);
    values.push(value);
    true
}

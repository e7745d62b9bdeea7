//! Values of a column, as narrow as they allow.

use std::ops::Range;

/// The values of one measure in units of its column: bytes, thousandths of a percent, or for memory pages of 4 KiB. Once one
/// needs 64 bits or is no whole number of units, all are in bytes, as [`Values::U64`].
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// All below 2^16.
    U16(Vec<u16>),
    /// All below 2^32.
    U32(Vec<u32>),
    /// Any, and always in bytes or thousandths.
    U64(Vec<u64>),
}

impl Values {
    /// How many there are.
    pub fn len(&self) -> usize {
        match self {
            Self::U16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::U64(values) => values.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes that they take.
    pub(super) fn bytes(&self) -> usize {
        self.len() * self.width()
    }

    /// Bytes that each takes.
    pub(super) fn width(&self) -> usize {
        match self {
            Self::U16(_) => 2,
            Self::U32(_) => 4,
            Self::U64(_) => 8,
        }
    }

    /// A value in bytes or thousandths, where units are `1 << shift` of those.
    pub(super) fn whole(&self, index: usize, shift: u32) -> u64 {
        match self {
            Self::U16(values) => u64::from(values[index]) << shift,
            Self::U32(values) => u64::from(values[index]) << shift,
            Self::U64(values) => values[index],
        }
    }

    /// The largest of a range, in units; 0 once they take 64 bits.
    pub(super) fn max(&self, range: Range<usize>) -> u32 {
        match self {
            Self::U16(values) => values[range].iter().copied().max().unwrap_or(0).into(),
            Self::U32(values) => values[range].iter().copied().max().unwrap_or(0),
            Self::U64(_) => 0,
        }
    }

    /// The values of some ranges, one after another.
    pub(super) fn gather(&self, ranges: impl Iterator<Item = Range<usize>>) -> Self {
        match self {
            Self::U16(values) => Self::U16(ranges.flat_map(|range| &values[range]).copied().collect()),
            Self::U32(values) => Self::U32(ranges.flat_map(|range| &values[range]).copied().collect()),
            Self::U64(values) => Self::U64(ranges.flat_map(|range| &values[range]).copied().collect()),
        }
    }
}

//! Sealed spans as bytes: the axis, and the columns of one container, each compressed as a sequence of numbers.
//!
//! A block begins with a version. What does not change from one sample to the next, runs and the places where nothing is
//! known, is kept as ranges; a column of one and the same number is kept as that number.

use std::ops::Range;

use pco::ChunkConfig;
use pco::data_types::Number;
use pco::standalone::{simple_compress, simple_decompress_into};
use shipslog_core::stats::{Block, BlockColumn, BlockRun, Values};

use super::super::error::Failure;
use super::patched;
use super::varint::{Reader, put};

const VERSION: u8 = 1;

/// How a column's values are kept.
mod form {
    pub(super) const U16: u8 = 0;
    pub(super) const U32: u8 = 1;
    pub(super) const U64: u8 = 2;
    /// Added to the width: all values are the same, and only the first is there.
    pub(super) const SAME: u8 = 4;
    /// Added to a width of up to 32 bits: the values are packed for fast reading.
    pub(super) const PATCHED: u8 = 8;
}

/// How hard to compress. Half of the library's own choice loses a few percent, and is read a quarter faster.
const LEVEL: usize = 4;

/// How many times as large values may be that are read several times as fast. Most of a file is other things.
const LARGER_IF_FAST: usize = 2;

/// Most places of a span: what a reader of damaged bytes is ready to make room for.
const LONGEST_SPAN: usize = 1 << 20;

fn damaged() -> Failure {
    Failure::invalid("stored value")
}

/// Compresses the timestamps of a span.
pub(super) fn pack_axis(axis: &[i64]) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    put(&mut bytes, axis.len() as u64);
    bytes.extend(compressed(axis)?);
    Ok(bytes)
}

/// The timestamps of a span.
pub(super) fn unpack_axis(bytes: &[u8]) -> Result<Vec<i64>, Failure> {
    let mut reader = Reader::new(bytes);
    let len = reader
        .length()
        .filter(|len| *len <= LONGEST_SPAN)
        .ok_or_else(damaged)?;
    let axis = decompressed(&mut reader, len).ok_or_else(damaged)?;
    axis.is_sorted_by(|a: &i64, b| a < b)
        .then_some(axis)
        .ok_or_else(damaged)
}

/// Compresses the columns of a container.
pub(super) fn pack_block(block: &Block) -> Result<Vec<u8>, Failure> {
    let mut bytes = vec![VERSION];
    put_runs(&mut bytes, block.runs());
    for column in block.columns() {
        put_ranges(&mut bytes, &column.unknown);
        put_values(&mut bytes, &column.values)?;
    }
    Ok(bytes)
}

/// The columns of the container that the store knows by `number`.
pub(super) fn unpack_block(number: i64, bytes: &[u8]) -> Result<Block, Failure> {
    let read = || {
        let mut reader = Reader::new(bytes);
        if reader.byte()? != VERSION {
            return None;
        }
        let runs = runs(&mut reader)?;
        let len = runs.iter().map(|run| run.places.len()).sum();
        if len > LONGEST_SPAN {
            return None;
        }
        let mut columns = Vec::with_capacity(6);
        for _ in 0..6 {
            let unknown = ranges(&mut reader)?;
            let values = values(&mut reader, len)?;
            columns.push(BlockColumn { values, unknown });
        }
        Block::new(number.cast_unsigned(), runs, columns.try_into().ok()?).ok()
    };
    read().ok_or_else(damaged)
}

fn put_runs(bytes: &mut Vec<u8>, runs: &[BlockRun]) {
    put(bytes, runs.len() as u64);
    let mut end = 0;
    for run in runs {
        put(bytes, u64::from(run.places.start - end));
        put(bytes, run.places.len() as u64);
        // One more than the limit, so that 0 is left for one that is not known.
        put(bytes, run.limit.map_or(0, |limit| limit.saturating_add(1)));
        end = run.places.end;
    }
}

fn runs(reader: &mut Reader<'_>) -> Option<Vec<BlockRun>> {
    let mut runs = Vec::new();
    let mut end = 0;
    for _ in 0..reader.length()? {
        let places = range(reader, &mut end)?;
        let limit = reader.varint()?.checked_sub(1);
        runs.push(BlockRun { places, limit });
    }
    Some(runs)
}

fn put_ranges(bytes: &mut Vec<u8>, ranges: &[Range<u32>]) {
    put(bytes, ranges.len() as u64);
    let mut end = 0;
    for range in ranges {
        put(bytes, u64::from(range.start - end));
        put(bytes, range.len() as u64);
        end = range.end;
    }
}

fn ranges(reader: &mut Reader<'_>) -> Option<Vec<Range<u32>>> {
    let mut end = 0;
    (0..reader.length()?).map(|_| range(reader, &mut end)).collect()
}

fn range(reader: &mut Reader<'_>, end: &mut u32) -> Option<Range<u32>> {
    let start = end.checked_add(reader.place()?)?;
    *end = start.checked_add(reader.place()?)?;
    Some(start..*end)
}

fn put_values(bytes: &mut Vec<u8>, values: &Values) -> Result<(), Failure> {
    match values {
        Values::U16(values) => put_numbers(bytes, form::U16, values),
        Values::U32(values) => put_numbers(bytes, form::U32, values),
        Values::U64(values) => put_numbers(bytes, form::U64, values),
    }
}

fn put_numbers<T: Number + Into<u64>>(bytes: &mut Vec<u8>, width: u8, numbers: &[T]) -> Result<(), Failure> {
    if let Some(first) = numbers.first()
        && numbers.iter().all(|number| number == first)
    {
        bytes.push(width + form::SAME);
        put(bytes, (*first).into());
        return Ok(());
    }
    let (form, packed) = packed(width, numbers)?;
    bytes.push(form);
    put(bytes, packed.len() as u64);
    bytes.extend(packed);
    Ok(())
}

/// The smaller, unless what can be read fast is not much larger.
fn packed<T: Number + Into<u64>>(width: u8, numbers: &[T]) -> Result<(u8, Vec<u8>), Failure> {
    let small = compressed(numbers)?;
    let narrow: Option<Vec<u32>> = numbers
        .iter()
        .map(|number| (*number).into().try_into().ok())
        .collect();
    let fast = narrow
        .filter(|_| width != form::U64)
        .map(|narrow| patched::pack(&narrow));
    Ok(match fast {
        Some(fast) if fast.len() <= small.len() * LARGER_IF_FAST => (width + form::PATCHED, fast),
        _ => (width, small),
    })
}

fn values(reader: &mut Reader<'_>, len: usize) -> Option<Values> {
    let form = reader.byte()?;
    let same = if form & form::SAME != 0 {
        Some(reader.varint()?)
    } else {
        None
    };
    let fast = form & form::PATCHED != 0;
    match (form & !(form::SAME | form::PATCHED), same) {
        (form::U16, Some(value)) => Some(Values::U16(vec![value.try_into().ok()?; len])),
        (form::U32, Some(value)) => Some(Values::U32(vec![value.try_into().ok()?; len])),
        (form::U64, Some(value)) => Some(Values::U64(vec![value; len])),
        (form::U16, None) if fast => fast_numbers(reader, len).map(Values::U16),
        (form::U32, None) if fast => fast_numbers(reader, len).map(Values::U32),
        (form::U16, None) => numbers(reader, len).map(Values::U16),
        (form::U32, None) => numbers(reader, len).map(Values::U32),
        (form::U64, None) => numbers(reader, len).map(Values::U64),
        _ => None,
    }
}

fn numbers<T: Number + Default>(reader: &mut Reader<'_>, len: usize) -> Option<Vec<T>> {
    let length = reader.length()?;
    decompressed(&mut Reader::new(reader.take(length)?), len)
}

fn fast_numbers<T: TryFrom<u32>>(reader: &mut Reader<'_>, len: usize) -> Option<Vec<T>> {
    let length = reader.length()?;
    patched::unpack(reader.take(length)?, len)
}

fn compressed<T: Number>(numbers: &[T]) -> Result<Vec<u8>, Failure> {
    let config = ChunkConfig::default().with_compression_level(LEVEL);
    simple_compress(numbers, &config).map_err(|_| damaged())
}

/// All that the reader still has, as exactly so many numbers.
fn decompressed<T: Number + Default>(reader: &mut Reader<'_>, len: usize) -> Option<Vec<T>> {
    let mut numbers = vec![T::default(); len];
    let progress = simple_decompress_into(reader.rest(), &mut numbers).ok()?;
    (progress.n_processed == len && progress.finished).then_some(numbers)
}

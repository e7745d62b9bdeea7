//! Reading sealed spans, and putting them together with ticks that are not sealed.

use std::collections::BTreeMap;

use rusqlite::{Connection, Row, params};
use shipslog_core::stats::{Block, Columns, ColumnsBuilder, Sample};

use super::super::connection::{all, first};
use super::super::error::Failure;
use super::{codec, key, packed};

/// A span of time whose ticks are sealed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) first: i64,
    pub(super) last: i64,
}

impl Span {
    /// Of a row of its `first` and its `last`.
    pub(super) fn read(row: &Row<'_>) -> Result<Self, Failure> {
        Ok(Self {
            first: row.get(0)?,
            last: row.get(1)?,
        })
    }
}

/// Spans with a part in `from <= ts < to`, oldest first.
pub(super) fn within(tx: &Connection, from: i64, to: i64) -> Result<Vec<Span>, Failure> {
    let sql = "SELECT first, last FROM spans WHERE first < ?2 AND last >= ?1 ORDER BY first";
    all(tx, sql, [from, to], Span::read)
}

/// Every timestamp of a span.
pub(super) fn axis(tx: &Connection, span: Span) -> Result<Vec<i64>, Failure> {
    let sql = "SELECT axis FROM spans WHERE first = ?1";
    let axis = first(tx, sql, [span.first], |row| {
        codec::unpack_axis(row.get_ref(0)?.as_blob()?)
    })?;
    axis.ok_or_else(|| Failure::invalid("stored value"))
}

/// The blocks of those containers that have one in a span.
pub(super) fn blocks(tx: &Connection, span: Span, numbers: &[i64]) -> Result<Vec<Block>, Failure> {
    let sql = "SELECT data FROM blocks WHERE key = ?1";
    let block = |number: &i64| {
        first(tx, sql, [key(span.first, *number)], |row| {
            codec::unpack_block(*number, row.get_ref(0)?.as_blob()?)
        })
    };
    numbers.iter().map(block).filter_map(Result::transpose).collect()
}

/// The samples of some containers, which are given in order, with `from <= ts < to`.
pub(super) fn columns(tx: &Connection, numbers: &[i64], from: i64, to: i64) -> Result<Columns, Failure> {
    if numbers.is_empty() {
        return Ok(Columns::default());
    }
    let spans = within(tx, from, to)?;
    if let Some(newest) = spans.last()
        && is_overtaken(tx, newest, from)?
    {
        return merged(tx, numbers, from, to);
    }
    let mut builder = ColumnsBuilder::new();
    for span in spans {
        let axis = axis(tx, span)?;
        let place = |ts| axis.partition_point(|at| *at < ts) as u32;
        builder.extend(&axis, place(from)..place(to), &blocks(tx, span, numbers)?);
    }
    each_recent(tx, from, to, |ts, data| {
        packed::pick(data, numbers, |number, sample| {
            builder.push(ts, number.cast_unsigned(), sample)
        })
    })?;
    Ok(builder.finish())
}

/// Whether a tick came late, for a time up to the end of a span that was sealed before.
fn is_overtaken(tx: &Connection, newest: &Span, from: i64) -> Result<bool, Failure> {
    let sql = "SELECT 1 FROM recent WHERE ts BETWEEN ?1 AND ?2 LIMIT 1";
    Ok(first(tx, sql, [from, newest.last], |_| Ok(()))?.is_some())
}

/// As [`columns`], one sample after the other: what came late counts in the place of what was sealed.
fn merged(tx: &Connection, numbers: &[i64], from: i64, to: i64) -> Result<Columns, Failure> {
    let mut samples: BTreeMap<(i64, i64), Option<Sample>> = BTreeMap::new();
    for span in within(tx, from, to)? {
        let mut builder = ColumnsBuilder::new();
        let axis = axis(tx, span)?;
        builder.extend(&axis, 0..axis.len() as u32, &blocks(tx, span, numbers)?);
        let sealed = builder.finish();
        samples.extend(
            sealed
                .samples()
                .map(|(ts, number, sample)| ((ts, number.cast_signed()), Some(sample))),
        );
    }
    each_recent(tx, from, to, |ts, data| {
        let rows = packed::unpack(data)?.into_iter();
        let wanted = rows.filter(|(number, _)| numbers.binary_search(number).is_ok());
        samples.extend(wanted.map(|(number, sample)| ((ts, number), sample)));
        Ok(())
    })?;
    let mut builder = ColumnsBuilder::new();
    for ((ts, number), sample) in samples.range((from, i64::MIN)..(to, i64::MIN)) {
        if let Some(sample) = sample {
            builder.push(*ts, number.cast_unsigned(), sample);
        }
    }
    Ok(builder.finish())
}

/// Ticks that are not sealed, with `from <= ts < to`, oldest first.
fn each_recent(
    tx: &Connection,
    from: i64,
    to: i64,
    mut visit: impl FnMut(i64, &[u8]) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let mut statement =
        tx.prepare_cached("SELECT ts, data FROM recent WHERE ts >= ?1 AND ts < ?2 ORDER BY ts")?;
    let mut rows = statement.query(params![from, to])?;
    while let Some(row) = rows.next()? {
        visit(row.get(0)?, row.get_ref(1)?.as_blob()?)?;
    }
    Ok(())
}

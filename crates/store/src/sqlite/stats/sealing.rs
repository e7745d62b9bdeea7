//! From ticks as they came to compressed columns.
//!
//! A piece is read and compressed beside everything else, and only then written, in one transaction that takes the ticks
//! away as it puts the columns in: whenever this breaks off, every sample is in one of the two places and in no other.

use rusqlite::{Connection, params};
use shipslog_core::stats::Columns;

use super::super::connection::{all, first, run, value, writing};
use super::super::error::Failure;
use super::spans::{self, Span};
use super::{NUMBER_BITS, codec, key};

/// Ticks of a span: enough for a column to be compressed well and read fast, few enough for a window to read little that it
/// does not need, and for what waits to be sealed to stay small.
const SPAN: usize = 512;

/// Ticks that stay behind, so that one which comes a little late still finds its neighbours as they came.
const SLACK: usize = 64;

/// A span ready to be written.
#[derive(Debug)]
pub(super) struct Draft {
    /// The ticks that it is made of.
    ticks: Span,
    /// The span that it takes the place of.
    replaces: Option<Span>,
    /// `None` when there was no sample in these ticks.
    content: Option<Content>,
}

#[derive(Debug)]
struct Content {
    span: Span,
    axis: Vec<u8>,
    /// With the numbers of their containers.
    blocks: Vec<(i64, Vec<u8>)>,
}

/// The next span to be sealed: ticks that came late for one that is sealed already, else the oldest ones, once there are
/// enough of them.
pub(super) fn draft(tx: &Connection) -> Result<Option<Draft>, Failure> {
    let Some(oldest) = value::<Option<i64>, _>(tx, "SELECT min(ts) FROM recent", [])?.flatten() else {
        return Ok(None);
    };
    let before = "SELECT first, last FROM spans WHERE first <= ?1 ORDER BY first DESC LIMIT 1";
    let before = first(tx, before, [oldest], Span::read)?;
    if let Some(span) = before.filter(|span| span.last >= oldest) {
        return compress(tx, span, Some(span)).map(Some);
    }
    let ticks = next_ticks(tx, oldest)?;
    ticks.map(|ticks| compress(tx, ticks, None)).transpose()
}

/// Ticks from the oldest on that no span holds. Those that came late for a gap between spans do not wait for more.
fn next_ticks(tx: &Connection, oldest: i64) -> Result<Option<Span>, Failure> {
    let next: Option<i64> = value(tx, "SELECT min(first) FROM spans WHERE first > ?1", [oldest])?.flatten();
    let sql = "SELECT ts FROM recent WHERE ts < ?1 ORDER BY ts LIMIT ?2";
    let limit = if next.is_some() { SPAN } else { SPAN + SLACK };
    let ticks: Vec<i64> = all(tx, sql, params![next.unwrap_or(i64::MAX), limit], |row| {
        Ok(row.get(0)?)
    })?;
    if next.is_none() && ticks.len() < limit {
        return Ok(None);
    }
    let last = ticks.iter().take(SPAN).next_back();
    Ok(last.map(|last| Span {
        first: oldest,
        last: *last,
    }))
}

fn compress(tx: &Connection, ticks: Span, replaces: Option<Span>) -> Result<Draft, Failure> {
    // Samples of deleted workloads are not taken along.
    let kept = "SELECT number FROM containers WHERE workload IS NOT NULL ORDER BY number";
    let kept: Vec<i64> = all(tx, kept, [], |row| Ok(row.get(0)?))?;
    let columns = spans::columns(tx, &kept, ticks.first, ticks.last + 1)?;
    Ok(Draft {
        ticks,
        replaces,
        content: content(&columns)?,
    })
}

fn content(columns: &Columns) -> Result<Option<Content>, Failure> {
    let axis = columns.timestamps();
    let (Some(first), Some(last)) = (axis.first(), axis.last()) else {
        return Ok(None);
    };
    let block = |block| Ok((block_number(&block), codec::pack_block(&block)?));
    Ok(Some(Content {
        span: Span {
            first: *first,
            last: *last,
        },
        axis: codec::pack_axis(axis)?,
        blocks: columns.blocks().map(block).collect::<Result<_, Failure>>()?,
    }))
}

fn block_number(block: &shipslog_core::stats::Block) -> i64 {
    block.container().cast_signed()
}

/// Writes a span in the place of what it is made of.
pub(super) fn write(connection: &mut Connection, draft: &Draft) -> Result<(), Failure> {
    let tx = writing(connection)?;
    let ticks = [draft.ticks.first, draft.ticks.last];
    let taken = run(&tx, "DELETE FROM recent WHERE ts BETWEEN ?1 AND ?2", ticks)?;
    if taken == 0 {
        // Somebody else sealed them meanwhile.
        return Ok(());
    }
    if let Some(replaced) = draft.replaces {
        delete(&tx, replaced)?;
    }
    if let Some(content) = &draft.content {
        insert(&tx, content)?;
    }
    tx.commit()?;
    Ok(())
}

fn insert(tx: &Connection, content: &Content) -> Result<(), Failure> {
    let Span { first, last } = content.span;
    run(
        tx,
        "INSERT INTO spans (first, last, axis) VALUES (?1, ?2, ?3)",
        params![first, last, content.axis],
    )?;
    for (number, data) in &content.blocks {
        run(
            tx,
            "INSERT INTO blocks (key, data) VALUES (?1, ?2)",
            params![key(first, *number), data],
        )?;
    }
    Ok(())
}

/// Deletes a span with its blocks.
pub(super) fn delete(tx: &Connection, span: Span) -> Result<(), Failure> {
    run(tx, "DELETE FROM spans WHERE first = ?1", [span.first])?;
    let keys = [key(span.first, 0), key(span.first, (1 << NUMBER_BITS) - 1)];
    run(tx, "DELETE FROM blocks WHERE key BETWEEN ?1 AND ?2", keys)?;
    Ok(())
}

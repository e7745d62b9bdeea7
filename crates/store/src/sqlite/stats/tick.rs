//! Writing a tick.

use std::sync::LazyLock;

use rusqlite::Connection;
use shipslog_core::stats::{Sample, Tick, TickRow};

use super::super::connection::{run, writing};
use super::super::error::Failure;
use super::{Present, containers, key};

/// Columns of a sample.
const COLUMNS: usize = 8;

/// Rows of one statement. A statement finds its way into the tree once, so ten rows cost about a sixth less than ten
/// statements; more rows gain no more.
const BATCH: usize = 10;

static ONE: LazyLock<String> = LazyLock::new(|| insert_sql(1));
static MANY: LazyLock<String> = LazyLock::new(|| insert_sql(BATCH));

fn insert_sql(rows: usize) -> String {
    let row = format!("({})", ["?"; COLUMNS].join(", "));
    format!(
        "INSERT OR REPLACE INTO samples VALUES {}",
        vec![row; rows].join(", ")
    )
}

/// A tick, with the numbers of the containers that are known already.
#[derive(Debug)]
pub(super) struct Plan {
    ts: i64,
    known: Vec<(i64, Option<Sample>)>,
    others: Vec<TickRow>,
}

impl Plan {
    /// Sorts the rows of a tick. Looks at memory only: it runs on the caller's thread, and copies no text of rows that
    /// did not change.
    pub(super) fn new(tick: &Tick, present: Option<&mut Present>) -> Self {
        let mut plan = Self {
            ts: tick.ts,
            known: Vec::with_capacity(tick.rows.len()),
            others: Vec::new(),
        };
        // A tick that is older than the newest may change when a container was first seen, which only the database knows.
        let mut present = present.filter(|present| present.newest.is_some_and(|newest| newest <= tick.ts));
        for row in &tick.rows {
            match present
                .as_mut()
                .and_then(|present| present.unchanged(row, tick.ts))
            {
                Some(number) => plan.known.push((number, row.sample)),
                None => plan.others.push(row.clone()),
            }
        }
        plan
    }
}

/// Writes a tick in one transaction, and gives back the containers that are present after it.
pub(super) fn record(
    connection: &mut Connection,
    present: Option<Present>,
    plan: Plan,
) -> Result<Present, Failure> {
    let tx = writing(connection)?;
    let mut present = present.map_or_else(|| Present::load(&tx), Ok)?;
    let repeated = run(&tx, "INSERT OR IGNORE INTO ticks (ts) VALUES (?1)", [plan.ts])? == 0;
    let mut rows = plan.known;
    for row in &plan.others {
        let number = containers::enter(&tx, &mut present, plan.ts, row)?;
        rows.extend(number.map(|number| (number, row.sample)));
    }
    if present.newest.is_none_or(|newest| newest < plan.ts) {
        present.advance(&tx, plan.ts)?;
    }
    // In the order of their keys, each sample goes next to the one before.
    rows.sort_by_key(|(number, _)| *number);
    insert(&tx, plan.ts, &rows)?;
    if repeated {
        remove_unread(&tx, plan.ts, &rows)?;
    }
    tx.commit()?;
    Ok(present)
}

fn insert(tx: &Connection, ts: i64, rows: &[(i64, Option<Sample>)]) -> Result<(), Failure> {
    let samples: Vec<(i64, Sample)> = rows
        .iter()
        .filter_map(|(number, sample)| Some((*number, (*sample)?)))
        .collect();
    let batches = samples.chunks_exact(BATCH);
    insert_each(tx, &ONE, ts, batches.remainder().chunks_exact(1))?;
    insert_each(tx, &MANY, ts, batches)
}

/// Runs a statement once for each chunk, which has as many samples as the statement has rows.
fn insert_each<'a>(
    tx: &Connection,
    sql: &str,
    ts: i64,
    chunks: impl Iterator<Item = &'a [(i64, Sample)]>,
) -> Result<(), Failure> {
    let mut statement = tx.prepare_cached(sql)?;
    for chunk in chunks {
        for (row, (number, sample)) in chunk.iter().enumerate() {
            let values = columns(key(ts, *number), sample);
            for (column, value) in values.into_iter().enumerate() {
                statement.raw_bind_parameter(row * COLUMNS + column + 1, value)?;
            }
        }
        statement.raw_execute()?;
    }
    Ok(())
}

fn columns(key: i64, sample: &Sample) -> [Option<i64>; COLUMNS] {
    [
        Some(key),
        sample.cpu_percent.and_then(thousandths),
        sample.memory_usage.map(capped),
        sample.memory_limit.map(capped),
        sample.network_rx.map(capped),
        sample.network_tx.map(capped),
        sample.block_read.map(capped),
        sample.block_write.map(capped),
    ]
}

/// The repeat of a tick replaces samples also by none.
fn remove_unread(tx: &Connection, ts: i64, rows: &[(i64, Option<Sample>)]) -> Result<(), Failure> {
    for (number, _) in rows.iter().filter(|(_, sample)| sample.is_none()) {
        run(tx, "DELETE FROM samples WHERE key = ?1", [key(ts, *number)])?;
    }
    Ok(())
}

/// `None` for what is no share of a processor: better not known than wrong.
fn thousandths(percent: f64) -> Option<i64> {
    let valid = percent.is_finite() && percent >= 0.0;
    valid.then(|| (percent * 1000.0).round() as i64)
}

/// SQLite's integers are signed; 8 EiB are more than any counter means.
fn capped(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

//! Deleting old samples, a chunk at a time.

use rusqlite::{Connection, params};
use shipslog_core::time::Timestamp;

use super::super::Writers;
use super::super::connection::{all, first, run, value, writing};
use super::super::error::Failure;
use super::super::reserve::Reserve;
use super::super::workloads::time;
use super::spans::Span;
use super::{packed, sealing};

/// Pages given back to the file system at a time: 4 MiB, moved in a few milliseconds.
const VACUUM_PAGES: u32 = 1024;

/// Free pages that are left for what is written next: 1 MiB.
const SPARE_PAGES: u32 = 256;

/// Deletes a chunk, if it must with the room of the reserve, and gives free pages back.
pub(super) fn chunk(writers: &mut Writers, before: i64, limit: u32) -> Result<bool, Failure> {
    // Containers that are still there when all ticks are old are forgotten too.
    writers.present.take_if(|present| present.newest < Some(before));
    let (samples, reserve) = (&mut writers.samples, writers.reserve.as_ref());
    let give = || reserve.is_some_and(Reserve::give);
    let more = match delete(samples, before, limit) {
        Err(failure) if failure.is_disk_full() && give() => {
            write_back(samples)?;
            delete(samples, before, limit)?
        }
        other => other?,
    };
    match vacuum(samples) {
        // What was deleted stays so. A later call gives its pages back.
        Err(failure) if failure.is_disk_full() => {
            give();
            Ok(more)
        }
        other => {
            let free = other?;
            reserve.inspect(|reserve| reserve.take());
            Ok(more || free)
        }
    }
}

/// Deletes about `limit` samples, and says whether there are more to delete.
fn delete(connection: &mut Connection, before: i64, limit: u32) -> Result<bool, Failure> {
    let tx = writing(connection)?;
    let more = delete_span(&tx, before)? || delete_ticks(&tx, before, limit)? || drain(&tx)?;
    if !more {
        forget(&tx, before)?;
    }
    tx.commit()?;
    Ok(more)
}

/// Writes the journal back and cuts it off, if no reader stands in the way.
fn write_back(connection: &Connection) -> Result<(), Failure> {
    all(connection, "PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// Deletes the oldest span, if all of it is old, and says whether it did.
fn delete_span(tx: &Connection, before: i64) -> Result<bool, Failure> {
    let sql = "SELECT first, last FROM spans WHERE last < ?1 ORDER BY first LIMIT 1";
    let oldest = first(tx, sql, [before], Span::read)?;
    oldest
        .map(|span| sealing::delete(tx, span))
        .transpose()
        .map(|deleted| deleted.is_some())
}

/// Deletes as many of the oldest ticks as hold at least `limit` samples, and says whether they do.
fn delete_ticks(tx: &Connection, before: i64, limit: u32) -> Result<bool, Failure> {
    let mut statement = tx.prepare_cached("SELECT ts, data FROM recent WHERE ts < ?1 ORDER BY ts")?;
    let mut rows = statement.query([before])?;
    let limit = limit.max(1) as usize;
    let (mut samples, mut end) = (0, before);
    while samples < limit
        && let Some(row) = rows.next()?
    {
        let ts: i64 = row.get(0)?;
        samples += packed::unpack(row.get_ref(1)?.as_blob()?)?.len();
        end = ts + 1;
    }
    let enough = samples >= limit;
    let end = if enough { end } else { before };
    drop(rows);
    run(tx, "DELETE FROM recent WHERE ts < ?1", [end])?;
    Ok(enough)
}

/// Ticks that are written anew at a time.
const DRAINED_TICKS: usize = 200;

/// Deletes the samples of containers whose workload was deleted, and in the end these containers. Says whether some are left.
fn drain(tx: &Connection) -> Result<bool, Failure> {
    let sql = "SELECT number, first_seen, last_seen FROM containers WHERE workload IS NULL ORDER BY number";
    let detached: Vec<[i64; 3]> = all(tx, sql, [], |row| Ok([row.get(0)?, row.get(1)?, row.get(2)?]))?;
    if detached.is_empty() {
        return Ok(false);
    }
    for [number, first, last] in &detached {
        let keys = "DELETE FROM blocks WHERE key IN
            (SELECT first << 24 | ?1 FROM spans WHERE first <= ?3 AND last >= ?2)";
        run(tx, keys, [number, first, last])?;
    }
    let numbers: Vec<i64> = detached.iter().map(|[number, ..]| *number).collect();
    if drain_ticks(tx, &numbers)? == DRAINED_TICKS {
        return Ok(true);
    }
    run(tx, "DELETE FROM containers WHERE workload IS NULL", [])?;
    Ok(false)
}

/// Takes rows of some containers, given in order, out of ticks, and says out of how many.
fn drain_ticks(tx: &Connection, numbers: &[i64]) -> Result<usize, Failure> {
    let mut drained = Vec::new();
    let mut statement = tx.prepare_cached("SELECT ts, data FROM recent ORDER BY ts")?;
    let mut rows = statement.query([])?;
    while drained.len() < DRAINED_TICKS
        && let Some(row) = rows.next()?
    {
        let mut kept = packed::unpack(row.get_ref(1)?.as_blob()?)?;
        let before = kept.len();
        kept.retain(|(number, _)| numbers.binary_search(number).is_err());
        if kept.len() < before {
            drained.push((row.get::<_, i64>(0)?, packed::pack(&kept)));
        }
    }
    drop(rows);
    // Deleted first: SQLite gives no page back for a row that only became smaller.
    for (ts, _) in &drained {
        run(tx, "DELETE FROM recent WHERE ts = ?1", [ts])?;
    }
    for (ts, data) in &drained {
        run(
            tx,
            "INSERT INTO recent (ts, data) VALUES (?1, ?2)",
            params![ts, data],
        )?;
    }
    Ok(drained.len())
}

/// Forgets containers last seen before that time, and observed workloads that none is left of.
fn forget(tx: &Connection, before: i64) -> Result<(), Failure> {
    // A span that is not old as a whole still has blocks of containers that are.
    let kept: Option<i64> = value(tx, "SELECT min(first) FROM spans", [])?.flatten();
    let sql = "DELETE FROM containers WHERE coalesce(last_seen, (SELECT max(ts) FROM recent), 0) < ?1";
    run(tx, sql, [before.min(kept.unwrap_or(before))])?;
    for (number, first_seen) in deserted(tx)? {
        // One that was met a moment ago has its first tick before it.
        if first_seen.as_second() < before {
            run(tx, "DELETE FROM workloads WHERE number = ?1", [number])?;
        }
    }
    Ok(())
}

fn deserted(tx: &Connection) -> Result<Vec<(i64, Timestamp)>, Failure> {
    let sql = "SELECT number, created_at FROM workloads w WHERE revision IS NULL
        AND NOT EXISTS (SELECT 1 FROM containers c WHERE c.workload = w.number)
        AND NOT EXISTS (SELECT 1 FROM rollups r WHERE r.key >= w.number << 33 AND r.key < (w.number + 1) << 33)
        AND NOT EXISTS (SELECT 1 FROM deploys d WHERE d.workload = w.number AND d.outcome = 'running')";
    all(tx, sql, [], |row| Ok((row.get(0)?, time(row, 1)?)))
}

/// Gives free pages back, and says whether more are left than need be.
fn vacuum(connection: &Connection) -> Result<bool, Failure> {
    let sql = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
    all(connection, &sql, [], |_| Ok(()))?;
    let left: Option<u32> = value(connection, "PRAGMA freelist_count", [])?;
    Ok(left.is_some_and(|left| left > SPARE_PAGES))
}

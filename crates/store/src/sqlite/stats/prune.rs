//! Deleting old samples, a chunk at a time.

use rusqlite::{Connection, params};
use shipslog_core::time::Timestamp;

use super::super::Writers;
use super::super::connection::{all, first, run, value, writing};
use super::super::error::Failure;
use super::super::reserve::Reserve;
use super::super::workloads::time;
use super::{NUMBER_BITS, key};

/// Pages given back to the file system at a time: 4 MiB, moved in a few milliseconds.
const VACUUM_PAGES: u32 = 1024;

/// Deletes a chunk, if it must with the room of the reserve, and gives free pages back.
pub(super) fn chunk(writers: &mut Writers, before: i64, limit: u32) -> Result<u32, Failure> {
    // Containers that are still there when all ticks are old are forgotten too.
    writers.present.take_if(|present| present.newest < Some(before));
    let (samples, reserve) = (&mut writers.samples, writers.reserve.as_ref());
    let give = || reserve.is_some_and(Reserve::give);
    let deleted = match delete(samples, before, limit) {
        Err(failure) if failure.is_disk_full() && give() => {
            write_back(samples)?;
            delete(samples, before, limit)?
        }
        other => other?,
    };
    match vacuum(samples) {
        // What was deleted stays so. A later call gives its pages back.
        Err(failure) if failure.is_disk_full() => drop(give()),
        other => {
            other?;
            reserve.inspect(|reserve| reserve.take());
        }
    }
    Ok(deleted)
}

/// Deletes at most `limit` samples, and says how many went.
fn delete(connection: &mut Connection, before: i64, limit: u32) -> Result<u32, Failure> {
    let tx = writing(connection)?;
    let mut deleted = delete_oldest(&tx, before, limit)?;
    while deleted < limit
        && let Some(detached) = next_detached(&tx)?
    {
        deleted += drain(&tx, &detached, limit - deleted)?;
    }
    if deleted < limit {
        forget(&tx, before)?;
    }
    tx.commit()?;
    Ok(deleted)
}

/// Writes the journal back and cuts it off, if no reader stands in the way.
fn write_back(connection: &Connection) -> Result<(), Failure> {
    all(connection, "PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(())
}

/// A range at the beginning of the tree, with the ticks that have no sample any more.
fn delete_oldest(tx: &Connection, before: i64, limit: u32) -> Result<u32, Failure> {
    let spared = "SELECT key FROM samples WHERE key < ?1 ORDER BY key LIMIT 1 OFFSET ?2";
    let spared: Option<i64> = value(tx, spared, params![key(before, 0), limit])?;
    let end = spared.unwrap_or(key(before, 0));
    run(tx, "DELETE FROM ticks WHERE ts < ?1", [end >> NUMBER_BITS])?;
    Ok(run(tx, "DELETE FROM samples WHERE key < ?1", [end])? as u32)
}

/// A container whose workload was deleted.
struct Detached {
    number: i64,
    first_seen: i64,
    last_seen: i64,
}

fn next_detached(tx: &Connection) -> Result<Option<Detached>, Failure> {
    let sql = "SELECT number, first_seen, last_seen FROM containers WHERE workload IS NULL LIMIT 1";
    first(tx, sql, [], |row| {
        Ok(Detached {
            number: row.get(0)?,
            first_seen: row.get(1)?,
            last_seen: row.get(2)?,
        })
    })
}

/// Deletes at most `limit` samples of a container, oldest first, and the container after its last one.
fn drain(tx: &Connection, container: &Detached, limit: u32) -> Result<u32, Failure> {
    let sql = "DELETE FROM samples WHERE key IN (
        SELECT s.key FROM ticks t CROSS JOIN samples s
        WHERE t.ts BETWEEN ?2 AND ?3 AND s.key = (t.ts << 24 | ?1) ORDER BY t.ts LIMIT ?4) RETURNING key";
    let range = params![container.number, container.first_seen, container.last_seen, limit];
    let keys: Vec<i64> = all(tx, sql, range, |row| Ok(row.get(0)?))?;
    let deleted = keys.len() as u32;
    match keys.into_iter().max() {
        // The next chunk need not look at the same ticks again.
        Some(newest) if deleted == limit => {
            let sql = "UPDATE containers SET first_seen = ?2 WHERE number = ?1";
            run(tx, sql, [container.number, newest >> NUMBER_BITS])?;
        }
        _ => {
            run(tx, "DELETE FROM containers WHERE number = ?1", [container.number])?;
        }
    }
    Ok(deleted)
}

/// Forgets containers last seen before that time, and observed workloads that none is left of.
fn forget(tx: &Connection, before: i64) -> Result<(), Failure> {
    let sql = "DELETE FROM containers WHERE coalesce(last_seen, (SELECT max(ts) FROM ticks), 0) < ?1";
    run(tx, sql, [before])?;
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
        AND NOT EXISTS (SELECT 1 FROM deploys d WHERE d.workload = w.number AND d.outcome = 'running')";
    all(tx, sql, [], |row| Ok((row.get(0)?, time(row, 1)?)))
}

fn vacuum(connection: &Connection) -> Result<(), Failure> {
    let sql = format!("PRAGMA incremental_vacuum({VACUUM_PAGES})");
    all(connection, &sql, [], |_| Ok(()))?;
    Ok(())
}

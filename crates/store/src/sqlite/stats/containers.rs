//! The index of containers.

use rusqlite::{Connection, params};
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{ContainerRecord, TickRow};
use shipslog_core::store::StoreError;

use super::super::connection::{all, first, run, value};
use super::super::error::Failure;
use super::super::workloads::number as workload_number;
use super::{MAX_NUMBER, Present};

struct Stored {
    number: i64,
    workload: i64,
    /// NULL is filled in with the newest tick.
    last_seen: i64,
}

/// A container in the index.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entered {
    pub(super) number: i64,
    /// Whether it was another workload's before.
    pub(super) moved: bool,
}

/// Brings the index up to date with a row, and gives its container. `None` when there is no such workload.
pub(super) fn enter(
    tx: &Connection,
    present: &mut Present,
    ts: i64,
    row: &TickRow,
) -> Result<Option<Entered>, Failure> {
    let Some(workload) = workload_number(tx, &row.workload)? else {
        return Ok(None);
    };
    // No later tick is known, so it is present from now on.
    let newest = present.newest.is_none_or(|newest| newest <= ts);
    let last_seen = (!newest).then_some(ts);
    let (number, moved) = match find(tx, row, present.newest)? {
        None => (insert(tx, row, workload, ts, last_seen)?, false),
        Some(stored) if ts < stored.last_seen => {
            let sql = "UPDATE containers SET first_seen = min(first_seen, ?2) WHERE number = ?1";
            run(tx, sql, [stored.number, ts])?;
            return Ok(Some(Entered {
                number: stored.number,
                moved: false,
            }));
        }
        Some(stored) => {
            let sql = "UPDATE containers SET workload = ?2, name = ?3, last_seen = ?4 WHERE number = ?1";
            run(tx, sql, params![stored.number, workload, row.name, last_seen])?;
            (stored.number, stored.workload != workload)
        }
    };
    if newest {
        present.enter(row, number, ts);
    }
    Ok(Some(Entered { number, moved }))
}

fn find(tx: &Connection, row: &TickRow, newest: Option<i64>) -> Result<Option<Stored>, Failure> {
    let sql = "SELECT number, workload, coalesce(last_seen, ?2, 0) FROM containers WHERE id = ?1 AND workload IS NOT NULL";
    first(tx, sql, params![row.container.as_str(), newest], |row| {
        Ok(Stored {
            number: row.get(0)?,
            workload: row.get(1)?,
            last_seen: row.get(2)?,
        })
    })
}

fn insert(
    tx: &Connection,
    row: &TickRow,
    workload: i64,
    ts: i64,
    last_seen: Option<i64>,
) -> Result<i64, Failure> {
    let number = free_number(tx)?;
    let sql = "INSERT INTO containers (number, id, workload, name, first_seen, last_seen) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    run(
        tx,
        sql,
        params![number, row.container.as_str(), workload, row.name, ts, last_seen],
    )?;
    Ok(number)
}

/// The number after the highest, or once that is used up, one whose container was forgotten.
fn free_number(tx: &Connection) -> Result<i64, Failure> {
    let highest: Option<i64> = value(tx, "SELECT max(number) FROM containers", [])?.flatten();
    let next = highest.unwrap_or(0) + 1;
    if next <= MAX_NUMBER {
        return Ok(next);
    }
    let gap = "SELECT number - 1 FROM containers c WHERE number > 1
        AND NOT EXISTS (SELECT 1 FROM containers d WHERE d.number = c.number - 1) LIMIT 1";
    let full = || StoreError::Backend {
        operation: "record_tick",
        source: "every container number is in use".into(),
    };
    value(tx, gap, [])?.ok_or_else(|| full().into())
}

/// Every container of a workload, those seen last first.
pub(super) fn seen(tx: &Connection, workload: &WorkloadId) -> Result<Vec<ContainerRecord>, Failure> {
    let sql = "SELECT c.id, c.name, c.first_seen, coalesce(c.last_seen, (SELECT max(ts) FROM recent)) AS seen
        FROM containers c JOIN workloads w ON w.number = c.workload
        WHERE w.id = ?1 ORDER BY seen DESC, c.first_seen DESC, c.number DESC";
    all(tx, sql, [workload.as_str()], |row| {
        let id = row
            .get::<_, String>(0)?
            .parse()
            .map_err(|_| Failure::invalid("container"))?;
        Ok(ContainerRecord {
            id,
            name: row.get(1)?,
            first_seen: row.get(2)?,
            last_seen: row.get(3)?,
        })
    })
}

/// Takes the containers of a workload that is being deleted out of every reader's sight, samples included.
pub(in crate::sqlite) fn detach(tx: &Connection, workload: i64) -> Result<(), Failure> {
    let sql =
        "UPDATE containers SET workload = NULL, last_seen = coalesce(last_seen, (SELECT max(ts) FROM recent))
        WHERE workload = ?1";
    run(tx, sql, [workload])?;
    Ok(())
}

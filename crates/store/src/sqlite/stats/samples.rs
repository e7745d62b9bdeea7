//! Reading a window.

use rusqlite::{Connection, params};
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::Columns;

use super::super::connection::all;
use super::super::error::Failure;
use super::super::workloads::number;
use super::spans;

/// Containers of a workload that were there at some time of a window, in the order of their numbers.
const CONTAINERS: &str = "SELECT number FROM containers WHERE workload = ?1 AND first_seen < ?3
    AND (last_seen IS NULL OR last_seen >= ?2) ORDER BY number";

/// The samples of a workload with `from <= ts < to`.
pub(super) fn window(tx: &Connection, workload: &WorkloadId, from: i64, to: i64) -> Result<Columns, Failure> {
    let Some(workload) = number(tx, workload)? else {
        return Ok(Columns::default());
    };
    let numbers = all(tx, CONTAINERS, params![workload, from, to], |row| Ok(row.get(0)?))?;
    spans::columns(tx, &numbers, from, to)
}

//! Reading a window.

use rusqlite::{Connection, Row, params};
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Columns, ColumnsBuilder, Sample};

use super::super::error::Failure;
use super::super::workloads::number;

/// Tick by tick, the samples of the workload's containers that were there at that time, each by its key.
const SELECT: &str =
    "SELECT t.ts, c.number, s.cpu, s.memory_usage, s.memory_limit, s.network_rx, s.network_tx,
    s.block_read, s.block_write
    FROM ticks t CROSS JOIN containers c INDEXED BY containers_by_workload CROSS JOIN samples s
    WHERE t.ts >= ?2 AND t.ts < ?3 AND c.workload = ?1
    AND c.first_seen <= t.ts AND (c.last_seen IS NULL OR c.last_seen >= t.ts)
    AND s.key = (t.ts << 24 | c.number) ORDER BY t.ts";

/// The samples of a workload with `from <= ts < to`.
pub(super) fn window(tx: &Connection, workload: &WorkloadId, from: i64, to: i64) -> Result<Columns, Failure> {
    let mut builder = ColumnsBuilder::default();
    let Some(workload) = number(tx, workload)? else {
        return Ok(builder.finish());
    };
    let mut statement = tx.prepare_cached(SELECT)?;
    let mut rows = statement.query(params![workload, from, to])?;
    while let Some(row) = rows.next()? {
        builder.push(row.get(0)?, row.get(1)?, &read(row)?);
    }
    Ok(builder.finish())
}

fn read(row: &Row<'_>) -> rusqlite::Result<Sample> {
    let cpu: Option<i64> = row.get(2)?;
    Ok(Sample {
        cpu_percent: cpu.map(|thousandths| thousandths as f64 / 1000.0),
        memory_usage: row.get(3)?,
        memory_limit: row.get(4)?,
        network_rx: row.get(5)?,
        network_tx: row.get(6)?,
        block_read: row.get(7)?,
        block_write: row.get(8)?,
    })
}

//! Samples as they were kept until schema version 4: a row each.

use rusqlite::{Connection, Row, params};
use shipslog_core::stats::Sample;

use super::NUMBER_BITS;
use super::packed::{self, pack};

/// Packs the rows of each tick, and drops their tables.
pub(in crate::sqlite) fn pack_rows(tx: &Connection) -> rusqlite::Result<()> {
    // The newest tick says who is present, also when nothing was read.
    tx.execute_batch("INSERT INTO recent (ts, data) SELECT ts, x'' FROM ticks ORDER BY ts DESC LIMIT 1")?;
    let mut insert = tx.prepare("INSERT OR REPLACE INTO recent (ts, data) VALUES (?1, ?2)")?;
    let mut select = tx.prepare(
        "SELECT key, cpu, memory_usage, memory_limit, network_rx, network_tx, block_read, block_write
        FROM samples ORDER BY key",
    )?;
    let mut rows = select.query([])?;
    let mut tick: Vec<packed::Row> = Vec::new();
    let mut ts = 0;
    while let Some(row) = rows.next()? {
        let key: i64 = row.get(0)?;
        if key >> NUMBER_BITS != ts && !tick.is_empty() {
            insert.execute(params![ts, pack(&tick)])?;
            tick.clear();
        }
        ts = key >> NUMBER_BITS;
        tick.push((key & ((1 << NUMBER_BITS) - 1), Some(sample(row)?)));
    }
    if !tick.is_empty() {
        insert.execute(params![ts, pack(&tick)])?;
    }
    drop(rows);
    drop((insert, select));
    tx.execute_batch("DROP TABLE samples; DROP TABLE ticks")
}

fn sample(row: &Row<'_>) -> rusqlite::Result<Sample> {
    let cpu: Option<i64> = row.get(1)?;
    Ok(Sample {
        cpu_percent: cpu.map(|thousandths| thousandths as f64 / 1000.0),
        memory_usage: row.get(2)?,
        memory_limit: row.get(3)?,
        network_rx: row.get(4)?,
        network_tx: row.get(5)?,
        block_read: row.get(6)?,
        block_write: row.get(7)?,
    })
}

//! What the newest tick held, kept at hand so that the next one need not ask the database who is who.

use std::collections::HashMap;

use rusqlite::Connection;
use shipslog_core::id::{ContainerId, WorkloadId};
use shipslog_core::stats::TickRow;

use super::super::connection::{all, run, value};
use super::super::error::Failure;

/// The containers of the newest tick: those whose `last_seen` is NULL.
#[derive(Debug, Default)]
pub(in crate::sqlite) struct Present {
    /// When it was; `None` before the first.
    pub(super) newest: Option<i64>,
    containers: HashMap<ContainerId, Known>,
}

#[derive(Debug)]
struct Known {
    number: i64,
    workload: WorkloadId,
    name: String,
    /// The newest tick that named it.
    seen: i64,
}

impl Present {
    pub(super) fn load(tx: &Connection) -> Result<Self, Failure> {
        let newest: Option<i64> = value(tx, "SELECT max(ts) FROM recent", [])?.flatten();
        let sql =
            "SELECT c.id, w.id, c.name, c.number FROM containers c JOIN workloads w ON w.number = c.workload
            WHERE c.last_seen IS NULL";
        let rows = all(tx, sql, [], |row| {
            let id = row
                .get::<_, String>(0)?
                .parse()
                .map_err(|_| Failure::invalid("container"))?;
            let workload = row
                .get::<_, String>(1)?
                .parse()
                .map_err(|_| Failure::invalid("workload"))?;
            let seen = newest.unwrap_or_default();
            Ok((
                id,
                Known {
                    number: row.get(3)?,
                    workload,
                    name: row.get(2)?,
                    seen,
                },
            ))
        })?;
        Ok(Self {
            newest,
            containers: rows.into_iter().collect(),
        })
    }

    /// The number of a row's container, if nothing about it changed since the tick before.
    pub(super) fn unchanged(&mut self, row: &TickRow, ts: i64) -> Option<i64> {
        let known = self.containers.get_mut(&row.container)?;
        if known.workload != row.workload || known.name != row.name {
            return None;
        }
        known.seen = ts;
        Some(known.number)
    }

    /// Takes a row's container in, or what changed about it.
    pub(super) fn enter(&mut self, row: &TickRow, number: i64, ts: i64) {
        let known = Known {
            number,
            workload: row.workload.clone(),
            name: row.name.clone(),
            seen: ts,
        };
        self.containers.insert(row.container.clone(), known);
    }

    /// Moves on to the tick at `ts`. Of containers that it did not name, the one before was the last.
    pub(super) fn advance(&mut self, tx: &Connection, ts: i64) -> Result<(), Failure> {
        let before = self.newest.replace(ts);
        for (_, gone) in self.containers.extract_if(|_, known| known.seen != ts) {
            let sql = "UPDATE containers SET last_seen = ?2 WHERE number = ?1";
            run(tx, sql, [Some(gone.number), before])?;
        }
        Ok(())
    }
}

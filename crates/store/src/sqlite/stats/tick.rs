//! Writing a tick.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use shipslog_core::stats::{Tick, TickRow};

use super::super::connection::{first, run, writing};
use super::super::error::Failure;
use super::packed::{self, Row};
use super::{Present, containers, rollups};

/// A tick, with the numbers of the containers that are known already.
#[derive(Debug)]
pub(super) struct Plan {
    ts: i64,
    known: Vec<Row>,
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

/// A tick that was written.
#[derive(Debug)]
pub(super) struct Written {
    /// The containers that are present after it.
    pub(super) present: Present,
    /// Whether it was later than all before it and no container changed hands, so that nothing older changed.
    pub(super) appended: bool,
}

/// Writes a tick in one transaction.
pub(super) fn record(
    connection: &mut Connection,
    present: Option<Present>,
    plan: Plan,
) -> Result<Written, Failure> {
    let tx = writing(connection)?;
    let mut present = present.map_or_else(|| Present::load(&tx), Ok)?;
    let newest = present.newest.is_none_or(|newest| newest < plan.ts);
    let (mut rows, mut moved) = (plan.known, false);
    for row in &plan.others {
        if let Some(entered) = containers::enter(&tx, &mut present, plan.ts, row)? {
            rows.push((entered.number, row.sample));
            moved |= entered.moved;
        }
    }
    if newest {
        present.advance(&tx, plan.ts)?;
        // In the order of their numbers, as they are packed.
        rows.sort_by_key(|(number, _)| *number);
    } else {
        rows = in_place_of(stored(&tx, plan.ts)?, rows);
        rollups::take_back(&tx, plan.ts)?;
    }
    let sql = "INSERT OR REPLACE INTO recent (ts, data) VALUES (?1, ?2)";
    run(&tx, sql, params![plan.ts, packed::pack(&rows)])?;
    tx.commit()?;
    Ok(Written {
        present,
        appended: newest && !moved,
    })
}

fn stored(tx: &Connection, ts: i64) -> Result<Vec<Row>, Failure> {
    let sql = "SELECT data FROM recent WHERE ts = ?1";
    let rows = first(tx, sql, [ts], |row| packed::unpack(row.get_ref(0)?.as_blob()?))?;
    Ok(rows.unwrap_or_default())
}

/// The repeat of a tick replaces the rows that it names, also by none.
fn in_place_of(stored: Vec<Row>, rows: Vec<Row>) -> Vec<Row> {
    let merged: BTreeMap<_, _> = stored.into_iter().chain(rows).collect();
    merged.into_iter().collect()
}

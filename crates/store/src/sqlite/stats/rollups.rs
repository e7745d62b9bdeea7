//! Roll-ups, in pages of up to 60 buckets: an hour of minutes, or five hours of five minutes.

use std::collections::BTreeMap;

use rusqlite::{Connection, params};
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Point, Rollup, SteppedPoint, Tier};

use super::super::connection::{all, first, run, value};
use super::super::error::Failure;
use super::super::workloads::number as workload_number;
use super::varint::{Reader, put};

/// Buckets of a page.
const PAGE: i64 = 60;

/// Bits of a key below the tier.
const PAGE_BITS: u32 = 32;

/// Bits of a key below the number of the workload.
const WORKLOAD_SHIFT: u32 = PAGE_BITS + 1;

/// Buckets by their beginning.
type Buckets = BTreeMap<i64, Rollup>;

fn page_of(tier: Tier, ts: i64) -> i64 {
    ts.div_euclid(tier.seconds() * PAGE)
}

fn key(workload: i64, tier: Tier, page: i64) -> i64 {
    let tier = i64::from(tier == Tier::FiveMinutes);
    workload << WORKLOAD_SHIFT | tier << PAGE_BITS | page.clamp(0, (1 << PAGE_BITS) - 1)
}

/// Writes roll-ups, and how far they go.
pub(super) fn record(
    tx: &Connection,
    tier: Tier,
    rollups: &[(WorkloadId, Vec<Rollup>)],
    through: i64,
) -> Result<(), Failure> {
    for (workload, rollups) in rollups {
        let Some(workload) = workload_number(tx, workload)? else {
            continue;
        };
        for page in rollups.chunk_by(|a, b| page_of(tier, ts(a)) == page_of(tier, ts(b))) {
            put_page(tx, workload, tier, page)?;
        }
    }
    let sql = "INSERT OR REPLACE INTO rolled (tier, through) VALUES (?1, ?2)";
    run(tx, sql, [tier.seconds(), through])?;
    Ok(())
}

fn ts(rollup: &Rollup) -> i64 {
    rollup.point.point.ts
}

/// Puts buckets of one page to those that it has.
fn put_page(tx: &Connection, workload: i64, tier: Tier, new: &[Rollup]) -> Result<(), Failure> {
    let Some(page) = new.first().map(|rollup| page_of(tier, ts(rollup))) else {
        return Ok(());
    };
    let key = key(workload, tier, page);
    let start = page * PAGE * tier.seconds();
    let stored = first(tx, "SELECT data FROM rollups WHERE key = ?1", [key], |row| {
        unpack(tier, start, row.get_ref(0)?.as_blob()?)
    })?;
    let mut buckets = stored.unwrap_or_default();
    buckets.extend(new.iter().map(|rollup| (ts(rollup), *rollup)));
    let sql = "INSERT OR REPLACE INTO rollups (key, data) VALUES (?1, ?2)";
    run(tx, sql, params![key, pack(tier, start, &buckets)])?;
    Ok(())
}

/// Roll-ups of a workload with `from <= ts < to`.
pub(super) fn window(
    tx: &Connection,
    workload: &WorkloadId,
    tier: Tier,
    from: i64,
    to: i64,
) -> Result<Vec<Rollup>, Failure> {
    let Some(workload) = workload_number(tx, workload)? else {
        return Ok(Vec::new());
    };
    let keys = [from, to].map(|ts| key(workload, tier, page_of(tier, ts)));
    let sql = "SELECT key, data FROM rollups WHERE key BETWEEN ?1 AND ?2 ORDER BY key";
    let pages = all(tx, sql, keys, |row| {
        let page = row.get::<_, i64>(0)? & ((1 << PAGE_BITS) - 1);
        unpack(tier, page * PAGE * tier.seconds(), row.get_ref(1)?.as_blob()?)
    })?;
    let buckets = pages.into_iter().flat_map(Buckets::into_values);
    Ok(buckets
        .filter(|rollup| (from..to).contains(&ts(rollup)))
        .collect())
}

/// How far a tier goes.
pub(super) fn through(tx: &Connection, tier: Tier) -> Result<Option<i64>, Failure> {
    value(tx, "SELECT through FROM rolled WHERE tier = ?1", [tier.seconds()])
}

/// Has the buckets that a late tick is in made again.
pub(super) fn take_back(tx: &Connection, ts: i64) -> Result<(), Failure> {
    run(
        tx,
        "UPDATE rolled SET through = min(through, ?1 - ?1 % tier)",
        [ts],
    )?;
    Ok(())
}

/// Deletes pages of a tier that are old as a whole.
pub(super) fn prune(tx: &Connection, tier: Tier, before: i64) -> Result<(), Failure> {
    let end = page_of(tier, before.max(0));
    for workload in all(tx, "SELECT number FROM workloads", [], |row| Ok(row.get(0)?))? {
        let sql = "DELETE FROM rollups WHERE key >= ?1 AND key < ?2";
        run(tx, sql, [key(workload, tier, 0), key(workload, tier, end)])?;
    }
    Ok(())
}

/// Deletes all of a workload.
pub(in crate::sqlite) fn delete(tx: &Connection, workload: i64) -> Result<(), Failure> {
    let keys = [workload << WORKLOAD_SHIFT, (workload + 1) << WORKLOAD_SHIFT];
    run(tx, "DELETE FROM rollups WHERE key >= ?1 AND key < ?2", keys)?;
    Ok(())
}

fn pack(tier: Tier, start: i64, buckets: &Buckets) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (ts, rollup) in buckets {
        put(&mut bytes, ((ts - start) / tier.seconds()).cast_unsigned());
        put_rollup(&mut bytes, rollup);
    }
    bytes
}

fn put_rollup(bytes: &mut Vec<u8>, rollup: &Rollup) {
    let SteppedPoint {
        point,
        cpu_percent_max,
        memory_usage_max,
        samples,
    } = rollup.point;
    let values = [
        point.cpu_percent.map(thousandths),
        cpu_percent_max.map(thousandths),
        point.memory_usage,
        memory_usage_max,
        point.memory_limit,
        point.network_rx,
        point.network_tx,
        point.block_read,
        point.block_write,
    ];
    let known = values.iter().enumerate().filter(|(_, value)| value.is_some());
    put(bytes, samples.into());
    put(bytes, point.containers.into());
    put(bytes, known.fold(0, |flags, (bit, _)| flags | 1 << bit));
    values.into_iter().flatten().for_each(|value| put(bytes, value));
    put(bytes, thousandths(rollup.cpu_core_seconds));
    put(bytes, rollup.memory_byte_seconds.round() as u64);
}

fn thousandths(number: f64) -> u64 {
    (number * 1000.0).round() as u64
}

fn unpack(tier: Tier, start: i64, bytes: &[u8]) -> Result<Buckets, Failure> {
    let mut reader = Reader::new(bytes);
    let mut buckets = Buckets::new();
    while !reader.is_empty() {
        let rollup = rollup(&mut reader, tier, start).ok_or_else(|| Failure::invalid("stored value"))?;
        buckets.insert(ts(&rollup), rollup);
    }
    Ok(buckets)
}

fn rollup(reader: &mut Reader<'_>, tier: Tier, start: i64) -> Option<Rollup> {
    let place = reader.varint().filter(|place| *place < PAGE.cast_unsigned())?;
    let samples = reader.place()?;
    let containers = reader.place()?;
    let flags = reader.varint()?;
    let mut values = [None; 9];
    for (bit, value) in values.iter_mut().enumerate() {
        if flags & 1 << bit != 0 {
            *value = Some(reader.varint()?);
        }
    }
    let of_one = |thousandths: u64| thousandths as f64 / 1000.0;
    let point = Point {
        ts: start + place.cast_signed() * tier.seconds(),
        cpu_percent: values[0].map(of_one),
        memory_usage: values[2],
        memory_limit: values[4],
        network_rx: values[5],
        network_tx: values[6],
        block_read: values[7],
        block_write: values[8],
        containers,
    };
    let point = SteppedPoint {
        point,
        cpu_percent_max: values[1].map(of_one),
        memory_usage_max: values[3],
        samples,
    };
    Some(Rollup {
        point,
        cpu_core_seconds: of_one(reader.varint()?),
        memory_byte_seconds: reader.varint()? as f64,
    })
}

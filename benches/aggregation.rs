//! Summing a workload's window per timestamp, from columns to sums and on to points, and beside it what the same samples
//! cost in other ways: copying the columns, a map from timestamps to sums over rows, and a `GROUP BY` in SQLite.
//!
//! README.md beside this file says what came out.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use std::collections::HashMap;
use std::hint::black_box;
use std::time::Duration;

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use rusqlite::{Connection, params};
use shipslog_core::stats::{Columns, ColumnsBuilder, Point, Sample, aggregate};

/// Twenty hours of a tick every 10 seconds.
const TICKS: i64 = 7_200;

const START: i64 = 1_790_000_000;

/// A sample with its timestamp and the number of its container.
type Row = (i64, u64, Sample);

/// Numbers without a pattern, the same in each run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Which containers a host runs.
#[derive(Clone, Copy)]
enum Host {
    /// Of ten, five that idle, four that serve and one that is busy.
    Mixed,
    /// Busy ones alone, whose columns are as wide as any that were met.
    Busy,
}

/// Which of the ticks a container is in.
#[derive(Clone, Copy)]
enum Presence {
    /// All.
    Aligned,
    /// Half of the containers live for a part of the window only, and each misses 2 ticks of 100, here and there. What
    /// comes after a gap is a first reading, without rates.
    Gaps,
}

fn sample(noise: &mut Noise, host: Host, container: u64, first: bool) -> Sample {
    let kind = match host {
        Host::Mixed => container % 10,
        Host::Busy => 9,
    };
    let burst = noise.below(12) == 0;
    // In order: thousandths of a percent, pages, bytes per second on the network and to block devices.
    let [cpu, pages, network, block] = match kind {
        0..=4 => [
            noise.below(2_000),
            2_000 + noise.below(12_000),
            noise.below(2_000),
            0,
        ],
        5..=8 if burst => [
            60_000,
            25_000 + noise.below(170_000),
            300_000,
            noise.below(1 << 20),
        ],
        5..=8 => [
            5_000 + noise.below(55_000),
            25_000 + noise.below(170_000),
            10_000 + noise.below(290_000),
            0,
        ],
        _ => [
            50_000 + noise.below(300_000),
            250_000 + noise.below(700_000),
            1_000_000 + noise.below(19_000_000),
            noise.below(5 << 20),
        ],
    };
    let rate = |rate: u64| (!first).then_some(rate);
    Sample {
        cpu_percent: rate(cpu).map(|cpu| cpu as f64 / 1_000.0),
        memory_usage: Some(pages * 4_096),
        memory_limit: Some(if container.is_multiple_of(3) {
            0
        } else {
            (container % 4 + 1) << 28
        }),
        network_rx: rate(network),
        network_tx: rate(network / 2),
        block_read: rate(block),
        block_write: rate(block / 2),
    }
}

fn is_missed(noise: &mut Noise, presence: Presence, container: u64, tick: i64) -> bool {
    let life = container as i64 * 37 % TICKS;
    match (presence, container % 4) {
        (Presence::Aligned, _) => false,
        (Presence::Gaps, 1) if tick < life / 2 => true,
        (Presence::Gaps, 2) if tick > TICKS - life / 2 => true,
        (Presence::Gaps, _) => noise.below(100) < 2,
    }
}

/// The samples of a window, in the order in which a store reads them.
fn rows(host: Host, presence: Presence, containers: u64) -> Vec<Row> {
    let mut noise = Noise(88_172_645_463_325_252);
    let mut first = vec![true; containers as usize];
    let mut rows = Vec::new();
    for tick in 0..TICKS {
        for container in 0..containers {
            let missed = is_missed(&mut noise, presence, container, tick);
            let first = std::mem::replace(&mut first[container as usize], missed);
            if !missed {
                rows.push((
                    START + tick * 10,
                    container,
                    sample(&mut noise, host, container, first),
                ));
            }
        }
    }
    rows
}

fn columns(rows: &[Row]) -> Columns {
    let mut builder = ColumnsBuilder::new();
    rows.iter()
        .for_each(|(ts, container, sample)| builder.push(*ts, *container, sample));
    builder.finish()
}

/// The sums that come to mind first: a map from timestamps, in which every row finds its place.
fn by_map(rows: &[Row]) -> Vec<Point> {
    let mut points: HashMap<i64, Point> = HashMap::new();
    for (ts, _, sample) in rows {
        let point = points.entry(*ts).or_insert_with(|| Point::unread(*ts));
        add(point, sample);
    }
    let mut points: Vec<Point> = points.into_values().collect();
    points.sort_unstable_by_key(|point| point.ts);
    points
}

fn add(point: &mut Point, sample: &Sample) {
    let plus = |sum: &mut Option<u64>, value: Option<u64>| {
        if let Some(value) = value {
            *sum = Some(sum.unwrap_or(0) + value);
        }
    };
    if let Some(percent) = sample.cpu_percent {
        point.cpu_percent = Some(point.cpu_percent.unwrap_or(0.0) + percent);
    }
    plus(&mut point.memory_usage, sample.memory_usage);
    plus(&mut point.network_rx, sample.network_rx);
    plus(&mut point.network_tx, sample.network_tx);
    plus(&mut point.block_read, sample.block_read);
    plus(&mut point.block_write, sample.block_write);
    point.memory_limit = [point.memory_limit, sample.memory_limit]
        .into_iter()
        .flatten()
        .max_by_key(|limit| limit.wrapping_sub(1));
    point.containers += 1;
}

/// The samples of one workload and nothing else, in memory, in the order of the key: groups come out of it one after
/// another, without an index, a look-up or a sort.
fn database(rows: &[Row]) -> Connection {
    let mut connection = Connection::open_in_memory().unwrap();
    connection
        .execute_batch(
            "CREATE TABLE samples (ts INTEGER, container INTEGER, cpu INTEGER, memory_usage INTEGER, memory_limit INTEGER,
             network_rx INTEGER, network_tx INTEGER, block_read INTEGER, block_write INTEGER,
             PRIMARY KEY (ts, container)) WITHOUT ROWID",
        )
        .unwrap();
    let transaction = connection.transaction().unwrap();
    let mut insert = transaction
        .prepare("INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .unwrap();
    let whole = |number: Option<u64>| number.map(u64::cast_signed);
    for (ts, container, sample) in rows {
        let row = params![
            ts,
            container.cast_signed(),
            sample
                .cpu_percent
                .map(|percent| (percent * 1_000.0).round() as i64),
            whole(sample.memory_usage),
            whole(sample.memory_limit),
            whole(sample.network_rx),
            whole(sample.network_tx),
            whole(sample.block_read),
            whole(sample.block_write),
        ];
        insert.execute(row).unwrap();
    }
    drop(insert);
    transaction.commit().unwrap();
    connection
}

const GROUP_BY: &str = "SELECT ts, sum(cpu) / 1000.0, sum(memory_usage),
    CASE WHEN min(memory_limit) = 0 THEN 0 ELSE max(memory_limit) END,
    sum(network_rx), sum(network_tx), sum(block_read), sum(block_write), count(*)
    FROM samples GROUP BY ts ORDER BY ts";

fn by_sql(connection: &Connection) -> Vec<Point> {
    let mut statement = connection.prepare_cached(GROUP_BY).unwrap();
    let points = statement.query_map([], |row| {
        let whole = |column: usize| -> rusqlite::Result<Option<u64>> {
            Ok(row.get::<_, Option<i64>>(column)?.map(i64::cast_unsigned))
        };
        Ok(Point {
            ts: row.get(0)?,
            cpu_percent: row.get(1)?,
            memory_usage: whole(2)?,
            memory_limit: whole(3)?,
            network_rx: whole(4)?,
            network_tx: whole(5)?,
            block_read: whole(6)?,
            block_write: whole(7)?,
            containers: row.get(8)?,
        })
    });
    points.unwrap().map(Result::unwrap).collect()
}

/// CPU aside, which the map adds up as it comes and the columns in whole thousandths.
fn assert_same(points: &[Point], others: &[Point]) {
    assert_eq!(points.len(), others.len());
    for (point, other) in points.iter().zip(others) {
        let (cpu, other_cpu) = (
            point.cpu_percent.unwrap_or(-1.0),
            other.cpu_percent.unwrap_or(-1.0),
        );
        assert!((cpu - other_cpu).abs() < 1e-3, "{point:?} {other:?}");
        assert_eq!(
            Point {
                cpu_percent: other.cpu_percent,
                ..*point
            },
            *other
        );
    }
}

/// Moves the columns, and then the points as well: what comes out of a few containers is as large as what goes in.
fn copying(group: &mut BenchmarkGroup<'_, WallTime>, containers: u64, columns: &Columns, points: &[Point]) {
    let from = vec![1_u8; columns.value_bytes()];
    let mut into = vec![0_u8; from.len()];
    group.bench_function(BenchmarkId::new("memcpy", containers), |bench| {
        bench.iter(|| {
            into.copy_from_slice(black_box(&from));
            black_box(&mut into);
        });
    });
    let mut points_into = points.to_vec();
    group.bench_function(BenchmarkId::new("memcpy with points", containers), |bench| {
        bench.iter(|| {
            into.copy_from_slice(black_box(&from));
            points_into.copy_from_slice(black_box(points));
            black_box((&mut into, &mut points_into));
        });
    });
}

/// To sums in columns, and on to points, which are what it gives.
fn summing(group: &mut BenchmarkGroup<'_, WallTime>, containers: u64, columns: &Columns) -> Vec<Point> {
    group.bench_function(BenchmarkId::new("columns", containers), |bench| {
        bench.iter(|| black_box(aggregate(black_box(columns))).len());
    });
    group.bench_function(BenchmarkId::new("columns to points", containers), |bench| {
        bench.iter(|| aggregate(black_box(columns)).points());
    });
    aggregate(columns).points()
}

fn by_rows(group: &mut BenchmarkGroup<'_, WallTime>, containers: u64, rows: &[Row], points: &[Point]) {
    assert_same(points, &by_map(rows));
    group.bench_function(BenchmarkId::new("hash map", containers), |bench| {
        bench.iter(|| by_map(black_box(rows)));
    });
    let connection = database(rows);
    assert_same(points, &by_sql(&connection));
    group.bench_function(BenchmarkId::new("SQL GROUP BY", containers), |bench| {
        bench.iter(|| by_sql(black_box(&connection)));
    });
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    let (measuring, warming_up) = (Duration::from_secs(3), Duration::from_secs(1));
    group
        .sample_size(10)
        .measurement_time(measuring)
        .warm_up_time(warming_up);
    group
}

fn mixed(criterion: &mut Criterion) {
    for (name, presence) in [("aligned", Presence::Aligned), ("gaps", Presence::Gaps)] {
        let mut group = group(criterion, name);
        for containers in [10, 100, 1_000] {
            let rows = rows(Host::Mixed, presence, containers);
            let columns = columns(&rows);
            group.throughput(Throughput::Elements(rows.len() as u64));
            let points = summing(&mut group, containers, &columns);
            copying(&mut group, containers, &columns, &points);
            by_rows(&mut group, containers, &rows, &points);
        }
    }
}

fn busy(criterion: &mut Criterion) {
    let mut group = group(criterion, "aligned, all busy");
    for containers in [10, 100, 1_000] {
        let rows = rows(Host::Busy, Presence::Aligned, containers);
        let columns = columns(&rows);
        group.throughput(Throughput::Elements(rows.len() as u64));
        let points = summing(&mut group, containers, &columns);
        copying(&mut group, containers, &columns, &points);
    }
}

criterion_group!(benches, mixed, busy);
criterion_main!(benches);

//! What six hours of samples take on the disk once they are sealed, and from the file to points, beside rows in SQLite that
//! are grouped by SQL. And how long a tick waits at most while others are sealed and deleted.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use std::fs;
use std::hint::black_box;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion};
use rusqlite::{Connection, params};
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Point, Sample, StatsStore, Tick, TickRow, aggregate};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::WorkloadStore;
use shipslog_store::SqliteStore;
use tokio::runtime::Runtime;

/// Six hours of a tick every 3 seconds.
const TICKS: i64 = 7_200;
const SECONDS_A_TICK: i64 = 3;
const START: i64 = 1_790_000_000;

/// Measures of a sample, with its time.
const VALUES: f64 = 8.0;

/// Numbers without a pattern, the same in each run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}

/// A container as hosts have them: of ten, five idle, four serve a few requests, one works. Memory goes up and down by pages,
/// traffic comes in requests of about the same size, and disks are written now and then.
struct Container {
    kind: u64,
    pages: u64,
    busy: u64,
}

impl Container {
    fn new(number: u64) -> Self {
        let kind = number % 10;
        Self {
            kind,
            pages: 2_000 + number * 37 % 9_000 * (1 + kind),
            busy: 0,
        }
    }

    fn sample(&mut self, noise: &mut Noise) -> Sample {
        let requests = match self.kind {
            0..=4 => u64::from(noise.below(20) == 0),
            5..=8 => noise.below(6),
            _ => 20 + noise.below(10),
        };
        if noise.below(10) == 0 {
            self.pages = (self.pages + noise.below(33))
                .saturating_sub(noise.below(32))
                .max(500);
        }
        self.busy = if noise.below(200) == 0 {
            40
        } else {
            self.busy.saturating_sub(1)
        };
        let cpu =
            20 + noise.below(8) + requests * (300 + noise.below(40)) + if self.busy > 0 { 25_000 } else { 0 };
        let written = if noise.below(15) == 0 {
            4_096 * (1 + noise.below(4)) / 3
        } else {
            0
        };
        Sample {
            cpu_percent: Some(cpu as f64 / 1_000.0),
            memory_usage: Some(self.pages * 4_096),
            memory_limit: Some(if self.kind.is_multiple_of(3) { 0 } else { 512 << 20 }),
            network_rx: Some(requests * 620 / 3 + if requests > 0 { noise.below(16) } else { 0 }),
            network_tx: Some(requests * 2_400 / 3 + if requests > 0 { noise.below(64) } else { 0 }),
            block_read: Some(0),
            block_write: Some(written),
        }
    }
}

/// Every tick of a host with so many containers, all of one workload.
fn ticks(containers: u64, workload: &WorkloadId) -> Vec<Tick> {
    let mut noise = Noise(88_172_645_463_325_252);
    let mut host: Vec<Container> = (0..containers).map(Container::new).collect();
    let tick = |i| {
        let row = |(number, container): (usize, &mut Container)| TickRow {
            container: format!("{number:064x}").parse().unwrap(),
            name: format!("service-{number}"),
            workload: workload.clone(),
            sample: Some(container.sample(&mut noise)),
        };
        Tick {
            ts: START + i * SECONDS_A_TICK,
            rows: host.iter_mut().enumerate().map(row).collect(),
        }
    };
    (0..TICKS).map(tick).collect()
}

fn size(path: &Path) -> u64 {
    Connection::open(path)
        .unwrap()
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    fs::metadata(path).unwrap().len()
}

/// A file of ours with everything sealed that can be, and what it holds.
struct Ours {
    runtime: Runtime,
    store: SqliteStore,
    workload: WorkloadId,
}

impl Ours {
    fn new(path: &Path, containers: u64) -> (Self, Vec<Tick>) {
        let runtime = Runtime::new().unwrap();
        let store = SqliteStore::open(path).unwrap();
        let at = Timestamp::from_second(START).unwrap();
        let workload = runtime.block_on(store.observe_workload("web", at)).unwrap().id;
        let ticks = ticks(containers, &workload);
        runtime.block_on(async {
            for tick in &ticks {
                store.record_tick(tick).await.unwrap();
            }
            while store.seal_samples().await.unwrap() {}
            while store.prune_samples(0, 1).await.unwrap() {}
        });
        let ours = Self {
            runtime,
            store,
            workload,
        };
        (ours, ticks)
    }

    /// What was sealed leaves free room in the file, of which a server gives back a part every five minutes.
    fn give_back(&self) {
        for _ in 0..TICKS * SECONDS_A_TICK / 300 {
            self.runtime.block_on(self.store.prune_samples(0, 1)).unwrap();
        }
    }

    fn points(&self) -> Vec<Point> {
        let window = self
            .store
            .samples(&self.workload, START, START + TICKS * SECONDS_A_TICK);
        aggregate(&self.runtime.block_on(window).unwrap()).points()
    }
}

/// Rows by time and container, in the order in which SQL groups them, without an index or a sort.
fn rows(path: &Path, ticks: &[Tick]) -> Connection {
    let mut connection = Connection::open(path).unwrap();
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
            CREATE TABLE samples (key INTEGER PRIMARY KEY, cpu INTEGER, memory_usage INTEGER, memory_limit INTEGER,
            network_rx INTEGER, network_tx INTEGER, block_read INTEGER, block_write INTEGER) STRICT",
        )
        .unwrap();
    let transaction = connection.transaction().unwrap();
    for tick in ticks {
        let insert = "INSERT INTO samples VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        let mut insert = transaction.prepare_cached(insert).unwrap();
        for (number, row) in tick.rows.iter().enumerate() {
            let sample = row.sample.unwrap();
            let whole = |value: Option<u64>| value.map(u64::cast_signed);
            insert
                .execute(params![
                    tick.ts << 24 | number as i64,
                    sample
                        .cpu_percent
                        .map(|percent| (percent * 1_000.0).round() as i64),
                    whole(sample.memory_usage),
                    whole(sample.memory_limit),
                    whole(sample.network_rx),
                    whole(sample.network_tx),
                    whole(sample.block_read),
                    whole(sample.block_write),
                ])
                .unwrap();
        }
    }
    transaction.commit().unwrap();
    connection
}

const GROUP_BY: &str = "SELECT key >> 24 AS ts, sum(cpu) / 1000.0, sum(memory_usage),
    CASE WHEN min(memory_limit) = 0 THEN 0 ELSE max(memory_limit) END,
    sum(network_rx), sum(network_tx), sum(block_read), sum(block_write), count(*)
    FROM samples GROUP BY key >> 24 ORDER BY ts";

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

fn assert_same(ours: &[Point], others: &[Point]) {
    assert_eq!(ours.len(), others.len());
    for (point, other) in ours.iter().zip(others) {
        assert!((point.cpu_percent.unwrap() - other.cpu_percent.unwrap()).abs() < 1e-3);
        let cpu_percent = other.cpu_percent;
        assert_eq!(
            Point {
                cpu_percent,
                ..*point
            },
            *other
        );
    }
}

/// What the blocks alone take, by value, and the whole file by sample.
fn tell_sizes(path: &Path, containers: u64) {
    let connection = Connection::open(path).unwrap();
    let sealed: (i64, i64) = connection
        .query_row(
            "SELECT (SELECT sum(length(data)) FROM blocks) + (SELECT sum(length(axis)) FROM spans),
            (SELECT count(*) FROM recent)",
            [],
            |row| Ok((row.get(0)?, row.get(1)?)),
        )
        .unwrap();
    let values = ((TICKS - sealed.1) * containers as i64) as f64 * VALUES;
    let samples = TICKS as f64 * containers as f64;
    println!(
        "history/{containers} containers  {:.2} bytes a value sealed, {:.1} bytes a sample of the whole file ({} ticks not sealed)",
        sealed.0 as f64 / values,
        size(path) as f64 / samples,
        sealed.1,
    );
}

fn from_file_to_points(criterion: &mut Criterion, measures: bool) {
    let directory = tempfile::tempdir().unwrap();
    for containers in [10, 100] {
        let path = directory.path().join(format!("ours-{containers}.db"));
        let (ours, ticks) = Ours::new(&path, containers);
        let sql = rows(&directory.path().join(format!("rows-{containers}.db")), &ticks);
        assert_same(&ours.points(), &by_sql(&sql));
        let mut group = criterion.benchmark_group("history");
        group.sample_size(10).measurement_time(Duration::from_secs(3));
        group.bench_function(BenchmarkId::new("blocks", containers), |b| {
            b.iter(|| black_box(ours.points()))
        });
        group.bench_function(BenchmarkId::new("SQL GROUP BY", containers), |b| {
            b.iter(|| black_box(by_sql(&sql)))
        });
        group.finish();
        if measures {
            tell_sizes(&path, containers);
        }
    }
}

/// How long ticks of 100 containers take while older ones are sealed and deleted all the time.
fn tell_stalls() {
    let directory = tempfile::tempdir().unwrap();
    let runtime = Runtime::new().unwrap();
    let store = SqliteStore::open(directory.path().join("stalls.db")).unwrap();
    let at = Timestamp::from_second(START).unwrap();
    let workload = runtime.block_on(store.observe_workload("web", at)).unwrap().id;
    let ticks = ticks(100, &workload);
    let housekeeper = store.clone();
    runtime.spawn(async move {
        let mut rounds = 0;
        loop {
            let sealed = housekeeper.seal_samples().await.unwrap();
            rounds += i64::from(sealed);
            housekeeper
                .prune_samples(START + (rounds - 4) * 512 * SECONDS_A_TICK, 5_000)
                .await
                .unwrap();
            if !sealed {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
    });
    let recording = runtime.spawn(async move {
        let mut took = Vec::new();
        for tick in &ticks {
            let start = Instant::now();
            store.record_tick(tick).await.unwrap();
            took.push(start.elapsed());
            tokio::time::sleep(Duration::from_micros(500)).await;
        }
        took.sort();
        took
    });
    let took = runtime.block_on(recording).unwrap();
    println!(
        "history/stalls  a tick of 100 rows beside sealing and pruning: median {:?}, 99.9 % {:?}, longest {:?}",
        took[took.len() / 2],
        took[took.len() * 999 / 1_000],
        took[took.len() - 1],
    );
}

/// Writes the samples of 100 containers to files that others can read, and says what ours makes of them: for
/// `make compare`.
fn export(folder: &Path) {
    let path = folder.join("ours.db");
    let (ours, ticks) = Ours::new(&path, 100);
    let mut took: Vec<Duration> = (0..15).map(|_| time(|| ours.points())).collect();
    took.sort();
    write_csv(&folder.join("samples.csv"), &ticks);
    ours.give_back();
    drop(ours);
    println!(
        "{{\"sum_ms\": {}, \"bytes\": {}}}",
        took[took.len() / 2].as_secs_f64() * 1_000.0,
        size(&path)
    );
}

fn time<T>(work: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

/// One row a sample, processor use in thousandths of a percent as ours keeps it.
fn write_csv(path: &Path, ticks: &[Tick]) {
    let mut file = BufWriter::new(fs::File::create(path).unwrap());
    let columns = "ts,container,cpu,memory_usage,memory_limit,network_rx,network_tx,block_read,block_write";
    writeln!(file, "{columns}").unwrap();
    for tick in ticks {
        for (row, sample) in tick.rows.iter().filter_map(|row| Some((row, row.sample?))) {
            let cpu = (sample.cpu_percent.unwrap() * 1_000.0).round();
            write!(file, "{},{},{cpu}", tick.ts, row.name).unwrap();
            let rest = [
                sample.memory_usage,
                sample.memory_limit,
                sample.network_rx,
                sample.network_tx,
                sample.block_read,
                sample.block_write,
            ];
            rest.into_iter()
                .for_each(|value| write!(file, ",{}", value.unwrap()).unwrap());
            writeln!(file).unwrap();
        }
    }
    file.flush().unwrap();
}

fn main() {
    if let Some(folder) = std::env::var_os("SHIPSLOG_COMPARE") {
        return export(Path::new(&folder));
    }
    let mut criterion = Criterion::default().configure_from_args();
    // Cargo passes this when it measures, and not when it only tries whether benchmarks run.
    let measures = std::env::args().any(|argument| argument == "--bench");
    from_file_to_points(&mut criterion, measures);
    if measures {
        tell_stalls();
    }
    criterion.final_summary();
}

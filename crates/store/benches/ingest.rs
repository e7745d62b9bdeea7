//! What a tick of 100 containers costs to store, in time and in bytes, and beside it what the same samples cost in the
//! schema that comes to mind first: a row of texts with an index.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput};
use rusqlite::{Connection, params};
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Sample, StatsStore, Tick, TickRow};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::WorkloadStore;
use shipslog_store::SqliteStore;
use tokio::runtime::Runtime;

const CONTAINERS: usize = 100;
const WORKLOADS: usize = 20;

/// Ticks made in advance; they are recorded over and over, each time later.
const TICKS: usize = 64;

/// Ticks in the files whose size is told.
const TICKS_IN_FILE: usize = 5_000;

const START: i64 = 1_790_000_000;
const SECONDS_A_TICK: i64 = 10;

/// Numbers without a pattern, the same in each run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn sample(&mut self) -> Sample {
        Sample {
            cpu_percent: Some(self.below(80_000) as f64 / 1000.0),
            memory_usage: Some(16_000_000 + self.below(400_000_000)),
            memory_limit: Some(512 << 20),
            network_rx: Some(self.below(200_000)),
            network_tx: Some(self.below(200_000)),
            block_read: Some(self.below(2_000)),
            block_write: Some(self.below(60_000)),
        }
    }

    fn hex(&mut self) -> String {
        (0..8)
            .map(|_| format!("{:08x}", self.below(u32::MAX.into())))
            .collect()
    }
}

/// What is recorded: the same samples for both schemas.
struct Load {
    ticks: Vec<Tick>,
    next: usize,
}

impl Load {
    fn new(workloads: &[WorkloadId]) -> Self {
        let mut noise = Noise(7);
        let ids: Vec<String> = (0..CONTAINERS).map(|_| noise.hex()).collect();
        let row = |(i, id): (usize, &String), noise: &mut Noise| TickRow {
            container: id.parse().unwrap(),
            name: format!("project-service-{i}"),
            workload: workloads[i % workloads.len()].clone(),
            sample: Some(noise.sample()),
        };
        let tick = |noise: &mut Noise| ids.iter().enumerate().map(|each| row(each, noise)).collect();
        let ticks = (0..TICKS)
            .map(|_| Tick {
                ts: 0,
                rows: tick(&mut noise),
            })
            .collect();
        Self { ticks, next: 0 }
    }

    fn tick(&mut self) -> &Tick {
        let tick = &mut self.ticks[self.next % TICKS];
        tick.ts = START + self.next as i64 * SECONDS_A_TICK;
        self.next += 1;
        tick
    }
}

/// The store as it is, by its public method, from a task as the recorder's.
struct Ours {
    runtime: Runtime,
    store: SqliteStore,
    load: Option<Load>,
}

impl Ours {
    fn new(path: &Path) -> Self {
        let runtime = Runtime::new().unwrap();
        let store = SqliteStore::open(path).unwrap();
        let at = Timestamp::from_second(START).unwrap();
        let observe = |i| {
            runtime
                .block_on(store.observe_workload(&format!("project-{i}"), at))
                .unwrap()
                .id
        };
        let workloads: Vec<WorkloadId> = (0..WORKLOADS).map(observe).collect();
        Self {
            load: Some(Load::new(&workloads)),
            runtime,
            store,
        }
    }

    fn record(&mut self, ticks: u64) -> Duration {
        let (store, mut load) = (self.store.clone(), self.load.take().unwrap());
        let task = async move {
            let start = Instant::now();
            for _ in 0..ticks {
                store.record_tick(load.tick()).await.unwrap();
            }
            (start.elapsed(), load)
        };
        let (elapsed, load) = self.runtime.block_on(self.runtime.spawn(task)).unwrap();
        self.load = Some(load);
        elapsed
    }
}

/// Texts in every row. It has no thread to hand over to and no container index to keep, which is in its favour.
struct Texts {
    connection: Connection,
    load: Load,
}

impl Texts {
    fn new(path: &Path) -> Self {
        let connection = Connection::open(path).unwrap();
        let schema = "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
            CREATE TABLE samples (container TEXT NOT NULL, workload TEXT NOT NULL, ts INTEGER NOT NULL, cpu REAL,
                memory_usage INTEGER, memory_limit INTEGER, network_rx INTEGER, network_tx INTEGER,
                block_read INTEGER, block_write INTEGER);
            CREATE INDEX samples_by_workload ON samples (workload, ts);";
        connection.execute_batch(schema).unwrap();
        let at = Timestamp::from_second(START).unwrap();
        let workloads: Vec<_> = (0..WORKLOADS).map(|_| WorkloadId::generate(at)).collect();
        Self {
            connection,
            load: Load::new(&workloads),
        }
    }

    fn record(&mut self) {
        let tick = self.load.tick();
        let tx = self.connection.transaction().unwrap();
        let insert = "INSERT INTO samples VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        for row in &tick.rows {
            let sample = row.sample.unwrap_or_default();
            let values = params![
                row.container.as_str(),
                row.workload.as_str(),
                tick.ts,
                sample.cpu_percent,
                sample.memory_usage,
                sample.memory_limit,
                sample.network_rx,
                sample.network_tx,
                sample.block_read,
                sample.block_write,
            ];
            tx.prepare_cached(insert).unwrap().execute(values).unwrap();
        }
        tx.commit().unwrap();
    }
}

fn throughput(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("ingest");
    group
        .throughput(Throughput::Elements(CONTAINERS as u64))
        .measurement_time(Duration::from_secs(5));
    let mut ours = Ours::new(&directory.path().join("ours.db"));
    group.bench_function("time_first_key", |b| b.iter_custom(|ticks| ours.record(ticks)));
    drop(ours);
    let mut texts = Texts::new(&directory.path().join("texts.db"));
    group.bench_function("text_ids", |b| b.iter(|| texts.record()));
    group.finish();
}

/// Fills a file of each kind and tells what a row takes in it, once it is closed and all is written back.
fn bytes_a_row() {
    let directory = tempfile::tempdir().unwrap();
    let (ours, texts) = (
        directory.path().join("ours.db"),
        directory.path().join("texts.db"),
    );
    let mut filling = Ours::new(&ours);
    filling.record(TICKS_IN_FILE as u64);
    drop(filling);
    let mut filling = Texts::new(&texts);
    (0..TICKS_IN_FILE).for_each(|_| filling.record());
    drop(filling);
    let per_row =
        |path: &Path| fs::metadata(path).unwrap().len() as f64 / (CONTAINERS * TICKS_IN_FILE) as f64;
    println!("ingest/time_first_key  {:.1} bytes a row", per_row(&ours));
    println!("ingest/text_ids        {:.1} bytes a row", per_row(&texts));
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    throughput(&mut criterion);
    // Cargo passes this when it measures, and not when it only tries whether benchmarks run.
    if std::env::args().any(|argument| argument == "--bench") {
        bytes_a_row();
    }
    criterion.final_summary();
}

//! That sealing changes how samples are kept, and nothing that a reader sees.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

mod support;

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rusqlite::Connection;
use shipslog_core::deploys::DeployStore;
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Point, Sample, StatsStore, Tick, TickRow, aggregate};
use shipslog_core::workloads::WorkloadStore;
use shipslog_store::SqliteStore;
use support::{OnDisk, create, on_disk, prune_all, record, seal_all};

/// Numbers without a pattern, the same in each run.
struct Noise(u64);

impl Noise {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn known<T>(&mut self, value: T) -> Option<T> {
        (self.below(50) > 0).then_some(value)
    }

    /// Values of every width, some in whole pages and some not, some not known.
    fn sample(&mut self, container: u64) -> Sample {
        let memory = self.below(1 << 20) << if container == 3 { 9 } else { 12 };
        let unlimited = self.below(400) == 0;
        let (cpu, network, block) = (
            self.below(400_000),
            self.below(1 << (10 * (container % 4))),
            self.below(99),
        );
        Sample {
            cpu_percent: self.known(cpu as f64 / 1000.0),
            memory_usage: self.known(memory),
            memory_limit: self.known(if unlimited { 0 } else { 512 << 20 }),
            network_rx: self.known(network),
            network_tx: self.known(if container == 5 { u64::MAX / 3 } else { network / 2 }),
            block_read: self.known(block),
            block_write: Some(0),
        }
    }
}

const TICKS: i64 = 2_500;

/// Two workloads whose containers come, go and miss ticks; `ours` has the even ones.
async fn furnished() -> (OnDisk, WorkloadId) {
    let store = on_disk();
    let (ours, other) = (create(&store, "ours").await, create(&store, "other").await);
    let mut noise = Noise(88_172_645_463_325_252);
    for i in 0..TICKS {
        let present = (0..8).filter(|container| match container {
            2 => i > 700,
            4 => i < 1_500,
            6 => (1_100..1_130).contains(&i),
            _ => true,
        });
        let rows = present.map(|container| TickRow {
            container: format!("container-{container}").parse().unwrap(),
            name: format!("name-{container}"),
            workload: if container % 2 == 0 {
                ours.clone()
            } else {
                other.clone()
            },
            sample: (noise.below(40) > 0).then(|| noise.sample(container)),
        });
        let rows = rows.collect();
        store.record_tick(&Tick { ts: at(i), rows }).await.unwrap();
    }
    (store, ours)
}

/// The time of a tick; now and then one or two are missing.
fn at(i: i64) -> i64 {
    1_000_000 + i * 10 + i / 300 * 25
}

async fn points(store: &SqliteStore, workload: &WorkloadId, from: i64, to: i64) -> Vec<Point> {
    aggregate(&store.samples(workload, from, to).await.unwrap()).points()
}

const WINDOWS: [(i64, i64); 6] = [
    (0, TICKS),
    (5, 900),
    (1_000, 1_050),
    (1_023, 1_025),
    (2_040, 2_060),
    (2_400, TICKS),
];

async fn answers(store: &SqliteStore) -> Vec<Vec<Point>> {
    let mut answers = Vec::new();
    for workload in store.workloads().await.unwrap() {
        for (from, to) in WINDOWS {
            answers.push(points(store, &workload.id, at(from), at(to)).await);
        }
    }
    answers
}

fn raw(store: &OnDisk, sql: &str) -> i64 {
    let connection = Connection::open(&store.path).unwrap();
    connection.query_row(sql, [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn readers_notice_nothing() {
    let (store, _) = furnished().await;
    let before = answers(&store).await;
    assert!(before.iter().all(|points| !points.is_empty()));
    seal_all(&store).await;
    assert_eq!(raw(&store, "SELECT count(*) FROM spans"), 4);
    assert_eq!(raw(&store, "SELECT count(*) FROM recent"), TICKS - 4 * 512);
    assert_eq!(answers(&store).await, before);
}

#[tokio::test]
async fn a_tick_that_comes_late_counts_at_once_and_after_it_was_sealed() {
    let (store, ours) = furnished().await;
    seal_all(&store).await;
    let late = |i: i64, sample| {
        let row = TickRow {
            container: "container-0".parse().unwrap(),
            name: "name-0".into(),
            workload: ours.clone(),
            sample,
        };
        Tick {
            ts: i,
            rows: vec![row],
        }
    };
    let sample = Sample {
        memory_usage: Some(77),
        ..Sample::default()
    };
    // In the place of a sealed sample, of one that is taken away, between two spans, and before all.
    for (ts, sample) in [
        (at(500), Some(sample)),
        (at(501), None),
        (at(1_023) + 3, Some(sample)),
        (at(0) - 40, Some(sample)),
    ] {
        store.record_tick(&late(ts, sample)).await.unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..2 {
        let columns = store.samples(&ours, 0, i64::MAX).await.unwrap();
        let of_it = columns.samples().filter(|(_, number, _)| *number == 1);
        let memory: Vec<_> = of_it.map(|(ts, _, sample)| (ts, sample.memory_usage)).collect();
        let find = |ts| memory.iter().find(|sample| sample.0 == ts).copied();
        assert_eq!(find(at(500)), Some((at(500), Some(77))));
        assert_eq!(find(at(501)), None);
        assert_eq!(find(at(1_023) + 3), Some((at(1_023) + 3, Some(77))));
        assert_eq!(memory[0], (at(0) - 40, Some(77)));
        assert!(memory.is_sorted_by(|a, b| a.0 < b.0));
        seen.push(memory);
        seal_all(&store).await;
    }
    assert_eq!(seen[0], seen[1]);
    assert_eq!(
        raw(
            &store,
            "SELECT count(*) FROM recent WHERE ts < (SELECT max(last) FROM spans)"
        ),
        0
    );
}

#[tokio::test]
async fn spans_go_once_all_of_them_is_old() {
    let (store, ours) = furnished().await;
    seal_all(&store).await;
    prune_all(&store, at(1_024)).await;
    assert_eq!(raw(&store, "SELECT count(*) FROM spans"), 2);
    assert_eq!(
        raw(
            &store,
            "SELECT count(*) FROM blocks WHERE key >> 24 < (SELECT first FROM spans)"
        ),
        0
    );
    assert_eq!(points(&store, &ours, 0, at(1_024)).await, []);
    assert!(!points(&store, &ours, at(1_024), at(1_025)).await.is_empty());
    prune_all(&store, at(2_048) + 1).await;
    assert_eq!(raw(&store, "SELECT count(*) FROM blocks"), 0);
}

#[tokio::test]
async fn what_was_sealed_of_a_deleted_workload_is_freed() {
    let (store, ours) = furnished().await;
    seal_all(&store).await;
    let before = raw(&store, "SELECT count(*) FROM blocks");
    store.delete_workload(&ours).await.unwrap();
    assert_eq!(points(&store, &ours, 0, i64::MAX).await, []);
    prune_all(&store, 0).await;
    assert!(raw(&store, "SELECT count(*) FROM blocks") < before);
    assert_eq!(raw(&store, "SELECT count(*) FROM containers"), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn ticks_come_in_while_others_are_sealed() {
    let store = on_disk();
    let id = create(&store, "web").await;
    let sealing = {
        let store = store.store.clone();
        tokio::spawn(async move {
            loop {
                seal_all(&store).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        })
    };
    for ts in 0..4_000 {
        record(&store, ts, 10, &id).await;
        if ts % 500 == 499 {
            // Late, so that a span has to be made again.
            record(&store, ts - 450, 10, &id).await;
        }
    }
    sealing.abort();
    let _ = sealing.await;
    seal_all(&store).await;
    assert!(raw(&store, "SELECT count(*) FROM spans") >= 3);
    assert_eq!(store.samples(&id, 0, 4_000).await.unwrap().len(), 40_000);
}

/// Set in the child: the database that it writes and seals until it is killed.
const DATABASE: &str = "SHIPSLOG_TEST_SEALED";

/// The child's part; without a parent there is nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writes_and_seals_until_it_is_killed() {
    let Some(path) = env::var_os(DATABASE) else { return };
    let store = SqliteStore::open(&path).unwrap();
    let id = store.workloads().await.unwrap().remove(0).id;
    let newest = store
        .samples(&id, 0, i64::MAX)
        .await
        .unwrap()
        .timestamps()
        .last()
        .copied();
    let sealing = store.clone();
    tokio::spawn(async move {
        loop {
            seal_all(&sealing).await;
        }
    });
    for ts in newest.map_or(0, |ts| ts + 1).. {
        record(&store, ts, 10, &id).await;
        fs::write(Path::new(&path).with_extension("newest"), ts.to_string()).unwrap();
    }
}

#[tokio::test]
async fn kill_9_while_sealing_loses_and_doubles_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let id = create(&SqliteStore::open(&path).unwrap(), "web").await;
    let mut rounds = 0;
    let mut spans = 0;
    while rounds < 8 || spans < 3 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--exact", "writes_and_seals_until_it_is_killed"])
            .env(DATABASE, &path)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(300 + rounds * 37));
        child.kill().unwrap();
        child.wait().unwrap();
        let newest = fs::read_to_string(path.with_extension("newest")).unwrap_or_default();
        // Cut off while it was written, it says less than was; a child that was slow to start has written nothing.
        let newest: i64 = newest.parse().unwrap_or(-1);
        let store = SqliteStore::open(&path).unwrap();
        let columns = store.samples(&id, 0, i64::MAX).await.unwrap();
        let ticks = columns.timestamps();
        assert!(
            ticks.last().is_none_or(|last| *last >= newest),
            "{newest} is lost"
        );
        assert!(newest < 0 || !ticks.is_empty(), "all is lost");
        assert_eq!(ticks, (0..ticks.len() as i64).collect::<Vec<_>>());
        assert_eq!(columns.len(), ticks.len() * 10);
        let overlap = "SELECT (SELECT count(*) FROM recent WHERE ts <= (SELECT max(last) FROM spans))";
        let connection = Connection::open(&path).unwrap();
        let count = |sql| connection.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap();
        assert_eq!(count(overlap), 0, "a tick is in both places");
        spans = count("SELECT count(*) FROM spans");
        rounds += 1;
        assert!(rounds < 60, "nothing is sealed");
    }
}

#[tokio::test]
async fn damaged_blocks_are_an_error_and_never_a_panic() {
    let (store, ours) = furnished().await;
    seal_all(&store).await;
    let connection = Connection::open(&store.path).unwrap();
    let (key, data): (i64, Vec<u8>) = connection
        .query_row("SELECT key, data FROM blocks ORDER BY key LIMIT 1", [], |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .unwrap();
    let mut noise = Noise(42);
    for round in 0..300 {
        let mut damaged = data.clone();
        let place = noise.below(damaged.len() as u64) as usize;
        damaged[place] ^= 1 + noise.below(255) as u8;
        if round % 3 == 0 {
            damaged.truncate(place);
        }
        connection
            .execute("UPDATE blocks SET data = ?2 WHERE key = ?1", (key, damaged))
            .unwrap();
        let answer = store.samples(&ours, at(0), at(1_000)).await;
        assert!(answer.is_ok() || answer.is_err_and(|error| error.to_string().contains("stored value")));
    }
}

#[tokio::test]
async fn rows_of_an_earlier_version_are_taken_along() {
    let store = on_disk();
    let id = create(&store, "web").await;
    record(&store, 10, 3, &id).await;
    let row = support::deploy(&store, &id).await;
    let path = &store.path;
    let connection = Connection::open(path).unwrap();
    let schema = include_str!("../migrations/004_stats.sql");
    let samples = &schema[schema.find("CREATE TABLE samples").unwrap()..];
    let ticks = "CREATE TABLE ticks (ts INTEGER PRIMARY KEY) STRICT;";
    connection
        .execute_batch(&format!(
            "ALTER TABLE deploys DROP COLUMN pin_parts; ALTER TABLE deploys DROP COLUMN pin_plan; ALTER TABLE deploys DROP COLUMN failed_part;
            DROP TABLE recent; DROP TABLE spans; DROP TABLE blocks; DROP TABLE rollups; DROP TABLE rolled;{samples} {ticks} PRAGMA user_version = 4;
            WITH RECURSIVE tick(ts) AS (VALUES (10) UNION ALL SELECT ts + 10 FROM tick WHERE ts < 20000)
            INSERT INTO ticks SELECT ts FROM tick;
            INSERT INTO samples SELECT ts << 24 | number, ts, 4096 * number, 0, NULL, 5, 6, 7
                FROM ticks, containers WHERE ts < 20000"
        ))
        .unwrap();
    let copy = path.with_file_name("copy.db");
    connection
        .execute("VACUUM INTO ?1", [copy.to_str().unwrap()])
        .unwrap();
    fs::copy(support::beside(path, ".key"), support::beside(&copy, ".key")).unwrap();
    let migrated = SqliteStore::open(&copy).unwrap();
    assert_eq!(migrated.deploy(&row.id).await.unwrap(), row);
    assert_eq!(migrated.deploy_plan(&row.id).await.unwrap(), None);
    for _ in 0..2 {
        let points = points(&migrated, &id, 0, i64::MAX).await;
        assert_eq!(
            (points.len(), points[0].ts, points[1_998].ts),
            (1_999, 10, 19_990)
        );
        assert!(
            points
                .iter()
                .all(|point| point.memory_usage == Some(4_096 * 6) && point.containers == 3)
        );
        assert_eq!((points[7].cpu_percent, points[7].network_rx), (Some(0.24), None));
        seal_all(&migrated).await;
    }
    // The newest tick read nothing, and is the newest all the same.
    assert_eq!(migrated.seen_containers(&id).await.unwrap()[0].last_seen, 20_000);
}

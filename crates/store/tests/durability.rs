//! That what was acknowledged stays, when the process is killed, and when many write at once.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

mod support;

use std::collections::HashSet;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use rusqlite::Connection;
use shipslog_core::deploys::DeployStore;
use shipslog_core::stats::StatsStore;
use shipslog_core::store::StoreError;
use shipslog_core::workloads::WorkloadStore;
use shipslog_store::{OpenError, SqliteStore};
use support::{create, deploy, new_deploy, on_disk, record};

/// Set in the child: the database that it writes until it is killed.
const DATABASE: &str = "SHIPSLOG_TEST_DATABASE";

/// Rows that the parent waits for before it kills.
const ACKNOWLEDGED: usize = 40;

/// The child's part; without a parent there is nothing to do.
#[tokio::test]
async fn writes_until_it_is_killed() {
    let Some(path) = env::var_os(DATABASE) else { return };
    let store = SqliteStore::open(path).unwrap();
    let id = match store.workloads().await.unwrap().into_iter().next() {
        Some(workload) => workload.id,
        None => create(&store, "web").await,
    };
    for left in store.running_deploys().await.unwrap() {
        support::close(&store, &left.id).await;
    }
    for ts in 0.. {
        let row = deploy(&store, &id).await;
        record(&store, ts, 10, &id).await;
        println!("acknowledged {} {ts}", row.id);
    }
}

fn spawn_writer(path: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", "writes_until_it_is_killed", "--nocapture"])
        .env(DATABASE, path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// The rows and ticks that the child said it had written.
fn acknowledged(child: &mut Child, count: usize) -> Vec<(String, i64)> {
    let lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap);
    let words = lines.filter_map(|line| {
        let mut words = line.split_once("acknowledged ")?.1.split(' ');
        Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
    });
    words.take(count).collect()
}

#[tokio::test]
async fn kill_9_loses_nothing_that_was_acknowledged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let mut written = HashSet::new();
    for round in 1..=5 {
        let mut child = spawn_writer(&path);
        let rows = acknowledged(&mut child, ACKNOWLEDGED + round);
        assert!(matches!(SqliteStore::open(&path), Err(OpenError::InUse { .. })));
        child.kill().unwrap();
        child.wait().unwrap();
        let newest = rows.last().unwrap().1;
        written.extend(rows.into_iter().map(|(id, _)| id));

        let store = SqliteStore::open(&path).unwrap();
        let id = store.workloads().await.unwrap().remove(0).id;
        let found: HashSet<String> = store
            .all_deploys(&id)
            .await
            .unwrap()
            .into_iter()
            .map(|row| row.id.into())
            .collect();
        assert!(
            written.is_subset(&found),
            "round {round}: {:?} are lost",
            written.difference(&found)
        );
        assert!(store.running_deploys().await.unwrap().len() <= 1);
        let ticks = store.samples(&id, 0, newest + 1).await.unwrap();
        assert_eq!(ticks.len() as i64, (newest + 1) * 10);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_fifty_that_open_a_row_at_once_one_succeeds() {
    let store = on_disk();
    let id = create(&store, "web").await;
    let open = |_| {
        let (store, new) = (store.store.clone(), new_deploy(&id));
        tokio::spawn(async move { store.open_deploy(new).await })
    };
    let tasks: Vec<_> = (0..50).map(open).collect();
    let mut won = Vec::new();
    for task in tasks {
        match task.await.unwrap() {
            Ok(row) => won.push(row),
            Err(StoreError::Conflict { what }) => assert_eq!(what, "running deploy"),
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!(store.all_deploys(&id).await.unwrap(), won);
    assert_eq!(won.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_write_and_read_side_by_side() {
    for store in [on_disk().store, SqliteStore::in_memory().unwrap()] {
        let shared = create(&store, "shared").await;
        let worker = async |i: i64, store: SqliteStore, shared: shipslog_core::id::WorkloadId| {
            let own = create(&store, &format!("own-{i}")).await;
            for turn in 0..10 {
                deploy(&store, &own).await;
                record(&store, turn * 20 + i, 5, &shared).await;
                store.samples(&shared, 0, 1_000).await.unwrap();
                store.workloads().await.unwrap();
            }
            store.all_deploys(&own).await.unwrap().len()
        };
        let tasks: Vec<_> = (0..16)
            .map(|i| tokio::spawn(worker(i, store.clone(), shared.clone())))
            .collect();
        for task in tasks {
            assert_eq!(task.await.unwrap(), 10);
        }
        assert_eq!(store.samples(&shared, 0, 1_000).await.unwrap().len(), 16 * 10 * 5);
    }
}

#[tokio::test]
async fn a_write_goes_on_when_its_caller_goes_away() {
    let store = on_disk();
    let id = create(&store, "web").await;
    let new = new_deploy(&id);
    let mut write = Box::pin(store.open_deploy(new.clone()));
    // Begins it. Whether it is done by then or not: what was begun is finished.
    let _ = std::future::poll_fn(|cx| std::task::Poll::Ready(write.as_mut().poll(cx))).await;
    drop(write);
    // Waits for its turn behind the write that was left.
    assert!(matches!(
        store.open_deploy(new_deploy(&id)).await,
        Err(StoreError::Conflict { .. })
    ));
    store.deploy(&new.id).await.unwrap();
}

#[tokio::test]
async fn the_file_is_set_up_to_be_durable_and_to_shrink() {
    let store = on_disk();
    let raw = Connection::open(&store.path).unwrap();
    let pragma = |name: &str| {
        raw.pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0))
            .unwrap()
    };
    assert_eq!(pragma("journal_mode"), "wal".to_owned().into());
    assert_eq!(pragma("auto_vacuum"), 2.into());
    assert_eq!(
        pragma("application_id"),
        i64::from(u32::from_be_bytes(*b"SHLG")).into()
    );
}

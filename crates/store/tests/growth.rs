//! That a file does not grow for ever.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

mod support;

use std::fs;

use rusqlite::Connection;
use shipslog_core::stats::StatsStore;
use shipslog_core::store::StoreError;
use shipslog_core::workloads::WorkloadStore;
use shipslog_store::SqliteStore;
use support::{OnDisk, create, on_disk, prune_all, record};

/// The size of the file once the journal is written back.
fn size(store: &OnDisk) -> u64 {
    let connection = Connection::open(&store.path).unwrap();
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    fs::metadata(&store.path).unwrap().len()
}

/// Fills the store with 50,000 samples.
async fn filled() -> (OnDisk, shipslog_core::id::WorkloadId) {
    let store = on_disk();
    let id = create(&store, "web").await;
    for ts in 0..500 {
        record(&store, ts, 100, &id).await;
    }
    (store, id)
}

#[tokio::test]
async fn pruned_space_goes_back_to_the_file_system() {
    let (store, id) = filled().await;
    let full = size(&store);
    assert!(full < 50_000 * 60, "{full} bytes for 50,000 samples");
    prune_all(&store, 490).await;
    let pruned = size(&store);
    assert!(pruned * 5 < full, "{pruned} of {full} bytes are left");
    assert_eq!(store.samples(&id, 0, 500).await.unwrap().len(), 1_000);
}

#[tokio::test]
async fn the_samples_of_a_deleted_workload_are_freed_however_young_they_are() {
    let (store, id) = filled().await;
    let kept = create(&store, "kept").await;
    for ts in 500..510 {
        record(&store, ts, 10, &kept).await;
    }
    let full = size(&store);
    store.delete_workload(&id).await.unwrap();
    assert!(store.samples(&id, 0, 1_000).await.unwrap().is_empty());
    // Of the 100 containers, ten changed hands and took their samples along.
    prune_all(&store, 0).await;
    let left = size(&store);
    assert!(left * 2 < full, "{left} of {full} bytes are left");
    assert_eq!(store.samples(&kept, 0, 1_000).await.unwrap().len(), 5_100);
}

#[tokio::test]
async fn a_steady_state_does_not_grow() {
    let (store, id) = filled().await;
    prune_all(&store, 250).await;
    let before = size(&store);
    for ts in 500..1_500 {
        record(&store, ts, 100, &id).await;
        if ts % 50 == 0 {
            prune_all(&store, ts - 250).await;
        }
    }
    let after = size(&store);
    assert!(after < before * 3 / 2, "{before} bytes became {after}");
}

#[tokio::test]
async fn container_numbers_are_used_again_once_the_highest_is_taken() {
    let store = on_disk();
    let id = create(&store, "web").await;
    record(&store, 10, 3, &id).await;
    let raw = Connection::open(&store.path).unwrap();
    raw.execute_batch("UPDATE containers SET number = 16777215 WHERE number = 3")
        .unwrap();
    record(&store, 20, 0, &id).await;
    record(&store, 30, 5, &id).await;
    // The row of the first tick still has the number that its container had then.
    assert_eq!(store.samples(&id, 0, 40).await.unwrap().len(), 7);
    assert_eq!(store.seen_containers(&id).await.unwrap().len(), 5);
}

#[tokio::test]
async fn a_time_that_no_key_can_hold_is_refused() {
    let store = SqliteStore::in_memory().unwrap();
    let id = create(&store, "web").await;
    let last = (1 << 39) - 1;
    record(&store, last, 1, &id).await;
    assert_eq!(store.samples(&id, last, i64::MAX).await.unwrap().len(), 1);
    let beyond = store.record_tick(&support::tick(last + 1, 1, &id)).await;
    assert!(matches!(beyond, Err(StoreError::Invalid { what: "tick" })));
}

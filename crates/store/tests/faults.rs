//! What a store answers when its file or its disk gives out under it.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

mod support;

use std::fs;
use std::time::Duration;

use rusqlite::Connection;
use shipslog_core::deploys::{DeployStore, Pinned, Plan};
use shipslog_core::stats::StatsStore;
use shipslog_core::store::{StoreError, StoreHealth};
use shipslog_core::testing::fake_pin;
use shipslog_core::workloads::{NewWorkload, WorkloadStore};
use shipslog_store::{SqliteOptions, SqliteStore};
use support::{
    Mount, at, beside, create, deploy, new_deploy, on_disk, prune_all, record, spec_with_password, tick,
};

fn is_unavailable<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Unavailable { .. }))
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_goes_on_reading_and_pruning() {
    let Some(mount) = Mount::new("64m") else { return };
    let store = SqliteStore::open(mount.path().join("log.db")).unwrap();
    let id = create(&store, "web").await;
    // From here on the reserve is there, as it is in a host that prunes.
    store.prune_samples(1, 1).await.unwrap();
    let mut ts = 10;
    while store.record_tick(&tick(ts, 100, &id)).await.is_ok() {
        ts += 10;
    }
    mount.fill();
    let refused = store.record_tick(&tick(ts, 100, &id)).await.unwrap_err();
    assert!(
        matches!(
            &refused,
            StoreError::Unavailable {
                operation: "record_tick",
                ..
            }
        ),
        "{refused:?}"
    );
    assert!(is_unavailable(store.open_deploy(new_deploy(&id)).await));
    assert_eq!(store.all_deploys(&id).await.unwrap(), []);
    let columns = store.samples(&id, 0, ts).await.unwrap();
    assert_eq!(columns.len(), columns.timestamps().len() * 100);
    store.ping().await.unwrap();

    prune_all(&store, ts).await;
    assert!(store.samples(&id, 0, ts).await.unwrap().is_empty());
    deploy(&store, &id).await;
    record(&store, ts, 100, &id).await;
    assert_eq!(store.samples(&id, 0, ts + 1).await.unwrap().len(), 100);
}

#[tokio::test]
async fn a_lock_of_another_program_is_waited_for_and_then_told() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    let options = SqliteOptions::default().with_busy_timeout(Duration::from_millis(100));
    let store = SqliteStore::open_with(&path, options).unwrap();
    let id = create(&store, "web").await;
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert!(matches!(
        store.open_deploy(new_deploy(&id)).await,
        Err(StoreError::Busy)
    ));
    assert!(matches!(
        store.record_tick(&tick(10, 1, &id)).await,
        Err(StoreError::Busy)
    ));
    assert!(matches!(store.prune_samples(10, 1).await, Err(StoreError::Busy)));
    store.workload(&id).await.unwrap();
    other.execute_batch("COMMIT").unwrap();
    deploy(&store, &id).await;
    record(&store, 10, 1, &id).await;
    assert_eq!(store.samples(&id, 0, 100).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_damaged_file_is_unavailable_and_not_an_answer() {
    let store = on_disk();
    let id = create(&store, "web").await;
    for ts in 0..2_000 {
        record(&store, ts, 20, &id).await;
    }
    let connection = Connection::open(&store.path).unwrap();
    connection
        .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .unwrap();
    let length = fs::metadata(&store.path).unwrap().len();
    let file = fs::OpenOptions::new().write(true).open(&store.path).unwrap();
    let (first, last) = (length / 4096 / 4, length / 4096 / 2);
    for page in first..last {
        std::os::unix::fs::FileExt::write_all_at(&file, &[0xA5; 4096], page * 4096).unwrap();
    }
    assert!(is_unavailable(store.samples(&id, 0, 2_000).await));
}

#[tokio::test]
async fn a_file_that_was_deleted_is_not_ready() {
    let store = on_disk();
    store.ping().await.unwrap();
    fs::remove_file(&store.path).unwrap();
    assert!(is_unavailable(store.ping().await));
}

#[tokio::test]
async fn values_that_nobody_wrote_are_invalid() {
    let store = on_disk();
    let id = create(&store, "web").await;
    let row = deploy(&store, &id).await.id;
    let raw = Connection::open(&store.path).unwrap();
    for change in [
        "UPDATE deploys SET reason = 'boredom'",
        "UPDATE deploys SET reason = 'manual', started_at = 'yesterday'",
        "UPDATE deploys SET started_at = '2026-01-01T00:00:00Z', outcome = 'failed', marker = 'user:password@host'",
        "UPDATE deploys SET outcome = 'succeeded', marker = NULL, pin_reference = 'app:1', pin_content = 'x'",
    ] {
        raw.execute_batch(change).unwrap();
        assert!(
            matches!(store.deploy(&row).await, Err(StoreError::Invalid { .. })),
            "{change}"
        );
    }
    raw.execute_batch("UPDATE deploys SET pin_reference = NULL, pin_content = NULL")
        .unwrap();
    store.deploy(&row).await.unwrap();
}

#[tokio::test]
async fn a_spec_is_not_readable_in_the_files_and_not_exchangeable() {
    let store = on_disk();
    let password = "correct horse battery staple";
    let new = NewWorkload {
        spec: spec_with_password("web", password),
        ..new_workload()
    };
    let id = store.create_workload(new.clone()).await.unwrap().id;
    store
        .revise_workload(&id, 1, spec_with_password("web", "other"))
        .await
        .unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let bytes = fs::read(beside(&store.path, suffix)).unwrap();
        assert!(
            !bytes
                .windows(password.len())
                .any(|part| part == password.as_bytes()),
            "{suffix}"
        );
    }
    assert_eq!(store.spec_revision(&id, 1).await.unwrap(), new.spec);
    let raw = Connection::open(&store.path).unwrap();
    raw.execute_batch("UPDATE specs SET sealed = (SELECT sealed FROM specs WHERE revision = 1)")
        .unwrap();
    store.spec_revision(&id, 1).await.unwrap();
    assert!(matches!(
        store.spec_revision(&id, 2).await,
        Err(StoreError::Invalid { what: "spec" })
    ));
}

#[tokio::test]
async fn a_plan_is_not_readable_in_the_database_files_and_belongs_to_its_row() {
    let secret = "password-in-a-compose-file";
    let store = on_disk();
    let id = store.create_workload(new_workload()).await.unwrap().id;
    let pinned = |plan: &str| Pinned {
        plan: Some(Plan::new(plan)),
        ..fake_pin(1).into()
    };
    let row = store.open_deploy(new_deploy(&id)).await.unwrap();
    store.pin_deploy(&row.id, pinned(secret)).await.unwrap();
    for suffix in ["", "-wal", "-shm"] {
        let bytes = fs::read(beside(&store.path, suffix)).unwrap();
        let found = bytes.windows(secret.len()).any(|part| part == secret.as_bytes());
        assert!(!found, "{suffix}");
    }
    assert_eq!(store.deploy_plan(&row.id).await.unwrap(), Some(Plan::new(secret)));
    let raw = Connection::open(&store.path).unwrap();
    raw.execute_batch("UPDATE deploys SET id = id || 'x'").unwrap();
    let other = format!("{}x", row.id).parse().unwrap();
    assert!(matches!(
        store.deploy_plan(&other).await,
        Err(StoreError::Invalid { what: "plan" })
    ));
}

fn new_workload() -> NewWorkload {
    NewWorkload {
        id: "web-id".parse().unwrap(),
        spec: support::spec("web"),
        created_at: at(1),
    }
}

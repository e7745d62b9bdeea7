//! What the store's own tests share.

#![allow(dead_code, reason = "each test binary uses its part of it")]
#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;
use shipslog_core::deploys::{Closing, Deploy, DeployStore, NewDeploy, Outcome, Reason};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::stats::{Sample, StatsStore, Tick, TickRow};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{NewWorkload, Spec, WorkloadStore};
use shipslog_store::SqliteStore;
use tempfile::TempDir;

/// A store in a file whose directory goes with it.
pub(crate) struct OnDisk {
    pub(crate) store: SqliteStore,
    pub(crate) path: PathBuf,
    _directory: TempDir,
}

impl Deref for OnDisk {
    type Target = SqliteStore;

    fn deref(&self) -> &SqliteStore {
        &self.store
    }
}

pub(crate) fn on_disk() -> OnDisk {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.db");
    OnDisk {
        store: SqliteStore::open(&path).unwrap(),
        path,
        _directory: directory,
    }
}

/// A file beside the database.
pub(crate) fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// A small file system of its own, which can be full or read-only without harm to others.
pub(crate) struct Mount(TempDir);

impl Mount {
    /// `None`, said aloud, where mounting is not allowed.
    pub(crate) fn new(size: &str) -> Option<Self> {
        let directory = tempfile::tempdir().unwrap();
        let options = format!("size={size},mode=700");
        let mounted = run(
            "mount",
            &["-t", "tmpfs", "-o", &options, "tmpfs", text(directory.path())],
        );
        if !mounted {
            eprintln!("SKIPPED: this test mounts a tmpfs, which only root may do");
        }
        mounted.then_some(Self(directory))
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Changes an option: `ro`, or `size=…`.
    pub(crate) fn remount(&self, option: &str) {
        assert!(run(
            "mount",
            &["-o", &format!("remount,{option}"), text(self.path())]
        ));
    }

    /// Leaves no free block.
    pub(crate) fn fill(&self) {
        let mut file = std::fs::File::create(self.path().join("filler")).unwrap();
        let full = std::io::copy(&mut std::io::repeat(0), &mut file).unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        run("umount", &["--lazy", text(self.path())]);
    }
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn run(program: &str, arguments: &[&str]) -> bool {
    Command::new(program)
        .args(arguments)
        .status()
        .is_ok_and(|status| status.success())
}

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn spec(name: &str) -> Spec {
    spec_with_password(name, "none")
}

pub(crate) fn spec_with_password(name: &str, password: &str) -> Spec {
    let source = json!({"kind": "image", "reference": "app:1"});
    let env = json!([{"name": "PASSWORD", "value": password}]);
    serde_json::from_value(json!({"name": name, "source": source, "env": env})).unwrap()
}

pub(crate) async fn create(store: &SqliteStore, name: &str) -> WorkloadId {
    let new = NewWorkload {
        id: WorkloadId::generate(at(1)),
        spec: spec(name),
        created_at: at(1),
    };
    store.create_workload(new).await.unwrap().id
}

pub(crate) fn new_deploy(workload: &WorkloadId) -> NewDeploy {
    NewDeploy {
        id: DeployId::generate(at(1)),
        workload_id: workload.clone(),
        source_kind: "image".into(),
        reason: Reason::Manual,
        requested: "app:1".into(),
        pinned: None,
        spec_revision: 1,
        triggered_by: "a test".into(),
        note: None,
        rollback_of: None,
        strategy: None,
        idempotency_key: None,
        started_at: at(1),
    }
}

pub(crate) async fn deploy(store: &SqliteStore, workload: &WorkloadId) -> Deploy {
    let row = store.open_deploy(new_deploy(workload)).await.unwrap();
    let closing = Closing {
        outcome: Outcome::Succeeded,
        failed_part: None,
        current: true,
        finished_at: at(2),
    };
    store.close_deploy(&row.id, closing).await.unwrap()
}

/// A tick of so many containers, all of one workload.
pub(crate) fn tick(ts: i64, containers: u32, workload: &WorkloadId) -> Tick {
    let sample = Sample {
        cpu_percent: Some(12.5),
        memory_usage: Some(300_000_000),
        memory_limit: Some(512 << 20),
        network_rx: Some(100_000),
        network_tx: Some(100_000),
        block_read: Some(1_000),
        block_write: Some(50_000),
    };
    let row = |i| TickRow {
        container: format!("container-{i}").parse().unwrap(),
        name: format!("name-{i}"),
        workload: workload.clone(),
        sample: Some(sample),
    };
    Tick {
        ts,
        rows: (0..containers).map(row).collect(),
    }
}

pub(crate) async fn record(store: &SqliteStore, ts: i64, containers: u32, workload: &WorkloadId) {
    store.record_tick(&tick(ts, containers, workload)).await.unwrap();
}

/// Prunes as a host does: until there is no more.
pub(crate) async fn prune_all(store: &SqliteStore, before: i64) {
    while store.prune_samples(before, 1_000).await.unwrap() {}
}

/// Seals as a host does: until there is no more.
pub(crate) async fn seal_all(store: &SqliteStore) {
    while store.seal_samples().await.unwrap() {}
}

pub(crate) async fn close(store: &SqliteStore, row: &DeployId) -> Deploy {
    let closing = Closing {
        outcome: Outcome::Succeeded,
        failed_part: None,
        current: true,
        finished_at: at(2),
    };
    store.close_deploy(row, closing).await.unwrap()
}

//! What cases are made of.

use serde_json::json;

use crate::deploys::{Closing, Deploy, NewDeploy, Outcome, PartPin, Pin, Pinned, Plan, Reason};
use crate::id::{DeployId, WorkloadId};
use crate::stats::{Sample, Tick, TickRow};
use crate::store::Store;
use crate::time::Timestamp;
use crate::workloads::{NewWorkload, Spec, Workload};

pub(super) fn at(second: i64) -> Timestamp {
    Timestamp::new(second, 123_456_789).unwrap()
}

/// A time by which nothing of a test is kept.
pub(super) const LATER: i64 = 1_000_000;

pub(super) fn spec(name: &str) -> Spec {
    serde_json::from_value(json!({"name": name, "source": {"kind": "image", "reference": "registry/app:1"}}))
        .unwrap()
}

/// A spec that sets every field.
pub(super) fn full_spec(name: &str) -> Spec {
    serde_json::from_value(json!({
        "name": name,
        "source": {"kind": "image", "reference": "127.0.0.1:5000/web:1"},
        "command": ["httpd", "-f", "a \u{1F6A2} and a \u{0} and a '"],
        "env": [{"name": "MODE", "value": "prod"}, {"name": "PASSWORD", "secret": "file:/run/secrets/db"}],
        "ports": [{"host": 18080, "container": 80, "host_ip": "127.0.0.1", "protocol": "udp"}],
        "mounts": [{"source": "web-data", "target": "/data", "read_only": true}],
        "networks": ["backend"],
        "labels": {"team": "a"},
        "replicas": 1,
        "memory_limit": 268435456,
        "cpus": 0.3,
        "restart": "on-failure",
        "healthcheck": {"command": ["true"], "interval_s": 5, "timeout_s": 3, "retries": 3, "start_period_s": 2},
        "rollout": {"strategy": "recreate", "health_timeout_s": 60, "min_healthy_s": 1, "stop_timeout_s": 2}
    }))
    .unwrap()
}

pub(super) fn new_workload(name: &str) -> NewWorkload {
    NewWorkload {
        id: WorkloadId::generate(at(1)),
        spec: spec(name),
        created_at: at(1),
    }
}

pub(super) async fn create(store: &dyn Store, name: &str) -> WorkloadId {
    store.create_workload(new_workload(name)).await.unwrap().id
}

pub(super) async fn observe(store: &dyn Store, name: &str) -> Workload {
    store.observe_workload(name, at(1)).await.unwrap()
}

pub(super) fn some_id() -> WorkloadId {
    WorkloadId::generate(at(1))
}

pub(super) fn some_deploy_id() -> DeployId {
    DeployId::generate(at(1))
}

pub(super) fn new_deploy(workload: &WorkloadId) -> NewDeploy {
    NewDeploy {
        id: some_deploy_id(),
        workload_id: workload.clone(),
        source_kind: "image".into(),
        reason: Reason::Manual,
        requested: "registry/app:1".into(),
        pinned: None,
        spec_revision: 1,
        triggered_by: "somebody".into(),
        note: None,
        rollback_of: None,
        strategy: None,
        idempotency_key: None,
        started_at: at(100),
    }
}

pub(super) fn with_key(workload: &WorkloadId, key: &str) -> NewDeploy {
    NewDeploy {
        idempotency_key: Some(key.into()),
        ..new_deploy(workload)
    }
}

pub(super) async fn open(store: &dyn Store, workload: &WorkloadId) -> Deploy {
    store.open_deploy(new_deploy(workload)).await.unwrap()
}

pub(super) fn closing(outcome: Outcome, current: bool) -> Closing {
    Closing {
        outcome,
        failed_part: None,
        current,
        finished_at: at(200),
    }
}

/// Opens a row and closes it as succeeded.
pub(super) async fn deploy(store: &dyn Store, workload: &WorkloadId, current: bool) -> DeployId {
    let id = open(store, workload).await.id;
    store
        .close_deploy(&id, closing(Outcome::Succeeded, current))
        .await
        .unwrap()
        .id
}

pub(super) fn pin(digit: char) -> Pin {
    let digest = digit.to_string().repeat(64);
    Pin::new(
        format!("registry/app@sha256:{digest}").parse().unwrap(),
        format!("sha256:{digest}").parse().unwrap(),
    )
}

/// What a dispatch of two parts runs, with a plan.
pub(super) fn pinned(digit: char) -> Pinned {
    let mut pin = pin(digit);
    for name in ["db", "web"] {
        let part = PartPin {
            reference: pin.reference.clone(),
            content: pin.content.clone(),
        };
        pin.parts.insert(name.parse().unwrap(), part);
    }
    let plan = Some(Plan::new(format!("plan {digit} '\u{1F6A2}'")));
    Pinned { pin, plan }
}

/// A sample whose measures all differ, and differ from those of another `n`.
pub(super) fn sample(n: u64) -> Sample {
    Sample {
        cpu_percent: Some(n as f64 + 0.125),
        memory_usage: Some((n + 2) << 20),
        memory_limit: Some((n + 3) << 20),
        network_rx: Some(n + 4_000),
        network_tx: Some(n + 5_000),
        block_read: Some(n + 6_000),
        block_write: Some(n + 7_000),
    }
}

pub(super) fn row(container: &str, workload: &WorkloadId, sample: Option<Sample>) -> TickRow {
    let name = format!("name-of-{container}");
    TickRow {
        container: container.parse().unwrap(),
        name,
        workload: workload.clone(),
        sample,
    }
}

pub(super) async fn record(store: &dyn Store, ts: i64, rows: Vec<TickRow>) {
    store.record_tick(&Tick { ts, rows }).await.unwrap();
}

/// A tick of one container with the sample that its time makes.
pub(super) async fn record_one(store: &dyn Store, ts: i64, container: &str, workload: &WorkloadId) {
    record(store, ts, vec![row(container, workload, Some(sample(ts as u64)))]).await;
}

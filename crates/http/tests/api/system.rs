//! Probes, and what the server says of itself.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use axum::http::request::Parts;
use serde_json::{Value, json};
use shipslog_core::id::ContainerId;
use shipslog_core::stats::{CollectError, Collector, CollectorShare, CollectorStatus, Counters};
use shipslog_http::{Api, Authenticator, Identity, router};

use crate::rig::{Rig, get};

#[tokio::test]
async fn probes_need_no_token_and_no_engine() {
    let rig = Rig::new();
    rig.inventory.away.store(true, Ordering::SeqCst);
    for path in ["/healthz", "/readyz"] {
        let answer = rig.send(get(path).without("authorization")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()),
            (200, json!({"status": "ok"})),
            "{path}"
        );
    }
}

#[tokio::test]
async fn the_system_is_described() {
    let system = Rig::new().send(get("/api/system").by_viewer()).await.json();
    assert_eq!(system["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(system["store"]["kind"], "sqlite");
    assert!(
        system["store"]["schema_version"]
            .as_u64()
            .is_some_and(|version| version > 0)
    );
    assert!(system["store"]["size"].as_u64().is_some_and(|size| size > 0));
    assert_eq!(
        system["history"],
        json!({"samples_s": 86_400, "minutes_s": 604_800, "five_minutes_s": 7_776_000})
    );
    assert_eq!(
        system["engine"],
        json!({"available": true, "version": "20.10.24", "reason": null})
    );
    assert_eq!(
        system["kinds"],
        json!([{"kind": "fake", "rollback": true, "ready": true, "uses": ["make-believe 1.0"], "missing": []}])
    );
    assert_eq!(
        (
            &system["collector"],
            &system["tick_interval_s"],
            &system["retention_s"]
        ),
        (
            &json!({"kind": "none", "reason": null, "shares": []}),
            &json!(10),
            &json!(7_776_000)
        )
    );
}

/// Could not read everything where it wanted to.
#[derive(Debug)]
struct Divided;

#[async_trait]
impl Collector for Divided {
    fn kind(&self) -> &'static str {
        "cgroup"
    }

    fn status(&self) -> CollectorStatus {
        let share = |kind, reason: &str, containers| CollectorShare {
            kind,
            reason: reason.to_owned(),
            containers,
        };
        CollectorStatus {
            kind: "docker_api",
            reason: Some("not mounted".to_owned()),
            shares: vec![
                share("docker_api", "not mounted", 3),
                share("cgroup", "mounted", 1),
            ],
        }
    }

    async fn collect(&self, _: &[ContainerId]) -> Vec<Result<Counters, CollectError>> {
        Vec::new()
    }
}

#[tokio::test]
async fn the_system_says_how_containers_are_read_and_why() {
    let collector = Arc::new(Divided);
    let rig = Rig::with(|api| router(Api { collector, ..api }));
    let system = rig.send(get("/api/system").by_viewer()).await.json();
    assert_eq!(
        system["collector"],
        json!({"kind": "docker_api", "reason": "not mounted", "shares": [
            {"kind": "docker_api", "reason": "not mounted", "containers": 3},
            {"kind": "cgroup", "reason": "mounted", "containers": 1},
        ]})
    );
}

#[tokio::test]
async fn whoever_asks_is_told_who_they_are_and_what_they_may_do() {
    let rig = Rig::new();
    let identity = |call| async { rig.send(call).await.json()["identity"].clone() };
    assert_eq!(
        identity(get("/api/system")).await,
        json!({"name": "admin", "role": "admin"})
    );
    assert_eq!(
        identity(get("/api/system").by_viewer()).await,
        json!({"name": "viewer", "role": "viewer"})
    );
}

#[tokio::test]
async fn an_engine_that_is_away_is_described_with_the_reason() {
    let rig = Rig::new();
    rig.inventory.away.store(true, Ordering::SeqCst);
    let engine = rig.send(get("/api/system")).await.json()["engine"].clone();
    assert_eq!(
        engine,
        json!({"available": false, "version": null, "reason": "no socket at /run/engine.sock"})
    );
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_does_not_hang_the_answer() {
    let rig = Rig::new();
    rig.inventory.silent.store(true, Ordering::SeqCst);
    let begun = tokio::time::Instant::now();
    let engine = rig.send(get("/api/system")).await.json()["engine"].clone();
    assert_eq!(
        (&engine["available"], &engine["version"]),
        (&json!(false), &Value::Null)
    );
    assert!(begun.elapsed().as_secs() <= 3, "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_request_that_takes_too_long_is_ended() {
    let rig = Rig::new();
    rig.inventory.silent.store(true, Ordering::SeqCst);
    let answer = rig.send(get("/api/workloads")).await;
    answer.problem(503);
    assert_ne!(answer.header("retry-after"), "");
}

#[derive(Debug)]
struct Panics;

#[async_trait]
impl Authenticator for Panics {
    async fn authenticate(&self, _: &Parts) -> Option<Identity> {
        panic!("s3cr3t")
    }
}

#[tokio::test]
async fn a_panic_is_a_problem_that_says_nothing() {
    let rig = Rig::with(|api| {
        router(Api {
            authenticator: Arc::new(Panics),
            ..api
        })
    });
    let answer = rig.send(get("/api/workloads")).await;
    answer.problem(500);
    assert!(!answer.text().contains("s3cr3t"));
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
}

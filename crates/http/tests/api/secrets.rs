//! Secrets in the wrong places: whatever is sent, no answer repeats it.

use std::sync::Mutex;

use serde_json::{Value, json};
use shipslog_core::testing::canary::{Alphabet, Canary};

use crate::rig::{ADMIN, Call, Rig, call, get, post, spec_with};

/// The value in every place of a body that takes a value of another kind, or none like it.
fn misplaced(secret: &str) -> Vec<Value> {
    let changes = [
        json!({"name": secret}),
        json!({"source": secret}),
        json!({"source": {"kind": secret, "reference": "r/app:1"}}),
        json!({"source": {"kind": "fake", "reference": secret}}),
        json!({"source": {"kind": "fake", "reference": format!("https://user:{secret}@registry/app:1")}}),
        json!({"command": secret}),
        json!({"command": [secret, 1]}),
        json!({"env": {"DB_PASSWORD": secret}}),
        json!({"env": [{"name": "DB_PASSWORD", "value": secret, "secret": secret}]}),
        json!({"env": [{"name": "DB_PASSWORD", "secret": secret}]}),
        json!({"env": [{"name": "DB_PASSWORD", "value": [secret]}]}),
        json!({"env": [{"name": format!("A={secret}"), "value": "x"}]}),
        json!({"ports": [{"host": secret, "container": 80}]}),
        json!({"ports": [{"host": 80, "container": 80, "host_ip": secret}]}),
        json!({"ports": [{"host": 80, "container": 80, "protocol": secret}]}),
        json!({"mounts": [{"source": secret, "target": secret}]}),
        json!({"networks": [secret]}),
        json!({"labels": {"team": [secret]}}),
        json!({"labels": secret}),
        json!({"replicas": secret}),
        json!({"cpus": secret}),
        json!({"restart": secret}),
        json!({"healthcheck": secret}),
        json!({"healthcheck": {"command": [secret], "retries": secret}}),
        json!({"rollout": {"strategy": secret}}),
        json!({"unheard_of": secret}),
    ];
    changes.into_iter().map(spec_with).collect()
}

fn encoded(secret: &str) -> String {
    secret.bytes().map(|byte| format!("%{byte:02X}")).collect()
}

/// Requests that fail, with the secret somewhere in each.
fn failing(workload: &str, secret: &Canary) -> Vec<Call> {
    let value = secret.value();
    let path = |rest: &str| format!("/api/workloads/{workload}{rest}");
    let mut calls: Vec<Call> = misplaced(value)
        .iter()
        .map(|body| post("/api/workloads").json(body))
        .collect();
    calls.extend(
        misplaced(value)
            .iter()
            .map(|body| call("PUT", &path("")).json(body)),
    );
    calls.extend([
        post(&path("/deploys")).json(&json!({"reference": format!("user:{value}@registry/app")})),
        post(&path("/deploys")).json(&json!({"reference": [value]})),
        post(&path("/deploys")).json(&json!({"note": {"a": value}})),
        post(&path("/deploys")).json(&json!({"token": value})),
        post(&path("/rollback")).json(&json!({"deploy_id": value})),
        post(&path("/rollback")).json(&json!({"deploy_id": "x", "config": value})),
        post("/api/workloads")
            .with("content-type", "application/json")
            .body(value),
        post("/api/workloads")
            .with("content-type", "application/json")
            .body(format!("{{\"name\": \"{value}")),
        post("/api/workloads")
            .with("content-type", "application/x-www-form-urlencoded")
            .body(format!("name={value}")),
        get(&format!("/api/workloads/{}", encoded(value))),
        get(&format!("/api/deploys/{}", encoded(value))),
        get(&format!("/{}", encoded(value))),
        get(&format!("/nowhere?token={}", encoded(value))),
        get(&format!("/api/workloads?token={}", encoded(value))),
        get(&path(&format!("/deploys?limit={}", encoded(value)))),
        get(&path(&format!("/deploys?before={}", encoded(value)))),
        get(&path(&format!("/stats/history?window={}", encoded(value)))),
        get(&path(&format!("/stats/history?step={}", encoded(value)))),
        get(&path(&format!("/usage?window={}", encoded(value)))),
        call("DELETE", &path(&format!("?keep_containers={}", encoded(value)))),
        post(&path(&format!("/deploys?wait={}", encoded(value)))),
    ]);
    calls
}

/// Requests that fail by a header.
fn failing_by_header(workload: &str, secret: &Canary) -> Vec<Call> {
    let (value, path) = (secret.value(), format!("/api/workloads/{workload}/deploys"));
    let anonymous = || get("/api/workloads").without("authorization");
    vec![
        anonymous().with("authorization", &format!("Bearer {value}")),
        anonymous().with("authorization", &format!("Basic {value}")),
        anonymous().with("authorization", value),
        anonymous().with("cookie", &format!("shipslog_token={value}")),
        get("/api/workloads").without("host").with("host", value),
        post("/api/workloads").with("content-type", value).body("{}"),
        post(&path).with("idempotency-key", &value.repeat(10)),
        call(&"x".repeat(5), "/api/workloads").with("x-registry-auth", value),
    ]
}

/// Sends each call, and gives all that was answered, headers and bodies.
async fn answers(rig: &Rig, calls: Vec<Call>) -> Vec<u8> {
    let mut all = Vec::new();
    for call in calls {
        let answer = rig.send(call.clone()).await;
        assert!(answer.status.is_client_error(), "{}: {call:?}", answer.status);
        all.extend(format!("{:?}\n", answer.headers).into_bytes());
        all.extend(answer.body);
    }
    all
}

#[tokio::test]
async fn no_answer_repeats_a_secret_that_was_sent_in_the_wrong_place() {
    let rig = Rig::new();
    let workload = rig.workload("web").await;
    for seed in 0..10 {
        let body = Canary::seeded("a body", Alphabet::Any, seed);
        let said = answers(&rig, failing(&workload, &body)).await;
        assert_eq!(body.find_in(&said), None, "{}", String::from_utf8_lossy(&said));
        let header = Canary::seeded("a header", Alphabet::Header, seed);
        let said = answers(&rig, failing_by_header(&workload, &header)).await;
        assert_eq!(header.find_in(&said), None, "{}", String::from_utf8_lossy(&said));
    }
}

/// What every test of this process has logged since the first one looked.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn the_log_names_requests_without_what_was_sent() {
    // For the whole process: a subscriber of one thread may miss what other threads have registered.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_ansi(false)
        .with_writer(|| Log)
        .init();
    let rig = Rig::new();
    let workload = rig.workload("web").await;
    let (body, header) = (
        Canary::random("a body", Alphabet::Any),
        Canary::random("a header", Alphabet::Header),
    );
    answers(&rig, failing(&workload, &body)).await;
    answers(&rig, failing_by_header(&workload, &header)).await;
    rig.send(get(&format!("/?token={ADMIN}"))).await;

    let log = LOG.lock().unwrap().clone();
    let text = String::from_utf8_lossy(&log);
    assert!(text.contains("route=\"/api/workloads/{id}/deploys\""), "{text}");
    assert_eq!((body.find_in(&log), header.find_in(&log)), (None, None));
    assert!(!text.contains(ADMIN));
}

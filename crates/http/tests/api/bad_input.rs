//! Requests that are wrong in one way each, and what is said to them.

use serde_json::{Value, json};

use crate::rig::{Call, Rig, call, get, post, spec, spec_with};

async fn refused(rig: &Rig, call: Call, status: u16, field: &str) {
    let problem = rig.send(call.clone()).await.problem(status);
    assert_eq!(
        problem["field"].as_str().unwrap_or_default(),
        field,
        "{call:?}: {problem}"
    );
}

async fn refused_spec(field: &str, change: Value) {
    let rig = Rig::new();
    refused(&rig, post("/api/workloads").json(&spec_with(change)), 422, field).await;
    assert_eq!(rig.send(get("/api/workloads")).await.json(), json!([]));
}

#[tokio::test]
async fn a_spec_of_another_shape_is_told_the_field() {
    let port = |port: Value| json!({"ports": [port]});
    refused_spec("colour", json!({"colour": "red"})).await;
    refused_spec("replicas", json!({"replicas": "two"})).await;
    refused_spec("name", json!({"name": 5})).await;
    refused_spec("source.kind", json!({"source": {}})).await;
    refused_spec("source", json!({"source": "registry/app:1"})).await;
    refused_spec("ports[0].host", port(json!({"host": 70_000, "container": 80}))).await;
    refused_spec("ports[0].host", port(json!({"host": -1, "container": 80}))).await;
    refused_spec("ports[0].container", port(json!({"host": 80}))).await;
    refused_spec(
        "ports[0].prot",
        port(json!({"host": 80, "container": 80, "prot": "tcp"})),
    )
    .await;
    refused_spec(
        "env[0].secret",
        json!({"env": [{"name": "A", "secret": "vault:x"}]}),
    )
    .await;
}

#[tokio::test]
async fn a_spec_that_breaks_a_rule_is_told_the_field() {
    let source = |kind: &str, reference: &str| json!({"source": {"kind": kind, "reference": reference}});
    for name in ["", "a/b", &"x".repeat(300)] {
        refused_spec("name", json!({ "name": name })).await;
    }
    for reference in [
        "",
        "two words",
        "user:pass@registry/app:1",
        "https://user:pass@registry/app",
    ] {
        refused_spec("source.reference", source("fake", reference)).await;
    }
    refused_spec("source.kind", source("unheard-of", "registry/app:1")).await;
    let port = json!({"host": 80, "container": 80});
    refused_spec("ports[0].host", json!({"ports": [{"host": 0, "container": 80}]})).await;
    refused_spec("ports[1].host", json!({"ports": [port, port]})).await;
}

#[tokio::test]
async fn a_body_must_be_json_of_a_sane_size() {
    let rig = Rig::new();
    let create = || post("/api/workloads").with("content-type", "application/json");
    for body in ["", "{", "name=web", "{\"name\": \"web\",}", "\u{0}"] {
        refused(&rig, create().body(body), 400, "").await;
    }
    refused(&rig, create().body("[]"), 422, "body").await;
    refused(&rig, create().body(vec![b' '; 10 * 1024 * 1024]), 413, "").await;
    refused(&rig, create().body(vec![b' '; 256 * 1024 + 1]), 413, "").await;
    refused(&rig, create().body(vec![b' '; 256 * 1024]), 400, "").await;
    let body = spec("web").to_string();
    refused(&rig, post("/api/workloads").body(body.clone()), 415, "").await;
    refused(
        &rig,
        post("/api/workloads")
            .with("content-type", "text/plain")
            .body(body.clone()),
        415,
        "",
    )
    .await;
    let charset = post("/api/workloads")
        .with("content-type", "Application/JSON; charset=utf-8")
        .body(body);
    assert_eq!(rig.send(charset).await.status, 201);
}

#[tokio::test]
async fn a_deploy_that_breaks_a_rule_is_told_the_field() {
    let rig = Rig::new();
    let path = format!("/api/workloads/{}/deploys", rig.workload("web").await);
    for (field, body) in [
        ("reference", json!({"reference": "two words"})),
        (
            "reference",
            json!({"reference": "https://user:pass@registry/app:1"}),
        ),
        ("reference", json!({"reference": 7})),
        ("note", json!({"note": "n".repeat(501)})),
        ("tag", json!({"tag": "1"})),
    ] {
        refused(&rig, post(&path).json(&body), 422, field).await;
    }
    refused(
        &rig,
        post(&path).with("content-type", "application/json").body("{"),
        400,
        "",
    )
    .await;
    for key in ["", &"k".repeat(129), "ä", "tab\there"] {
        refused(
            &rig,
            post(&path).with("idempotency-key", key),
            400,
            "Idempotency-Key",
        )
        .await;
    }
    refused(
        &rig,
        post(&path)
            .with("idempotency-key", "a")
            .with("idempotency-key", "b"),
        400,
        "Idempotency-Key",
    )
    .await;
    assert_eq!(rig.send(get(&path)).await.json(), json!([]));
}

#[tokio::test]
async fn a_rollback_needs_the_id_of_a_deploy() {
    let rig = Rig::new();
    let path = format!("/api/workloads/{}/rollback", rig.workload("web").await);
    refused(&rig, post(&path).json(&json!({})), 422, "deploy_id").await;
    refused(
        &rig,
        post(&path).json(&json!({"deploy_id": "a/b"})),
        422,
        "deploy_id",
    )
    .await;
    refused(
        &rig,
        post(&path).json(&json!({"deploy_id": "x", "config": "old"})),
        422,
        "config",
    )
    .await;
    refused(&rig, post(&path).json(&json!({"deploy_id": "x"})), 404, "").await;
    refused(&rig, post(&path), 415, "").await;
}

/// Asks for each value of a parameter of a workload's path, and expects 400 with its name.
async fn refused_values(path: &str, name: &str, values: &[&str]) {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    for value in values {
        refused(
            &rig,
            get(&format!("/api/workloads/{id}{path}?{name}={value}")),
            400,
            name,
        )
        .await;
    }
}

#[tokio::test]
async fn parameters_out_of_range_are_named() {
    refused_values("/deploys", "limit", &["0", "501", "-1", "+5", "5.0", "many", ""]).await;
    refused_values("/deploys", "before", &["unknown", "a%2Fb", ""]).await;
    let windows = ["-1h", "0", "0s", "999999d", "abc", "91d", "", "1h%20"];
    refused_values("/stats/history", "window", &windows).await;
    refused_values("/usage", "window", &windows).await;
    refused_values("/stats/history", "since", &["-1", "", "now", "1.5"]).await;
    refused_values("/stats/history", "step", &["0s", "fast", "-60s", "", "RAW"]).await;
}

#[tokio::test]
async fn parameters_that_are_unknown_or_repeated_are_named() {
    let rig = Rig::new();
    let path = format!("/api/workloads/{}", rig.workload("web").await);
    for (call, name) in [
        (get("/api/workloads?page=2"), "page"),
        (get("/healthz?verbose"), "verbose"),
        (get(&format!("{path}/deploys?limit=5&Limit=5")), "Limit"),
        (get(&format!("{path}/deploys?limit=5&limit=6")), "limit"),
        (post(&format!("{path}/deploys?wait=1")), "wait"),
        (
            call("DELETE", &format!("{path}?keep_containers=yes")),
            "keep_containers",
        ),
    ] {
        refused(&rig, call, 400, name).await;
    }
    assert_eq!(rig.send(get(&path)).await.status, 200);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let rig = Rig::new();
    for path in [
        "/nowhere",
        "/api",
        "/api/",
        "/api/workloads/",
        "/api/workloads/a/b/c",
        "//healthz",
        "/api/containers/x",
    ] {
        refused(&rig, get(path), 404, "").await;
        refused(&rig, post(path).without("authorization"), 404, "").await;
    }
    let ids = ["unknown", "%2e%2e", "a%2Fb", "%ff", &"x".repeat(200)];
    for id in ids {
        let below = [
            "",
            "/deploys",
            "/stats/history",
            "/stats/history?window=abc",
            "/usage",
            "/stats/live",
        ];
        for rest in below {
            refused(&rig, get(&format!("/api/workloads/{id}{rest}")), 404, "").await;
        }
        refused(
            &rig,
            call("PUT", &format!("/api/workloads/{id}")).json(&spec("web")),
            404,
            "",
        )
        .await;
        refused(&rig, call("DELETE", &format!("/api/workloads/{id}")), 404, "").await;
        refused(&rig, post(&format!("/api/workloads/{id}/deploys")), 404, "").await;
        refused(&rig, get(&format!("/api/deploys/{id}")), 404, "").await;
        refused(&rig, get(&format!("/api/deploys/{id}/events")), 404, "").await;
    }
}

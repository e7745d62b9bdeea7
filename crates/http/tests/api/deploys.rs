//! Deploys, rollbacks and their events.

use std::sync::atomic::Ordering;
use std::time::Duration;

use http_body_util::BodyExt;
use serde_json::{Value, json};
use shipslog_core::deploys::{FailureMarker, RollbackRefusal};

use crate::plugin::Behaviour;
use crate::rig::{Call, Rig, get, post};

async fn begin(rig: &Rig, workload: &str) -> Value {
    rig.plugin.behave(Behaviour::Wait { steps: 0 });
    let answer = rig
        .send(post(&format!("/api/workloads/{workload}/deploys")))
        .await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()
}

async fn closed(rig: &Rig, row: &Value) -> Value {
    rig.dispatcher
        .wait(&row["id"].as_str().unwrap().parse().unwrap())
        .await
        .unwrap();
    rig.send(get(&format!("/api/deploys/{}", row["id"].as_str().unwrap())))
        .await
        .json()
}

#[tokio::test]
async fn a_deploy_answers_its_running_row_and_goes_on() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    rig.plugin.behave(Behaviour::Wait { steps: 0 });
    let body = json!({"reference": "registry/app:2", "note": "a note"});
    let answer = rig
        .send(post(&format!("/api/workloads/{id}/deploys")).json(&body))
        .await;
    assert_eq!(answer.status, 202);
    let row = answer.json();
    assert_eq!(
        answer.header("location"),
        format!("/api/deploys/{}", row["id"].as_str().unwrap())
    );
    let running = json!({"workload_id": id, "source_kind": "fake", "reason": "manual", "requested": "registry/app:2", "reference": null, "parts": [],
        "spec_revision": 1, "outcome": "running", "error": null, "triggered_by": "admin", "note": "a note", "rollback_of": null,
        "current": false, "rollback": {"possible": false, "reason": "not_succeeded"}, "started_at": "2027-01-15T08:00:00Z",
        "finished_at": null, "strategy": "start_then_stop", "id": row["id"]});
    assert_eq!(row, running);

    rig.plugin.release();
    let mut expected = running;
    expected["reference"] = json!(format!("registry/app@sha256:{}", "ab".repeat(32)));
    expected["outcome"] = json!("succeeded");
    expected["current"] = json!(true);
    expected["rollback"] = json!({"possible": true, "reason": null});
    expected["finished_at"] = json!("2027-01-15T08:00:00Z");
    assert_eq!(closed(&rig, &row).await, expected);
    assert_eq!(
        rig.send(get(&format!("/api/workloads/{id}"))).await.json()["current_deploy"],
        expected
    );
}

#[tokio::test]
async fn who_waits_gets_the_closed_row() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    assert_eq!(rig.deploy(&id).await["outcome"], "succeeded");
    rig.plugin.behave(Behaviour::Fail(FailureMarker::PortTaken));
    let row = rig.deploy(&id).await;
    assert_eq!(
        (&row["outcome"], &row["error"]["marker"], &row["current"]),
        (&json!("failed"), &json!("port_taken"), &json!(false))
    );
    assert_eq!(row["error"]["message"], FailureMarker::PortTaken.message());
    assert_eq!(row["error"]["part"], Value::Null);
    rig.plugin
        .behave(Behaviour::FailPart(FailureMarker::Unhealthy, "db"));
    let row = rig.deploy(&id).await;
    assert_eq!(
        row["error"],
        json!({"marker": "unhealthy", "part": "db", "message": FailureMarker::Unhealthy.message()})
    );
}

#[tokio::test]
async fn a_kind_that_lacks_something_is_a_conflict_that_says_how_to_get_it() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    rig.plugin.lack(&["It needs a quay: build one."]);
    let answer = rig.send(post(&format!("/api/workloads/{id}/deploys"))).await;
    assert_eq!(answer.status, 409);
    assert_eq!(answer.json()["detail"], "It needs a quay: build one.");
    let ledger = rig.send(get(&format!("/api/workloads/{id}/deploys"))).await;
    assert_eq!(ledger.json(), json!([]));
}

#[tokio::test]
async fn a_deploy_needs_no_body() {
    let rig = Rig::new();
    let path = format!("/api/workloads/{}/deploys?wait=true", rig.workload("web").await);
    for call in [
        post(&path),
        post(&path).json(&Value::Null),
        post(&path).json(&json!({})),
    ] {
        assert_eq!(rig.send(call).await.json()["requested"], "registry/app:1");
    }
}

#[tokio::test(start_paused = true)]
async fn waiting_may_take_longer_than_a_request() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    rig.plugin.behave(Behaviour::Wait { steps: 0 });
    let plugin = rig.plugin.clone();
    let later = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(300)).await;
        plugin.release();
    });
    assert_eq!(rig.deploy(&id).await["outcome"], "succeeded");
    later.await.unwrap();
}

#[tokio::test]
async fn one_dispatch_at_a_time_and_an_idempotent_repeat_is_none() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let path = format!("/api/workloads/{id}/deploys");
    rig.plugin.behave(Behaviour::Wait { steps: 0 });
    let keyed = || post(&path).with("idempotency-key", "once");
    let first = rig.send(keyed()).await;
    assert_eq!(first.status, 202);
    let repeat = rig.send(keyed()).await;
    assert_eq!(
        (repeat.status.as_u16(), &repeat.json()["id"]),
        (202, &first.json()["id"])
    );
    rig.send(post(&path)).await.problem(409);
    rig.send(post(&path).with("idempotency-key", "twice"))
        .await
        .problem(409);
    rig.plugin.release();
    closed(&rig, &first.json()).await;
    assert_eq!(rig.send(keyed()).await.json()["outcome"], "succeeded");
    rig.send(keyed().json(&json!({"reference": "registry/app:9"})))
        .await
        .problem(409);
    assert_eq!(rig.send(get(&path)).await.json().as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_ledger_is_read_page_by_page_newest_first() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.insert(0, rig.deploy(&id).await["id"].clone());
    }
    let path = format!("/api/workloads/{id}/deploys");
    let page = async |query: &str| -> Vec<Value> {
        let rows = rig.send(get(&format!("{path}{query}"))).await.json();
        rows.as_array()
            .unwrap()
            .iter()
            .map(|row| row["id"].clone())
            .collect()
    };
    assert_eq!(page("").await, ids);
    assert_eq!(page("?limit=2").await, ids[..2]);
    assert_eq!(
        page(&format!("?limit=2&before={}", ids[1].as_str().unwrap())).await,
        ids[2..4]
    );
    assert_eq!(
        page(&format!("?before={}", ids[4].as_str().unwrap())).await,
        ids[5..]
    );

    let other = rig.workload("other").await;
    let foreign = format!(
        "/api/workloads/{other}/deploys?before={}",
        ids[0].as_str().unwrap()
    );
    assert_eq!(rig.send(get(&foreign)).await.problem(400)["field"], "before");
}

#[tokio::test]
async fn a_rollback_is_a_deploy_with_another_reason() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let first = rig.deploy(&id).await;
    rig.deploy(&id).await;
    let body = json!({"deploy_id": first["id"], "config": "current", "note": "back"});
    let answer = rig
        .send(post(&format!("/api/workloads/{id}/rollback?wait=true")).json(&body))
        .await;
    assert_eq!(answer.status, 200);
    let row = answer.json();
    assert_eq!(
        (&row["reason"], &row["rollback_of"]),
        (&json!("rollback"), &first["id"])
    );
    assert_eq!(
        (&row["outcome"], &row["note"], &row["current"]),
        (&json!("succeeded"), &json!("back"), &json!(true))
    );
}

#[tokio::test]
async fn a_rollback_is_refused_with_its_reason() {
    let rig = Rig::new();
    let (id, other) = (rig.workload("web").await, rig.workload("other").await);
    let good = rig.deploy(&id).await;
    rig.plugin.behave(Behaviour::Fail(FailureMarker::Unhealthy));
    let failed = rig.deploy(&id).await;
    let roll_back = |workload: &str, row: &Value| -> Call {
        post(&format!("/api/workloads/{workload}/rollback")).json(&json!({"deploy_id": row["id"]}))
    };
    rig.send(roll_back(&other, &good)).await.problem(404);
    assert_eq!(
        rig.send(roll_back(&id, &failed)).await.problem(409)["reason"],
        "not_succeeded"
    );
    for (refusal, reason) in [
        (RollbackRefusal::ImageGone, "image_gone"),
        (RollbackRefusal::LocalImageGone, "local_image_gone"),
        (RollbackRefusal::RegistryDenied, "registry_denied"),
        (RollbackRefusal::RegistryUnreachable, "registry_unreachable"),
        (RollbackRefusal::EngineUnavailable, "engine_unavailable"),
    ] {
        rig.plugin.refuse(Some(refusal));
        assert_eq!(
            rig.send(roll_back(&id, &good)).await.problem(409)["reason"],
            reason
        );
    }
    assert_eq!(
        rig.send(get(&format!("/api/workloads/{id}/deploys")))
            .await
            .json()
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

/// The events of a stream that ends: names and data.
async fn events(response: axum::response::Response) -> Vec<(String, Value)> {
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let text = String::from_utf8(body.to_vec()).unwrap();
    let blocks = text.split("\n\n").filter(|block| block.starts_with("event: "));
    let parse = |block: &str| {
        let (event, data) = block.split_once("\ndata: ").unwrap();
        (
            event["event: ".len()..].to_owned(),
            serde_json::from_str(data).unwrap(),
        )
    };
    blocks.map(parse).collect()
}

#[tokio::test]
async fn who_watches_a_deploy_sees_its_steps_and_then_its_outcome() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    rig.plugin.behave(Behaviour::Wait { steps: 2 });
    let row = rig
        .send(post(&format!("/api/workloads/{id}/deploys")))
        .await
        .json();
    let stream = rig
        .open(get(&format!("/api/deploys/{}/events", row["id"].as_str().unwrap())).by_viewer())
        .await;
    rig.plugin.release();
    let events = events(stream).await;
    let steps: Vec<&Value> = events
        .iter()
        .filter(|(name, _)| name == "step")
        .map(|(_, data)| data)
        .collect();
    assert_eq!(steps[0]["step"], "resolving");
    assert!(steps.contains(
        &&json!({"step": "pulling", "layers_done": 0, "layers_total": 1, "bytes_done": 1, "bytes_total": 2})
    ));
    let (name, outcome) = events.last().unwrap();
    assert_eq!(
        (name.as_str(), &outcome["id"], &outcome["outcome"]),
        ("outcome", &row["id"], &json!("succeeded"))
    );
    assert_eq!(*outcome, closed(&rig, &row).await);
}

#[tokio::test]
async fn who_reads_too_slowly_is_told_how_much_was_missed() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    rig.plugin.behave(Behaviour::Wait { steps: 5_000 });
    let row = rig
        .send(post(&format!("/api/workloads/{id}/deploys")))
        .await
        .json();
    let stream = rig
        .open(get(&format!(
            "/api/deploys/{}/events",
            row["id"].as_str().unwrap()
        )))
        .await;
    rig.plugin.release();
    closed(&rig, &row).await;
    let events = events(stream).await;
    let missed: u64 = events
        .iter()
        .filter(|(name, _)| name == "missed")
        .filter_map(|(_, data)| data["missed"].as_u64())
        .sum();
    assert!(
        missed > 3_000 && events.len() < 1_500,
        "{missed} missed, {} seen",
        events.len()
    );
    assert_eq!(events.last().unwrap().0, "outcome");
}

#[tokio::test]
async fn who_is_not_let_in_any_more_does_not_see_the_outcome() {
    let (rig, viewer_is_known) = Rig::that_rechecks();
    let id = rig.workload("web").await;
    rig.plugin.behave(Behaviour::Wait { steps: 2 });
    let row = rig
        .send(post(&format!("/api/workloads/{id}/deploys")))
        .await
        .json();
    let path = format!("/api/deploys/{}/events", row["id"].as_str().unwrap());
    let viewers = rig.open(get(&path).by_viewer()).await;
    let admins = rig.open(get(&path)).await;
    viewer_is_known.store(false, Ordering::SeqCst);
    let seen = events(viewers).await;
    assert!(
        !seen.is_empty() && seen.iter().all(|(name, _)| name == "step"),
        "{seen:?}"
    );
    rig.plugin.release();
    assert_eq!(events(admins).await.last().unwrap().0, "outcome");
}

#[tokio::test]
async fn a_deploy_that_is_over_answers_its_outcome_at_once() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let row = rig.deploy(&id).await;
    let stream = rig
        .open(get(&format!(
            "/api/deploys/{}/events",
            row["id"].as_str().unwrap()
        )))
        .await;
    assert_eq!(events(stream).await, [("outcome".to_owned(), row)]);
}

#[tokio::test]
async fn a_dispatch_survives_the_client_that_began_it() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    rig.plugin.behave(Behaviour::Wait { steps: 0 });
    let path = format!("/api/workloads/{id}/deploys");
    let wait = rig.send(post(&format!("{path}?wait=true")));
    let is_there = async {
        loop {
            let row = rig.send(get(&path)).await.json()[0].clone();
            if row.is_object() {
                break row;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    // What is not the first is dropped.
    let row = tokio::select! {
        answer = wait => panic!("it did not wait: {}", answer.text()),
        row = is_there => row,
    };
    rig.plugin.release();
    assert_eq!(closed(&rig, &row).await["outcome"], "succeeded");
}

#[tokio::test]
async fn after_the_shutdown_began_nothing_is_dispatched() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let running = begin(&rig, &id).await;
    rig.dispatcher.shutdown(Duration::ZERO).await;
    let answer = rig.send(post(&format!("/api/workloads/{id}/deploys"))).await;
    answer.problem(503);
    assert_ne!(answer.header("retry-after"), "");
    assert_eq!(closed(&rig, &running).await["outcome"], "interrupted");
}

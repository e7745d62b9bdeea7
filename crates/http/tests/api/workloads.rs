//! Workloads: create, read, change, delete.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use shipslog_core::time::Timestamp;

use crate::plugin::Behaviour;
use crate::rig::{NOW, Rig, call, get, post, spec};

#[tokio::test]
async fn a_workload_is_created_at_its_location_and_read_back() {
    let rig = Rig::new();
    let answer = rig.send(post("/api/workloads").json(&spec("web"))).await;
    assert_eq!(answer.status, 201);
    let created = answer.json();
    let path = answer.header("location").to_owned();
    assert_eq!(
        path,
        format!("/api/workloads/{}", created["id"].as_str().unwrap())
    );
    let expected = json!({"name": "web", "managed": true, "state": "absent", "spec_revision": 1, "containers": [], "current_deploy": null,
                          "created_at": Timestamp::from_second(NOW).unwrap()});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(&created[field], value, "{field}");
    }
    assert_eq!(created["spec"]["source"], spec("web")["source"]);
    assert_eq!(rig.send(get(&path)).await.json(), created);
    assert_eq!(rig.send(get("/api/workloads")).await.json(), json!([created]));
    rig.send(post("/api/workloads").json(&spec("web")))
        .await
        .problem(409);
}

#[tokio::test]
async fn viewers_do_not_see_what_may_hold_a_secret() {
    let rig = Rig::new();
    let mut spec = spec("web");
    spec["command"] = json!(["serve", "--password=pa55word"]);
    spec["env"] = json!([{"name": "MODE", "value": "pa55word"}, {"name": "DB", "secret": "env:DB"}]);
    spec["healthcheck"] = json!({"command": ["check", "pa55word"]});
    spec["source"]["options"] = json!({"file": "password: pa55word"});
    let created = rig.send(post("/api/workloads").json(&spec)).await.json();
    assert_eq!(created["spec"]["env"], spec["env"]);
    assert_eq!(created["spec"]["command"], spec["command"]);
    assert_eq!(created["spec"]["source"], spec["source"]);

    let path = format!("/api/workloads/{}", created["id"].as_str().unwrap());
    for path in [path.as_str(), "/api/workloads"] {
        assert!(
            !rig.send(get(path).by_viewer()).await.text().contains("pa55word"),
            "{path}"
        );
        assert!(rig.send(get(path)).await.text().contains("pa55word"), "{path}");
    }
    let seen = rig.send(get(&path).by_viewer()).await.json();
    assert_eq!(
        seen["spec"]["env"],
        json!([{"name": "MODE"}, {"name": "DB", "secret": "env:DB"}])
    );
    assert_eq!(
        (&seen["spec"]["command"], &seen["spec"]["healthcheck"]["command"]),
        (&json!([]), &json!([]))
    );
    assert_eq!(seen["spec"]["healthcheck"]["interval_s"], 5);
}

#[tokio::test]
async fn a_new_spec_is_a_new_revision_and_deploys_nothing() {
    let rig = Rig::new();
    let path = format!("/api/workloads/{}", rig.workload("web").await);
    let mut changed = spec("web");
    changed["source"]["reference"] = json!("registry/app:2");
    let answer = rig.send(call("PUT", &path).json(&changed)).await;
    assert_eq!(
        (answer.status.as_u16(), &answer.json()["spec_revision"]),
        (200, &json!(2))
    );
    assert_eq!(
        rig.send(get(&path)).await.json()["spec"]["source"],
        changed["source"]
    );
    assert_eq!(rig.send(get(&format!("{path}/deploys"))).await.json(), json!([]));
    rig.workload("other").await;
    rig.send(call("PUT", &path).json(&spec("other")))
        .await
        .problem(409);
}

#[tokio::test]
async fn a_workload_is_deleted_with_its_ledger_but_not_while_it_is_deployed() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let path = format!("/api/workloads/{id}");
    let row = rig.deploy(&id).await;
    rig.plugin.behave(Behaviour::Wait { steps: 0 });
    let running = rig.send(post(&format!("{path}/deploys"))).await.json();
    rig.send(call("DELETE", &path)).await.problem(409);
    rig.plugin.release();
    rig.dispatcher
        .wait(&running["id"].as_str().unwrap().parse().unwrap())
        .await
        .unwrap();

    let answer = rig.send(call("DELETE", &path)).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (204, 0));
    rig.send(get(&path)).await.problem(404);
    rig.send(get(&format!("/api/deploys/{}", row["id"].as_str().unwrap())))
        .await
        .problem(404);
    assert_eq!(rig.workload("web").await.len(), id.len());
}

#[tokio::test]
async fn observed_workloads_are_shown_and_cannot_be_changed() {
    let rig = Rig::new();
    let at = Timestamp::from_second(NOW).unwrap();
    let observed = rig.store.observe_workload("blog", at).await.unwrap();
    let path = format!("/api/workloads/{}", observed.id);
    let seen = rig.send(get(&path).by_viewer()).await.json();
    assert_eq!(
        (&seen["managed"], &seen["spec"], &seen["spec_revision"]),
        (&json!(false), &Value::Null, &Value::Null)
    );
    for call in [
        call("PUT", &path).json(&spec("blog")),
        post(&format!("{path}/deploys")),
    ] {
        let problem = rig.send(call).await.problem(409);
        assert!(
            problem["detail"].as_str().unwrap().contains("only observed"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn workloads_are_shown_while_the_engine_is_away() {
    let rig = Rig::new();
    rig.workload("web").await;
    rig.inventory.away.store(true, Ordering::SeqCst);
    let answer = rig.send(get("/api/workloads")).await;
    assert_eq!(answer.status, 200);
    assert_eq!(
        (&answer.json()[0]["name"], &answer.json()[0]["state"]),
        (&json!("web"), &json!("unknown"))
    );
}

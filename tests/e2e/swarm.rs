//! Services of a swarm where there is none.

use std::io::Write as _;

use serde_json::{Value, json};
use shipslog_test_support::{engine, unique};

use crate::harness::{Setup, data_dir, spec};

#[test]
fn without_a_swarm_a_dispatch_is_refused_with_what_to_do() {
    let Some(engine) = engine() else { return };
    let state = engine.docker(&["info", "--format", "{{.Swarm.LocalNodeState}}"]);
    if state != "inactive" {
        let _ = writeln!(std::io::stderr(), "SKIPPED: the engine is part of a swarm");
        return;
    }
    let dir = data_dir();
    let server = Setup::new(&dir.path().join("d"), engine.host()).start();
    let mut service = spec(&unique("sw"), "registry.example/app:1");
    service["source"]["kind"] = json!("swarm");
    let workload = server.admin().create(&service);
    let deploys = format!("/api/workloads/{workload}/deploys");
    let (status, problem) = server.admin().post(&deploys, &json!({}));
    assert_eq!(status, 409, "{problem}");
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("run docker swarm init on this host"), "{problem}");
    assert_eq!(server.admin().ledger(&workload), [Value::Null; 0]);

    let (_, system) = server.admin().get("/api/system");
    let kinds = system["kinds"].as_array().unwrap();
    let swarm = kinds.iter().find(|kind| kind["kind"] == "swarm").unwrap();
    assert_eq!(swarm["rollback"], true);
    assert_eq!(swarm["missing"].as_array().unwrap().len(), 1, "{swarm}");
}

#[test]
fn what_a_service_cannot_have_is_refused_with_its_field() {
    let dir = data_dir();
    let nobody = "unix:///nonexistent/shipslog.sock";
    let server = Setup::new(&dir.path().join("d"), nobody).start();
    let mut service = spec("web", "registry.example/app:1");
    service["source"]["kind"] = json!("swarm");
    service["ports"] = json!([{"host": 80, "container": 80, "host_ip": "127.0.0.1"}]);
    let (status, problem) = server.admin().post("/api/workloads", &service);
    assert_eq!(status, 422, "{problem}");
    assert!(
        problem["detail"].as_str().unwrap().contains("ports[0].host_ip"),
        "{problem}"
    );
    service["ports"] = json!([{"host": 80, "container": 80}]);
    service["replicas"] = json!(3);
    let (status, created) = server.admin().post("/api/workloads", &service);
    assert_eq!(status, 201, "{created}");
}

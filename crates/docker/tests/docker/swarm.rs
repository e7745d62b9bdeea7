//! Services of a swarm, on engines that manage none. Those on a swarm are in a test binary of their own.

use serde_json::json;
use shipslog_core::deploys::{DispatchPlugin as _, Record, RollbackCapable as _, RollbackRefusal};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::time::Timestamp;
use shipslog_docker::{DockerEngine, EngineOptions, SwarmPlugin};

use crate::fake_engine::{FakeEngine, version};

/// As engines answer that are in no swarm, or in one that others manage.
fn without_swarm(state: &'static str) -> FakeEngine {
    let refusal = r#"{"message": "This node is not a swarm manager. Use \"docker swarm init\" or \"docker swarm join\" to connect this node to swarm and try again."}"#;
    FakeEngine::start(move |path| match path {
        "/version" => version("1.41"),
        "/info" => Some((
            200,
            format!(r#"{{"Swarm": {{"LocalNodeState": "{state}", "ControlAvailable": false}}}}"#),
        )),
        _ => Some((503, refusal.to_owned())),
    })
}

fn record() -> Record {
    let spec = json!({"name": "web", "source": {"kind": "swarm", "reference": "r/a:1"}});
    let now = Timestamp::now();
    let spec = serde_json::from_value(spec).unwrap();
    Record::new(WorkloadId::generate(now), DeployId::generate(now), spec)
}

#[tokio::test]
async fn what_is_lacking_is_said_with_how_to_get_it() {
    for (state, word) in [
        ("inactive", "docker swarm init"),
        ("active", "docker node promote"),
        ("locked", "docker swarm unlock"),
    ] {
        let readiness = SwarmPlugin::new(without_swarm(state).handle()).readiness().await;
        assert!(readiness.missing[0].contains(word), "{readiness:?}");
        assert!(readiness.uses.is_empty());
    }
}

#[tokio::test]
async fn an_engine_that_is_away_lacks_nothing() {
    let nobody = EngineOptions::default().with_host("unix:///nonexistent/shipslog.sock");
    let plugin = SwarmPlugin::new(DockerEngine::new(nobody));
    assert_eq!(plugin.readiness().await, Default::default());
    let record = record();
    assert!(plugin.settle(&record.workload, None).await.is_err());
    let mut pinned = record.clone();
    let digest = format!("r/a@sha256:{}", "ab".repeat(32));
    let pin = shipslog_core::deploys::Pin::new(digest.parse().unwrap(), digest.parse().unwrap());
    pinned.pinned = Some(pin.into());
    assert_eq!(
        plugin.preflight(&pinned).await,
        Err(RollbackRefusal::EngineUnavailable)
    );
    assert_eq!(plugin.preflight(&record).await, Err(RollbackRefusal::NotPinned));
}

#[tokio::test]
async fn without_a_swarm_there_is_nothing_to_put_in_order() {
    let engine = without_swarm("inactive");
    let (plugin, record) = (SwarmPlugin::new(engine.handle()), record());
    plugin.settle(&record.workload, None).await.unwrap();
    assert_eq!(
        engine.asked().len(),
        2,
        "one question, and who it is: {:?}",
        engine.asked()
    );
    assert!(plugin.running(&record.workload).await.unwrap().is_empty());
    assert!(
        plugin.settle(&record.workload, Some(&record)).await.is_err(),
        "what is to be kept is gone"
    );
}

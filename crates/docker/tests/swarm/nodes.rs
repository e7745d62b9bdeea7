//! A service with tasks on more nodes than the one whose engine is spoken to.

use serde_json::{Value, json};
use shipslog_core::deploys::{DispatchPlugin as _, FailureMarker};
use shipslog_test_support::{Engine, Health, ImageSpec, Registry};

use crate::bench::{Bench, PATIENCE, at};
use crate::cluster::Cluster;

fn three() -> Value {
    json!({"replicas": 3})
}

/// What each task shows, by node. Every node has at least one.
fn pages(cluster: &Cluster, bench: &Bench) -> Vec<String> {
    let mut pages = Vec::new();
    for engine in cluster.engines() {
        let ids = containers(engine, bench);
        assert!(!ids.is_empty(), "no task on {}", engine.host());
        for id in ids {
            let page = ["exec", &id, "wget", "-q", "-O", "-", "http://127.0.0.1/"];
            pages.push(engine.docker(&page).trim().to_owned());
        }
    }
    pages
}

fn containers(engine: &Engine, bench: &Bench) -> Vec<String> {
    let of_workload = format!("label=shipslog.workload={}", bench.workload);
    let ids = engine.docker(&["ps", "--quiet", "--filter", &of_workload]);
    ids.lines().map(str::to_owned).collect()
}

/// Pushes a version under the tag that the specs name.
fn publish(bench: &Bench, registry: &Registry, version: &str, health: Health) -> String {
    let image = bench.build(&ImageSpec::web(version).health(health), version);
    let pushed = image.push(registry, &format!("{}:live", bench.name));
    pushed.reference().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_on_two_nodes_is_deployed_verified_and_rolled_back_on_each() {
    let Some(_) = shipslog_test_support::engine() else {
        return;
    };
    let registry = Registry::shared();
    let cluster = Cluster::start(&registry);
    let mut bench = Bench::on(cluster.manager.engine.clone(), None);
    bench.log_in(registry.docker_config());
    let readiness = bench.plugin.readiness().await;
    assert_eq!(readiness.uses, ["swarm (2 nodes)"]);

    // A dispatch of the bench holds every task against the pin.
    let tag = publish(&bench, &registry, "v1", Health::Always);
    let first = bench.deploy(bench.spec_with(&tag, &three())).await.unwrap();
    assert_eq!(pages(&cluster, &bench), ["v1"; 3]);
    publish(&bench, &registry, "v2", Health::Always);
    let second = bench.deploy(bench.spec_with(&tag, &three())).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(pages(&cluster, &bench), ["v2"; 3]);

    publish(&bench, &registry, "sick", Health::Never);
    let refused = bench.deploy(bench.spec_with(&tag, &three())).await.unwrap_err();
    // A program that ends well when it is stopped says no more than that, unless its container can be looked at.
    let of_version = [FailureMarker::Unhealthy, FailureMarker::ExitedAtOnce];
    assert!(of_version.contains(&refused), "{refused:?}");
    assert_eq!(pages(&cluster, &bench), ["v2"; 3]);

    let spec = bench.spec_with(&tag, &three());
    assert_eq!(bench.roll_back(spec, &first).await, Ok(first));
    assert_eq!(pages(&cluster, &bench), ["v1"; 3]);

    falters_when_a_task_of_the_worker_ends(&cluster, &bench).await;
    at(bench.engine.host())
        .settle(&bench.workload, None)
        .await
        .unwrap();
    assert_eq!(bench.services(), [""; 0]);
}

async fn falters_when_a_task_of_the_worker_ends(cluster: &Cluster, bench: &Bench) {
    let deploy = bench.current.as_ref().unwrap().deploy.clone();
    let worker = &cluster.worker.engine;
    worker.docker(&["kill", &containers(worker, bench)[0]]);
    let falters = bench.plugin.falter(&bench.workload, &deploy);
    let marker = tokio::time::timeout(PATIENCE, falters)
        .await
        .expect("it is noticed");
    assert_eq!(marker.unwrap(), FailureMarker::ExitedAtOnce);
}

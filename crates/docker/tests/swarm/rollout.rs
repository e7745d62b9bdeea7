//! A new version in place of the old, task by task.

use std::time::Duration;

use serde_json::{Value, json};
use shipslog_core::deploys::{DeployStep, DispatchEvent, DispatchPlugin as _};
use shipslog_core::secret::Secret;
use shipslog_core::workloads::Inventory as _;
use shipslog_docker::{DockerEngine, EngineOptions};
use shipslog_test_support::{Health, ImageSpec};

use crate::bench::{bench, registry_for};

#[tokio::test]
async fn a_new_version_takes_the_place_of_the_old_in_the_same_service() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    assert_eq!(bench.page(), "v1");
    let service = bench.inspect_service("{{.ID}}");
    let image = bench.web("v2");
    bench.deploy(bench.spec(image.tag())).await.unwrap();
    assert_eq!(bench.page(), "v2");
    assert_eq!(bench.services(), [bench.name.as_str()]);
    assert_eq!(bench.inspect_service("{{.ID}}"), service);
    assert_eq!(bench.containers().len(), 1);
}

#[tokio::test]
async fn what_is_run_is_what_the_spec_says() {
    let Some(mut bench) = bench() else { return };
    let image = bench.web("v1");
    let volume = format!("{}-data", bench.name);
    let spec = bench.spec_with(
        image.tag(),
        &json!({
            "labels": {"team": "a"}, "memory_limit": 64 << 20, "cpus": 0.5, "restart": "on-failure",
            "mounts": [{"source": volume, "target": "/data"}, {"source": "/etc", "target": "/host-etc", "read_only": true}],
            "healthcheck": {"command": ["test", "-d", "/data"], "interval_s": 1},
        }),
    );
    let mut job = bench.job(spec);
    job.spec_revision = 7;
    job.env = vec![("GREETING".to_owned(), Secret::new("a b=c".to_owned()))];
    bench.dispatch(&job).await.unwrap();
    let containers = bench.containers();
    let id = containers[0].split(' ').next().unwrap();
    let greeting = ["exec", id, "sh", "-c", "echo $GREETING"];
    assert_eq!(bench.engine.docker(&greeting), "a b=c");
    assert_eq!(bench.engine.docker(&["exec", id, "touch", "/data/kept"]), "");
    assert!(
        bench
            .engine
            .try_docker(&["exec", id, "touch", "/host-etc/x"])
            .is_err()
    );
    let format = r#"{{index .Config.Labels "team"}} {{index .Config.Labels "shipslog.spec-revision"}} {{index .Config.Labels "shipslog.kind"}} {{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.State.Health.Status}}"#;
    let inspected = bench.engine.docker(&["inspect", "--format", format, id]);
    assert_eq!(inspected, "a 7 swarm 67108864 500000000 healthy");
}

#[tokio::test]
async fn the_engine_is_told_how_to_update_and_how_to_put_back() {
    let Some(mut bench) = bench() else { return };
    let image = bench.web("v1");
    let mut spec = bench.spec_with(image.tag(), &json!({"replicas": 2}));
    let options = json!({"parallelism": 2, "delay_s": 3});
    spec.source.options = serde_json::from_value(options).unwrap();
    bench.deploy(spec).await.unwrap();
    let config = |name: &str| -> Value {
        let text = bench.inspect_service(&format!("{{{{json .Spec.{name}}}}}"));
        serde_json::from_str(&text).unwrap()
    };
    let second = 1_000_000_000_u64;
    assert_eq!(
        config("UpdateConfig"),
        json!({"Parallelism": 2, "Delay": 3 * second, "FailureAction": "pause", "Monitor": second, "MaxFailureRatio": 0, "Order": "start-first"})
    );
    assert_eq!(
        config("RollbackConfig"),
        json!({"Parallelism": 0, "FailureAction": "continue", "Monitor": second, "MaxFailureRatio": 0, "Order": "start-first"})
    );
}

#[tokio::test]
async fn tasks_on_this_node_are_containers_of_the_workload() {
    let Some(mut bench) = bench() else { return };
    let image = bench.web("v1");
    bench
        .deploy(bench.spec_with(image.tag(), &json!({"replicas": 2})))
        .await
        .unwrap();
    let engine = DockerEngine::new(EngineOptions::default().with_host(bench.engine.host()));
    let all = engine.containers().await.unwrap();
    let own: Vec<_> = all
        .iter()
        .filter(|container| container.workload.as_ref() == Some(&bench.workload))
        .collect();
    assert_eq!(own.len(), 2);
    let deploy = &bench.current.as_ref().unwrap().deploy;
    assert!(
        own.iter()
            .all(|container| container.deploy.as_ref() == Some(deploy))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_replaced_one_by_one_and_none_is_ever_missing() {
    let Some(mut bench) = bench() else { return };
    let three = json!({"replicas": 3});
    let slow = |version: &str| ImageSpec::web(version).health(Health::After(Duration::from_secs(1)));
    let (v1, v2) = (bench.build(&slow("v1"), "v1"), bench.build(&slow("v2"), "v2"));
    bench.deploy(bench.spec_with(v1.tag(), &three)).await.unwrap();
    let job = bench.job(bench.spec_with(v2.tag(), &three));
    let pin = bench.plugin.resolve(&job).await.unwrap();
    let mut events = job.progress.subscribe();
    let (plugin, of_task) = (bench.plugin.clone(), job.clone());
    let task = tokio::spawn(async move { plugin.run(&of_task, &pin).await });
    let mut fewest = usize::MAX;
    while !task.is_finished() {
        fewest = fewest.min(healthy(&bench));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    task.await.unwrap().unwrap();
    assert!(fewest >= 3, "only {fewest} were healthy at some time");
    drop(job);
    let mut told = Vec::new();
    while let Some(DispatchEvent::Step { step, .. }) = events.next().await {
        told.push(step);
    }
    assert_eq!(told.last(), Some(&DeployStep::Rolling { done: 3, total: 3 }));
}

fn healthy(bench: &crate::bench::Bench) -> usize {
    let of_workload = format!("label=shipslog.workload={}", bench.workload);
    let list = [
        "ps",
        "--quiet",
        "--filter",
        &of_workload,
        "--filter",
        "health=healthy",
    ];
    bench.engine.docker(&list).lines().count()
}

#[tokio::test]
async fn an_image_of_a_registry_is_run_by_digest_and_pulled_with_the_credentials_of_this_host() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    let image = bench.web("v1");
    let pushed = image.push(&registry, &format!("{}:live", bench.name));
    let job = bench.job(bench.spec(pushed.reference()));
    let pinned = bench.plugin.resolve(&job).await.unwrap();
    assert_eq!(pinned.pin.reference.as_str(), pushed.pinned());
    assert_eq!(pinned.pin.content.as_str(), pushed.digest());
    // As on a node that never had it.
    image.remove();
    bench.plugin.run(&job, &pinned).await.unwrap();
    assert_eq!(bench.page(), "v1");
    let running = bench.plugin.running(&bench.workload).await.unwrap();
    assert!(running.iter().all(|task| pinned.pin.is(task)), "{running:?}");
    let image = "{{.Spec.TaskTemplate.ContainerSpec.Image}}";
    assert_eq!(bench.inspect_service(image), pushed.pinned());
}

#[tokio::test]
async fn the_swarm_is_found() {
    let Some(bench) = bench() else { return };
    let readiness = bench.plugin.readiness().await;
    assert!(readiness.uses[0].starts_with("swarm ("), "{readiness:?}");
    assert!(readiness.missing.is_empty());
}

//! Versions that do not work, and what else can be in the way.

use serde_json::json;
use shipslog_core::deploys::{DispatchPlugin as _, FailureMarker};
use shipslog_test_support::{Health, ImageSpec, free_port};

use crate::bench::{Bench, bench};

async fn is_refused(bench: &mut Bench, image: &ImageSpec, expected: FailureMarker) {
    bench.deploy_v1().await;
    let before = bench.containers();
    let bad = bench.build(image, "bad");
    let spec = bench.spec(bad.tag());
    assert_eq!(bench.deploy(spec).await, Err(expected));
    assert_eq!(bench.containers(), before, "what served was touched");
    assert_eq!(bench.page(), "v1");
    assert_eq!(bench.services(), [bench.name.as_str()]);
}

#[tokio::test]
async fn a_version_that_ends_leaves_the_old_one_untouched() {
    let Some(mut bench) = bench() else { return };
    let ends = ImageSpec::script("exit 3");
    is_refused(&mut bench, &ends, FailureMarker::ExitedAtOnce).await;
}

#[tokio::test]
async fn a_version_that_is_unhealthy_leaves_the_old_one_untouched() {
    let Some(mut bench) = bench() else { return };
    let sick = ImageSpec::web("bad").health(Health::Never);
    is_refused(&mut bench, &sick, FailureMarker::Unhealthy).await;
}

#[tokio::test]
async fn a_version_that_cannot_be_started_leaves_the_old_one_untouched() {
    let Some(mut bench) = bench() else { return };
    let none = ImageSpec::command(&["/no/such/program"]);
    is_refused(&mut bench, &none, FailureMarker::StartFailed).await;
}

#[tokio::test]
async fn a_first_version_that_does_not_work_leaves_nothing() {
    let Some(mut bench) = bench() else { return };
    let ends = bench.build(&ImageSpec::script("exit 3"), "bad");
    let spec = bench.spec(ends.tag());
    assert_eq!(bench.deploy(spec).await, Err(FailureMarker::ExitedAtOnce));
    assert_eq!(bench.services(), [""; 0]);
    assert_eq!(bench.containers(), [""; 0]);
}

#[tokio::test]
async fn a_version_that_fails_at_its_second_task_is_taken_back_and_goes_no_further() {
    let Some(mut bench) = bench() else { return };
    let three =
        json!({"replicas": 3, "mounts": [{"source": format!("{}-marks", bench.name), "target": "/marks"}]});
    let good = bench.web("v1");
    bench.deploy(bench.spec_with(good.tag(), &three)).await.unwrap();
    let before = bench.containers();
    // The first to come leaves a mark, and whoever finds it is unhealthy.
    let script = "touch /marks/$HOSTNAME; [ $(ls /marks | wc -l) -lt 2 ] && touch /well; trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done";
    let image = ImageSpec::script(script);
    let bad = bench.build(&image, "bad");
    let mut spec = bench.spec_with(bad.tag(), &three);
    let check = json!({"command": ["test", "-e", "/well"], "interval_s": 1, "retries": 2});
    spec.healthcheck = serde_json::from_value(check).unwrap();
    assert_eq!(bench.deploy(spec).await, Err(FailureMarker::Unhealthy));
    let after = bench.containers();
    assert_eq!(after.len(), 3);
    let untouched = before
        .iter()
        .filter(|container| after.contains(container))
        .count();
    assert!(untouched >= 2, "{untouched} of 3 were left alone");
    let running = bench.plugin.running(&bench.workload).await.unwrap();
    let deploy = bench.current.as_ref().map(|record| &record.deploy);
    assert!(running.iter().all(|task| task.deploy.as_ref() == deploy));
}

#[tokio::test]
async fn a_service_of_somebody_else_is_not_touched() {
    let Some(mut bench) = bench() else { return };
    let image = bench.web("v1");
    let create = [
        "service",
        "create",
        "--quiet",
        "--detach",
        "--no-resolve-image",
        "--name",
        &bench.name,
    ];
    bench.engine.docker(&[&create[..], &[image.tag()]].concat());
    let version = bench.inspect_service("{{.Version.Index}}");
    let spec = bench.spec_with(image.tag(), &json!({}));
    assert_eq!(bench.deploy(spec).await, Err(FailureMarker::NameConflict));
    assert_eq!(bench.inspect_service("{{.Version.Index}}"), version);
}

#[tokio::test]
async fn a_port_that_is_taken_is_named_as_such() {
    let Some(mut bench) = bench() else { return };
    let image = bench.web("v1");
    let published = format!("{}:80", bench.port);
    let other = format!("{}-other", bench.name);
    let create = [
        "service",
        "create",
        "--quiet",
        "--detach",
        "--no-resolve-image",
        "--name",
        &other,
        "--publish",
        &published,
    ];
    bench.engine.docker(&[&create[..], &[image.tag()]].concat());
    let port = json!([{"host": bench.port, "container": 80}]);
    let spec = bench.spec_with(image.tag(), &json!({ "ports": port }));
    assert_eq!(bench.deploy(spec).await, Err(FailureMarker::PortTaken));
    assert_eq!(bench.services(), [""; 0]);

    bench.port = free_port();
    let taken = std::net::TcpListener::bind(("0.0.0.0", bench.port)).unwrap();
    let spec = bench.spec(image.tag());
    assert_eq!(bench.deploy(spec).await, Err(FailureMarker::PortTaken));
    drop(taken);
}

#[tokio::test]
async fn a_network_that_no_service_can_join_is_a_refused_configuration() {
    let Some(mut bench) = bench() else { return };
    let image = bench.web("v1");
    let spec = bench.spec_with(
        image.tag(),
        &json!({"networks": [format!("{}-none", bench.name)]}),
    );
    assert_eq!(bench.deploy(spec).await, Err(FailureMarker::CreateFailed));
}

#[tokio::test]
async fn a_mount_that_is_not_there_is_a_refused_configuration() {
    let Some(mut bench) = bench() else { return };
    let image = bench.web("v1");
    let mount = json!([{"source": "/no/such/folder", "target": "/data"}]);
    let spec = bench.spec_with(image.tag(), &json!({ "mounts": mount }));
    assert_eq!(bench.deploy(spec).await, Err(FailureMarker::CreateFailed));
}

#[tokio::test]
async fn a_task_that_fails_later_is_noticed() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let deploy = bench.current.as_ref().unwrap().deploy.clone();
    let (plugin, workload) = (bench.plugin.clone(), bench.workload.clone());
    let watch = tokio::spawn(async move { plugin.falter(&workload, &deploy).await });
    tokio::time::sleep(std::time::Duration::from_millis(1500)).await;
    assert!(!watch.is_finished(), "it works");
    let containers = bench.containers();
    bench
        .engine
        .docker(&["kill", containers[0].split(' ').next().unwrap()]);
    let limit = std::time::Duration::from_secs(20);
    let marker = tokio::time::timeout(limit, watch).await.expect("it is noticed");
    assert_eq!(marker.unwrap().unwrap(), FailureMarker::ExitedAtOnce);
}

//! Deploys that fail once there is an image: each gives its marker, and what ran before runs on.

use std::net::TcpListener;
use std::time::Duration;

use serde_json::json;
use shipslog_core::deploys::FailureMarker;
use shipslog_core::workloads::Spec;
use shipslog_test_support::{Health, ImageSpec, free_port};

use crate::bench::{Bench, bench};

/// With v1 running, deploys `spec`, which has to fail without v1 being touched at all.
async fn fails_beside_v1(bench: &mut Bench, spec: Spec, marker: FailureMarker) {
    let before = bench.started_at();
    let tag = spec.source.reference.clone();
    assert_eq!(bench.deploy(spec).await, Err(marker), "{tag}");
    assert_eq!(bench.page(), "v1", "{tag}");
    assert_eq!(bench.started_at(), before, "the old container was touched");
    assert_eq!(bench.containers(true).len(), 1, "something was left behind");
}

#[tokio::test]
async fn versions_that_do_not_work() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let cases = [
        ("exits", ImageSpec::exits(3), FailureMarker::ExitedAtOnce),
        (
            "exits-with-check",
            ImageSpec::exits(0).health(Health::Always),
            FailureMarker::ExitedAtOnce,
        ),
        (
            "unhealthy",
            ImageSpec::web("v3").health(Health::Never),
            FailureMarker::Unhealthy,
        ),
        (
            "no-program",
            ImageSpec::command(&["/bin/no-such-program", "-pSECRET"]),
            FailureMarker::StartFailed,
        ),
        // Starting it succeeds: the entry point is there, and does not know its argument.
        (
            "no-applet",
            ImageSpec::command(&["no-such"]).entrypoint(&["/bin/busybox"]),
            FailureMarker::ExitedAtOnce,
        ),
    ];
    for (tag, image, marker) in cases {
        let image = bench.build(&image, tag);
        let spec = bench.spec(image.tag());
        fails_beside_v1(&mut bench, spec, marker).await;
    }
}

#[tokio::test]
async fn is_never_healthy() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let image = bench.build(
        &ImageSpec::web("v3").health(Health::After(Duration::from_secs(3600))),
        "v3",
    );
    let mut spec = bench.spec(image.tag());
    spec.rollout.health_timeout_s = Some(2);
    fails_beside_v1(&mut bench, spec, FailureMarker::HealthTimeout).await;
}

#[tokio::test]
async fn crashes_and_is_started_again_by_the_engine() {
    let Some(mut bench) = bench() else { return };
    let image = bench.build(&ImageSpec::script("sleep 0.3; exit 1"), "v1");
    let mut spec = bench.spec_with(image.tag(), &json!({"restart": "always"}));
    spec.rollout.min_healthy_s = 30;
    assert_eq!(bench.deploy(spec).await, Err(FailureMarker::ExitedAtOnce));
    assert_eq!(bench.containers(true), [""; 0]);
}

#[tokio::test]
async fn works_on_trial_and_fails_in_the_swap() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    // The second run finds the mark of the first in the volume that both mount.
    let once = ImageSpec::script(
        "[ -e /data/mark ] && exit 9; touch /data/mark; trap 'exit 0' TERM; sleep 1000 & wait",
    );
    let image = bench.build(&once, "v3");
    let mut spec = bench.spec(image.tag());
    spec.mounts =
        serde_json::from_value(json!([{"source": format!("{}-data", bench.name), "target": "/data"}]))
            .unwrap();
    assert_eq!(bench.deploy(spec).await, Err(FailureMarker::ExitedAtOnce));
    assert_eq!(bench.page(), "v1");
    assert_eq!(bench.containers(true).len(), 1);
}

#[tokio::test]
async fn a_port_that_another_program_has() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut spec = bench.spec(bench.web("v3").tag());
    spec.ports[0].host = other.local_addr().unwrap().port();
    fails_beside_v1(&mut bench, spec, FailureMarker::PortTaken).await;
}

#[tokio::test]
async fn a_port_that_another_container_has() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let (port, image) = (free_port(), bench.web("v3"));
    let (name, published) = (format!("{}-other", bench.name), format!("127.0.0.1:{port}:80"));
    bench.engine.docker(&[
        "run",
        "--detach",
        "--name",
        &name,
        "--publish",
        &published,
        image.tag(),
    ]);
    let mut spec = bench.spec(image.tag());
    spec.ports[0].host = port;
    fails_beside_v1(&mut bench, spec, FailureMarker::PortTaken).await;
}

#[tokio::test]
async fn a_second_port_that_is_taken_shows_in_the_swap_and_the_old_version_comes_back() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut spec = bench.spec(bench.web("v3").tag());
    let mut second = spec.ports[0].clone();
    second.host = other.local_addr().unwrap().port();
    spec.ports.push(second);
    assert_eq!(bench.deploy(spec).await, Err(FailureMarker::PortTaken));
    assert_eq!(bench.page(), "v1");
    assert_eq!(bench.containers(true).len(), 1);
}

#[tokio::test]
async fn a_name_that_is_taken() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let image = bench.web("v3");
    let job = bench.job(bench.spec(image.tag()));
    let name = format!("{}-{}-trial", bench.name, job.deploy.short());
    bench.engine.docker(&["create", "--name", &name, image.tag()]);
    assert_eq!(bench.dispatch(&job).await, Err(FailureMarker::NameConflict));
    assert_eq!(bench.page(), "v1");
}

#[tokio::test]
async fn a_network_and_a_folder_that_do_not_exist() {
    let Some(mut bench) = bench() else { return };
    let image = bench.web("v1");
    bench.deploy_v1().await;
    let (no_network, mut no_folder) = (
        json!({"networks": [format!("{}-none", bench.name)]}),
        bench.spec(image.tag()),
    );
    let no_network = bench.spec_with(image.tag(), &no_network);
    fails_beside_v1(&mut bench, no_network, FailureMarker::CreateFailed).await;
    no_folder.mounts =
        serde_json::from_value(json!([{"source": "/no/such/folder", "target": "/data"}])).unwrap();
    fails_beside_v1(&mut bench, no_folder, FailureMarker::CreateFailed).await;
    let mut no_second = bench.spec(image.tag());
    no_second.networks = vec!["bridge".to_owned(), format!("{}-none", bench.name)];
    fails_beside_v1(&mut bench, no_second, FailureMarker::CreateFailed).await;
}

#[tokio::test]
async fn a_first_deploy_that_fails_leaves_nothing() {
    let Some(mut bench) = bench() else { return };
    let image = bench.build(&ImageSpec::web("v1").health(Health::Never), "v1");
    assert_eq!(
        bench.deploy(bench.spec(image.tag())).await,
        Err(FailureMarker::Unhealthy)
    );
    assert_eq!(bench.containers(true), [""; 0]);
}

//! Exactly one deploy's containers, and those running, whatever happened before.

use std::time::Duration;

use shipslog_core::deploys::{DispatchPlugin as _, FailureMarker, Job, Pinned};
use shipslog_docker::ImagePlugin;
use shipslog_test_support::{ImageSpec, SocketProxy, wait_until};

use crate::bench::{Bench, at, bench, new_deploy};

#[tokio::test]
async fn settling_is_idempotent_and_with_nothing_to_keep_leaves_nothing() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let before = bench.started_at();
    bench
        .plugin
        .settle(&bench.workload, bench.kept().as_ref())
        .await
        .unwrap();
    assert_eq!(bench.started_at(), before);
    for _ in 0..2 {
        bench.plugin.settle(&bench.workload, None).await.unwrap();
        assert_eq!(bench.containers(true), [""; 0]);
    }
    assert!(bench.plugin.running(&bench.workload).await.unwrap().is_empty());
}

#[tokio::test]
async fn what_was_stopped_is_started_again_and_its_volume_is_kept() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let name = bench.containers(false).remove(0);
    bench.engine.docker(&["stop", &name]);
    assert!(bench.plugin.running(&bench.workload).await.unwrap().is_empty());
    bench
        .plugin
        .settle(&bench.workload, bench.kept().as_ref())
        .await
        .unwrap();
    assert_eq!(bench.page(), "v1");
}

#[tokio::test]
async fn what_an_earlier_dispatch_left_behind_is_removed_before_a_new_one() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let (lost, image) = (new_deploy(), bench.web("v2"));
    let labels = [
        format!("shipslog.workload={}", bench.workload),
        format!("shipslog.deploy={lost}"),
    ];
    let left = format!("{}-left", bench.name);
    bench.engine.docker(&[
        "run",
        "-d",
        "--name",
        &left,
        "-l",
        &labels[0],
        "-l",
        &labels[1],
        image.tag(),
    ]);
    let job = bench.job(bench.spec(image.tag()));
    let pin = bench.plugin.resolve(&job).await.unwrap();
    bench.plugin.run(&job, &pin).await.unwrap();
    let all = bench.containers(true);
    assert!(!all.contains(&left), "{all:?}");
    assert_eq!(all.len(), 2, "the old one is stopped and not removed");
}

/// Answers its container's name.
async fn deploy_a_stubborn_one(bench: &mut Bench) -> String {
    let stubborn = "trap '' TERM; httpd -f -p 80 -h /www & while :; do sleep 1; done";
    let image = ImageSpec::script(stubborn).health(shipslog_test_support::Health::Always);
    let old = bench.build(&image, "v1");
    let mut spec = bench.spec(old.tag());
    spec.rollout.stop_timeout_s = 6;
    bench.deploy(spec).await.unwrap();
    bench.containers(false).remove(0)
}

/// A version that takes six seconds to stop runs, and a dispatch of the next one is dropped while it does.
/// Answers the old container's name.
async fn drop_a_dispatch_while_the_old_one_stops(bench: &mut Bench) -> String {
    let name = deploy_a_stubborn_one(bench).await;
    let job = bench.job(bench.spec(bench.web("v2").tag()));
    let pin = bench.plugin.resolve(&job).await.unwrap();
    let plugin = bench.plugin.clone();
    let task = tokio::spawn(async move { run(&plugin, &job, &pin).await });
    until_it_stops(bench, &name, || task.is_finished()).await;
    task.abort();
    let _ = task.await;
    name
}

/// The engine has begun to stop it when the new container was made and the trial is gone.
async fn until_it_stops(bench: &Bench, name: &str, is_over: impl Fn() -> bool) {
    let is_stopping = || {
        let all = bench.containers(true);
        all.len() == 2
            && !all.iter().any(|name| name.ends_with("-trial"))
            && bench.containers(false) == [name.to_owned()]
    };
    while !is_stopping() {
        assert!(!is_over(), "it was over before it was seen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    tokio::time::sleep(Duration::from_millis(300)).await;
}

async fn run(plugin: &ImagePlugin, job: &Job, pinned: &Pinned) {
    plugin.run(job, pinned).await.unwrap();
}

#[tokio::test]
async fn a_dispatch_that_is_dropped_in_the_swap_leaves_the_old_version_running() {
    let Some(mut bench) = bench() else { return };
    let name = drop_a_dispatch_while_the_old_one_stops(&mut bench).await;
    bench
        .plugin
        .settle(&bench.workload, bench.kept().as_ref())
        .await
        .unwrap();
    assert!(stays_up(&bench, &name));
}

#[tokio::test]
async fn a_process_that_died_in_the_swap_leaves_the_old_version_running() {
    let Some(mut bench) = bench() else { return };
    let name = drop_a_dispatch_while_the_old_one_stops(&mut bench).await;
    let successor = ImagePlugin::new(at(bench.engine.host()));
    successor
        .settle(&bench.workload, bench.kept().as_ref())
        .await
        .unwrap();
    assert!(stays_up(&bench, &name));
}

#[tokio::test]
async fn an_engine_that_was_lost_while_the_old_one_stops_leaves_the_old_version_running() {
    let Some(mut bench) = bench() else { return };
    let name = deploy_a_stubborn_one(&mut bench).await;
    let engine = SocketProxy::start(bench.engine.host());
    let plugin = bench.through(&engine.address());
    let job = bench.job(bench.spec(bench.web("v2").tag()));
    let pin = plugin.resolve(&job).await.unwrap();
    let task = tokio::spawn({
        let plugin = plugin.clone();
        async move { plugin.run(&job, &pin).await }
    });
    until_it_stops(&bench, &name, || task.is_finished()).await;
    engine.cut();
    let lost = task.await.unwrap().unwrap_err();
    assert_eq!(lost.marker(), FailureMarker::EngineUnavailable);
    engine.restore();
    plugin
        .settle(&bench.workload, bench.kept().as_ref())
        .await
        .unwrap();
    assert!(stays_up(&bench, &name));
}

/// Whether it runs now and still does when every time to stop has passed.
fn stays_up(bench: &Bench, name: &str) -> bool {
    let runs = || bench.containers(true) == [name.to_owned()] && bench.containers(false) == [name.to_owned()];
    runs() && !wait_until(Duration::from_secs(7), || !runs())
}

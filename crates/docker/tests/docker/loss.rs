//! An engine that goes away.

use std::time::Duration;

use shipslog_core::deploys::{DeployStep, DispatchEvent, DispatchPlugin as _, FailureMarker, Job};
use shipslog_docker::ImagePlugin;
use shipslog_test_support::{ImageSpec, SocketProxy, write_docker_config};

use crate::bench::{Bench, bench, registry_for};

/// Waits until the dispatch tells of a step that `wanted` knows.
async fn told(job: &Job, wanted: impl Fn(&DeployStep) -> bool) {
    let mut events = job.progress.subscribe();
    while let Some(event) = events.next().await {
        if matches!(&event, DispatchEvent::Step { step, .. } if wanted(step)) {
            return;
        }
    }
    panic!("the dispatch ended before that step");
}

#[tokio::test]
async fn in_the_middle_of_a_pull() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    bench.deploy_v1().await;
    let image = bench.build(&ImageSpec::web("v3").payload_mib(16), "v3");
    let pushed = image.push(&registry, &bench.pushed_as("3"));
    image.remove();
    // Slow enough that the pull is under way for seconds.
    let slow = SocketProxy::start(registry.host());
    slow.limit(2 << 20);
    let folder = tempfile::tempdir().unwrap();
    write_docker_config(
        folder.path(),
        &slow.address(),
        registry.user(),
        registry.password(),
    );
    let engine = SocketProxy::start(bench.engine.host());
    let plugin = bench.through(&engine.address()).with_docker_config(folder.path());
    let reference = pushed.reference().replace(registry.host(), &slow.address());
    let job = bench.job(bench.spec(&reference));
    let downloads = |step: &DeployStep| matches!(step, DeployStep::Pulling { bytes_done: 1.., .. });
    let (resolved, ()) = tokio::join!(plugin.resolve(&job), async {
        told(&job, downloads).await;
        engine.cut();
    });
    assert_eq!(resolved.unwrap_err().marker(), FailureMarker::EngineUnavailable);
    let lost = plugin
        .settle(&bench.workload, bench.kept().as_ref())
        .await
        .unwrap_err();
    assert_eq!(lost.marker(), FailureMarker::EngineUnavailable);
    assert_eq!(bench.page(), "v1");
    comes_back(&bench, &engine, &plugin).await;
}

/// With the engine there again, version 1 alone is there, and serves.
async fn comes_back(bench: &Bench, engine: &SocketProxy, plugin: &ImagePlugin) {
    engine.restore();
    plugin
        .settle(&bench.workload, bench.kept().as_ref())
        .await
        .unwrap();
    assert_eq!((bench.page().as_str(), bench.containers(true).len()), ("v1", 1));
}

#[tokio::test]
async fn in_the_middle_of_a_swap() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let engine = SocketProxy::start(bench.engine.host());
    let plugin = bench.through(&engine.address());
    let job = bench.job(bench.spec(bench.web("v2").tag()));
    let pin = plugin.resolve(&job).await.unwrap();
    let (ran, ()) = tokio::join!(plugin.run(&job, &pin), async {
        told(&job, |step| matches!(step, DeployStep::Swapping)).await;
        engine.cut();
    });
    assert_eq!(ran.unwrap_err().marker(), FailureMarker::EngineUnavailable);
    tokio::time::sleep(Duration::from_millis(500)).await;
    comes_back(&bench, &engine, &plugin).await;
}

#[tokio::test]
async fn before_anything_was_asked() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let engine = SocketProxy::start(bench.engine.host());
    engine.remove();
    let plugin = bench.through(&engine.address());
    let job = bench.job(bench.spec("r.io/app:1"));
    assert_eq!(
        plugin.resolve(&job).await.unwrap_err().marker(),
        FailureMarker::EngineUnavailable
    );
    assert_eq!(
        plugin.running(&bench.workload).await.unwrap_err().marker(),
        FailureMarker::EngineUnavailable
    );
    engine.restore();
    assert_eq!(plugin.running(&bench.workload).await.unwrap().len(), 1);
}

//! Exactly one deploy's service, whatever happened before.

use std::time::Duration;

use shipslog_core::deploys::DispatchPlugin as _;
use shipslog_test_support::{Health, ImageSpec, wait_until};

use crate::bench::{Bench, at, bench};

#[tokio::test]
async fn settling_is_idempotent_and_with_nothing_to_keep_leaves_nothing() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let before = bench.containers();
    bench.settle().await;
    assert_eq!(bench.containers(), before);
    for _ in 0..2 {
        bench.plugin.settle(&bench.workload, None).await.unwrap();
        assert_eq!((bench.services(), bench.containers()), (vec![], vec![]));
    }
    assert!(bench.plugin.running(&bench.workload).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_service_that_was_removed_is_made_again_from_the_ledger() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    bench.engine.docker(&["service", "rm", &bench.name]);
    bench.settle().await;
    assert_eq!(bench.page(), "v1");
    is_current(&bench).await;
}

#[tokio::test]
async fn a_service_whose_history_somebody_else_changed_is_put_back_from_the_ledger() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let kept = bench.current.clone();
    bench.deploy(bench.spec(bench.web("v2").tag())).await.unwrap();
    bench.engine.docker(&[
        "service",
        "update",
        "--quiet",
        "--detach",
        "--label-add",
        "by=hand",
        &bench.name,
    ]);
    bench.current = kept;
    bench.settle().await;
    assert_eq!(bench.page(), "v1");
    is_current(&bench).await;
}

async fn is_current(bench: &Bench) {
    let running = bench.plugin.running(&bench.workload).await.unwrap();
    let current = bench.current.as_ref().unwrap();
    let pin = &current.pinned.as_ref().unwrap().pin;
    assert_eq!(running.len(), 1);
    assert!(pin.is(&running[0]), "{running:?}");
    assert_eq!(running[0].deploy.as_ref(), Some(&current.deploy));
}

#[tokio::test]
async fn what_somebody_else_made_of_the_service_is_told_from_what_was_pinned() {
    let Some(mut bench) = bench() else { return };
    let pin = bench.deploy_v1().await;
    let other = bench.web("v2");
    let update = [
        "service",
        "update",
        "--quiet",
        "--detach",
        "--no-resolve-image",
        "--image",
        other.tag(),
        &bench.name,
    ];
    bench.engine.docker(&update);
    assert!(wait_until(Duration::from_secs(20), || bench.page() == "v2"));
    let running = bench.plugin.running(&bench.workload).await.unwrap();
    assert!(!running.iter().any(|task| pin.is(task)), "{running:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_died_in_the_middle_of_a_rollout_leaves_the_old_version_running() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let slow = ImageSpec::web("v2").health(Health::After(Duration::from_secs(3600)));
    let image = bench.build(&slow, "v2");
    let mut spec = bench.spec_with(image.tag(), &serde_json::json!({}));
    spec.rollout.health_timeout_s = Some(3600);
    let job = bench.job(spec);
    let pin = bench.plugin.resolve(&job).await.unwrap();
    let plugin = bench.plugin.clone();
    let task = tokio::spawn(async move { plugin.run(&job, &pin).await });
    assert!(wait_until(Duration::from_secs(20), || bench.containers().len() == 2));
    task.abort();
    let _ = task.await;
    let successor = at(bench.engine.host());
    successor
        .settle(&bench.workload, bench.current.as_ref())
        .await
        .unwrap();
    is_current(&bench).await;
    assert_eq!(bench.page(), "v1");
    assert_eq!(bench.containers().len(), 1);
}

//! Running again exactly what ran before, on every task.

use serde_json::json;
use shipslog_core::deploys::{DispatchPlugin as _, RollbackCapable as _, RollbackRefusal};

use crate::bench::{bench, record, registry_for};

#[tokio::test]
async fn a_rollback_runs_what_ran_although_the_tag_moved_on_every_task() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    let (live, two) = (format!("{}:live", bench.name), json!({"replicas": 2}));
    let tag = bench.web("v1").push(&registry, &live).reference().to_owned();
    let first = bench.deploy(bench.spec_with(&tag, &two)).await.unwrap();
    bench.web("v2").push(&registry, &live);
    let second = bench.deploy(bench.spec_with(&tag, &two)).await.unwrap();
    assert_ne!(first, second);
    bench
        .roll_back(bench.spec_with(&tag, &two), &first)
        .await
        .unwrap();
    for container in bench.containers() {
        let id = container.split(' ').next().unwrap();
        let page = ["exec", id, "wget", "-q", "-O", "-", "http://127.0.0.1/"];
        assert_eq!(bench.engine.docker(&page).trim(), "v1");
    }
}

#[tokio::test]
async fn a_rollback_is_possible_while_the_image_is_here_or_in_the_registry() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    let image = bench.web("v1");
    let pushed = image.push(&registry, &format!("{}:1", bench.name));
    let job = bench.job(bench.spec(pushed.reference()));
    let pin = bench.plugin.resolve(&job).await.unwrap().pin;
    let recorded = record(&job, &pin);
    assert_eq!(bench.plugin.preflight(&recorded).await, Ok(()));
    image.remove();
    assert_eq!(bench.plugin.preflight(&recorded).await, Ok(()));
    bench
        .roll_back(bench.spec(pushed.reference()), &pin)
        .await
        .unwrap();
    assert_eq!(bench.page(), "v1");
    bench.plugin.settle(&bench.workload, None).await.unwrap();
    image.remove();
    registry.delete_manifest(&bench.name, pushed.digest());
    assert_eq!(
        bench.plugin.preflight(&recorded).await,
        Err(RollbackRefusal::ImageGone)
    );
}

#[tokio::test]
async fn an_image_of_this_host_alone_can_be_rolled_back_to_while_it_is_here() {
    let Some(mut bench) = bench() else { return };
    let first = bench.deploy_v1().await;
    bench.deploy(bench.spec(bench.web("v2").tag())).await.unwrap();
    bench.roll_back(bench.spec("r/a:1"), &first).await.unwrap();
    assert_eq!(bench.page(), "v1");
    let gone = format!("sha256:{}", "0a".repeat(32)).parse().unwrap();
    let mut recorded = bench.current.clone().unwrap();
    recorded.pinned.as_mut().unwrap().pin.reference = gone;
    assert_eq!(
        bench.plugin.preflight(&recorded).await,
        Err(RollbackRefusal::LocalImageGone)
    );
}

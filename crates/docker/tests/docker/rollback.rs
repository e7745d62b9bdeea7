//! Running again exactly what ran before.

use std::time::Duration;

use shipslog_core::deploys::{
    DispatchPlugin as _, FailureMarker, Pin, RollbackCapable as _, RollbackRefusal,
};
use shipslog_docker::{DockerEngine, EngineOptions, ImagePlugin};
use shipslog_test_support::{Image, Pushed, Registry, SocketProxy};

use crate::bench::{bench, registry_for};

#[tokio::test]
async fn a_rollback_runs_what_ran_although_the_tag_moved() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    let v1 = bench.web("v1");
    let tag = v1
        .push(&registry, &bench.pushed_as("live"))
        .reference()
        .to_owned();
    let first = bench.deploy(bench.spec(&tag)).await.unwrap();
    let v2 = bench.web("v2");
    v2.push(&registry, &bench.pushed_as("live"));
    let second = bench.deploy(bench.spec(&tag)).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(bench.page(), "v2");
    bench.roll_back(bench.spec(&tag), &first).await.unwrap();
    assert_eq!(bench.page(), "v1");
    assert_eq!(bench.inspect(&bench.containers(false)[0], "{{.Image}}"), v1.id());
}

#[tokio::test]
async fn an_image_that_is_gone_from_the_host_comes_back_by_digest() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    let v1 = bench.web("v1");
    let pushed = v1.push(&registry, &bench.pushed_as("1"));
    let first = bench.deploy(bench.spec(pushed.reference())).await.unwrap();
    bench.deploy(bench.spec(bench.web("v2").tag())).await.unwrap();
    v1.remove();
    bench
        .roll_back(bench.spec(pushed.reference()), &first)
        .await
        .unwrap();
    assert_eq!(bench.page(), "v1");
}

fn pin_of(image: &Image, pushed: &Pushed) -> Pin {
    Pin::new(pushed.pinned().parse().unwrap(), image.id().parse().unwrap())
}

#[tokio::test]
async fn a_rollback_is_possible_while_the_image_is_here_or_in_the_registry() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    let image = bench.web("v1");
    let pushed = image.push(&registry, &bench.pushed_as("1"));
    let pin = pin_of(&image, &pushed);
    assert_eq!(bench.plugin.preflight(&bench.record(&pin)).await, Ok(()));
    image.remove();
    assert_eq!(bench.plugin.preflight(&bench.record(&pin)).await, Ok(()));
    let here = || bench.engine.try_docker(&["image", "inspect", image.id()]).is_ok();
    assert!(!here(), "asking fetched the image");
    registry.delete_manifest(&bench.name, pushed.digest());
    assert_eq!(
        bench.plugin.preflight(&bench.record(&pin)).await,
        Err(RollbackRefusal::ImageGone)
    );
    let local = Pin::new(pin.content.clone(), pin.content.clone());
    assert_eq!(
        bench.plugin.preflight(&bench.record(&local)).await,
        Err(RollbackRefusal::LocalImageGone)
    );
}

#[tokio::test]
async fn a_registry_or_engine_that_cannot_be_asked_is_the_reason() {
    let Some(mut bench) = bench() else { return };
    let mut registry = Registry::start();
    bench.log_in(registry.docker_config());
    let image = bench.web("v1");
    let pin = pin_of(&image, &image.push(&registry, &bench.pushed_as("1")));
    image.remove();
    let folder = tempfile::tempdir().unwrap();
    let stranger = bench.plugin.clone().with_docker_config(folder.path());
    assert_eq!(
        stranger.preflight(&bench.record(&pin)).await,
        Err(RollbackRefusal::RegistryDenied)
    );
    registry.stop();
    assert_eq!(
        bench.plugin.preflight(&bench.record(&pin)).await,
        Err(RollbackRefusal::RegistryUnreachable)
    );
    let proxy = SocketProxy::start(bench.engine.host());
    proxy.cut();
    let cut_off = bench.through(&proxy.address());
    assert_eq!(
        cut_off.preflight(&bench.record(&pin)).await,
        Err(RollbackRefusal::EngineUnavailable)
    );
}

#[tokio::test]
async fn what_comes_back_under_the_digest_must_be_what_ran() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    let v1 = bench.web("v1");
    let pushed = v1.push(&registry, &bench.pushed_as("1"));
    let other = format!("sha256:{}", "0a".repeat(32)).parse().unwrap();
    let pin = Pin::new(pushed.pinned().parse().unwrap(), other);
    let job = bench.job(bench.spec(pushed.reference()));
    let error = bench.plugin.obtain(&job, &pin.clone().into()).await.unwrap_err();
    assert_eq!(error.marker(), FailureMarker::ImageMismatch);
    // And an image that vanished between preflight and run is not replaced by another.
    let error = bench.plugin.run(&job, &pin.into()).await.unwrap_err();
    assert_eq!(error.marker(), FailureMarker::ImageNotFound);
}

#[tokio::test]
async fn a_registry_that_accepts_and_never_answers_is_unreachable() {
    let Some(bench) = bench() else { return };
    let proxy = SocketProxy::start(Registry::shared().host());
    proxy.hang();
    let digest = format!("sha256:{}", "0a".repeat(32));
    let reference = format!("{}/app@{digest}", proxy.address()).parse().unwrap();
    let quick = EngineOptions::default()
        .with_host(bench.engine.host())
        .with_timeout(Duration::from_secs(4));
    let plugin = ImagePlugin::new(DockerEngine::new(quick));
    let pin = Pin::new(reference, digest.parse().unwrap());
    assert_eq!(
        plugin.preflight(&bench.record(&pin)).await,
        Err(RollbackRefusal::RegistryUnreachable)
    );
}

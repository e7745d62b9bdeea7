//! What a reference stands for, and the ways in which it cannot be had.

use shipslog_core::deploys::{DeployStep, DispatchEvent, DispatchPlugin as _, FailureMarker};
use shipslog_test_support::{ImageSpec, Registry, StubRegistry, unique, write_docker_config};

use crate::bench::{Bench, bench, registry_for};

#[tokio::test]
async fn a_tag_is_pinned_to_the_digest_of_its_repository() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    let image = bench.web("v1");
    let other = image.push(&registry, &format!("other/{}", bench.pushed_as("x")));
    let pushed = image.push(&registry, &bench.pushed_as("1"));
    assert_ne!(other.pinned(), pushed.pinned());
    let pin = bench.deploy(bench.spec(pushed.reference())).await.unwrap();
    assert_eq!(
        (pin.reference.as_str(), pin.content.as_str()),
        (pushed.pinned(), image.id())
    );
    let pin = bench.deploy(bench.spec(other.reference())).await.unwrap();
    assert_eq!(
        (pin.reference.as_str(), pin.content.as_str()),
        (other.pinned(), image.id())
    );
}

#[tokio::test]
async fn a_tag_that_moved_in_the_registry_is_followed() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    let (v1, v2) = (bench.web("v1"), bench.web("v2"));
    v1.push(&registry, &bench.pushed_as("live"));
    let moved = v2.push(&registry, &bench.pushed_as("live"));
    // The engine's own tag still stands for v1, as on a host that did not push v2.
    bench.engine.docker(&["tag", v1.id(), moved.reference()]);
    let pin = bench.deploy(bench.spec(moved.reference())).await.unwrap();
    assert_eq!((pin.content.as_str(), bench.page().as_str()), (v2.id(), "v2"));
}

#[tokio::test]
async fn a_pull_is_told_in_layers_and_bytes() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    let image = bench.build(&ImageSpec::web("v1").payload_mib(8), "v1");
    let pushed = image.push(&registry, &bench.pushed_as("1"));
    image.remove();
    let job = bench.job(bench.spec(pushed.reference()));
    let mut events = job.progress.subscribe();
    let pin = bench.plugin.resolve(&job).await.unwrap();
    assert_eq!(pin.pin.content.as_str(), image.id());
    drop(job);
    let mut last = None;
    while let Some(DispatchEvent::Step { step, .. }) = events.next().await {
        last = Some(step);
    }
    let Some(DeployStep::Pulling {
        layers_done,
        layers_total,
        bytes_done,
        bytes_total,
    }) = last
    else {
        panic!("no pull was told: {last:?}")
    };
    assert_eq!((layers_done, bytes_done), (layers_total, bytes_total));
    assert!(bytes_total > 8 << 20, "{bytes_total} bytes");
}

#[tokio::test]
async fn a_local_image_is_used_without_asking_any_registry() {
    let Some(mut bench) = bench() else { return };
    // Nobody answers at this registry.
    let reference = format!("127.0.0.1:1/{}:1", bench.name);
    let image = ImageSpec::web("local").build(&bench.engine, &reference);
    let pin = bench.deploy(bench.spec(&reference)).await.unwrap();
    assert_eq!(
        (pin.reference.as_str(), pin.content.as_str()),
        (image.id(), image.id())
    );
    assert_eq!(bench.page(), "local");
}

/// With v1 running, deploys `reference`, which has to fail before anything is touched.
async fn fails(bench: &mut Bench, reference: &str, marker: FailureMarker) {
    bench.deploy_v1().await;
    let before = bench.started_at();
    assert_eq!(
        bench.deploy(bench.spec(reference)).await,
        Err(marker),
        "{reference}"
    );
    assert_eq!((bench.page().as_str(), bench.started_at()), ("v1", before));
}

#[tokio::test]
async fn an_image_that_does_not_exist() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    bench.web("v1").push(&registry, &bench.pushed_as("1"));
    let host = registry.host();
    let (no_tag, no_digest) = (format!("{host}/{}:2", bench.name), "0a".repeat(32));
    fails(&mut bench, &no_tag, FailureMarker::ImageNotFound).await;
    let no_digest = format!("{host}/{}@sha256:{no_digest}", bench.name);
    fails(&mut bench, &no_digest, FailureMarker::ImageNotFound).await;
}

#[tokio::test]
async fn a_wrong_password_and_none_at_all() {
    let Some(mut bench) = bench() else { return };
    let registry = registry_for(&mut bench);
    let pushed = bench.web("v3").push(&registry, &bench.pushed_as("1"));
    let folder = tempfile::tempdir().unwrap();
    bench.log_in(folder.path());
    fails(&mut bench, pushed.reference(), FailureMarker::RegistryDenied).await;
    registry.write_docker_config(folder.path(), Some("wrong"));
    fails(&mut bench, pushed.reference(), FailureMarker::RegistryDenied).await;
    registry.write_docker_config(folder.path(), None);
    bench.deploy(bench.spec(pushed.reference())).await.unwrap();
    assert_eq!(bench.page(), "v3");
}

#[tokio::test]
async fn a_registry_that_is_down_fails_a_tag_but_not_a_digest_that_is_here() {
    let Some(mut bench) = bench() else { return };
    let mut registry = Registry::start();
    bench.log_in(registry.docker_config());
    let pushed = bench.web("v3").push(&registry, &bench.pushed_as("1"));
    registry.stop();
    fails(&mut bench, pushed.reference(), FailureMarker::RegistryUnreachable).await;
    let pin = bench.deploy(bench.spec(pushed.pinned())).await.unwrap();
    assert_eq!(
        (pin.reference.as_str(), bench.page().as_str()),
        (pushed.pinned(), "v3")
    );
}

#[tokio::test]
async fn a_host_that_does_not_exist() {
    let Some(mut bench) = bench() else { return };
    let reference = format!("nowhere.invalid/{}:1", bench.name);
    fails(&mut bench, &reference, FailureMarker::RegistryUnreachable).await;
}

#[tokio::test]
async fn what_is_no_reference_never_reaches_an_engine() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let mut job = bench.job(bench.spec("r.io/app:1"));
    job.requested = "user:SECRET@r.io/app:1".to_owned();
    assert_eq!(bench.dispatch(&job).await, Err(FailureMarker::ReferenceInvalid));
    let mut spec = bench.spec("r.io/app:1");
    spec.source.reference = "r.io/APP".to_owned();
    assert_eq!(bench.plugin.check(&spec).unwrap_err().field, "source.reference");
    assert!(bench.plugin.check(&bench.spec("r.io/app:1")).is_ok());
}

/// Asks a registry that quotes what it is sent, with a password whose base64 differs between the plain and
/// the URL-safe alphabet.
async fn is_denied_by(stub: &StubRegistry) {
    let Some(bench) = bench() else { return };
    let folder = tempfile::tempdir().unwrap();
    let password = format!("~?>~?>é-{}", unique("canary"));
    write_docker_config(folder.path(), stub.host(), "ann", &password);
    let plugin = bench.plugin.clone().with_docker_config(folder.path());
    let error = plugin
        .resolve(&bench.job(bench.spec(&format!("{}/app:1", stub.host()))))
        .await
        .unwrap_err();
    assert_eq!(error.marker(), FailureMarker::RegistryDenied);
    assert_eq!(
        format!("{error} {error:?}"),
        "registry_denied DispatchError(registry_denied)"
    );
    let expected = write_docker_config_entry(folder.path());
    let seen = stub.seen();
    assert!(
        !seen.is_empty() && seen.iter().all(|header| *header == format!("Basic {expected}")),
        "{seen:?}"
    );
}

/// The credentials in the configuration, in the form in which they go over the wire.
fn write_docker_config_entry(folder: &std::path::Path) -> String {
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
    let entry = config["auths"].as_object().unwrap().values().next().unwrap();
    entry["auth"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_registry_that_quotes_credentials_gets_the_right_ones_and_nobody_else_does() {
    is_denied_by(&StubRegistry::basic()).await;
}

#[tokio::test]
async fn a_token_server_that_quotes_credentials_gets_the_right_ones_and_nobody_else_does() {
    is_denied_by(&StubRegistry::bearer()).await;
}

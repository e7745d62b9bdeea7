//! Registries answer an engine as the tests rely on.
#![allow(clippy::expect_used, reason = "a panic is how a test fails")]

use shipslog_test_support::{Cleanup, Engine, ImageSpec, Registry, StubRegistry};
use shipslog_test_support::{engine, try_http_get, unique, write_docker_config};
use tempfile::TempDir;

/// Pulls `reference` with the credentials in `config` alone.
fn pull(engine: &Engine, config: &std::path::Path, reference: &str) -> Result<String, String> {
    engine.with_docker_config(config).try_docker(&["pull", reference])
}

fn assert_push_pull_delete(engine: &Engine, registry: &Registry) {
    let name = unique("support-registry");
    let _cleanup = Cleanup::new(engine).prefix(&name);
    let first = ImageSpec::sleeper().build(engine, &format!("{name}-1"));
    let second = ImageSpec::sleeper().build(engine, &format!("{name}-2"));
    let pushed = first.push(registry, &format!("{name}:1"));
    let moved = second.push(registry, &format!("{name}:1"));
    assert_eq!(pushed.reference(), moved.reference());
    assert_ne!(pushed.digest(), moved.digest());
    assert_eq!(
        pushed.pinned(),
        format!("{}/{name}@{}", registry.host(), pushed.digest())
    );

    first.remove();
    second.remove();
    pull(engine, registry.docker_config(), pushed.pinned())
        .expect("a digest is there although its tag moved");
    pull(engine, registry.docker_config(), pushed.reference()).expect("the tag is there");
    let tagged = engine.docker(&["inspect", "--format", "{{.Id}}", pushed.reference()]);
    assert_eq!(tagged, second.id());

    second.remove();
    registry.delete_manifest(&name, moved.digest());
    let gone = pull(engine, registry.docker_config(), moved.reference());
    assert!(gone.is_err_and(|output| output.contains("manifest unknown")));
}

#[test]
fn the_shared_registry_keeps_and_deletes_images() {
    let Some(engine) = engine() else { return };
    assert_push_pull_delete(&engine, &Registry::shared());
}

#[test]
fn an_own_registry_keeps_and_deletes_images_until_it_is_stopped() {
    let Some(engine) = engine() else { return };
    let mut registry = Registry::start();
    assert_push_pull_delete(&engine, &registry);
    assert_ne!(registry.password(), Registry::start().password());

    assert_eq!(
        try_http_get(registry.host(), "/v2/")
            .map(|(status, _)| status)
            .ok(),
        Some(401)
    );
    registry.stop();
    assert!(try_http_get(registry.host(), "/v2/").is_err());
}

#[test]
fn a_wrong_password_is_refused() {
    let Some(engine) = engine() else { return };
    let registry = Registry::start();
    let name = unique("support-password");
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let image = ImageSpec::sleeper().build(&engine, &name);
    let pushed = image.push(&registry, &format!("{name}:1"));
    image.remove();

    let folder = TempDir::new().expect("a temporary folder");
    registry.write_docker_config(folder.path(), Some("wrong"));
    let refused = pull(&engine, folder.path(), pushed.reference());
    assert!(refused.is_err_and(|output| output.contains("unauthorized")));
    registry.write_docker_config(folder.path(), None);
    pull(&engine, folder.path(), pushed.reference()).expect("the right password is accepted");
}

/// `hostile` gets the credentials of `user:secret`, and the engine's own error repeats them.
fn assert_gives_credentials_away(engine: &Engine, hostile: &StubRegistry) {
    let folder = TempDir::new().expect("a temporary folder");
    write_docker_config(folder.path(), hostile.host(), "user", "secret");
    let header = "Basic dXNlcjpzZWNyZXQ=";

    let refused = pull(engine, folder.path(), &format!("{}/app:1", hostile.host()));

    assert!(
        refused.as_ref().is_err_and(|output| output.contains(header)),
        "{refused:?}"
    );
    assert!(hostile.seen().iter().all(|seen| seen == header));
    assert!(!hostile.seen().is_empty());
}

#[test]
fn a_hostile_registry_quotes_the_credentials_it_was_sent() {
    let Some(engine) = engine() else { return };
    assert_gives_credentials_away(&engine, &StubRegistry::basic());
}

#[test]
fn a_hostile_token_server_quotes_the_credentials_it_was_sent() {
    let Some(engine) = engine() else { return };
    assert_gives_credentials_away(&engine, &StubRegistry::bearer());
}

#[test]
fn a_hostile_registry_asks_those_who_send_nothing() {
    let stub = StubRegistry::basic();
    let answer = try_http_get(stub.host(), "/v2/").expect("it answers");
    assert_eq!(answer.0, 401);
    assert!(stub.seen().is_empty());
}

//! Which Compose is taken, and what it is told.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use shipslog_core::deploys::{DispatchPlugin as _, FailureMarker};
use shipslog_docker::{ComposePlugin, DockerEngine, EngineOptions};
use tempfile::TempDir;

use super::shop::{Shop, failure, shop};
use crate::bench::program;

/// Programs that stand in for the tools of other machines, and write down what they are told.
struct Stand {
    folder: TempDir,
}

impl Stand {
    fn new() -> Self {
        Self {
            folder: TempDir::new().unwrap(),
        }
    }

    /// A program that answers what `script` says.
    fn with(self, name: &str, script: &str) -> Self {
        let (file, log) = (self.folder.path().join(name), self.log());
        let text = format!("#!/bin/sh\necho \"{name} $*\" >> {}\n{script}\n", log.display());
        program(&file, &text);
        self
    }

    fn log(&self) -> PathBuf {
        self.folder.path().join("log")
    }

    fn told(&self) -> Vec<String> {
        let log = fs::read_to_string(self.log()).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What is found here, with what the operator is told of what is not.
    async fn found(&self) -> (Option<String>, usize) {
        let engine = DockerEngine::new(EngineOptions::default().with_host("unix:///nonexistent"));
        let plugin = ComposePlugin::new(engine, self.path().join("work")).with_path(self.path());
        let mut readiness = plugin.readiness().await;
        readiness.uses.retain(|used| !used.starts_with("git "));
        (readiness.uses.pop(), readiness.missing.len())
    }
}

const PLUGIN: &str = r#"case "$*" in "compose version --short") echo v2.29.1;; *) exit 1;; esac"#;
const PROGRAM: &str = r#"case "$*" in "version --short") echo 1.29.2;; *) exit 1;; esac"#;

#[tokio::test]
async fn the_plugin_of_the_docker_client_is_taken_first() {
    let stand = Stand::new()
        .with("docker", PLUGIN)
        .with("docker-compose", PROGRAM);
    assert_eq!(stand.found().await, (Some("docker compose 2.29.1".to_owned()), 0));
    assert_eq!(stand.told(), ["docker compose version --short"]);
}

#[tokio::test]
async fn a_docker_client_without_the_plugin_is_none() {
    for answer in [
        "echo \"docker: 'compose' is not a docker command.\" >&2; exit 1",
        "echo Docker version 20.10.24, build 297e128",
        "echo 2.29.1; exit 1",
        "echo '2.29.1; rm -rf /'",
        "yes 2.29.1",
    ] {
        let stand = Stand::new()
            .with("docker", answer)
            .with("docker-compose", PROGRAM);
        assert_eq!(
            stand.found().await,
            (Some("docker-compose 1.29.2".to_owned()), 0),
            "{answer}"
        );
        assert_eq!(
            stand.told(),
            ["docker compose version --short", "docker-compose version --short"]
        );
        let alone = Stand::new().with("docker", answer);
        assert_eq!(alone.found().await, (None, 1), "{answer}");
    }
}

/// Without setuptools, Python has no distutils since 3.12.
#[tokio::test]
async fn a_compose_that_needs_setuptools_is_found_too() {
    let newer = format!("[ -z \"$SETUPTOOLS_USE_DISTUTILS\" ] || exit 1\n{PROGRAM}");
    let stand = Stand::new().with("docker-compose", &newer);
    assert_eq!(stand.found().await, (Some("docker-compose 1.29.2".to_owned()), 0));
}

#[tokio::test]
async fn each_generation_is_told_the_same_in_its_own_words() {
    for (name, before, version, pulls) in [
        ("docker", "compose ", "2.29.1", "--pull never "),
        ("docker-compose", "", "1.29.2", ""),
    ] {
        let Some(shop) = shop() else { return };
        shop.publish_all();
        let stand = Stand::new();
        let answers = format!(
            "case \"$*\" in\n\"{before}version --short\") echo {version};;\n*\" config\") echo '{}';;\n*) echo no >&2; exit 1;;\nesac",
            json!({"services": {"web": {"image": shop.tag("web")}}}),
        );
        let stand = stand.with(name, &answers);
        let plugin = shop.plugin().with_path(stand.path());
        let shop = shop.with_plugin(plugin);
        let file = json!({"services": {"web": {"image": shop.tag("web")}}}).to_string();
        shop.revise(shop.spec(&file, &json!([]))).await;
        let row = shop.deploy().await;
        assert_eq!(failure(&row), (Some(FailureMarker::CreateFailed), Some("web")));
        let told = stand.told();
        assert_eq!(told[0], format!("{name} {before}version --short"));
        let common = format!("{name} {before}--ansi never --project-name ");
        for (told, end) in [
            (&told[1], "pins.json config".to_owned()),
            (
                &told[2],
                format!("pins.json up --detach --no-deps --no-build {pulls}--timeout 1 web"),
            ),
        ] {
            assert!(told.starts_with(&common) && told.ends_with(&end), "{told}");
        }
        assert_eq!(told.len(), 3, "{told:?}");
    }
}

/// It takes longer to start the tool than to replace a container.
#[tokio::test]
async fn the_tool_is_asked_to_replace_only_what_differs() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    let stand = Stand::new().with("docker-compose", "exec /usr/bin/docker-compose \"$@\"");
    let plugin = shop.plugin().with_path(stand.path());
    let shop = shop.with_secret("env:KEY", "one").with_plugin(plugin);
    let env_file = stand.path().join("api.env");
    fs::write(&env_file, "LEVEL=info\n").unwrap();
    let file = shop.file(&[
        ("api", &json!({"env_file": ["api.env"]})),
        ("web", &json!({"environment": ["KEY"]})),
    ]);
    fs::write(stand.path().join("compose.yaml"), file).unwrap();
    let env = json!([{"name": "KEY", "secret": "env:KEY"}]);
    shop.revise(shop.spec_of(stand.path().to_str().unwrap(), &json!({}), &env))
        .await;
    let replaced = async |shop: &Shop| {
        let before = stand.told().len();
        shop.deploy_well().await;
        let told = stand.told().split_off(before);
        let ups = told.iter().filter(|told| told.contains(" up "));
        let services = ups.filter_map(|told| told.rsplit(' ').next().map(str::to_owned));
        services.collect::<Vec<_>>()
    };
    assert_eq!(replaced(&shop).await, ["db", "api", "web"]);
    assert!(replaced(&shop).await.is_empty());
    fs::write(&env_file, "LEVEL=debug\n").unwrap();
    assert_eq!(replaced(&shop).await, ["api"]);
    assert!(shop.inspect("api", "{{.Config.Env}}").contains("LEVEL=debug"));
    shop.engine.docker(&["kill", &shop.container("db")]);
    assert_eq!(replaced(&shop).await, ["db"]);
    let plugin = shop.plugin().with_path(stand.path());
    let shop = shop.with_secret("env:KEY", "two").with_plugin(plugin);
    assert_eq!(replaced(&shop).await, ["web"]);
    assert!(shop.inspect("web", "{{.Config.Env}}").contains("KEY=two"));
}

#[tokio::test]
async fn a_build_whose_cached_step_vanished_is_begun_again() {
    let Some(shop) = shop() else { return };
    let stand = Stand::new();
    let answers = format!(
        "case \"$*\" in\n\"version --short\") echo 1.29.2;;\n*\" config\") echo '{}';;\n\
        *\" build web\") [ -e {gone} ] || {{ : > {gone}; echo \"ERROR: Service 'web' failed to build : unable to find image \\\"sha256:35c6\\\"\" >&2; exit 1; }}; echo no >&2; exit 1;;\n\
        *) exit 1;;\nesac",
        json!({"services": {"web": {"image": "made:1"}}}),
        gone = stand.path().join("gone").display(),
    );
    let stand = stand.with("docker-compose", &answers);
    let plugin = shop.plugin().with_path(stand.path());
    let shop = shop.with_plugin(plugin);
    let file = json!({"services": {"web": {"build": "."}}}).to_string();
    fs::write(stand.path().join("compose.yaml"), file).unwrap();
    shop.revise(shop.spec_of(stand.path().to_str().unwrap(), &json!({}), &json!([])))
        .await;
    let row = shop.deploy().await;
    assert_eq!(failure(&row), (Some(FailureMarker::BuildFailed), Some("web")));
    let builds = stand
        .told()
        .iter()
        .filter(|told| told.ends_with(" build web"))
        .count();
    assert_eq!(builds, 2, "once more, and not after it failed of itself");
}

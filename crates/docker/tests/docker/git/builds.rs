//! From a commit to an image.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use shipslog_core::deploys::{DeployStep, DispatchEvent, DispatchPlugin as _, FailureMarker};
use shipslog_core::testing::FakeSecrets;
use shipslog_docker::GitPlugin;
use shipslog_test_support::unique;
use tempfile::TempDir;

use super::{SLEEPS, Yard, content, soon, yard};
use crate::bench::at;
use crate::fake_engine::{FakeEngine, version};

#[tokio::test]
async fn an_image_tells_where_it_is_from_and_has_a_name() {
    let Some(yard) = yard().await else { return };
    let commit = yard.publish("one");
    let row = yard.deploy("main").await;
    let said = |format: &str| {
        yard.engine
            .docker(&["image", "inspect", "--format", format, &content(&row)])
    };
    assert_eq!(
        said("{{index .Config.Labels \"org.opencontainers.image.revision\"}}"),
        commit
    );
    assert_eq!(
        said("{{index .Config.Labels \"org.opencontainers.image.source\"}}"),
        yard.repository.url()
    );
    let name = format!(
        "shipslog/{}:{}-{}",
        yard.name,
        &commit[..12],
        &content(&row)[7..19]
    );
    assert_eq!(said("{{index .RepoTags 0}}"), name);
}

#[tokio::test]
async fn steps_are_told_as_they_begin() {
    let Some(yard) = yard().await else { return };
    yard.publish("one");
    let mut events = yard.dispatcher.subscribe();
    yard.deploy("main").await;
    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        match event {
            DispatchEvent::Step { step, .. } => told.push(step),
            DispatchEvent::Closed(_) => break,
            _ => {}
        }
    }
    let building = |steps_done| DeployStep::Building {
        steps_done,
        steps_total: 6,
    };
    assert!(told.contains(&DeployStep::Fetching));
    for step in [building(0), building(2), building(6)] {
        assert!(told.contains(&step), "{step:?} among {told:?}");
    }
}

#[tokio::test]
async fn folder_dockerfile_arguments_and_ignored_files_are_as_the_spec_says() {
    let options = json!({"dockerfile": "docker/Web", "build_args": [{"name": "WORD", "value": "given"}, {"name": "HUSH", "secret": "env:H"}]});
    let secrets = FakeSecrets::default().with("env:H", "hushed");
    let Some(yard) = Yard::with(options, secrets, |plugin| plugin).await else {
        return;
    };
    let dockerfile = "FROM scratch\nARG WORD=default\nARG HUSH\nCOPY . /\nRUN [\"/busybox\", \"sh\", \"-c\", \"/busybox echo $WORD $HUSH > /args\"]\n\
        CMD [\"/busybox\", \"sh\", \"-c\", \"trap 'exit 0' TERM; /busybox sleep 3600 & wait\"]\n";
    yard.repository
        .copy("web/busybox", "/bin/busybox")
        .write("web/docker/Web", dockerfile);
    yard.repository
        .write("web/kept", "kept")
        .write("web/a.log", "x")
        .write("outside", "x");
    yard.repository
        .write("web/.dockerignore", "*.log\ndocker\n")
        .commit("one");
    yard.deploy("main:web").await;
    let container = yard.container();
    let run = |args: &[&str]| {
        yard.engine
            .docker(&[&["exec", &container, "/busybox"], args].concat())
    };
    assert_eq!(run(&["cat", "/args"]), "given hushed");
    let listed = run(&["ls", "-A", "/"]);
    assert!(
        listed.contains("kept") && !listed.contains("a.log") && !listed.contains("outside"),
        "{listed}"
    );
}

#[tokio::test]
async fn what_cannot_be_built_says_whose_fault_it_is() {
    let Some(yard) = yard().await else { return };
    yard.publish("one");
    yard.deploy("main").await;
    let fails = "FROM scratch\nCOPY busybox /busybox\nRUN [\"/busybox\", \"false\"]\n";
    for (dockerfile, marker) in [
        (fails, FailureMarker::BuildFailed),
        ("FROM scratch\nCOPY nosuch /\n", FailureMarker::BuildFailed),
        ("FROM 127.0.0.1:1/nosuch:1\n", FailureMarker::RegistryUnreachable),
        ("FRUM scratch\n", FailureMarker::SourceInvalid),
        ("", FailureMarker::SourceInvalid),
    ] {
        yard.publish_with("two", dockerfile);
        assert_eq!(yard.fails("main").await, marker, "{dockerfile}");
        assert_eq!(yard.version(), "one");
    }
    assert_eq!(yard.fails("main:nosuch").await, FailureMarker::SourceInvalid);
}

#[tokio::test]
async fn a_build_that_is_given_too_much_is_refused() {
    let small = |plugin: GitPlugin| plugin.with_context_limit(1000);
    let Some(yard) = Yard::with(json!({}), FakeSecrets::default(), small).await else {
        return;
    };
    yard.publish("one");
    assert_eq!(yard.fails("main").await, FailureMarker::SourceInvalid);
}

#[tokio::test]
async fn a_build_that_is_cancelled_ends_on_the_engine_as_well() {
    let Some(yard) = yard().await else { return };
    let word = unique("cancelled");
    let dockerfile = format!(
        "FROM scratch\nCOPY busybox /busybox\nRUN [\"/busybox\", \"sh\", \"-c\", \"/busybox sleep 600; : {word}\"]\n"
    );
    yard.publish_with("one", &dockerfile);
    let building = || {
        let commands = ["ps", "--no-trunc", "--format", "{{.Command}}"];
        yard.engine.docker(&commands).contains(&word)
    };
    let row = yard
        .begin(&yard.workload, &format!("{}#main", yard.repository.url()))
        .await;
    assert!(soon(building).await, "the build did not begin");
    assert!(yard.dispatcher.cancel(&row.id));
    let row = yard.dispatcher.wait(&row.id).await.unwrap();
    assert_eq!(row.outcome.marker(), Some(FailureMarker::Cancelled));
    assert!(soon(|| !building()).await, "the build goes on");
}

#[tokio::test]
async fn links_that_lead_out_of_the_repository_are_refused() {
    for (path, target) in [
        ("Dockerfile", "/etc/passwd"),
        ("Dockerfile", "../../../../../../etc/passwd"),
        ("web", "/etc"),
    ] {
        let Some(yard) = yard().await else { return };
        yard.repository.link(path, target).commit("a link");
        let folder = if path == "web" { ":web" } else { "" };
        assert_eq!(
            yard.fails(&format!("main{folder}")).await,
            FailureMarker::SourceInvalid,
            "{path} -> {target}"
        );
    }
    let Some(yard) = yard().await else { return };
    yard.repository
        .write("web/x", "x")
        .link("web/Dockerfile", "../Dockerfile");
    yard.publish_with("one", SLEEPS);
    assert_eq!(yard.fails("main:web").await, FailureMarker::SourceInvalid);
    yard.repository
        .link("Other", "Dockerfile")
        .commit("a link inside");
    assert_eq!(yard.runs("main").await.1, "one");
}

#[tokio::test]
async fn what_is_missing_is_told_with_how_to_get_it() {
    let nowhere = at("unix:///nonexistent");
    let plugin = GitPlugin::new(nowhere, "/nonexistent");
    let found = plugin.clone().readiness().await;
    assert!(
        found.uses[0].starts_with("git 2.") && found.missing.is_empty(),
        "{found:?}"
    );
    let found = plugin.with_program("/nonexistent/git").readiness().await;
    assert!(found.missing[0].contains("apt-get install git"), "{found:?}");
}

/// Answers a build first with what moby says when it reads the candidates of its cache and one was removed meanwhile, then with an image, and
/// refuses to make a container.
fn forgetful_engine() -> FakeEngine {
    let (builds, id) = (AtomicUsize::new(0), format!("sha256:{}", "7".repeat(64)));
    let step = r#"{"stream": "Step 1/1 : FROM scratch\n"}"#;
    FakeEngine::start(move |path| match path {
        "/version" => version("1.41"),
        "/build" if builds.fetch_add(1, Ordering::Relaxed) == 0 => {
            let error = format!("unable to find image \\\"{id}\\\"");
            let failed = format!(r#"{{"errorDetail": {{"message": "{error}"}}, "error": "{error}"}}"#);
            Some((200, format!("{step}\n{failed}\n")))
        }
        "/build" => {
            let made = format!(r#"{{"aux": {{"ID": "{id}"}}}}"#);
            let done = r#"{"stream": "Successfully built 777777777777\n"}"#;
            Some((200, format!("{step}\n{made}\n{done}\n")))
        }
        path if path.ends_with("/tag") => Some((201, String::new())),
        path if path.starts_with("/images/") => Some((200, format!(r#"{{"Id": "{id}"}}"#))),
        "/containers/json" | "/networks" => Some((200, "[]".to_owned())),
        _ => Some((500, r#"{"message": "no"}"#.to_owned())),
    })
}

#[tokio::test]
async fn a_build_whose_cached_step_vanished_is_begun_again() {
    let (engine, cache) = (forgetful_engine(), TempDir::new().unwrap());
    let plugin = GitPlugin::new(engine.handle(), cache.path());
    let Some(yard) = Yard::with(json!({}), FakeSecrets::default(), |_| plugin).await else {
        return;
    };
    yard.publish("one");
    let row = yard.deploy("main").await;
    assert_eq!(content(&row), format!("sha256:{}", "7".repeat(64)));
    assert_eq!(row.outcome.marker(), Some(FailureMarker::CreateFailed));
    let asked = engine.asked();
    assert_eq!(
        asked.iter().filter(|path| path.contains("/build?")).count(),
        2,
        "{asked:?}"
    );
}

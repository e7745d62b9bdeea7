//! Where tokens go, and where they do not.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use serde_json::json;
use shipslog_core::deploys::{FailureMarker, Outcome, RollbackConfig};
use shipslog_core::testing::canary::{Alphabet, Canary};
use shipslog_core::testing::{FakeSecrets, Log};
use shipslog_core::workloads::WorkloadStore as _;
use shipslog_test_support::GitServer;

use super::{SLEEPS, Yard, yard};
use crate::bench::read_all;

async fn guarded(canary: &Canary) -> Option<Yard> {
    let secrets = FakeSecrets::default().with("env:T", canary.value());
    let yard = Yard::with(json!({"token": "env:T", "user": "robot"}), secrets, |plugin| {
        plugin
    })
    .await?;
    yard.server.require("robot", canary.value());
    Some(yard)
}

/// Reads the arguments of every process, over and over, until it is asked what it saw.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<u8>>,
}

impl Watch {
    fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut seen = Vec::new();
            while !stopped.load(Ordering::Relaxed) {
                seen.extend(arguments_of_git());
            }
            seen
        });
        Self { stop, thread }
    }

    fn end(self) -> Vec<u8> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

fn arguments_of_git() -> Vec<u8> {
    let mut seen = Vec::new();
    for process in fs::read_dir("/proc").unwrap().flatten() {
        let arguments = fs::read(process.path().join("cmdline")).unwrap_or_default();
        if arguments.windows(3).any(|word| word == b"git") {
            seen.extend(arguments);
        }
    }
    seen
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_opens_the_repository_and_is_seen_nowhere() {
    let canary = Canary::random("a token", Alphabet::Header);
    let Some(yard) = guarded(&canary).await else {
        return;
    };
    let watch = Watch::begin();
    yard.publish("one");
    let row = yard.deploy("main").await;
    let arguments = watch.end();
    assert_eq!(
        (row.outcome, yard.version()),
        (Outcome::Succeeded, "one".to_owned())
    );
    let remote = format!("http://{}/team/app.git", yard.server.host());
    assert!(
        arguments
            .windows(remote.len())
            .any(|window| window == remote.as_bytes()),
        "no git was seen at work"
    );
    let kept = read_all(yard.cache.path());
    let image = yard.engine.docker(&["image", "inspect", &super::content(&row)]);
    let rows = format!(
        "{:?}",
        shipslog_core::deploys::DeployStore::all_deploys(yard.store.as_ref(), &yard.workload)
            .await
            .unwrap()
    );
    for (place, text) in [
        ("arguments", &arguments),
        ("the cache", &kept),
        ("the image", &image.into_bytes()),
        ("rows", &rows.into_bytes()),
    ] {
        assert_eq!(canary.find_in(text), None, "the token is in {place}");
    }
}

#[tokio::test]
async fn a_server_that_quotes_the_token_does_not_bring_it_into_the_log() {
    let canary = Canary::random("a token", Alphabet::Header);
    let Some(yard) = guarded(&canary).await else {
        return;
    };
    yard.publish("one");
    yard.server.quote();
    let log = Log::capture();
    assert_eq!(yard.fails("main").await, FailureMarker::SourceUnreachable);
    let text = log.text();
    assert!(text.contains("you sent"), "the server's words are not logged");
    assert_eq!(canary.find_in(text.as_bytes()), None, "{text}");
    let sent = shown(&yard.server).remove(0);
    assert!(!text.contains(sent.trim_start_matches("Basic ")), "{text}");
}

#[tokio::test]
async fn submodules_on_the_same_server_are_fetched_with_the_token() {
    let canary = Canary::random("a token", Alphabet::Header);
    let Some(yard) = guarded(&canary).await else {
        return;
    };
    let library = yard.server.repository("team/library");
    library.write("text", "private, too").commit("library");
    yard.repository.submodule("lib", "../library.git", &library);
    yard.publish_with("one", &format!("{SLEEPS}COPY lib/text /\n"));
    assert_eq!(yard.runs("main").await.1, "one");
    assert_eq!(yard.file("/text"), "private, too");
}

#[tokio::test]
async fn a_wrong_token_or_none_is_denied() {
    let canary = Canary::random("a token", Alphabet::Header);
    let Some(yard) = guarded(&canary).await else {
        return;
    };
    yard.publish("one");
    yard.server.require("robot", "another");
    assert_eq!(yard.fails("main").await, FailureMarker::SourceDenied);
    let Some(bare) = super::yard().await else { return };
    bare.publish("one");
    bare.server.require("robot", "another");
    assert_eq!(bare.fails("main").await, FailureMarker::SourceDenied);
}

#[tokio::test]
async fn a_token_that_is_not_there_is_missing() {
    let options = json!({"token": "env:T"});
    let Some(yard) = Yard::with(options, FakeSecrets::default(), |plugin| plugin).await else {
        return;
    };
    assert_eq!(yard.fails("main").await, FailureMarker::SecretMissing);
    assert!(yard.server.seen().is_empty());
}

#[tokio::test]
async fn a_token_is_shown_neither_to_the_servers_of_submodules_nor_where_a_redirection_leads() {
    let canary = Canary::random("a token", Alphabet::Header);
    let Some(yard) = guarded(&canary).await else {
        return;
    };
    let other = GitServer::start();
    let library = other.repository("library");
    library.write("text", "of another").commit("library");
    yard.repository.submodule("lib", library.url(), &library);
    yard.publish_with("one", &format!("{SLEEPS}COPY lib/text /\n"));
    assert_eq!(yard.runs("main").await.1, "one");
    assert_eq!(yard.file("/text"), "of another");
    yard.server.redirect("/team", &format!("http://{}", other.host()));
    assert_eq!(yard.fails("main").await, FailureMarker::SourceNotFound);
    let shown: Vec<_> = other
        .seen()
        .into_iter()
        .filter_map(|seen| seen.authorization)
        .collect();
    assert!(!other.seen().is_empty() && shown.is_empty(), "{shown:?}");
}

fn shown(server: &GitServer) -> Vec<String> {
    let seen = server.seen();
    assert!(!seen.is_empty(), "nothing was asked for");
    seen.into_iter().filter_map(|seen| seen.authorization).collect()
}

#[tokio::test]
async fn a_reference_of_a_dispatch_to_another_server_does_not_take_the_token_there() {
    let canary = Canary::random("a token", Alphabet::Header);
    let Some(yard) = guarded(&canary).await else {
        return;
    };
    let other = GitServer::start();
    let elsewhere = other.repository("team/app");
    elsewhere
        .copy("busybox", "/bin/busybox")
        .write("version", "elsewhere")
        .write("Dockerfile", SLEEPS)
        .commit("one");
    let row = yard.deploy_reference(&format!("{}#main", elsewhere.url())).await;
    assert_eq!(
        (row.outcome, yard.version()),
        (Outcome::Succeeded, "elsewhere".to_owned())
    );
    assert_eq!(shown(&other), [""; 0]);
    // Not even where it asks for one.
    other.require("robot", canary.value());
    let row = yard.deploy_reference(elsewhere.url()).await;
    assert_eq!(row.outcome.marker(), Some(FailureMarker::SourceDenied));
    assert_eq!(shown(&other), [""; 0]);
}

#[tokio::test]
async fn a_rollback_to_another_server_does_not_take_the_token_of_now_there() {
    let canary = Canary::random("a token", Alphabet::Header);
    let (secrets, other) = (
        FakeSecrets::default().with("env:T", canary.value()),
        GitServer::start(),
    );
    let Some(yard) = Yard::with(json!({}), secrets, |plugin| plugin).await else {
        return;
    };
    yard.publish("one");
    let one = yard.deploy("main").await;
    yard.publish("two");
    yard.deploy("main").await;
    let elsewhere = other.repository("team/app");
    let moved = super::spec(&yard.name, elsewhere.url(), json!({"token": "env:T"}));
    yard.store
        .revise_workload(&yard.workload, 1, moved)
        .await
        .unwrap();
    yard.forget_image(&one);
    yard.forget_cache();
    let back = yard.roll_back_with(&one, RollbackConfig::Current).await.unwrap();
    assert_eq!(
        (back.outcome, yard.version()),
        (Outcome::Succeeded, "one".to_owned())
    );
    assert_eq!(shown(&yard.server), [""; 0]);
}

#[tokio::test]
async fn without_a_token_a_redirection_is_followed() {
    let Some(yard) = yard().await else { return };
    yard.publish("one");
    let other = GitServer::start();
    other.redirect("/team", &format!("http://{}", yard.server.host()));
    let row = yard
        .deploy_reference(&format!("http://{}/team/app.git#main", other.host()))
        .await;
    assert_eq!(
        (row.outcome, yard.version()),
        (Outcome::Succeeded, "one".to_owned())
    );
}

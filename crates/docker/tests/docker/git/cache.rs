//! What is kept of repositories, and who works in it.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde_json::json;
use shipslog_core::deploys::{FailureMarker, Outcome, RollbackConfig, RollbackRefusal};
use shipslog_core::testing::FakeSecrets;
use shipslog_docker::GitPlugin;
use tempfile::TempDir;

use super::{Yard, soon, yard};
use crate::bench::program;

/// A git that does something else first, which can look at its arguments.
fn git_after(folder: &TempDir, script: &str) -> PathBuf {
    let path = folder.path().join("git");
    program(&path, &format!("#!/bin/sh\n{script}\nexec git \"$@\"\n"));
    path
}

async fn yard_with(configured: impl FnOnce(GitPlugin) -> GitPlugin) -> Option<Yard> {
    Yard::with(json!({}), FakeSecrets::default(), configured).await
}

fn age(path: &Path) {
    let long_ago = SystemTime::now() - Duration::from_secs(100 * 24 * 60 * 60);
    let file = File::options().write(true).open(path).unwrap();
    file.set_modified(long_ago).unwrap();
}

/// While another process works in the only repository.
fn occupied(yard: &Yard) -> File {
    let lock = File::open(yard.cached().with_extension("lock")).unwrap();
    lock.try_lock().unwrap();
    lock
}

#[tokio::test]
async fn nobody_else_can_look_into_the_cache() {
    let Some(yard) = yard().await else { return };
    fs::set_permissions(yard.cache.path(), Permissions::from_mode(0o755)).unwrap();
    yard.publish("one");
    yard.deploy("main").await;
    let mode = fs::metadata(yard.cache.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn work_on_this_machine_may_be_silent_for_longer_than_a_server() {
    let folder = TempDir::new().unwrap();
    let slow = git_after(&folder, "case \"$*\" in *read-tree*) sleep 9;; esac");
    let Some(yard) = yard_with(|plugin| {
        plugin
            .with_program(slow)
            .with_silence_limit(Duration::from_secs(8))
    })
    .await
    else {
        return;
    };
    yard.publish("one");
    assert_eq!(yard.runs("main").await.1, "one");
}

#[tokio::test]
async fn a_git_of_another_process_is_waited_for() {
    let Some(yard) = yard().await else { return };
    yard.publish("one");
    yard.deploy("main").await;
    yard.publish("two");
    let (occupied, asked) = (occupied(&yard), yard.server.seen());
    let release = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert_eq!(yard.server.seen(), asked, "another git is at work");
        drop(occupied);
    };
    let (row, ()) = tokio::join!(yard.deploy("main"), release);
    assert_eq!(
        (row.outcome, yard.version()),
        (Outcome::Succeeded, "two".to_owned())
    );
}

#[tokio::test]
async fn a_git_has_the_lock_of_its_repository_itself() {
    let folder = TempDir::new().unwrap();
    let seen = folder.path().join("seen");
    let note = format!(
        "case \"$*\" in *fetch*|*read-tree*) readlink /proc/$$/fd/0 >> {};; esac",
        seen.display()
    );
    let watched = git_after(&folder, &note);
    let Some(yard) = yard_with(|plugin| plugin.with_program(watched)).await else {
        return;
    };
    yard.publish("one");
    yard.deploy("main").await;
    let lock = yard.cached().with_extension("lock");
    let held = fs::read_to_string(seen).unwrap();
    let held: Vec<&Path> = held.lines().map(Path::new).collect();
    assert_eq!(held, [lock.as_path(); 2]);
}

#[tokio::test]
async fn whether_a_commit_can_be_had_is_told_while_others_are_at_work() {
    let Some(yard) = yard().await else { return };
    yard.publish("one");
    let one = yard.deploy("main").await;
    yard.publish("two");
    yard.deploy("main").await;
    yard.forget_image(&one);
    let occupied = occupied(&yard);
    let started = tokio::time::timeout(
        Duration::from_secs(20),
        yard.begin_rollback(&one, RollbackConfig::Recorded),
    )
    .await;
    let row = started.expect("nobody is waited for").unwrap();
    drop(occupied);
    let row = yard.dispatcher.wait(&row.id).await.unwrap();
    assert_eq!(
        (row.outcome, yard.version()),
        (Outcome::Succeeded, "one".to_owned())
    );
}

#[tokio::test]
async fn whether_a_commit_can_be_had_is_not_awaited_for_ever_and_leaves_no_trace() {
    let Some(yard) = yard_with(|plugin| plugin.with_silence_limit(Duration::from_secs(8))).await else {
        return;
    };
    yard.publish("one");
    let one = yard.deploy("main").await;
    yard.publish("two");
    yard.deploy("main").await;
    yard.forget_image(&one);
    yard.forget_cache();
    yard.server.hang();
    assert_eq!(
        yard.roll_back(&one).await,
        Err(RollbackRefusal::SourceUnreachable)
    );
    assert!(!yard.cache.path().join("repositories").exists());
}

#[tokio::test]
async fn what_nobody_used_for_long_is_removed() {
    let Some(yard) = yard().await else { return };
    let old = yard.publish("old");
    yard.deploy("main").await;
    let first = yard.cached();
    let (name, stamp) = (
        format!("refs/shipslog/commits/{old}"),
        first.join("used").join(&old),
    );
    let kept = |name: &str| {
        let refs = fs::read_to_string(first.join("packed-refs")).unwrap_or_default();
        refs.contains(name) || first.join(name).exists()
    };
    assert!(kept(&name));
    age(&stamp);
    yard.publish("new");
    yard.deploy("main").await;
    assert!(soon(|| !kept(&name) && !stamp.exists()).await);
    age(&first.with_extension("lock"));
    let other = yard.server.repository("team/other");
    other.write("x", "x").commit("x");
    // It is built from nothing, and fails; the cache is used all the same.
    yard.deploy_reference(other.url()).await;
    assert!(soon(|| !first.exists()).await);
    assert_eq!(yard.runs("main").await.1, "new");
}

#[tokio::test]
async fn a_cache_of_whole_histories_has_commits_that_never_were_deployed() {
    for (configured, expected) in [
        (
            (|plugin| plugin) as fn(GitPlugin) -> GitPlugin,
            Err(FailureMarker::SourceNotFound),
        ),
        (GitPlugin::with_whole_history, Ok("one".to_owned())),
    ] {
        let Some(yard) = yard_with(configured).await else {
            return;
        };
        yard.publish("base");
        let one = yard.publish("one");
        yard.publish("two");
        assert_eq!(yard.runs("main").await.1, "two");
        yard.repository.take_back().take_back();
        yard.publish("three");
        assert_eq!(yard.runs("main").await.1, "three");
        yard.repository.forget();
        let row = yard.deploy(&one).await;
        let got = row.outcome.marker().map_or_else(|| Ok(yard.version()), Err);
        assert_eq!(got, expected);
    }
}

/// Whether a git is at work whose arguments name this.
fn asks(what: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let mut arguments = processes.map(|process| fs::read(process.path().join("cmdline")).unwrap_or_default());
    arguments.any(|arguments| String::from_utf8_lossy(&arguments).contains(what))
}

#[tokio::test]
async fn a_fetch_that_is_cancelled_ends_and_the_next_one_works() {
    let Some(yard) = yard().await else { return };
    yard.publish("one");
    yard.server.hang();
    let reference = format!("{}#main", yard.repository.url());
    let row = yard.begin(&yard.workload, &reference).await;
    assert!(soon(|| !yard.server.seen().is_empty()).await);
    assert!(asks(&format!("{}/", yard.server.host())));
    assert!(yard.dispatcher.cancel(&row.id));
    let row = yard.dispatcher.wait(&row.id).await.unwrap();
    assert_eq!(row.outcome.marker(), Some(FailureMarker::Cancelled));
    assert!(
        soon(|| !asks(&format!("{}/", yard.server.host()))).await,
        "git goes on"
    );
    yard.server.go_on();
    assert_eq!(yard.runs("main").await.1, "one");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_deploys_of_one_repository_at_once_do_not_disturb_each_other() {
    let Some(yard) = yard().await else { return };
    let (one, two) = (yard.publish("one"), yard.publish("two"));
    let second = yard.second_workload().await;
    let at = |commit: &str| format!("{}#{commit}", yard.repository.url());
    let a = yard.begin(&yard.workload, &at(&one)).await;
    let b = yard.begin(&second, &at(&two)).await;
    for (row, commit) in [(a, &one), (b, &two)] {
        let row = yard.dispatcher.wait(&row.id).await.unwrap();
        assert_eq!(row.outcome, Outcome::Succeeded);
        assert_eq!(super::commit_of(row.pin.as_ref().unwrap()), commit);
    }
}

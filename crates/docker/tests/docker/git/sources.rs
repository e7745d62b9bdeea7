//! From a reference to a commit.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use shipslog_core::deploys::FailureMarker;
use shipslog_core::testing::FakeSecrets;
use shipslog_docker::GitPlugin;

use tempfile::TempDir;

use super::{Yard, commit_of, content, yard};

#[tokio::test]
async fn branches_tags_and_commits_stand_for_commits() {
    let Some(yard) = yard().await else { return };
    let one = yard.publish("one");
    yard.repository.tag("v1", None).tag("noted", Some("a note"));
    let two = yard.publish("two");
    yard.repository.branch("v1.x/side");
    let three = yard.publish("three");
    for (reference, commit, version) in [
        ("main", &two, "two"),
        ("v1", &one, "one"),
        ("noted", &one, "one"),
        ("v1.x/side", &three, "three"),
        (one.as_str(), &one, "one"),
        ("refs/heads/main", &two, "two"),
    ] {
        let (pin, runs) = yard.runs(reference).await;
        assert_eq!(
            (commit_of(&pin), runs.as_str()),
            (commit.as_str(), version),
            "{reference}"
        );
        let name = format!("{}/team/app.git", yard.server.host());
        assert_eq!(pin.reference.name(), Some(name.as_str()));
    }
    let row = yard.deploy_reference(yard.repository.url()).await;
    assert_eq!(commit_of(row.pin.as_ref().unwrap()), two, "the default branch");
}

#[tokio::test]
async fn a_branch_that_was_forced_and_a_tag_that_moved_are_followed_with_either_cache() {
    for configured in [|plugin: GitPlugin| plugin, GitPlugin::with_whole_history] {
        let Some(yard) = Yard::with(json!({}), FakeSecrets::default(), configured).await else {
            return;
        };
        yard.publish("base");
        yard.publish("taken back");
        yard.repository.tag("live", Some("first"));
        assert_eq!(yard.runs("main").await.1, "taken back");
        assert_eq!(yard.runs("live").await.1, "taken back");
        yard.repository.take_back();
        let forced = yard.publish("forced");
        yard.repository.tag("live", Some("moved"));
        let (pin, runs) = yard.runs("main").await;
        assert_eq!((commit_of(&pin), runs.as_str()), (forced.as_str(), "forced"));
        assert_eq!(yard.runs("live").await.1, "forced");
    }
}

#[tokio::test]
async fn a_server_that_gives_out_no_single_commits_is_asked_for_all_of_them() {
    let Some(yard) = yard().await else { return };
    yard.server.be_old();
    let old = yard.publish("old");
    yard.publish("new");
    assert_eq!(yard.runs("main").await.1, "new");
    assert_eq!(yard.runs(&old).await.1, "old");
    let unknown = "0123456789abcdef0123456789abcdef01234567";
    assert_eq!(yard.fails(unknown).await, FailureMarker::SourceNotFound);
    assert_eq!(yard.version(), "old");
}

#[tokio::test]
async fn submodules_come_along_at_their_commits() {
    let Some(yard) = yard().await else { return };
    let (library, inner) = (
        yard.server.repository("team/library"),
        yard.server.repository("inner"),
    );
    inner.write("deep", "deep down").commit("inner");
    library
        .write("text", "as bound")
        .submodule("inner", "../../inner.git", &inner)
        .commit("library");
    yard.repository.submodule("lib", "../library.git", &library);
    let dockerfile = format!("{}COPY lib/text lib/inner/deep /\n", super::SLEEPS);
    yard.publish_with("one", &dockerfile);
    library.write("text", "newer").commit("newer");
    assert_eq!(yard.runs("main").await.1, "one");
    assert_eq!(
        (yard.file("/text"), yard.file("/deep")),
        ("as bound".to_owned(), "deep down".to_owned())
    );
}

#[tokio::test]
async fn submodules_that_are_fetched_in_another_way_are_refused() {
    for address in [
        "file:///etc",
        "ext::touch /tmp/x",
        "/etc",
        "git@host:x.git",
        "-x",
        "https://u:p@h/x",
    ] {
        let Some(yard) = yard().await else { return };
        yard.repository.write("x", "x").commit("something to bind to");
        yard.repository.submodule("lib", address, &yard.repository);
        yard.publish("one");
        assert_eq!(
            yard.fails("main").await,
            FailureMarker::SourceInvalid,
            "{address}"
        );
    }
}

/// The files of a submodule go where a link leads, if the same name is a link and a folder.
#[tokio::test]
async fn a_tree_that_leads_a_submodule_out_of_the_checkout_is_refused() {
    for is_plain in [false, true] {
        let Some(yard) = yard().await else { return };
        if is_plain {
            yard.server.be_plain();
        }
        let outside = TempDir::new().unwrap();
        let library = yard.server.repository("team/library");
        let bound = library.write("planted", "x").commit("library");
        let link = yard
            .repository
            .object("blob", outside.path().to_str().unwrap().as_bytes());
        let modules = b"[submodule \"x\"]\n\tpath = a/b\n\turl = ../library.git\n";
        let modules = yard.repository.object("blob", modules);
        let folder = yard.repository.tree(&[("160000", "b", &bound)]);
        let (folder, link) = (("40000", "a", folder.as_str()), ("120000", "a", link.as_str()));
        for twins in [[folder, link], [link, folder]] {
            let [one, other] = twins;
            let tree = yard
                .repository
                .tree(&[("100644", ".gitmodules", &modules), one, other]);
            let commit = yard.repository.branch_of("crafted", &tree);
            let marker = yard.fails(&commit).await;
            assert_eq!(marker, FailureMarker::SourceInvalid, "plain: {is_plain}");
            assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
        }
    }
}

#[tokio::test]
async fn a_server_of_plain_files_will_do() {
    let Some(yard) = yard().await else { return };
    yard.server.be_plain();
    let old = yard.publish("old");
    yard.publish("new");
    assert_eq!(yard.runs("main").await.1, "new");
    assert_eq!(yard.runs(&old).await.1, "old");
}

#[tokio::test]
async fn what_is_not_there_is_not_found_and_what_ran_goes_on() {
    let Some(yard) = yard().await else { return };
    yard.publish("one");
    assert_eq!(yard.runs("main").await.1, "one");
    let unknown = "0123456789abcdef0123456789abcdef01234567";
    for reference in ["nosuch", "refs/heads/nosuch", unknown, "deadbeef"] {
        assert_eq!(
            yard.fails(reference).await,
            FailureMarker::SourceNotFound,
            "{reference}"
        );
    }
    let before = yard.server.seen().len();
    yard.fails(unknown).await;
    let asked = yard.server.seen().len() - before;
    // Once for what the server can do, and once for the commit.
    assert_eq!(asked, 2, "{:?}", yard.server.seen());
    assert!(
        yard.cached().join("shallow").exists(),
        "the whole history was fetched"
    );
    let absent = format!("http://{}/nosuch.git", yard.server.host());
    let row = yard.deploy_reference(&absent).await;
    assert_eq!(row.outcome.marker(), Some(FailureMarker::SourceNotFound));
    assert_eq!(yard.version(), "one");
}

#[tokio::test]
async fn what_has_a_number_and_is_no_commit_is_not_found() {
    let Some(yard) = yard().await else { return };
    let commit = yard.publish("one");
    yard.repository.tag("noted", Some("a note"));
    for object in ["noted".to_owned(), format!("{commit}^{{tree}}")] {
        let number = yard.repository.number(&object);
        for _ in 0..2 {
            let marker = yard.fails(&number).await;
            assert_eq!(marker, FailureMarker::SourceNotFound, "{object}");
        }
    }
}

#[tokio::test]
async fn a_branch_goes_before_a_tag_of_its_name_and_may_have_an_at_sign_in_it() {
    let Some(yard) = yard().await else { return };
    yard.publish("tagged");
    yard.repository.branch("renovate/@types/node");
    yard.publish("on the branch");
    yard.repository.branch("main").tag("renovate/@types/node", None);
    assert_eq!(yard.runs("renovate/@types/node").await.1, "on the branch");
    assert_eq!(yard.runs("refs/tags/renovate/@types/node").await.1, "tagged");
}

#[tokio::test]
async fn a_submodule_that_is_never_to_be_updated_stays_away() {
    let Some(yard) = yard().await else { return };
    yard.repository.write("x", "x").commit("something to bind to");
    yard.repository
        .submodule("lib", "../nosuch.git", &yard.repository)
        .write(
            ".gitmodules",
            "[submodule \"lib\"]\n\tpath = lib\n\turl = ../nosuch.git\n\tupdate = none\n",
        );
    yard.publish("one");
    assert_eq!(yard.runs("main").await.1, "one");
}

#[tokio::test]
async fn submodules_without_an_end_are_refused() {
    let Some(yard) = yard().await else { return };
    yard.repository.write("x", "x").commit("the innermost");
    for _ in 0..12 {
        yard.repository
            .submodule("inner", "../app.git", &yard.repository)
            .commit("one more");
    }
    assert_eq!(yard.fails("main").await, FailureMarker::SourceInvalid);
}

#[tokio::test]
async fn a_server_that_is_away_or_silent_is_unreachable() {
    let quick = |plugin: GitPlugin| plugin.with_silence_limit(Duration::from_secs(8));
    let Some(mut yard) = Yard::with(json!({}), FakeSecrets::default(), quick).await else {
        return;
    };
    let commit = yard.publish("one");
    let first = yard.deploy("main").await;
    yard.server.stop();
    assert_eq!(yard.fails("main").await, FailureMarker::SourceUnreachable);
    // What cannot move is taken from the cache.
    assert_eq!(content(&yard.deploy(&commit).await), content(&first));
    yard.server.resume();
    yard.server.hang();
    assert_eq!(yard.fails("main").await, FailureMarker::SourceUnreachable);
    assert_eq!(yard.version(), "one");
}

#[tokio::test]
async fn what_a_git_that_was_ended_left_behind_does_no_harm() {
    let Some(yard) = yard().await else { return };
    yard.publish("one");
    yard.deploy("main").await;
    let litter = [
        "shallow.lock",
        "packed-refs.lock",
        "config.lock",
        "refs/shipslog/incoming.lock",
        "gc.pid",
        ".tmpAb12Cd",
        "objects/pack/tmp_pack_Ab12Cd",
        "objects/pack/tmp_idx_Ab12Cd",
        "objects/pack/.tmp-12-pack-ab.pack",
        "objects/pack/multi-pack-index.lock",
        "objects/info/commit-graph.lock",
    ]
    .map(|name| yard.cached().join(name));
    for file in &litter {
        std::fs::write(file, "").unwrap();
    }
    yard.publish("two");
    assert_eq!(yard.runs("main").await.1, "two");
    for file in &litter {
        assert!(!file.exists(), "{}", file.display());
    }
}

#[tokio::test]
async fn references_that_lead_elsewhere_are_refused_by_their_field() {
    let Some(yard) = yard().await else { return };
    for reference in [
        "ext::sh",
        "file:///srv/app.git",
        "-uhttps://host/a",
        "https://user:SECRET@host/app.git",
        "ssh://host/app",
        "https://host/a#main:../x",
        "https://host/a#-x",
    ] {
        let error = yard.refused(reference, json!({})).expect(reference);
        assert_eq!(error.field, "source.reference", "{reference}");
        assert!(!error.message.contains("SECRET"));
    }
    let error = yard
        .refused("https://host/a", json!({"dockerfile": "../Dockerfile"}))
        .unwrap();
    assert_eq!(error.field, "source.options.dockerfile");
    assert_eq!(
        yard.refused("https://host/a", json!({"dockerfile": "web/Dockerfile"})),
        None
    );
}

#[tokio::test]
async fn what_is_too_large_to_be_kept_is_refused_and_leaves_nothing() {
    let limited = |plugin: GitPlugin| plugin.with_source_limit(4 * 1024 * 1024);
    let Some(yard) = Yard::with(json!({}), FakeSecrets::default(), limited).await else {
        return;
    };
    yard.publish("small");
    assert_eq!(yard.runs("main").await.1, "small");
    let kept = bytes_in(yard.cache.path());
    let mut noise = vec![0; 8 * 1024 * 1024];
    File::open("/dev/urandom")
        .unwrap()
        .read_exact(&mut noise)
        .unwrap();
    for (branch, contents) in [("noise", noise), ("blank", vec![0; 8 * 1024 * 1024])] {
        yard.repository.branch(branch);
        yard.repository.write("large", contents).commit("too much");
        assert_eq!(yard.fails(branch).await, FailureMarker::SourceInvalid, "{branch}");
        yard.repository.branch("main");
    }
    assert_eq!(yard.runs("main").await.1, "small");
    let more = bytes_in(yard.cache.path()) - kept;
    assert!(more < 1024 * 1024, "{more}");
}

/// Each folder holds the one below ten times: some thirty objects stand for ten thousand million million files, or folders without any.
#[tokio::test]
async fn a_commit_of_more_files_than_any_disk_holds_is_refused() {
    let Some(yard) = yard().await else { return };
    let names: Vec<String> = (0..10).map(|n| n.to_string()).collect();
    let ten_times = |mode: &str, of: &str| {
        let entries: Vec<_> = names.iter().map(|name| (mode, name.as_str(), of)).collect();
        yard.repository.tree(&entries)
    };
    let files = ten_times("100644", &yard.repository.object("blob", b"x"));
    for (branch, inmost) in [("files", files), ("folders", yard.repository.tree(&[]))] {
        let tree = (0..15).fold(inmost, |tree, _| ten_times("40000", &tree));
        yard.repository.branch_of(branch, &tree);
        let begun = Instant::now();
        assert_eq!(yard.fails(branch).await, FailureMarker::SourceInvalid, "{branch}");
        assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    }
    assert!(bytes_in(yard.cache.path()) < 1024 * 1024);
}

fn bytes_in(folder: &Path) -> u64 {
    // One that is just being removed holds nothing.
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(data) if data.is_dir() => bytes_in(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    });
    bytes.sum()
}

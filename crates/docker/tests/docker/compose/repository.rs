//! Compose files from Git repositories.

use std::fs;

use serde_json::{Value, json};
use shipslog_core::deploys::{Deploy, DispatchRefusal, FailureMarker, Outcome, RollbackRefusal};
use shipslog_core::testing::Log;
use shipslog_core::testing::canary::{Alphabet, Canary};
use shipslog_test_support::{GitRepository, GitServer, Health, ImageSpec};

use super::secrecy::{Watch, contains};
use super::shop::{Shop, failure, shop};
use crate::bench::read_all;

/// A workload whose file is in a repository.
struct Depot {
    shop: Shop,
    server: GitServer,
    repository: GitRepository,
}

fn depot() -> Option<Depot> {
    let shop = shop()?;
    let server = GitServer::start();
    let repository = server.repository("team/shop");
    for service in ["db", "api"] {
        shop.publish(service, &ImageSpec::sleeper());
    }
    Some(Depot {
        shop,
        server,
        repository,
    })
}

impl Depot {
    /// A file of two services, one of which is told `level`; `more` is added to that one.
    fn file(&self, level: &str, more: &Value) -> String {
        let mut api = json!({"image": self.shop.tag("api"), "environment": {"LEVEL": level}});
        for (key, value) in more.as_object().unwrap() {
            api[key] = value.clone();
        }
        json!({"services": {"db": {"image": self.shop.tag("db")}, "api": api}}).to_string()
    }

    /// Commits it, and answers the commit.
    fn publish(&self, path: &str, level: &str, more: &Value) -> String {
        self.repository.write(path, self.file(level, more));
        self.repository.commit(level)
    }

    /// The same, with what `api` is told in a file of its own.
    fn publish_with_env_file(&self, level: &str) -> String {
        self.repository.write("api.env", format!("TOLD={level}\n"));
        self.publish("compose.yaml", "same", &json!({"env_file": "api.env"}))
    }

    /// Deploys what is behind the address.
    async fn deploy(&self, fragment: &str) -> Deploy {
        self.deploy_with(fragment, &json!({})).await
    }

    async fn deploy_with(&self, fragment: &str, options: &Value) -> Deploy {
        let reference = format!("{}{fragment}", self.repository.url());
        let spec = self.shop.spec_of(&reference, options, &json!([]));
        self.shop.revise(spec).await;
        self.shop.deploy().await
    }

    async fn deploys(&self, fragment: &str) -> Deploy {
        let log = Log::capture();
        let row = self.deploy(fragment).await;
        assert_eq!(row.outcome, Outcome::Succeeded, "{fragment}: {}", log.text());
        row
    }

    async fn fails(&self, fragment: &str) -> Option<FailureMarker> {
        self.deploy(fragment).await.outcome.marker()
    }

    async fn refused(&self, row: &Deploy) -> RollbackRefusal {
        match self.shop.start_rollback(&row.id).await {
            Err(DispatchRefusal::Rollback(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    /// What `api` was told.
    fn told(&self) -> String {
        self.shop.inspect("api", "{{.Config.Env}}")
    }

    fn forget_cache(&self) {
        fs::remove_dir_all(self.shop.folder.path().join("git/repositories")).unwrap();
    }

    /// What the ledger shows of a commit.
    fn pin(&self, commit: &str) -> String {
        format!("{}/team/shop.git@git:{commit}", self.server.host())
    }
}

fn reference(row: &Deploy) -> &str {
    row.pin.as_ref().unwrap().reference.as_str()
}

#[tokio::test]
async fn a_branch_is_followed_and_pinned_by_its_commit() {
    let Some(depot) = depot() else { return };
    let one = depot.publish("compose.yaml", "one", &json!({}));
    depot.repository.tag("v1", None);
    let first = depot.deploys("#main").await;
    assert_eq!(reference(&first), depot.pin(&one));
    assert!(depot.told().contains("LEVEL=one"));
    let db = depot.shop.inspect("db", "{{.Id}} {{.State.StartedAt}}");

    let two = depot.publish("compose.yaml", "two", &json!({}));
    let second = depot.deploys("").await;
    assert_eq!(reference(&second), depot.pin(&two), "the default branch");
    assert!(depot.told().contains("LEVEL=two"));
    assert_eq!(reference(&depot.deploys("#v1").await), depot.pin(&one));
    assert!(depot.told().contains("LEVEL=one"));

    depot.publish("deploy/compose.yml", "in a folder", &json!({}));
    depot.deploys("#main:deploy").await;
    assert!(depot.told().contains("LEVEL=in a folder"));
    let three = depot.publish("deploy/other.yaml", "by its name", &json!({}));
    depot.deploys(&format!("#{three}:deploy/other.yaml")).await;
    assert!(depot.told().contains("LEVEL=by its name"));
    assert_eq!(
        depot.shop.inspect("db", "{{.Id}} {{.State.StartedAt}}"),
        db,
        "a service that did not change was touched"
    );
}

#[tokio::test]
async fn a_rollback_needs_nothing_but_the_plan_where_no_file_is_beside_it() {
    let Some(mut depot) = depot() else { return };
    depot.publish("README", "before", &json!({}));
    depot.publish("compose.yaml", "one", &json!({}));
    let first = depot.deploys("#main").await;
    depot.repository.take_back();
    depot.publish("compose.yaml", "two", &json!({}));
    depot.repository.forget();
    depot.deploys("#main").await;
    assert!(depot.told().contains("LEVEL=two"));
    depot.forget_cache();
    depot.server.stop();
    let back = depot.shop.roll_back(&first.id).await;
    assert_eq!(
        (back.outcome, back.pin.as_ref()),
        (Outcome::Succeeded, first.pin.as_ref())
    );
    assert!(depot.told().contains("LEVEL=one"));
    assert_eq!(
        depot.deploy("#main").await.outcome.marker(),
        Some(FailureMarker::SourceUnreachable)
    );
    assert!(depot.told().contains("LEVEL=one"));
}

#[tokio::test]
async fn files_beside_it_are_those_of_the_commit_for_as_long_as_that_can_be_had() {
    let Some(mut depot) = depot() else { return };
    depot.publish("README", "before", &json!({}));
    depot.publish_with_env_file("one");
    let first = depot.deploys("#main").await;
    assert!(depot.told().contains("TOLD=one"));
    depot.repository.take_back();
    depot.publish_with_env_file("two");
    depot.repository.forget();
    depot.deploys("#main").await;
    assert!(depot.told().contains("TOLD=two"));

    depot.server.stop();
    let back = depot.shop.roll_back(&first.id).await;
    assert_eq!(back.outcome, Outcome::Succeeded, "the cache has the commit");
    assert!(depot.told().contains("TOLD=one"));
    depot.server.resume();
    let second = depot.deploys("#main").await;
    assert!(depot.told().contains("TOLD=two"));

    depot.forget_cache();
    depot.server.stop();
    assert_eq!(depot.refused(&first).await, RollbackRefusal::SourceUnreachable);
    depot.server.resume();
    assert_eq!(depot.refused(&first).await, RollbackRefusal::CommitGone);
    depot.server.require("x-access-token", "a token");
    assert_eq!(depot.refused(&first).await, RollbackRefusal::SourceDenied);
    assert!(depot.told().contains("TOLD=two"));
    assert!(second.pin.is_some());
}

#[tokio::test]
async fn a_service_that_fails_is_put_back_with_the_files_of_the_commit_before() {
    let Some(depot) = depot() else { return };
    depot.publish_with_env_file("one");
    // The engine makes a folder for a mount that is not there.
    let project = depot
        .shop
        .folder
        .path()
        .join(format!("project-{}", depot.shop.workload));
    fs::create_dir_all(project.join("tree/data")).unwrap();
    depot.deploys("#main").await;
    depot.repository.write("api.env", "TOLD=two\n");
    depot.publish(
        "compose.yaml",
        "same",
        &json!({"env_file": "api.env", "command": ["false"]}),
    );
    let row = depot.deploy("#main").await;
    assert_eq!(failure(&row), (Some(FailureMarker::ExitedAtOnce), Some("api")));
    assert!(depot.told().contains("TOLD=one"));
    assert_eq!(depot.shop.inspect("api", "{{.State.Running}}"), "true");
}

#[tokio::test]
async fn what_a_repository_builds_runs_again_when_the_repository_is_gone() {
    let Some(mut depot) = depot() else { return };
    let base = format!("{}-base:1", depot.shop.name);
    ImageSpec::web("base")
        .health(Health::Always)
        .build(&depot.shop.engine, &base);
    let port = format!("127.0.0.1:{}:80", depot.shop.port);
    let file = json!({"services": {
        "web": {"build": "image", "ports": [port]},
        "idle": {"build": "nosuch", "profiles": ["never"]},
    }});
    depot.repository.write("compose.yaml", file.to_string());
    depot.repository.write(
        "image/Dockerfile",
        format!("FROM {base}\nCOPY index.html /www/index.html\n"),
    );
    depot.repository.write("nosuch/Dockerfile", "FROM scratch\n");
    let publish = |page: &str| {
        depot.repository.write("image/index.html", page);
        depot.repository.commit(page);
    };
    publish("built one");
    let first = depot.deploys("#main").await;
    assert_eq!(depot.shop.page(), "built one");
    publish("built two");
    depot.deploys("#main").await;
    assert_eq!(depot.shop.page(), "built two");
    depot.forget_cache();
    depot.server.stop();
    let back = depot.shop.roll_back(&first.id).await;
    assert_eq!(
        (back.outcome, depot.shop.page()),
        (Outcome::Succeeded, "built one".to_owned())
    );
}

#[tokio::test]
async fn a_token_opens_the_repository_and_is_seen_nowhere() {
    let canary = Canary::random("a token", Alphabet::Header);
    let Some(mut depot) = depot() else { return };
    depot.shop = depot.shop.with_secret("env:T", canary.value());
    depot.server.require("x-access-token", canary.value());
    depot.publish_with_env_file("one");
    assert_eq!(depot.fails("#main").await, Some(FailureMarker::SourceDenied));

    let (log, watch, token) = (Log::capture(), Watch::begin(), json!({"token": "env:T"}));
    let row = depot.deploy_with("#main", &token).await;
    let seen = watch.end();
    assert_eq!(row.outcome, Outcome::Succeeded);
    assert!(depot.told().contains("TOLD=one"));
    assert!(contains(&seen.arguments, b"--no-deps"), "the tool was never seen");
    depot.server.require("x-access-token", "another");
    let denied = depot.deploy_with("#main", &token).await;
    assert_eq!(failure(&denied).0, Some(FailureMarker::SourceDenied));
    let plan = depot.shop.plan_of(&row).await;
    let inspected = depot.shop.inspect("api", "{{json .}}");
    for (place, text) in [
        ("arguments", seen.arguments.as_slice()),
        ("the tool's environment", &seen.environments),
        ("the plan", plan.as_bytes()),
        ("rows", format!("{row:?}{denied:?}").as_bytes()),
        ("the log", log.text().as_bytes()),
        ("the container", inspected.as_bytes()),
        ("the folder", &read_all(depot.shop.folder.path())),
    ] {
        assert!(!text.is_empty(), "{place} is empty");
        assert_eq!(canary.find_in(text), None, "the token is in {place}");
    }
}

#[tokio::test]
async fn what_is_not_in_the_repository_or_leads_out_of_it_is_refused_and_what_ran_goes_on() {
    let Some(depot) = depot() else { return };
    let outside = tempfile::tempdir().unwrap();
    fs::write(
        outside.path().join("compose.yaml"),
        depot.file("outside", &json!({})),
    )
    .unwrap();
    fs::write(outside.path().join("secret.env"), "TOLD=outside\n").unwrap();
    let outside = outside.path().to_str().unwrap();
    depot.publish("compose.yaml", "one", &json!({}));
    depot.deploys("#main").await;

    depot.repository.write("empty/README", "");
    depot
        .repository
        .link("out/compose.yaml", &format!("{outside}/compose.yaml"));
    depot.repository.link("there", outside);
    depot
        .repository
        .link("secret.env", &format!("{outside}/secret.env"));
    let invalid = Some(FailureMarker::SourceInvalid);
    let more = [
        ("env", json!({"env_file": "../secret.env"})),
        ("up", json!({"env_file": ["../../secret.env"]})),
        ("build", json!({"build": "../.."})),
        (
            "file",
            json!({"build": {"context": "..", "dockerfile": "../Dockerfile"}}),
        ),
        ("bind", json!({"volumes": ["./data:/data"]})),
        ("variable", json!({"env_file": "${WHERE:-x}.env"})),
    ];
    for (folder, more) in &more {
        depot.publish(&format!("{folder}/compose.yaml"), "two", more);
    }
    assert_eq!(depot.fails("#nosuch").await, Some(FailureMarker::SourceNotFound));
    assert_eq!(
        depot.fails("#main:empty").await,
        Some(FailureMarker::SourceNotFound)
    );
    for path in [
        "out",
        "out/compose.yaml",
        "there",
        "there/compose.yaml",
        "nosuch",
        "nosuch.yaml",
    ] {
        assert_eq!(depot.fails(&format!("#main:{path}")).await, invalid, "{path}");
    }
    for (folder, _) in more {
        let row = depot.deploy(&format!("#main:{folder}")).await;
        assert_eq!(failure(&row), (invalid, Some("api")), "{folder}");
    }
    assert!(depot.told().contains("LEVEL=one"));
}

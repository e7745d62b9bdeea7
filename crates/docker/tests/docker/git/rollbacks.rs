//! Running again what was built, or building it again.

use serde_json::json;
use shipslog_core::deploys::{FailureMarker, Outcome, RollbackRefusal};
use shipslog_core::testing::FakeSecrets;

use super::{Yard, content, yard};

#[tokio::test]
async fn the_image_that_was_built_runs_again_without_the_server() {
    let Some(mut yard) = yard().await else { return };
    yard.publish("one");
    let one = yard.deploy("main").await;
    yard.publish("two");
    assert_eq!(yard.runs("main").await.1, "two");
    yard.server.stop();
    let back = yard.roll_back(&one).await.unwrap();
    assert_eq!(
        (back.outcome, yard.version()),
        (Outcome::Succeeded, "one".to_owned())
    );
    assert_eq!(back.pin, one.pin);
}

#[tokio::test]
async fn an_image_that_is_gone_is_built_again_from_the_cache() {
    let Some(mut yard) = yard().await else { return };
    yard.publish("base");
    yard.publish("one");
    let one = yard.deploy("main").await;
    yard.repository.take_back();
    yard.publish("two");
    yard.deploy("main").await;
    yard.repository.forget();
    yard.server.stop();
    yard.forget_image(&one);
    let back = yard.roll_back(&one).await.unwrap();
    assert_eq!(
        (back.outcome, yard.version()),
        (Outcome::Succeeded, "one".to_owned())
    );
    let (was, is) = (one.pin.unwrap(), back.pin.unwrap());
    assert_eq!(was.reference, is.reference);
    assert_eq!(
        yard.engine
            .docker(&["inspect", "--format", "{{.Image}}", &yard.container()]),
        is.content.as_str()
    );
}

#[tokio::test]
async fn a_commit_that_is_not_in_the_cache_is_fetched_from_the_server() {
    for is_old in [false, true] {
        let Some(yard) = yard().await else { return };
        if is_old {
            yard.server.be_old();
        }
        yard.publish("one");
        let one = yard.deploy("main").await;
        yard.publish("two");
        yard.deploy("main").await;
        yard.forget_image(&one);
        yard.forget_cache();
        let back = yard.roll_back(&one).await.unwrap();
        assert_eq!(
            (back.outcome, yard.version()),
            (Outcome::Succeeded, "one".to_owned()),
            "{is_old}"
        );
    }
}

#[tokio::test]
async fn a_submodule_that_is_gone_ends_the_rollback_and_what_ran_goes_on() {
    let Some(yard) = yard().await else { return };
    let library = yard.server.repository("team/library");
    library.write("text", "x").commit("library");
    yard.repository.submodule("lib", "../library.git", &library);
    yard.publish("one");
    let one = yard.deploy("main").await;
    yard.publish("two");
    yard.deploy("main").await;
    yard.forget_image(&one);
    yard.forget_cache();
    std::fs::remove_dir_all(library.served()).unwrap();
    let back = yard.roll_back(&one).await.unwrap();
    assert_eq!(back.outcome.marker(), Some(FailureMarker::SourceNotFound));
    assert_eq!(yard.version(), "two");
}

#[tokio::test]
async fn what_can_no_longer_be_had_is_refused_with_the_reason() {
    let options = json!({"token": "env:T"});
    let secrets = FakeSecrets::default().with("env:T", "open sesame");
    let Some(mut yard) = Yard::with(options, secrets, |plugin| plugin).await else {
        return;
    };
    yard.publish("base");
    yard.publish("one");
    let one = yard.deploy("main").await;
    yard.repository.take_back();
    yard.publish("two");
    yard.deploy("main").await;
    yard.forget_image(&one);
    yard.forget_cache();
    yard.server.require("x-access-token", "another");
    assert_eq!(yard.roll_back(&one).await, Err(RollbackRefusal::SourceDenied));
    yard.server.require("x-access-token", "open sesame");
    yard.repository.forget();
    assert_eq!(yard.roll_back(&one).await, Err(RollbackRefusal::CommitGone));
    yard.server.be_old();
    assert_eq!(yard.roll_back(&one).await, Err(RollbackRefusal::CommitGone));
    yard.server.stop();
    assert_eq!(
        yard.roll_back(&one).await,
        Err(RollbackRefusal::SourceUnreachable)
    );
    assert_eq!(yard.version(), "two");
    assert_ne!(
        content(&one),
        yard.engine
            .docker(&["inspect", "--format", "{{.Image}}", &yard.container()])
    );
}

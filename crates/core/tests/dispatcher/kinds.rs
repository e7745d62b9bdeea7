//! What the registered kinds can do, and what they lack.

use shipslog_core::deploys::{DispatchRefusal, DispatcherOptions, Outcome};
use shipslog_core::testing::FakePlugin;

use crate::yard::{request, rollback_to, spec, yard, yard_with};

#[tokio::test]
async fn kinds_say_whether_they_can_roll_back_and_what_they_lack() {
    let plugin = FakePlugin::new().without_rollback();
    let yard = yard_with(plugin, DispatcherOptions::default()).await;
    yard.plugin.lack(&["It needs a quay: build one."]);
    let [kind] = &yard.dispatcher.kinds().await[..] else {
        panic!("one kind is registered")
    };
    assert_eq!((kind.name.as_str(), kind.can_roll_back), ("fake", false));
    assert_eq!(kind.readiness.missing, ["It needs a quay: build one."]);
}

#[tokio::test]
async fn what_lacks_something_is_refused_with_how_to_get_it_and_leaves_no_row() {
    let yard = yard().await;
    let row = yard.deploy().await;
    yard.plugin.lack(&["It needs a quay: build one."]);
    let deploy = yard.dispatcher.dispatch(request(&yard.web)).await;
    let rollback = yard.dispatcher.roll_back(rollback_to(&yard.web, &row.id)).await;
    for refused in [deploy, rollback] {
        let Err(DispatchRefusal::NotReady(missing)) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(missing, ["It needs a quay: build one."]);
    }
    assert_eq!(yard.ledger().await.len(), 1);
    yard.plugin.lack(&[]);
    assert_eq!(yard.deploy().await.outcome, Outcome::Succeeded);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_say_in_time_is_not_called_ready_and_not_refused_either() {
    let yard = yard().await;
    yard.plugin.set_silent(true);
    let kinds = yard.dispatcher.kinds().await;
    assert!(
        kinds[0].readiness.missing[0].contains("no answer within 2 s"),
        "{kinds:?}"
    );
    assert_eq!(yard.deploy().await.outcome, Outcome::Succeeded);
}

#[tokio::test]
async fn an_unknown_kind_is_told_which_there_are() {
    let yard = yard().await;
    let mut unknown = spec("web");
    unknown.source.kind = "carrier-pigeon".to_owned();
    let error = yard.dispatcher.check(&unknown).unwrap_err();
    assert_eq!(error.to_string(), "source.kind: must be one of fake");
}

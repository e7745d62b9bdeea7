//! Rows are replayed.

use shipslog_core::deploys::{
    DispatchRefusal, DispatchRequest, DispatcherOptions, FailureMarker, Outcome, Reason, RollbackConfig,
    RollbackRefusal, RollbackRequest,
};
use shipslog_core::id::DeployId;
use shipslog_core::store::StoreError;
use shipslog_core::testing::{Behaviour, FakePlugin, fake_pin};
use shipslog_core::workloads::Spec;

use crate::yard::{Yard, request, rollback_to, spec, workload, yard, yard_with};

#[tokio::test]
async fn a_rollback_runs_what_ran_and_not_what_the_tag_says_now() {
    let yard = yard().await;
    let first = yard.deploy_version(1).await;
    yard.deploy_version(2).await;
    yard.plugin.publish(3);
    let row = yard
        .dispatcher
        .roll_back(rollback_to(&yard.web, &first.id))
        .await
        .unwrap();
    assert_eq!(row.pin, first.pin, "pinned from the start");
    let row = yard.dispatcher.wait(&row.id).await.unwrap();
    assert_eq!(
        (row.outcome, row.reason, row.current),
        (Outcome::Succeeded, Reason::Rollback, true)
    );
    assert_eq!(row.rollback_of, Some(first.id));
    assert_eq!(yard.plugin.serving(&yard.web), [fake_pin(1).content]);
}

#[tokio::test]
async fn a_rollback_replays_the_recorded_spec_or_todays_on_request() {
    let yard = yard().await;
    let first = yard.deploy_version(1).await;
    let changed = Spec {
        labels: [("team".to_owned(), "b".to_owned())].into(),
        ..spec("web")
    };
    yard.store.revise_workload(&yard.web, 1, changed).await.unwrap();
    assert_eq!(yard.deploy_version(2).await.spec_revision, 2);
    for (config, revision) in [(RollbackConfig::Recorded, 1), (RollbackConfig::Current, 2)] {
        let request = RollbackRequest {
            config,
            ..rollback_to(&yard.web, &first.id)
        };
        let row = yard.dispatcher.roll_back(request).await.unwrap();
        assert_eq!(
            yard.dispatcher.wait(&row.id).await.unwrap().spec_revision,
            revision
        );
    }
}

async fn refusal(yard: &Yard, target: &DeployId) -> RollbackRefusal {
    match yard.dispatcher.roll_back(rollback_to(&yard.web, target)).await {
        Err(DispatchRefusal::Rollback(refusal)) => refusal,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_cannot_be_rolled_back_to_is_refused_with_the_reason_and_leaves_no_row() {
    let yard = yard().await;
    let good = yard.deploy_version(1).await;
    yard.plugin.behave(Behaviour::Fail(FailureMarker::ExitedAtOnce));
    let failed = yard.deploy_version(2).await;
    assert_eq!(refusal(&yard, &failed.id).await, RollbackRefusal::NotSucceeded);
    yard.plugin.set_gone(true);
    assert_eq!(refusal(&yard, &good.id).await, RollbackRefusal::ImageGone);
    yard.plugin.set_away(true);
    assert_eq!(refusal(&yard, &good.id).await, RollbackRefusal::EngineUnavailable);
    assert_eq!(yard.ledger().await.len(), 2);
}

#[tokio::test]
async fn a_kind_that_cannot_roll_back_says_so() {
    let yard = yard_with(FakePlugin::new().without_rollback(), DispatcherOptions::default()).await;
    let row = yard.deploy().await;
    assert_eq!(
        yard.dispatcher.rollback_verdict(&row),
        Err(RollbackRefusal::KindCannotRollBack)
    );
    assert_eq!(refusal(&yard, &row.id).await, RollbackRefusal::KindCannotRollBack);
}

#[tokio::test]
async fn a_row_of_another_workload_is_not_found() {
    let yard = yard().await;
    let row = yard.deploy().await;
    let other = workload(&yard.store, spec("other")).await;
    let result = yard.dispatcher.roll_back(rollback_to(&other, &row.id)).await;
    assert!(matches!(
        result,
        Err(DispatchRefusal::Store(StoreError::NotFound { what: "deploy" }))
    ));
}

#[tokio::test]
async fn a_repeated_key_answers_the_first_row() {
    let yard = yard().await;
    let keyed = DispatchRequest {
        idempotency_key: Some("k1".into()),
        ..request(&yard.web)
    };
    let first = yard.dispatcher.dispatch(keyed.clone()).await.unwrap();
    yard.dispatcher.wait(&first.id).await.unwrap();
    let repeat = yard.dispatcher.dispatch(keyed.clone()).await.unwrap();
    assert_eq!(
        (repeat.id, repeat.outcome),
        (first.id.clone(), Outcome::Succeeded)
    );
    let other = DispatchRequest {
        reference: Some("app:2".into()),
        ..keyed
    };
    assert!(matches!(
        yard.dispatcher.dispatch(other).await,
        Err(DispatchRefusal::KeyReused)
    ));
    let rollback = RollbackRequest {
        idempotency_key: Some("k1".into()),
        ..rollback_to(&yard.web, &first.id)
    };
    assert!(matches!(
        yard.dispatcher.roll_back(rollback).await,
        Err(DispatchRefusal::KeyReused)
    ));
    assert_eq!(yard.ledger().await.len(), 1);
}

#[tokio::test]
async fn a_bad_reference_is_blamed_on_the_request() {
    let yard = yard().await;
    for bad in ["bad", "user:pass@host/app", "a b", ""] {
        let request = DispatchRequest {
            reference: Some(bad.into()),
            ..request(&yard.web)
        };
        match yard.dispatcher.dispatch(request).await {
            Err(DispatchRefusal::Invalid(error)) => assert_eq!(error.field, "reference"),
            other => panic!("{bad}: {other:?}"),
        }
    }
    assert!(yard.ledger().await.is_empty());
}

#[tokio::test]
async fn a_secret_that_cannot_be_read_fails_before_anything_is_touched() {
    let yard = yard().await;
    let mut with_secret = serde_json::to_value(spec("web")).unwrap();
    with_secret["env"] = serde_json::json!([{"name": "DB", "secret": "env:NOT_THERE"}]);
    yard.store
        .revise_workload(&yard.web, 1, serde_json::from_value(with_secret).unwrap())
        .await
        .unwrap();
    assert_eq!(
        yard.deploy().await.outcome,
        Outcome::Failed(FailureMarker::SecretMissing)
    );
    assert!(yard.plugin.parts().is_empty());
}

//! Cases of [`DeployStore`](crate::deploys::DeployStore): the life of a row.

use super::build::{
    at, closing, create, deploy, new_deploy, open, pin, pinned, some_deploy_id, some_id, with_key,
};
use super::check::{conflict, invalid, not_found, one_winner};
use crate::deploys::{Closing, Deploy, FailureMarker, NewDeploy, Outcome, Reason, Strategy};
use crate::id::WorkloadId;
use crate::store::Store;

fn full(workload: &WorkloadId) -> NewDeploy {
    NewDeploy {
        source_kind: "compose".into(),
        reason: Reason::Rollback,
        requested: "registry/app:1.4".into(),
        pinned: Some(pin('a').into()),
        spec_revision: 7,
        triggered_by: "a token".into(),
        note: Some("because of \u{1F6A2} 'and' \"so\"".into()),
        rollback_of: Some(some_deploy_id()),
        strategy: Some(Strategy::VerifyThenSwap),
        idempotency_key: Some("key".into()),
        ..new_deploy(workload)
    }
}

fn as_opened(new: NewDeploy) -> Deploy {
    Deploy {
        id: new.id,
        workload_id: new.workload_id,
        source_kind: new.source_kind,
        reason: new.reason,
        requested: new.requested,
        pin: new.pinned.map(|pinned| pinned.pin),
        failed_part: None,
        spec_revision: new.spec_revision,
        outcome: Outcome::Running,
        triggered_by: new.triggered_by,
        note: new.note,
        rollback_of: new.rollback_of,
        current: false,
        strategy: new.strategy,
        started_at: new.started_at,
        finished_at: None,
    }
}

pub async fn a_row_comes_back_as_it_was_opened(store: &dyn Store) {
    let (a, b) = (create(store, "a").await, create(store, "b").await);
    for new in [full(&a), new_deploy(&b)] {
        let expected = as_opened(new.clone());
        assert_eq!(store.open_deploy(new).await.unwrap(), expected);
        assert_eq!(store.deploy(&expected.id).await.unwrap(), expected);
        assert_eq!(
            store.all_deploys(&expected.workload_id).await.unwrap(),
            [expected]
        );
    }
}

pub async fn a_row_is_not_opened_for_an_unknown_workload(store: &dyn Store) {
    let new = new_deploy(&some_id());
    not_found(store.open_deploy(new.clone()).await, "workload");
    not_found(store.deploy(&new.id).await, "deploy");
}

pub async fn a_workload_has_one_running_row(store: &dyn Store) {
    let (a, b) = (create(store, "a").await, create(store, "b").await);
    let first = open(store, &a).await;
    conflict(store.open_deploy(new_deploy(&a)).await, "running deploy");
    open(store, &b).await;
    store
        .close_deploy(&first.id, closing(Outcome::Interrupted, false))
        .await
        .unwrap();
    open(store, &a).await;
    assert_eq!(store.all_deploys(&a).await.unwrap().len(), 2);
}

pub async fn of_two_rows_opened_at_once_one_wins(store: &dyn Store) {
    let id = create(store, "web").await;
    let both = tokio::join!(
        store.open_deploy(new_deploy(&id)),
        store.open_deploy(new_deploy(&id))
    );
    let won = one_winner(both, "running deploy");
    assert_eq!(store.all_deploys(&id).await.unwrap(), [won]);
}

pub async fn a_key_is_used_once_in_a_workload(store: &dyn Store) {
    let (a, b) = (create(store, "a").await, create(store, "b").await);
    let first = store.open_deploy(with_key(&a, "key")).await.unwrap();
    store
        .close_deploy(&first.id, closing(Outcome::Succeeded, true))
        .await
        .unwrap();
    conflict(store.open_deploy(with_key(&a, "key")).await, "idempotency key");
    store.open_deploy(with_key(&b, "key")).await.unwrap();
    store.open_deploy(with_key(&a, "Key")).await.unwrap();
}

pub async fn a_used_key_is_told_before_a_running_row(store: &dyn Store) {
    let id = create(store, "web").await;
    store.open_deploy(with_key(&id, "key")).await.unwrap();
    conflict(store.open_deploy(with_key(&id, "key")).await, "idempotency key");
    conflict(store.open_deploy(with_key(&id, "other")).await, "running deploy");
    assert_eq!(store.deploy_by_key(&id, "other").await.unwrap(), None);
}

pub async fn a_row_is_found_by_its_key(store: &dyn Store) {
    let (a, b) = (create(store, "a").await, create(store, "b").await);
    let row = store.open_deploy(with_key(&a, "key")).await.unwrap();
    assert_eq!(store.deploy_by_key(&a, "key").await.unwrap(), Some(row.clone()));
    let closed = store
        .close_deploy(&row.id, closing(Outcome::Succeeded, true))
        .await
        .unwrap();
    assert_eq!(store.deploy_by_key(&a, "key").await.unwrap(), Some(closed));
    assert_eq!(store.deploy_by_key(&a, "KEY").await.unwrap(), None);
    assert_eq!(store.deploy_by_key(&b, "key").await.unwrap(), None);
    assert_eq!(store.deploy_by_key(&some_id(), "key").await.unwrap(), None);
}

pub async fn a_row_is_pinned_once(store: &dyn Store) {
    let id = create(store, "web").await;
    let row = open(store, &id).await;
    store.pin_deploy(&row.id, pin('a').into()).await.unwrap();
    conflict(store.pin_deploy(&row.id, pin('b').into()).await, "outcome");
    assert_eq!(
        store.deploy(&row.id).await.unwrap(),
        Deploy {
            pin: Some(pin('a')),
            ..row
        }
    );
}

pub async fn a_row_may_gain_other_content_of_the_same_reference(store: &dyn Store) {
    let id = create(store, "web").await;
    let row = open(store, &id).await;
    store.pin_deploy(&row.id, pinned('a')).await.unwrap();
    let mut again = pin('a');
    again.content = pin('b').content;
    store.pin_deploy(&row.id, again.clone().into()).await.unwrap();
    assert_eq!(store.deploy(&row.id).await.unwrap().pin, Some(again));
    assert_eq!(store.deploy_plan(&row.id).await.unwrap(), None);
}

pub async fn parts_and_plan_come_back_as_they_were_pinned(store: &dyn Store) {
    let id = create(store, "web").await;
    let row = open(store, &id).await;
    assert_eq!(store.deploy_plan(&row.id).await.unwrap(), None);
    store.pin_deploy(&row.id, pinned('a')).await.unwrap();
    let failed = Closing {
        failed_part: Some("db".parse().unwrap()),
        ..closing(Outcome::Failed(FailureMarker::Unhealthy), false)
    };
    let closed = store.close_deploy(&row.id, failed).await.unwrap();
    assert_eq!(closed.failed_part, Some("db".parse().unwrap()));
    assert_eq!(closed.pin, Some(pinned('a').pin));
    assert_eq!(store.deploy_plan(&row.id).await.unwrap(), pinned('a').plan);
    let replayed = NewDeploy {
        pinned: Some(pinned('a')),
        ..new_deploy(&id)
    };
    let replayed = store.open_deploy(replayed).await.unwrap();
    assert_eq!(replayed.pin, Some(pinned('a').pin));
    assert_eq!(store.deploy_plan(&replayed.id).await.unwrap(), pinned('a').plan);
    not_found(store.deploy_plan(&some_deploy_id()).await, "deploy");
}

pub async fn a_closed_row_is_not_pinned(store: &dyn Store) {
    let id = create(store, "web").await;
    let row = deploy(store, &id, true).await;
    conflict(store.pin_deploy(&row, pin('a').into()).await, "outcome");
    assert_eq!(store.deploy(&row).await.unwrap().pin, None);
}

pub async fn every_outcome_is_kept(store: &dyn Store) {
    let id = create(store, "web").await;
    let failures = FailureMarker::ALL.map(Outcome::Failed);
    for outcome in failures
        .into_iter()
        .chain([Outcome::Succeeded, Outcome::Interrupted])
    {
        let row = open(store, &id).await;
        let closing = Closing {
            outcome,
            failed_part: None,
            current: false,
            finished_at: at(300),
        };
        let closed = store.close_deploy(&row.id, closing).await.unwrap();
        assert_eq!(
            closed,
            Deploy {
                outcome,
                finished_at: Some(at(300)),
                ..row
            }
        );
        assert_eq!(store.deploy(&closed.id).await.unwrap(), closed);
    }
}

pub async fn a_row_is_closed_once(store: &dyn Store) {
    let id = create(store, "web").await;
    let row = open(store, &id).await.id;
    let closed = store
        .close_deploy(&row, closing(Outcome::Succeeded, false))
        .await
        .unwrap();
    let failed = Outcome::Failed(FailureMarker::Internal);
    conflict(store.close_deploy(&row, closing(failed, true)).await, "outcome");
    assert_eq!(store.deploy(&row).await.unwrap(), closed);
}

pub async fn of_two_closings_at_once_one_wins(store: &dyn Store) {
    let id = create(store, "web").await;
    let row = open(store, &id).await.id;
    let both = tokio::join!(
        store.close_deploy(&row, closing(Outcome::Succeeded, true)),
        store.close_deploy(&row, closing(Outcome::Interrupted, false))
    );
    let won = one_winner(both, "outcome");
    assert_eq!(store.deploy(&row).await.unwrap(), won);
}

pub async fn a_row_is_not_closed_as_running(store: &dyn Store) {
    let id = create(store, "web").await;
    let row = open(store, &id).await;
    invalid(
        store.close_deploy(&row.id, closing(Outcome::Running, true)).await,
        "outcome",
    );
    assert_eq!(store.deploy(&row.id).await.unwrap(), row);
}

pub async fn unknown_rows_are_not_found(store: &dyn Store) {
    let id = create(store, "web").await;
    let row = open(store, &id).await;
    not_found(store.deploy(&some_deploy_id()).await, "deploy");
    not_found(
        store.pin_deploy(&some_deploy_id(), pin('a').into()).await,
        "deploy",
    );
    not_found(
        store
            .close_deploy(&some_deploy_id(), closing(Outcome::Succeeded, true))
            .await,
        "deploy",
    );
    not_found(store.make_current(&some_deploy_id()).await, "deploy");
    assert_eq!(store.all_deploys(&id).await.unwrap(), [row]);
}

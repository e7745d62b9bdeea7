//! Rows are kept, and what runs is put in order.

use std::sync::Arc;
use std::time::Duration;

use shipslog_core::deploys::{
    ClosedDeploys, Deploy, DispatchRefusal, Dispatcher, DispatcherOptions, DispatcherStatus, FailureMarker,
    NewDeploy, Outcome, Reason,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::store::{Store, StoreError};
use shipslog_core::testing::{Behaviour, FakePlugin, Part, fake_pin};
use tokio_util::sync::CancellationToken;

use crate::yard::{Yard, dispatcher, now, request, yard, yard_with};

#[tokio::test]
async fn pruning_keeps_the_newest_the_current_and_what_a_rollback_needs() {
    let options = DispatcherOptions {
        keep_deploys: 2,
        ..DispatcherOptions::default()
    };
    let yard = yard_with(FakePlugin::new(), options).await;
    let first = yard.deploy_version(1).await;
    let second = yard.deploy_version(2).await;
    yard.plugin.behave(Behaviour::Fail(FailureMarker::StartFailed));
    let mut kept: Vec<DeployId> = Vec::new();
    for version in 3..8 {
        kept.push(yard.deploy_version(version).await.id);
    }
    yard.quiet().await;
    let ids: Vec<DeployId> = yard.ledger().await.into_iter().map(|row| row.id).collect();
    assert_eq!(ids, [kept[4].clone(), kept[3].clone(), second.id, first.id]);
}

pub(crate) async fn abandoned(store: &Arc<dyn Store>, workload: &WorkloadId) -> Deploy {
    let new = NewDeploy {
        id: DeployId::generate(now()),
        workload_id: workload.clone(),
        source_kind: "fake".into(),
        reason: Reason::Manual,
        requested: "app:2".into(),
        pinned: None,
        spec_revision: 1,
        triggered_by: "admin".into(),
        note: None,
        rollback_of: None,
        strategy: None,
        idempotency_key: None,
        started_at: now(),
    };
    let row = store.open_deploy(new).await.unwrap();
    store.pin_deploy(&row.id, fake_pin(2).into()).await.unwrap();
    row
}

fn part(workload: &WorkloadId, deploy: &DeployId, version: u8) -> Part {
    Part {
        workload: workload.clone(),
        deploy: deploy.clone(),
        content: fake_pin(version).content,
        up: true,
    }
}

#[tokio::test]
async fn after_a_crash_before_the_swap_the_old_serves_alone() {
    let yard = yard().await;
    let first = yard.deploy_version(1).await;
    let lost = abandoned(&yard.store, &yard.web).await;
    yard.plugin.leave(part(&yard.web, &lost.id, 2));
    let restarted = dispatcher(&yard.store, &yard.plugin, DispatcherOptions::default());
    assert_eq!(restarted.recover().await.unwrap(), 1);
    assert_eq!(
        yard.store.deploy(&lost.id).await.unwrap().outcome,
        Outcome::Interrupted
    );
    assert_eq!(yard.plugin.serving(&yard.web), [fake_pin(1).content]);
    assert_eq!(yard.current().await, Some(first.id));
}

#[tokio::test]
async fn after_a_crash_past_the_swap_what_runs_is_current() {
    let yard = yard().await;
    yard.deploy_version(1).await;
    yard.quiet().await;
    let lost = abandoned(&yard.store, &yard.web).await;
    yard.plugin.stop_all();
    yard.plugin.leave(part(&yard.web, &lost.id, 2));
    let restarted = dispatcher(&yard.store, &yard.plugin, DispatcherOptions::default());
    restarted.recover().await.unwrap();
    let row = yard.store.deploy(&lost.id).await.unwrap();
    assert_eq!((row.outcome, row.current), (Outcome::Interrupted, true));
    assert_eq!(yard.plugin.serving(&yard.web), [fake_pin(2).content]);
    assert_eq!(yard.plugin.parts().len(), 1);
}

/// Version 2 failed, and version 1 could not be put back.
async fn that_could_not_put_back() -> Yard {
    let yard = yard().await;
    yard.deploy_version(1).await;
    yard.plugin.behave(Behaviour::Fail(FailureMarker::Unhealthy));
    yard.plugin.refuse_to_settle(true);
    yard.deploy_version(2).await;
    yard
}

/// A dispatcher that found version 2, which had replaced everything when its process ended, while the engine was away; and its row.
async fn restarted_without_an_engine(yard: &Yard) -> (Dispatcher, Deploy) {
    let lost = abandoned(&yard.store, &yard.web).await;
    yard.plugin.stop_all();
    yard.plugin.leave(part(&yard.web, &lost.id, 2));
    yard.plugin.set_away(true);
    let restarted = dispatcher(&yard.store, &yard.plugin, DispatcherOptions::default());
    restarted.recover().await.unwrap();
    (restarted, lost)
}

#[tokio::test]
async fn without_an_engine_rows_are_closed_and_the_rest_is_done_when_it_comes() {
    let yard = yard().await;
    yard.deploy_version(1).await;
    yard.quiet().await;
    let (restarted, lost) = restarted_without_an_engine(&yard).await;
    let row = yard.store.deploy(&lost.id).await.unwrap();
    assert_eq!((row.outcome, row.current), (Outcome::Interrupted, false));
    let interrupted = ClosedDeploys {
        interrupted: 1,
        ..ClosedDeploys::default()
    };
    let waiting = DispatcherStatus {
        running: 0,
        unclosed: 0,
        unsettled: 1,
        closed: interrupted,
    };
    assert_eq!(restarted.status(), waiting);
    yard.plugin.set_away(false);
    restarted.reconcile().await;
    assert_eq!(restarted.status().unsettled, 0);
    assert_eq!(yard.current().await, Some(lost.id));
    assert_eq!(yard.plugin.serving(&yard.web), [fake_pin(2).content]);
}

#[tokio::test]
async fn an_engine_lost_on_the_way_is_put_in_order_when_it_comes_back() {
    let yard = yard().await;
    yard.deploy_version(1).await;
    yard.plugin.behave(Behaviour::Hang);
    yard.plugin.publish(2);
    let row = yard.dispatcher.dispatch(request(&yard.web)).await.unwrap();
    while yard.plugin.parts().len() < 2 {
        tokio::task::yield_now().await;
    }
    yard.plugin.set_away(true);
    yard.dispatcher.cancel(&row.id);
    yard.dispatcher.wait(&row.id).await.unwrap();
    assert!(yard.plugin.serving(&yard.web).is_empty());
    yard.plugin.set_away(false);
    yard.dispatcher.reconcile().await;
    assert_eq!(yard.plugin.serving(&yard.web), [fake_pin(1).content]);
}

#[tokio::test]
async fn a_dispatch_that_meets_the_clean_up_after_a_lost_engine_waits_for_it() {
    let yard = that_could_not_put_back().await;
    yard.plugin.refuse_to_settle(false);
    yard.plugin.behave(Behaviour::Succeed);
    yard.plugin.hold_settling(true);
    let dispatcher = yard.dispatcher.clone();
    let reconciling = tokio::spawn(async move { dispatcher.reconcile().await });
    yard.plugin.until_settling_waits().await;

    yard.plugin.publish(3);
    let row = yard.dispatcher.dispatch(request(&yard.web)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let begun = yard.plugin.parts().iter().any(|part| part.deploy == row.id);
    assert!(!begun, "it touches what is being put in order");
    yard.plugin.hold_settling(false);
    reconciling.await.unwrap();
    assert_eq!(
        yard.dispatcher.wait(&row.id).await.unwrap().outcome,
        Outcome::Succeeded
    );
    assert_eq!(yard.plugin.serving(&yard.web), [fake_pin(3).content]);
    assert!(yard.dispatcher.is_settled());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whichever_comes_first_the_clean_up_or_a_dispatch_what_is_current_runs_in_the_end() {
    for round in 0..40 {
        let yard = yard().await;
        let first = yard.deploy_version(1).await;
        yard.quiet().await;
        let (restarted, lost) = restarted_without_an_engine(&yard).await;
        yard.plugin.set_away(false);
        yard.plugin.behave(Behaviour::Fail(FailureMarker::Unhealthy));
        let cleaner = restarted.clone();
        let reconciling = tokio::spawn(async move { cleaner.reconcile().await });
        tokio::time::sleep(Duration::from_micros(round * 50)).await;
        let row = restarted.dispatch(request(&yard.web)).await.unwrap();
        restarted.wait(&row.id).await.unwrap();
        reconciling.await.unwrap();
        restarted.reconcile().await;
        let current = yard.current().await;
        assert!(current == Some(first.id) || current == Some(lost.id.clone()));
        let version = if current == Some(lost.id) { 2 } else { 1 };
        assert_eq!(
            yard.plugin.serving(&yard.web),
            [fake_pin(version).content],
            "round {round}"
        );
    }
}

#[tokio::test]
async fn what_could_not_be_put_back_is_tried_again_until_it_can() {
    let yard = that_could_not_put_back().await;
    assert!(!yard.dispatcher.is_settled());
    let (stop, dispatcher) = (CancellationToken::new(), yard.dispatcher.clone());
    let task = tokio::spawn({
        let stop = stop.clone();
        async move { dispatcher.keep_settled(stop).await }
    });
    pass(Duration::from_secs(3600)).await;
    until(|| !yard.dispatcher.is_settled()).await;
    assert_ne!(yard.plugin.serving(&yard.web), [fake_pin(1).content]);
    yard.plugin.refuse_to_settle(false);
    pass(Duration::from_secs(700)).await;
    until(|| yard.plugin.serving(&yard.web) == [fake_pin(1).content]).await;
    until(|| yard.dispatcher.is_settled()).await;
    stop.cancel();
    task.await.unwrap();
}

/// Makes this time pass at once. The ledger's threads take their own time: what was begun meanwhile may still be under way.
async fn pass(time: Duration) {
    tokio::time::pause();
    tokio::time::sleep(time).await;
    tokio::time::resume();
}

async fn until(is_so: impl Fn() -> bool + Send + Sync) {
    let wait = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap();
}

#[tokio::test]
async fn a_workload_is_retired_with_what_runs_of_it_unless_asked_otherwise() {
    let yard = yard().await;
    yard.deploy().await;
    yard.plugin.set_away(true);
    let refused = yard.dispatcher.retire(&yard.web, false).await;
    assert!(matches!(refused, Err(DispatchRefusal::EngineUnavailable)));
    assert!(yard.store.workload(&yard.web).await.is_ok());
    yard.plugin.set_away(false);
    yard.dispatcher.retire(&yard.web, false).await.unwrap();
    assert!(yard.plugin.parts().is_empty());
    assert!(matches!(
        yard.store.workload(&yard.web).await,
        Err(StoreError::NotFound { .. })
    ));
}

//! The dispatcher over a real ledger and an engine of make-believe that misbehaves on command.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::sync::Arc;
use std::time::Duration;

use shipslog_core::deploys::{
    ClosedDeploys, Deploy, DeployStep, DispatchEvent, DispatchRefusal, DispatchRequest, Dispatcher,
    DispatcherOptions, DispatcherStatus, FailureMarker, NewDeploy, Outcome, Page, Reason, RollbackConfig,
    RollbackRefusal, RollbackRequest,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::store::{Store, StoreError};
use shipslog_core::testing::{Behaviour, FakePlugin, FakeSecrets, ManualClock, Part, fake_pin};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{NewWorkload, Spec};
use shipslog_store::SqliteStore;

struct Yard {
    store: Arc<dyn Store>,
    plugin: FakePlugin,
    dispatcher: Dispatcher,
    web: WorkloadId,
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn spec(name: &str) -> Spec {
    let json = serde_json::json!({"name": name, "source": {"kind": "fake", "reference": "app:1"}});
    serde_json::from_value(json).unwrap()
}

fn dispatcher(store: &Arc<dyn Store>, plugin: &FakePlugin, options: DispatcherOptions) -> Dispatcher {
    let clock = Arc::new(ManualClock::new(now()));
    Dispatcher::new(
        Arc::clone(store),
        Arc::new(FakeSecrets::default()),
        clock,
        options,
    )
    .with_plugin(Arc::new(plugin.clone()))
}

async fn workload(store: &Arc<dyn Store>, spec: Spec) -> WorkloadId {
    let new = NewWorkload {
        id: WorkloadId::generate(now()),
        spec,
        created_at: now(),
    };
    store.create_workload(new).await.unwrap().id
}

async fn yard_with(plugin: FakePlugin, options: DispatcherOptions) -> Yard {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let web = workload(&store, spec("web")).await;
    let dispatcher = dispatcher(&store, &plugin, options);
    Yard {
        store,
        plugin,
        dispatcher,
        web,
    }
}

async fn yard() -> Yard {
    yard_with(FakePlugin::new(), DispatcherOptions::default()).await
}

fn request(workload: &WorkloadId) -> DispatchRequest {
    DispatchRequest {
        workload: workload.clone(),
        reference: None,
        reason: Reason::Manual,
        triggered_by: "admin".to_owned(),
        note: None,
        idempotency_key: None,
        force: false,
    }
}

fn rollback_to(workload: &WorkloadId, target: &DeployId) -> RollbackRequest {
    RollbackRequest {
        workload: workload.clone(),
        target: target.clone(),
        config: RollbackConfig::Recorded,
        triggered_by: "admin".to_owned(),
        note: None,
        idempotency_key: None,
    }
}

impl Yard {
    async fn deploy(&self) -> Deploy {
        let row = self.dispatcher.dispatch(request(&self.web)).await.unwrap();
        self.dispatcher.wait(&row.id).await.unwrap()
    }

    async fn deploy_version(&self, version: u8) -> Deploy {
        self.plugin.publish(version);
        self.deploy().await
    }

    async fn ledger(&self) -> Vec<Deploy> {
        self.store
            .deploys(
                &self.web,
                &Page {
                    limit: 500,
                    before: None,
                },
            )
            .await
            .unwrap()
    }

    async fn current(&self) -> Option<DeployId> {
        self.store
            .current_deploy(&self.web)
            .await
            .unwrap()
            .map(|row| row.id)
    }

    /// Until the clean-up after the newest dispatch is over.
    async fn quiet(&self) {
        self.dispatcher.shutdown(Duration::from_secs(10)).await;
    }
}

#[tokio::test]
async fn a_deploy_is_one_row_pinned_closed_and_current() {
    let yard = yard().await;
    let running = yard.dispatcher.dispatch(request(&yard.web)).await.unwrap();
    assert_eq!(
        (running.outcome, running.pin.clone(), running.current),
        (Outcome::Running, None, false)
    );
    let closed = yard.dispatcher.wait(&running.id).await.unwrap();
    assert_eq!(
        (closed.outcome, closed.pin, closed.current),
        (Outcome::Succeeded, Some(fake_pin(1)), true)
    );
    assert_eq!((closed.requested.as_str(), closed.spec_revision), ("app:1", 1));
    assert_eq!(yard.ledger().await.len(), 1);
}

#[tokio::test]
async fn after_a_failure_what_ran_before_runs_and_is_current() {
    let yard = yard().await;
    let first = yard.deploy_version(1).await;
    yard.plugin.behave(Behaviour::Fail(FailureMarker::Unhealthy));
    let failed = yard.deploy_version(2).await;
    assert_eq!(
        (failed.outcome, failed.current),
        (Outcome::Failed(FailureMarker::Unhealthy), false)
    );
    assert_eq!(failed.pin, Some(fake_pin(2)));
    assert_eq!(yard.plugin.serving(&yard.web), [fake_pin(1).content]);
    assert_eq!(yard.current().await, Some(first.id));
}

#[tokio::test]
async fn what_runs_is_compared_with_what_was_pinned() {
    let yard = yard().await;
    yard.deploy_version(1).await;
    yard.plugin.behave(Behaviour::RunSomethingElse);
    let failed = yard.deploy_version(2).await;
    assert_eq!(failed.outcome, Outcome::Failed(FailureMarker::ImageMismatch));
    assert_eq!(yard.plugin.serving(&yard.web), [fake_pin(1).content]);
}

#[tokio::test]
async fn a_plugin_that_panics_fails_its_deploy_alone() {
    let yard = yard().await;
    yard.deploy_version(1).await;
    yard.plugin.behave(Behaviour::Panic);
    assert_eq!(
        yard.deploy_version(2).await.outcome,
        Outcome::Failed(FailureMarker::Internal)
    );
    yard.plugin.behave(Behaviour::Succeed);
    assert_eq!(yard.deploy_version(3).await.outcome, Outcome::Succeeded);
}

#[tokio::test]
async fn a_workload_has_one_dispatch_at_a_time_and_others_go_on() {
    let yard = yard().await;
    let other = workload(&yard.store, spec("other")).await;
    yard.plugin.behave(Behaviour::Hang);
    let hanging = yard.dispatcher.dispatch(request(&yard.web)).await.unwrap();
    while yard.plugin.parts().is_empty() {
        tokio::task::yield_now().await;
    }
    let second = yard.dispatcher.dispatch(request(&yard.web)).await;
    assert!(matches!(second, Err(DispatchRefusal::Busy)));
    yard.plugin.behave(Behaviour::Succeed);
    let row = yard.dispatcher.dispatch(request(&other)).await.unwrap();
    assert_eq!(
        yard.dispatcher.wait(&row.id).await.unwrap().outcome,
        Outcome::Succeeded
    );
    assert!(yard.dispatcher.cancel(&hanging.id));
    let cancelled = yard.dispatcher.wait(&hanging.id).await.unwrap();
    assert_eq!(cancelled.outcome, Outcome::Failed(FailureMarker::Cancelled));
    assert_eq!(yard.ledger().await.len(), 1);
    assert!(yard.plugin.serving(&yard.web).is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_requests_at_once_one_is_taken() {
    let yard = yard().await;
    yard.plugin.behave(Behaviour::Hang);
    let tries: Vec<_> = (0..50)
        .map(|_| {
            let (dispatcher, request) = (yard.dispatcher.clone(), request(&yard.web));
            tokio::spawn(async move { dispatcher.dispatch(request).await.is_ok() })
        })
        .collect();
    let mut taken = 0;
    for attempt in tries {
        taken += usize::from(attempt.await.unwrap());
    }
    assert_eq!((taken, yard.ledger().await.len()), (1, 1));
}

#[tokio::test]
async fn a_dispatch_outlives_its_caller() {
    let yard = yard().await;
    let (dispatcher, request) = (yard.dispatcher.clone(), request(&yard.web));
    let caller = tokio::spawn(async move { dispatcher.dispatch(request).await });
    // One turn of the scheduler lets the caller begin; then it is gone.
    tokio::task::yield_now().await;
    caller.abort();
    let _ = caller.await;
    yard.quiet().await;
    let ledger = yard.ledger().await;
    assert!(
        ledger.iter().all(|row| row.outcome == Outcome::Succeeded),
        "{ledger:?}"
    );
    assert_eq!(ledger.len(), yard.plugin.serving(&yard.web).len());
}

#[tokio::test]
async fn a_dispatch_that_takes_too_long_is_ended() {
    let options = DispatcherOptions {
        timeout: Duration::from_millis(50),
        ..DispatcherOptions::default()
    };
    let yard = yard_with(FakePlugin::new(), options).await;
    yard.plugin.behave(Behaviour::Hang);
    assert_eq!(
        yard.deploy().await.outcome,
        Outcome::Failed(FailureMarker::TimedOut)
    );
}

#[tokio::test]
async fn a_shutdown_interrupts_what_does_not_finish_and_takes_nothing_more() {
    let yard = yard().await;
    let first = yard.deploy_version(1).await;
    yard.plugin.behave(Behaviour::Hang);
    yard.plugin.publish(2);
    let hanging = yard.dispatcher.dispatch(request(&yard.web)).await.unwrap();
    while yard.plugin.parts().len() < 2 {
        tokio::task::yield_now().await;
    }
    yard.dispatcher.shutdown(Duration::from_millis(50)).await;
    let row = yard.store.deploy(&hanging.id).await.unwrap();
    assert_eq!((row.outcome, row.current), (Outcome::Interrupted, false));
    assert_eq!(yard.plugin.serving(&yard.web), [fake_pin(1).content]);
    assert_eq!(yard.current().await, Some(first.id));
    let late = yard.dispatcher.dispatch(request(&yard.web)).await;
    assert!(matches!(late, Err(DispatchRefusal::ShuttingDown)));
}

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

async fn abandoned(store: &Arc<dyn Store>, workload: &WorkloadId) -> Deploy {
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

#[tokio::test]
async fn without_an_engine_rows_are_closed_and_the_rest_is_done_when_it_comes() {
    let yard = yard().await;
    yard.deploy_version(1).await;
    yard.quiet().await;
    let lost = abandoned(&yard.store, &yard.web).await;
    yard.plugin.stop_all();
    yard.plugin.leave(part(&yard.web, &lost.id, 2));
    yard.plugin.set_away(true);
    let restarted = dispatcher(&yard.store, &yard.plugin, DispatcherOptions::default());
    restarted.recover().await.unwrap();
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

#[tokio::test]
async fn watchers_hear_the_steps_and_the_outcome_then_the_end() {
    let yard = yard().await;
    let row = yard.dispatcher.dispatch(request(&yard.web)).await.unwrap();
    let mut events = yard.dispatcher.events(&row.id).await.unwrap();
    let mut heard = Vec::new();
    while let Some(event) = events.next().await {
        heard.push(event);
    }
    let verified = |event: &DispatchEvent| {
        matches!(
            event,
            DispatchEvent::Step {
                step: DeployStep::Verifying,
                ..
            }
        )
    };
    assert!(heard.iter().any(verified) || heard.len() == 1, "{heard:?}");
    let closed = Box::new(yard.store.deploy(&row.id).await.unwrap());
    assert_eq!(heard.last(), Some(&DispatchEvent::Closed(closed.clone())));
    let mut late = yard.dispatcher.events(&row.id).await.unwrap();
    assert_eq!(
        (late.next().await, late.next().await),
        (Some(DispatchEvent::Closed(closed)), None)
    );
}

/// A workload whose deploys are watched for a minute.
async fn watched(then: &str) -> Yard {
    let yard = yard().await;
    let json = serde_json::json!({"name": "web", "source": {"kind": "fake", "reference": "app:1"},
                                  "rollout": {"watch_s": 60, "on_unhealthy": then}});
    let spec = serde_json::from_value(json).unwrap();
    yard.store.revise_workload(&yard.web, 1, spec).await.unwrap();
    yard
}

impl Yard {
    async fn roll_back_to(&self, target: &DeployId) {
        let request = rollback_to(&self.web, target);
        let row = self.dispatcher.roll_back(request).await.unwrap();
        self.dispatcher.wait(&row.id).await.unwrap();
    }

    /// The ledger once it has so many rows, all of them closed.
    async fn rows(&self, count: usize) -> Vec<Deploy> {
        for _ in 0..500 {
            let rows = self.ledger().await;
            if rows.len() == count && rows.iter().all(|row| row.outcome != Outcome::Running) {
                return rows;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{:?}", self.ledger().await)
    }

    /// Long enough for a watch to have done something.
    async fn a_while(&self) {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn by_webhook(workload: &WorkloadId) -> DispatchRequest {
    DispatchRequest {
        reason: Reason::Webhook,
        triggered_by: "forge".to_owned(),
        ..request(workload)
    }
}

#[tokio::test]
async fn a_watched_deploy_that_falters_is_rolled_back_once() {
    let yard = watched("rollback").await;
    let first = yard.deploy_version(1).await;
    let second = yard.deploy_version(2).await;
    yard.plugin.falter(&second.id, FailureMarker::Unhealthy);
    let rows = yard.rows(3).await;
    let back = &rows[0];
    assert_eq!(
        (back.outcome, back.reason, &back.rollback_of, back.current),
        (
            Outcome::Succeeded,
            Reason::AutoRollback,
            &Some(first.id.clone()),
            true
        )
    );
    assert_eq!(
        (back.triggered_by.as_str(), back.note.as_deref(), &back.pin),
        ("watch", Some("unhealthy"), &first.pin)
    );
    assert_eq!(
        rows[1].outcome,
        Outcome::Succeeded,
        "what was said of it stays said"
    );
    assert_eq!(yard.plugin.serving(&yard.web), [fake_pin(1).content]);
    // The rollback is watched as well, and never rolled back by itself.
    yard.plugin.falter(&back.id, FailureMarker::ExitedAtOnce);
    yard.a_while().await;
    assert_eq!(yard.ledger().await.len(), 3);
}

#[tokio::test]
async fn a_watched_deploy_that_falters_is_kept_unless_it_is_to_be_rolled_back() {
    for then in ["keep", "notify"] {
        let yard = watched(then).await;
        yard.deploy_version(1).await;
        let second = yard.deploy_version(2).await;
        yard.plugin.falter(&second.id, FailureMarker::Unhealthy);
        yard.a_while().await;
        assert_eq!(
            (yard.ledger().await.len(), yard.current().await),
            (2, Some(second.id)),
            "{then}"
        );
    }
}

#[tokio::test]
async fn without_anything_to_go_back_to_a_faltering_deploy_stays() {
    let yard = watched("rollback").await;
    let first = yard.deploy_version(1).await;
    yard.plugin.falter(&first.id, FailureMarker::Unhealthy);
    yard.a_while().await;
    assert_eq!(
        (yard.ledger().await.len(), yard.current().await),
        (1, Some(first.id))
    );
}

#[tokio::test]
async fn whatever_is_dispatched_next_ends_the_watch() {
    let yard = watched("rollback").await;
    yard.deploy_version(1).await;
    let second = yard.deploy_version(2).await;
    let third = yard.deploy_version(3).await;
    yard.plugin.falter(&second.id, FailureMarker::Unhealthy);
    yard.a_while().await;
    assert_eq!(yard.current().await, Some(third.id));
}

#[tokio::test]
async fn after_a_deploy_that_failed_the_one_before_it_is_watched_again() {
    let yard = watched("rollback").await;
    let first = yard.deploy_version(1).await;
    let second = yard.deploy_version(2).await;
    yard.plugin.behave(Behaviour::Fail(FailureMarker::PortTaken));
    yard.deploy_version(3).await;
    yard.plugin.behave(Behaviour::Succeed);
    yard.plugin.falter(&second.id, FailureMarker::Unhealthy);
    assert_eq!(yard.rows(4).await[0].rollback_of, Some(first.id));
}

#[tokio::test]
async fn an_engine_that_is_away_for_a_moment_does_not_end_a_watch_and_says_nothing_of_the_deploy() {
    let yard = watched("rollback").await;
    let first = yard.deploy_version(1).await;
    let second = yard.deploy_version(2).await;
    yard.plugin.set_away(true);
    yard.a_while().await;
    assert_eq!(yard.current().await, Some(second.id.clone()));
    yard.plugin.falter(&second.id, FailureMarker::Unhealthy);
    yard.plugin.set_away(false);
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(yard.rows(3).await[0].rollback_of, Some(first.id));
}

#[tokio::test]
async fn a_watch_goes_on_after_a_restart_of_the_control_plane_for_what_is_left_of_it() {
    for (seconds, rows) in [(59, 3), (61, 2)] {
        let yard = watched("rollback").await;
        yard.deploy_version(1).await;
        let second = yard.deploy_version(2).await;
        yard.quiet().await;
        let clock = Arc::new(ManualClock::new(now() + Duration::from_secs(seconds)));
        let options = DispatcherOptions::default();
        let later = Dispatcher::new(
            Arc::clone(&yard.store),
            Arc::new(FakeSecrets::default()),
            clock,
            options,
        )
        .with_plugin(Arc::new(yard.plugin.clone()));
        later.recover().await.unwrap();
        yard.plugin.falter(&second.id, FailureMarker::Unhealthy);
        yard.a_while().await;
        assert_eq!(yard.rows(rows).await.len(), rows);
    }
}

#[tokio::test]
async fn no_machine_deploys_again_what_was_just_rolled_back_from() {
    let yard = yard().await;
    let first = yard.deploy_version(1).await;
    yard.deploy_version(2).await;
    yard.roll_back_to(&first.id).await;
    let dispatched = async |request| {
        let row = yard.dispatcher.dispatch(request).await.unwrap();
        yard.dispatcher.wait(&row.id).await.unwrap()
    };
    let held = dispatched(by_webhook(&yard.web)).await;
    assert_eq!(
        (held.outcome, held.pin),
        (Outcome::Failed(FailureMarker::Held), None)
    );
    assert_eq!(yard.plugin.serving(&yard.web), [fake_pin(1).content]);
    // What is new is let in, and so is a person, and a machine that insists.
    let forced = DispatchRequest {
        force: true,
        ..by_webhook(&yard.web)
    };
    assert_eq!(dispatched(forced).await.outcome, Outcome::Succeeded);
    yard.roll_back_to(&first.id).await;
    assert_eq!(yard.deploy().await.outcome, Outcome::Succeeded);
    assert_eq!(
        dispatched(by_webhook(&yard.web)).await.outcome,
        Outcome::Succeeded,
        "the hold is lifted"
    );
    yard.roll_back_to(&first.id).await;
    yard.plugin.publish(3);
    assert_eq!(
        dispatched(by_webhook(&yard.web)).await.outcome,
        Outcome::Succeeded
    );
}

#[tokio::test]
async fn a_kind_that_cannot_roll_back_is_not_told_to() {
    let plugin = FakePlugin::new().without_rollback();
    let yard = yard_with(plugin, DispatcherOptions::default()).await;
    let json = serde_json::json!({"name": "web", "source": {"kind": "fake", "reference": "app:1"},
                                  "rollout": {"watch_s": 60, "on_unhealthy": "rollback"}});
    let error = yard
        .dispatcher
        .check(&serde_json::from_value(json).unwrap())
        .unwrap_err();
    assert_eq!(error.field, "rollout.on_unhealthy");
}

//! Rows come about.

use std::time::Duration;

use shipslog_core::deploys::{DispatchRefusal, DispatcherOptions, FailureMarker, Outcome};
use shipslog_core::testing::{Behaviour, FakePlugin, fake_pin};

use crate::yard::{request, spec, workload, yard, yard_with};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_row_that_is_seen_can_be_awaited() {
    let yard = yard().await;
    for _ in 0..200 {
        let dispatcher = yard.dispatcher.clone();
        let request = request(&yard.web);
        let dispatched = tokio::spawn(async move { dispatcher.dispatch(request).await.unwrap() });
        let row = loop {
            if let Some(row) = yard.store.running_deploys().await.unwrap().pop() {
                break row;
            }
            if dispatched.is_finished() {
                break yard.ledger().await.remove(0);
            }
        };
        let closed = yard.dispatcher.wait(&row.id).await.unwrap();
        assert_eq!(closed.outcome, Outcome::Succeeded);
        dispatched.await.unwrap();
    }
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

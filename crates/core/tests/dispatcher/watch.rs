//! What was deployed is watched over.

use std::sync::Arc;
use std::time::Duration;

use shipslog_core::deploys::{
    Deploy, DispatchRequest, Dispatcher, DispatcherOptions, FailureMarker, Outcome, Reason,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::testing::{Behaviour, FakePlugin, FakeSecrets, ManualClock, fake_pin};

use crate::yard::{Yard, now, request, rollback_to, yard, yard_with};

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

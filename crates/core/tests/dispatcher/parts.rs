//! Deploys that run several things.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shipslog_core::deploys::{
    Deploy, DispatchError, DispatchPlugin, Dispatcher, DispatcherOptions, FailureMarker, Job, Outcome,
    PartName, PartPin, Pin, Pinned, Plan, Record, RollbackCapable, RollbackRefusal, Running, Strategy,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::store::Store;
use shipslog_core::testing::{FakeSecrets, ManualClock, fake_pin};
use shipslog_core::workloads::{FieldError, Spec};
use shipslog_store::SqliteStore;

use crate::yard::{now, request, rollback_to, spec, workload};

/// Parts of which a test says what runs, whatever was asked for.
#[derive(Debug, Clone, Default)]
struct Convoy(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    runs: Vec<(&'static str, u8)>,
    fails: Option<&'static str>,
    rebuilt: Option<u8>,
    settled: Vec<Option<Record>>,
}

fn name(part: &str) -> PartName {
    part.parse().unwrap()
}

/// Version 1 of `db` and version 2 of `web`.
fn pinned() -> Pinned {
    let mut pin = fake_pin(9);
    for (part, version) in [("db", 1), ("web", 2)] {
        let Pin {
            reference, content, ..
        } = fake_pin(version);
        pin.parts.insert(name(part), PartPin { reference, content });
    }
    let plan = Some(Plan::new("sail in line"));
    Pinned { pin, plan }
}

#[async_trait]
impl DispatchPlugin for Convoy {
    fn kind(&self) -> &str {
        "fake"
    }

    fn check(&self, _: &Spec) -> Result<(), FieldError> {
        Ok(())
    }

    fn strategy(&self, _: &Spec) -> Option<Strategy> {
        None
    }

    async fn resolve(&self, _: &Job) -> Result<Pinned, DispatchError> {
        Ok(pinned())
    }

    async fn run(&self, _: &Job, pinned: &Pinned) -> Result<(), DispatchError> {
        assert_eq!(pinned.plan, Some(Plan::new("sail in line")));
        match self.0.lock().unwrap().fails {
            Some(part) => Err(DispatchError::new(FailureMarker::Unhealthy, "as told").of_part(name(part))),
            None => Ok(()),
        }
    }

    async fn running(&self, _: &WorkloadId) -> Result<Vec<Running>, DispatchError> {
        let state = self.0.lock().unwrap();
        let running = |&(part, version): &(&str, u8)| Running {
            deploy: None,
            part: Some(name(part)),
            content: fake_pin(version).content,
        };
        Ok(state.runs.iter().map(running).collect())
    }

    async fn falter(&self, _: &WorkloadId, _: &DeployId) -> Result<FailureMarker, DispatchError> {
        std::future::pending().await
    }

    async fn settle(&self, _: &WorkloadId, keep: Option<&Record>) -> Result<(), DispatchError> {
        self.0.lock().unwrap().settled.push(keep.cloned());
        Ok(())
    }

    fn rollback(&self) -> Option<&dyn RollbackCapable> {
        Some(self)
    }
}

#[async_trait]
impl RollbackCapable for Convoy {
    async fn preflight(&self, target: &Record) -> Result<(), RollbackRefusal> {
        let plan = target.pinned.as_ref().and_then(|pinned| pinned.plan.as_ref());
        plan.map(drop).ok_or(RollbackRefusal::PlanMissing)
    }

    async fn obtain(&self, _: &Job, recorded: &Pinned) -> Result<Pinned, DispatchError> {
        let mut obtained = recorded.clone();
        if let Some(version) = self.0.lock().unwrap().rebuilt {
            obtained.pin.content = fake_pin(version).content;
        }
        Ok(obtained)
    }
}

struct Fleet {
    convoy: Convoy,
    store: Arc<dyn Store>,
    dispatcher: Dispatcher,
    web: WorkloadId,
}

async fn fleet() -> Fleet {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let convoy = Convoy::default();
    convoy.0.lock().unwrap().runs = vec![("db", 1), ("web", 2)];
    let (secrets, clock) = (
        Arc::new(FakeSecrets::default()),
        Arc::new(ManualClock::new(now())),
    );
    let options = DispatcherOptions::default();
    Fleet {
        web: workload(&store, spec("web")).await,
        dispatcher: Dispatcher::new(Arc::clone(&store), secrets, clock, options)
            .with_plugin(Arc::new(convoy.clone())),
        convoy,
        store,
    }
}

impl Fleet {
    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.convoy.0.lock().unwrap());
    }

    async fn deploy(&self) -> Deploy {
        let row = self.dispatcher.dispatch(request(&self.web)).await.unwrap();
        self.dispatcher.wait(&row.id).await.unwrap()
    }
}

#[tokio::test]
async fn every_part_that_was_pinned_must_run_and_be_its_own_pin() {
    let fleet = fleet().await;
    assert_eq!(fleet.deploy().await.outcome, Outcome::Succeeded);
    let cases = [
        (vec![("db", 1)], FailureMarker::ExitedAtOnce, "web"),
        (vec![("db", 1), ("web", 1)], FailureMarker::ImageMismatch, "web"),
        (vec![("db", 2), ("web", 1)], FailureMarker::ImageMismatch, "db"),
        (
            vec![("db", 1), ("web", 2), ("spy", 1)],
            FailureMarker::ImageMismatch,
            "spy",
        ),
    ];
    for (runs, marker, part) in cases {
        fleet.change(|state| state.runs.clone_from(&runs));
        let row = fleet.deploy().await;
        assert_eq!(row.outcome, Outcome::Failed(marker), "{runs:?}");
        assert_eq!(row.failed_part, Some(name(part)), "{runs:?}");
    }
}

#[tokio::test]
async fn the_row_says_which_part_failed_and_the_one_before_it_is_put_back_with_its_plan() {
    let fleet = fleet().await;
    let first = fleet.deploy().await;
    fleet.change(|state| state.fails = Some("db"));
    let failed = fleet.deploy().await;
    assert_eq!(failed.outcome, Outcome::Failed(FailureMarker::Unhealthy));
    assert_eq!(failed.failed_part, Some(name("db")));
    let settled = fleet.convoy.0.lock().unwrap().settled.last().cloned();
    let kept = settled.flatten().unwrap();
    assert_eq!((kept.deploy, kept.pinned), (first.id, Some(pinned())));
}

#[tokio::test]
async fn a_rollback_that_had_to_build_anew_records_what_it_built_under_the_same_reference() {
    let fleet = fleet().await;
    let first = fleet.deploy().await;
    fleet.change(|state| state.rebuilt = Some(7));
    let row = fleet
        .dispatcher
        .roll_back(rollback_to(&fleet.web, &first.id))
        .await
        .unwrap();
    let row = fleet.dispatcher.wait(&row.id).await.unwrap();
    assert_eq!(row.outcome, Outcome::Succeeded);
    let (pin, before) = (row.pin.unwrap(), first.pin.unwrap());
    assert_eq!(pin.reference, before.reference);
    assert_eq!(pin.content, fake_pin(7).content);
    assert_eq!(fleet.store.deploy_plan(&row.id).await.unwrap(), pinned().plan);
}

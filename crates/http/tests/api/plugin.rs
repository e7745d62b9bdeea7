//! A source kind that runs nothing, and does what a test tells it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use shipslog_core::deploys::{
    DeployStep, DispatchError, DispatchPlugin, FailureMarker, Job, Pin, Pinned, Readiness, Record,
    RollbackCapable, RollbackRefusal, Running, Strategy,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::workloads::{FieldError, Spec};
use tokio::sync::Notify;

/// What the next runs do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Behaviour {
    #[default]
    Succeed,
    Fail(FailureMarker),
    FailPart(FailureMarker, &'static str),
    /// Waits for [`TestPlugin::release`], then tells of so many steps.
    Wait {
        steps: u64,
    },
}

#[derive(Debug, Default)]
struct State {
    behaviour: Behaviour,
    refusal: Option<RollbackRefusal>,
    missing: Vec<String>,
    serving: HashMap<WorkloadId, DeployId>,
}

#[derive(Debug, Clone, Default)]
pub(crate) struct TestPlugin {
    state: Arc<Mutex<State>>,
    gate: Arc<Notify>,
}

fn pin() -> Pin {
    let digest = |byte: &str| format!("sha256:{}", byte.repeat(32));
    Pin::new(
        format!("registry/app@{}", digest("ab")).parse().unwrap(),
        digest("cd").parse().unwrap(),
    )
}

impl TestPlugin {
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().behaviour = behaviour;
    }

    pub(crate) fn refuse(&self, refusal: Option<RollbackRefusal>) {
        self.state.lock().unwrap().refusal = refusal;
    }

    /// What the kind lacks on this machine.
    pub(crate) fn lack(&self, missing: &[&str]) {
        self.state.lock().unwrap().missing = missing.iter().map(|what| (*what).to_owned()).collect();
    }

    /// Lets one run that waits go on.
    pub(crate) fn release(&self) {
        self.gate.notify_one();
    }
}

#[async_trait]
impl DispatchPlugin for TestPlugin {
    fn kind(&self) -> &str {
        "fake"
    }

    fn check(&self, _: &Spec) -> Result<(), FieldError> {
        Ok(())
    }

    fn strategy(&self, spec: &Spec) -> Option<Strategy> {
        Some(spec.strategy())
    }

    async fn readiness(&self) -> Readiness {
        Readiness {
            uses: vec!["make-believe 1.0".to_owned()],
            missing: self.state.lock().unwrap().missing.clone(),
        }
    }

    async fn resolve(&self, _: &Job) -> Result<Pinned, DispatchError> {
        Ok(pin().into())
    }

    async fn run(&self, job: &Job, _: &Pinned) -> Result<(), DispatchError> {
        let behaviour = self.state.lock().unwrap().behaviour;
        match behaviour {
            Behaviour::Fail(marker) => return Err(DispatchError::new(marker, "as told")),
            Behaviour::FailPart(marker, part) => {
                let part = part.parse().unwrap();
                return Err(DispatchError::new(marker, "as told").of_part(part));
            }
            Behaviour::Wait { steps } => {
                self.gate.notified().await;
                (0..steps).for_each(|bytes_done| job.progress.step(pulling(bytes_done, steps)));
            }
            Behaviour::Succeed => {}
        }
        self.state
            .lock()
            .unwrap()
            .serving
            .insert(job.workload.clone(), job.deploy.clone());
        Ok(())
    }

    async fn running(&self, workload: &WorkloadId) -> Result<Vec<Running>, DispatchError> {
        let state = self.state.lock().unwrap();
        let serving = state.serving.get(workload).into_iter();
        Ok(serving
            .map(|deploy| Running::new(deploy.clone(), pin().content))
            .collect())
    }

    async fn falter(&self, _: &WorkloadId, _: &DeployId) -> Result<FailureMarker, DispatchError> {
        std::future::pending().await
    }

    async fn settle(&self, workload: &WorkloadId, keep: Option<&Record>) -> Result<(), DispatchError> {
        let mut state = self.state.lock().unwrap();
        state.serving.remove(workload);
        state
            .serving
            .extend(keep.map(|record| (workload.clone(), record.deploy.clone())));
        Ok(())
    }

    fn rollback(&self) -> Option<&dyn RollbackCapable> {
        Some(self)
    }
}

fn pulling(bytes_done: u64, bytes_total: u64) -> DeployStep {
    DeployStep::Pulling {
        layers_done: 0,
        layers_total: 1,
        bytes_done,
        bytes_total,
    }
}

#[async_trait]
impl RollbackCapable for TestPlugin {
    async fn preflight(&self, _: &Record) -> Result<(), RollbackRefusal> {
        self.state.lock().unwrap().refusal.map_or(Ok(()), Err)
    }

    async fn obtain(&self, _: &Job, pinned: &Pinned) -> Result<Pinned, DispatchError> {
        Ok(pinned.clone())
    }
}

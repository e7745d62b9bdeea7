//! A plugin that runs nothing and does what a test tells it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::watch;

use crate::deploys::{
    DeployStep, DispatchError, DispatchPlugin, FailureMarker, Job, Pin, Pinned, PinnedReference, Readiness,
    Record, RollbackCapable, RollbackRefusal, Running, Strategy,
};
use crate::id::{DeployId, WorkloadId};
use crate::workloads::{FieldError, Spec};

/// What [`FakePlugin::run`](DispatchPlugin::run) does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Behaviour {
    /// Runs the pin in place of what ran before.
    #[default]
    Succeed,
    /// Stops what ran before, starts the new part, and fails with this marker.
    Fail(FailureMarker),
    /// Stops what ran before, and never returns.
    Hang,
    /// Panics.
    Panic,
    /// Runs something other than the pin.
    RunSomethingElse,
}

/// A part that runs or is stopped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Whose.
    pub workload: WorkloadId,
    /// Started by this row.
    pub deploy: DeployId,
    /// What it is.
    pub content: PinnedReference,
    /// Whether it runs.
    pub up: bool,
}

#[derive(Debug, Default)]
struct State {
    behaviour: Behaviour,
    parts: Vec<Part>,
    version: u8,
    away: bool,
    gone: bool,
    missing: Vec<String>,
    silent: bool,
    unruly: bool,
    faltering: Option<(DeployId, FailureMarker)>,
}

/// An engine of make-believe: it keeps parts in memory, and its only "tag" stands for whatever [`publish`](Self::publish) said last.
#[derive(Debug, Clone)]
pub struct FakePlugin {
    state: Arc<Mutex<State>>,
    settling: watch::Sender<Settling>,
    capable: bool,
}

#[derive(Debug, Clone, Copy, Default)]
struct Settling {
    held: bool,
    /// Attempts that wait because it is held.
    waiting: usize,
}

/// The pin of a version.
pub fn fake_pin(version: u8) -> Pin {
    let digest = |salt: u8| format!("{version:02x}{salt:02x}").repeat(16);
    let parse = |text: String| {
        text.parse::<PinnedReference>()
            .unwrap_or_else(|e| panic!("{e}: {text}"))
    };
    let reference = parse(format!("fake/app@sha256:{}", digest(1)));
    Pin::new(reference, parse(format!("sha256:{}", digest(2))))
}

impl FakePlugin {
    /// A plugin of kind `fake` that can roll back, with version 1 published.
    pub fn new() -> Self {
        Self {
            state: Arc::new(Mutex::new(State {
                version: 1,
                ..State::default()
            })),
            settling: watch::Sender::default(),
            capable: true,
        }
    }

    /// The same without [`RollbackCapable`].
    #[must_use]
    pub fn without_rollback(mut self) -> Self {
        self.capable = false;
        self
    }

    /// Moves the tag.
    pub fn publish(&self, version: u8) {
        self.lock().version = version;
    }

    /// What the next runs do.
    pub fn behave(&self, behaviour: Behaviour) {
        self.lock().behaviour = behaviour;
    }

    /// Whether the engine is away: every call fails with [`FailureMarker::EngineUnavailable`].
    pub fn set_away(&self, away: bool) {
        self.lock().away = away;
    }

    /// Whether pinned content can no longer be had.
    pub fn set_gone(&self, gone: bool) {
        self.lock().gone = gone;
    }

    /// What the kind lacks on this machine.
    pub fn lack(&self, missing: &[&str]) {
        self.lock().missing = missing.iter().map(|what| (*what).to_owned()).collect();
    }

    /// Whether nothing can be put in order: each attempt fails with [`FailureMarker::StartFailed`].
    pub fn refuse_to_settle(&self, refuse: bool) {
        self.lock().unruly = refuse;
    }

    /// Whether putting things in order takes until this is taken back.
    pub fn hold_settling(&self, held: bool) {
        self.settling.send_modify(|settling| settling.held = held);
    }

    /// Waits until an attempt to put things in order waits for the end of [`hold_settling`](Self::hold_settling).
    pub async fn until_settling_waits(&self) {
        // The sender is our own: it does not go away.
        let _ = self
            .settling
            .subscribe()
            .wait_for(|settling| settling.waiting > 0)
            .await;
    }

    async fn until_settling_may_go_on(&self) {
        let mut settling = self.settling.subscribe();
        if !settling.borrow_and_update().held {
            return;
        }
        self.settling.send_modify(|settling| settling.waiting += 1);
        let _ = settling.wait_for(|settling| !settling.held).await;
        self.settling.send_modify(|settling| settling.waiting -= 1);
    }

    /// Whether the kind never says what it lacks.
    pub fn set_silent(&self, silent: bool) {
        self.lock().silent = silent;
    }

    /// Makes a deploy falter that may be watched.
    pub fn falter(&self, deploy: &DeployId, marker: FailureMarker) {
        self.lock().faltering = Some((deploy.clone(), marker));
    }

    /// All parts, running or stopped.
    pub fn parts(&self) -> Vec<Part> {
        self.lock().parts.clone()
    }

    /// The contents that run of a workload.
    pub fn serving(&self, workload: &WorkloadId) -> Vec<PinnedReference> {
        let state = self.lock();
        let own = state
            .parts
            .iter()
            .filter(|part| part.up && part.workload == *workload);
        own.map(|part| part.content.clone()).collect()
    }

    /// Adds a part, as a process before this one may have left it.
    pub fn leave(&self, part: Part) {
        self.lock().parts.push(part);
    }

    /// Stops every part, as a swap does before the new one starts.
    pub fn stop_all(&self) {
        self.lock().parts.iter_mut().for_each(|part| part.up = false);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn reach(&self) -> Result<MutexGuard<'_, State>, DispatchError> {
        let state = self.lock();
        if state.away {
            return Err(DispatchError::new(FailureMarker::EngineUnavailable, "away"));
        }
        Ok(state)
    }

    fn replace(&self, job: &Job, pin: &Pin) -> Result<Behaviour, DispatchError> {
        let mut state = self.reach()?;
        let behaviour = state.behaviour;
        state
            .parts
            .iter_mut()
            .filter(|part| part.workload == job.workload)
            .for_each(|part| part.up = false);
        let content = match behaviour {
            Behaviour::RunSomethingElse => fake_pin(99).content,
            _ => pin.content.clone(),
        };
        let up = behaviour != Behaviour::Hang;
        state.parts.push(Part {
            workload: job.workload.clone(),
            deploy: job.deploy.clone(),
            content,
            up,
        });
        Ok(behaviour)
    }
}

impl Default for FakePlugin {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl DispatchPlugin for FakePlugin {
    fn kind(&self) -> &str {
        "fake"
    }

    fn check(&self, spec: &Spec) -> Result<(), FieldError> {
        match spec.source.reference.as_str() {
            "bad" => Err(FieldError::new("source.reference", "must not be bad")),
            _ => Ok(()),
        }
    }

    fn strategy(&self, _: &Spec) -> Option<Strategy> {
        None
    }

    async fn readiness(&self) -> Readiness {
        let silent = self.lock().silent;
        if silent {
            std::future::pending::<()>().await;
        }
        Readiness {
            uses: Vec::new(),
            missing: self.lock().missing.clone(),
        }
    }

    async fn resolve(&self, _: &Job) -> Result<Pinned, DispatchError> {
        Ok(fake_pin(self.reach()?.version).into())
    }

    async fn run(&self, job: &Job, pinned: &Pinned) -> Result<(), DispatchError> {
        match self.replace(job, &pinned.pin)? {
            Behaviour::Fail(marker) => Err(DispatchError::new(marker, "as told")),
            Behaviour::Hang => {
                job.progress.step(DeployStep::WaitingForHealth);
                std::future::pending().await
            }
            Behaviour::Panic => panic!("as told"),
            Behaviour::Succeed | Behaviour::RunSomethingElse => {
                // No engine is done before anybody could cancel it.
                tokio::time::sleep(Duration::from_millis(1)).await;
                Ok(())
            }
        }
    }

    async fn running(&self, workload: &WorkloadId) -> Result<Vec<Running>, DispatchError> {
        let state = self.reach()?;
        let own = state
            .parts
            .iter()
            .filter(|part| part.up && part.workload == *workload);
        Ok(own
            .map(|part| Running::new(part.deploy.clone(), part.content.clone()))
            .collect())
    }

    async fn falter(&self, _: &WorkloadId, deploy: &DeployId) -> Result<FailureMarker, DispatchError> {
        loop {
            let faltering = self.reach()?.faltering.clone();
            if let Some((_, marker)) = faltering.filter(|(which, _)| which == deploy) {
                return Ok(marker);
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    async fn settle(&self, workload: &WorkloadId, keep: Option<&Record>) -> Result<(), DispatchError> {
        self.until_settling_may_go_on().await;
        let keep = keep.map(|record| &record.deploy);
        let mut state = self.reach()?;
        if state.unruly {
            return Err(DispatchError::new(FailureMarker::StartFailed, "unruly"));
        }
        state
            .parts
            .retain(|part| part.workload != *workload || Some(&part.deploy) == keep);
        state
            .parts
            .iter_mut()
            .filter(|part| part.workload == *workload)
            .for_each(|part| part.up = true);
        Ok(())
    }

    fn rollback(&self) -> Option<&dyn RollbackCapable> {
        self.capable.then_some(self as &dyn RollbackCapable)
    }
}

#[async_trait]
impl RollbackCapable for FakePlugin {
    async fn preflight(&self, _: &Record) -> Result<(), RollbackRefusal> {
        let state = self.reach().map_err(|_| RollbackRefusal::EngineUnavailable)?;
        if state.gone {
            Err(RollbackRefusal::ImageGone)
        } else {
            Ok(())
        }
    }

    async fn obtain(&self, _: &Job, pinned: &Pinned) -> Result<Pinned, DispatchError> {
        self.reach().map(|_| pinned.clone())
    }
}

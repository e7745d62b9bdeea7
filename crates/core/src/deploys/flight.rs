//! One dispatch, from the open row to the closed one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::dispatcher::Shared;
use super::events::Telling;
use super::flights::{Claim, Flight};
use super::hold::held;
use super::ledger::Failure;
use super::order::Order;
use super::record::read_env;
use super::recovery::missing;
use super::{
    Deploy, DeployStep, DispatchError, DispatchEvent, DispatchRefusal, Dispatcher, FailureMarker, Job,
    Outcome, PartName, Pin, Pinned, Progress, Running,
};
use crate::id::{DeployId, WorkloadId};
use crate::redact::Redactor;
use crate::store::StoreError;
use crate::workloads::Spec;

/// How long putting things in order may take; an engine that hangs must not keep a row open for ever.
pub(super) const SETTLE_LIMIT: Duration = Duration::from_secs(120);

/// The telling side of a [`Flight`].
#[derive(Debug)]
struct Pilot {
    telling: Telling,
    cancel: CancellationToken,
    closed: watch::Sender<Option<Deploy>>,
}

impl Dispatcher {
    /// Runs in a task of its own, so that a caller who goes away leaves no row behind that nobody carries out.
    pub(super) async fn start(&self, order: Order) -> Result<Deploy, DispatchRefusal> {
        let begun = self.shared.tasks.spawn(self.clone().begin(order)).await;
        begun.unwrap_or_else(|panic| {
            Err(StoreError::Backend {
                operation: "dispatch",
                source: panic.into(),
            }
            .into())
        })
    }

    async fn begin(self, order: Order) -> Result<Deploy, DispatchRefusal> {
        self.stand_watch();
        if let Some(row) = self.repeated(&order).await? {
            return Ok(row);
        }
        let shared = &self.shared;
        let claim = shared
            .flights
            .claim(&order.workload)
            .ok_or(DispatchRefusal::Busy)?;
        let new = order.row(shared.clock.now());
        // Before there is a row: whoever sees it can follow, await and cancel it.
        let pilot = take_off(&claim, shared.events.take_up(&new.workload_id, &new.id), &new.id);
        let row = shared
            .ledger
            .open(new)
            .await
            .inspect_err(|_| pilot.telling.withdraw())?;
        pilot.telling.tell(DispatchEvent::Started(Box::new(row.clone())));
        info!(workload = %row.workload_id, deploy = %row.id, reason = row.reason.as_str(), "dispatch begins");
        shared
            .tasks
            .spawn(self.clone().fly(claim, pilot, order, row.clone()));
        Ok(row)
    }

    /// The row that was opened with the order's idempotency key.
    pub(super) async fn repeated(&self, order: &Order) -> Result<Option<Deploy>, DispatchRefusal> {
        let Some(key) = &order.key else { return Ok(None) };
        match self
            .shared
            .ledger
            .store()
            .deploy_by_key(&order.workload, key)
            .await?
        {
            Some(row) if !order.matches(&row) => Err(DispatchRefusal::KeyReused),
            row => Ok(row),
        }
    }

    async fn fly(self, claim: Claim, pilot: Pilot, order: Order, row: Deploy) {
        let turn = self.shared.flights.turn(&row.workload_id).await;
        let closed = match self.attempt(&pilot, order, &row).await {
            Ok(()) => self.shared.ledger.close(&row.id, Outcome::Succeeded, true).await,
            Err(Ending::Failed(failure)) => self.fail(&pilot, &row, failure).await,
            Err(Ending::Interrupted) => self.close_interrupted(&row).await,
        };
        drop(claim);
        if let Some(row) = closed.as_ref().filter(|row| row.outcome == Outcome::Succeeded) {
            self.settle(&row.workload_id, Some(row)).await;
        }
        announce(&pilot, closed);
        self.shared.ledger.prune(&row.workload_id).await;
        drop(turn);
    }

    async fn attempt(&self, pilot: &Pilot, order: Order, row: &Deploy) -> Result<(), Ending> {
        let work = execute(
            Arc::clone(&self.shared),
            order,
            row.clone(),
            pilot.telling.progress().clone(),
        );
        let mut task = tokio::spawn(work);
        let ending = tokio::select! {
            done = &mut task => return landed(done),
            () = pilot.cancel.cancelled() => self.cancelled(),
            () = tokio::time::sleep(self.shared.timeout) => Ending::Failed(FailureMarker::TimedOut.into()),
        };
        put_down(task).await;
        Err(ending)
    }

    /// Whoever cancels while the control plane stops, it is the stop that interrupts.
    fn cancelled(&self) -> Ending {
        match self.shared.stop.is_cancelled() {
            true => Ending::Interrupted,
            false => Ending::Failed(FailureMarker::Cancelled.into()),
        }
    }

    async fn fail(&self, pilot: &Pilot, row: &Deploy, failure: Failure) -> Option<Deploy> {
        pilot.telling.progress().step(DeployStep::Restoring);
        let previous = self.shared.ledger.store().current_deploy(&row.workload_id).await;
        match &previous {
            Ok(previous) => self.settle(&row.workload_id, previous.as_ref()).await,
            // Without the ledger nobody knows what to keep: nothing is touched now.
            Err(_) => self.unsettled(&row.workload_id),
        }
        self.shared.ledger.close_failed(&row.id, failure).await
    }
}

#[derive(Debug)]
enum Ending {
    Failed(Failure),
    Interrupted,
}

fn take_off(claim: &Claim, telling: Telling, deploy: &DeployId) -> Pilot {
    let (closed, seen) = watch::channel(None);
    let pilot = Pilot {
        telling,
        cancel: CancellationToken::new(),
        closed,
    };
    claim.take_off(Flight {
        deploy: deploy.clone(),
        cancel: pilot.cancel.clone(),
        closed: seen,
    });
    pilot
}

fn landed(done: Result<Result<(), DispatchError>, JoinError>) -> Result<(), Ending> {
    match done {
        Ok(result) => result.map_err(|error| Ending::Failed(error.into())),
        // A panic of a plugin: its message went to the panic hook.
        Err(_) => Err(Ending::Failed(FailureMarker::Internal.into())),
    }
}

/// Ends the task, and waits until it has ended: what follows must not meet it at work.
async fn put_down(task: JoinHandle<Result<(), DispatchError>>) {
    task.abort();
    // Its result does not matter any more.
    let _ = task.await;
}

fn announce(pilot: &Pilot, closed: Option<Deploy>) {
    let Some(row) = closed else { return };
    info!(workload = %row.workload_id, deploy = %row.id, outcome = row.outcome.as_str(),
          marker = row.outcome.marker().map(FailureMarker::as_str), part = row.failed_part.as_ref().map(PartName::as_str), "dispatch ends");
    pilot.telling.tell(DispatchEvent::Closed(Box::new(row.clone())));
    pilot.closed.send_replace(Some(row));
}

async fn execute(
    shared: Arc<Shared>,
    order: Order,
    row: Deploy,
    progress: Progress,
) -> Result<(), DispatchError> {
    let mut redactor = sensitive(&order.spec);
    let done = execute_visibly(&shared, &order, &row, progress, &mut redactor).await;
    done.map_err(|error| {
        let marker = error.marker();
        let part = error.part().cloned();
        warn!(workload = %row.workload_id, deploy = %row.id, marker = marker.as_str(), part = part.as_ref().map(PartName::as_str), detail = error.redacted(&redactor), "dispatch failed");
        let bare = DispatchError::new(marker, "");
        part.into_iter().fold(bare, DispatchError::of_part)
    })
}

async fn execute_visibly(
    shared: &Shared,
    order: &Order,
    row: &Deploy,
    progress: Progress,
    redactor: &mut Redactor,
) -> Result<(), DispatchError> {
    let env = read_env(shared.secrets.as_ref(), &order.spec.env).await?;
    env.iter().for_each(|(_, value)| redactor.hide(value.expose()));
    let previous = shared
        .ledger
        .store()
        .current_deploy(&row.workload_id)
        .await
        .map_err(ledger_failed)?;
    let job = Job {
        workload: row.workload_id.clone(),
        deploy: row.id.clone(),
        previous: previous.map(|row| row.id),
        requested: order.requested.clone(),
        spec: order.spec.clone(),
        spec_revision: order.revision,
        strategy: row.strategy,
        env,
        secrets: Arc::clone(&shared.secrets),
        progress,
    };
    let pinned = obtain_pin(shared, order, &job).await?;
    order.plugin.run(&job, &pinned).await?;
    job.progress.step(DeployStep::Verifying);
    verify(
        &order.plugin.running(&job.workload).await?,
        &job.deploy,
        &pinned.pin,
    )
}

/// Whatever in a spec may be a secret in spite of all advice.
fn sensitive(spec: &Spec) -> Redactor {
    let mut redactor = Redactor::default();
    let check = spec.healthcheck.iter().flat_map(|check| &check.command);
    spec.command
        .iter()
        .chain(check)
        .for_each(|argument| redactor.hide(argument.as_str()));
    redactor
}

async fn obtain_pin(shared: &Shared, order: &Order, job: &Job) -> Result<Pinned, DispatchError> {
    job.progress.step(DeployStep::Resolving);
    if let Some(recorded) = order.target.as_ref().and_then(|target| target.pinned.as_ref()) {
        return obtain_again(shared, order, job, recorded).await;
    }
    let pinned = order.plugin.resolve(job).await?;
    if order.reason.is_automatic() && !order.force {
        refuse_held(shared, &job.workload, &pinned.pin).await?;
    }
    write_pin(shared, job, &pinned).await?;
    Ok(pinned)
}

async fn obtain_again(
    shared: &Shared,
    order: &Order,
    job: &Job,
    recorded: &Pinned,
) -> Result<Pinned, DispatchError> {
    let incapable = || DispatchError::new(FailureMarker::Internal, "the plugin no longer rolls back");
    let capable = order.plugin.rollback().ok_or_else(incapable)?;
    let obtained = capable.obtain(job, recorded).await?;
    if obtained.pin.reference != recorded.pin.reference {
        let detail = format!("{} was obtained instead", obtained.pin.reference);
        return Err(DispatchError::new(FailureMarker::ImageMismatch, detail));
    }
    if obtained != *recorded {
        write_pin(shared, job, &obtained).await?;
    }
    Ok(obtained)
}

async fn write_pin(shared: &Shared, job: &Job, pinned: &Pinned) -> Result<(), DispatchError> {
    let store = shared.ledger.store();
    store
        .pin_deploy(&job.deploy, pinned.clone())
        .await
        .map_err(ledger_failed)
}

/// The row is not pinned then: what it would have run was never touched.
async fn refuse_held(shared: &Shared, workload: &WorkloadId, pin: &Pin) -> Result<(), DispatchError> {
    let rows = shared.ledger.rows(workload).await.map_err(ledger_failed)?;
    match held(&rows) {
        Some(held) if held.is_same_version(pin) => Err(DispatchError::new(FailureMarker::Held, "held")),
        _ => Ok(()),
    }
}

fn ledger_failed(error: StoreError) -> DispatchError {
    DispatchError::new(FailureMarker::Internal, format!("ledger: {error}"))
}

/// Compares what runs with what was pinned: every part must run, all of it must be of this deploy, and all of it must be the pin.
fn verify(running: &[Running], deploy: &DeployId, pin: &Pin) -> Result<(), DispatchError> {
    if running.is_empty() {
        return Err(DispatchError::new(FailureMarker::ExitedAtOnce, "nothing runs"));
    }
    let is_ours = |part: &Running| part.deploy.as_ref().is_none_or(|of| of == deploy);
    if let Some(stranger) = running.iter().find(|part| !is_ours(part) || !pin.is(part)) {
        let detail = format!("{:?} runs {}", stranger.deploy, stranger.content);
        let error = DispatchError::new(FailureMarker::ImageMismatch, detail);
        return Err(stranger.part.iter().cloned().fold(error, DispatchError::of_part));
    }
    match missing(pin, running) {
        Some(part) => {
            let error = DispatchError::new(FailureMarker::ExitedAtOnce, "it does not run");
            Err(error.of_part(part.clone()))
        }
        None => Ok(()),
    }
}

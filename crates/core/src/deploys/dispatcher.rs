//! The choke point of everything that is deployed.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, Once};
use std::time::Duration;

use futures_util::future::join_all;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::events::Hub;
use super::flights::Flights;
use super::kinds::{require_ready, require_ready_for};
use super::ledger::Ledger;
use super::order::Order;
use super::{
    Deploy, DeployEvents, DispatchEvents, DispatchPlugin, DispatcherStatus, Kind, Outcome, Reason,
    RollbackConfig, RollbackRefusal, RollbackRequest, replayable,
};
use crate::id::{DeployId, WorkloadId};
use crate::secret::SecretSource;
use crate::store::{Store, StoreError};
use crate::time::Clock;
use crate::workloads::{FieldError, OnUnhealthy, Spec, Workload, WorkloadStore};

/// A deploy to be dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatchRequest {
    /// Whose deploy.
    pub workload: WorkloadId,
    /// What to deploy; absent means the reference in the spec.
    pub reference: Option<String>,
    /// What caused it.
    pub reason: Reason,
    /// Who asks.
    pub triggered_by: String,
    /// A note for the row, at most 500 characters.
    pub note: Option<String>,
    /// A repeat with the same key answers the first row. 1 to 128 characters.
    pub idempotency_key: Option<String>,
    /// Whether an [automatic](Reason::is_automatic) trigger may deploy what was just rolled back from, which otherwise fails as
    /// [`FailureMarker::Held`](super::FailureMarker::Held).
    pub force: bool,
}

/// Why nothing was dispatched. Nothing was written or touched.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DispatchRefusal {
    /// The workload is only observed.
    #[error("the workload is only observed: it was not started by shipslog")]
    Observed,
    /// Another dispatch of the workload runs.
    #[error("another dispatch of this workload is running")]
    Busy,
    /// No plugin is registered for the source kind.
    #[error("no plugin is registered for the source kind")]
    UnknownKind,
    /// A field of the request breaks a rule.
    #[error("invalid request")]
    Invalid(#[source] FieldError),
    /// The key was used for a request that asked for something else.
    #[error("the idempotency key was used for another request")]
    KeyReused,
    /// The source kind lacks something on this machine: what, and how to get it.
    #[error("the source kind is not ready: {}", .0.join(" "))]
    NotReady(Vec<String>),
    /// The row cannot be rolled back to.
    #[error("rollback refused")]
    Rollback(#[source] RollbackRefusal),
    /// The control plane is shutting down.
    #[error("the control plane is shutting down")]
    ShuttingDown,
    /// What runs of the workload could not be removed.
    #[error("the container engine does not answer")]
    EngineUnavailable,
    /// The ledger could not be read or written. [`StoreError::NotFound`] for an unknown workload, or a row that is not of it.
    #[error("the ledger did not answer")]
    Store(#[from] StoreError),
}

/// Settings of a [`Dispatcher`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DispatcherOptions {
    /// Rows kept for each workload, besides those that are always kept.
    pub keep_deploys: usize,
    /// How long one dispatch may take.
    pub timeout: Duration,
}

impl Default for DispatcherOptions {
    fn default() -> Self {
        Self {
            keep_deploys: 50,
            timeout: Duration::from_secs(30 * 60),
        }
    }
}

/// The only way in which anything is deployed or rolled back.
///
/// Each dispatch is a row of the ledger, written before anything is touched and closed afterwards. A workload has one dispatch at
/// a time; different workloads proceed in parallel. A dispatch goes on when the caller goes away. Cheap to clone; all clones are one.
///
/// Needs a tokio runtime with time enabled.
#[derive(Debug, Clone)]
pub struct Dispatcher {
    pub(super) shared: Arc<Shared>,
    plugins: Arc<HashMap<String, Arc<dyn DispatchPlugin>>>,
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) workloads: Arc<dyn WorkloadStore>,
    pub(super) ledger: Ledger,
    pub(super) events: Hub,
    pub(super) on_watch: Once,
    pub(super) secrets: Arc<dyn SecretSource>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) timeout: Duration,
    pub(super) flights: Arc<Flights>,
    /// Workloads of which something may run that should not, because the engine was away when it was to be put in order.
    pub(super) unsettled: Mutex<HashSet<WorkloadId>>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}

impl Dispatcher {
    /// A dispatcher without plugins.
    pub fn new(
        store: Arc<dyn Store>,
        secrets: Arc<dyn SecretSource>,
        clock: Arc<dyn Clock>,
        options: DispatcherOptions,
    ) -> Self {
        let deploys: Arc<dyn Store> = Arc::clone(&store);
        let events = Hub::default();
        let shared = Shared {
            ledger: Ledger::new(deploys, Arc::clone(&clock), options.keep_deploys, events.clone()),
            events,
            on_watch: Once::new(),
            workloads: store,
            secrets,
            clock,
            timeout: options.timeout,
            flights: Arc::default(),
            unsettled: Mutex::default(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
        };
        Self {
            shared: Arc::new(shared),
            plugins: Arc::default(),
        }
    }

    /// Registers a plugin, in the place of an earlier one of the same kind.
    #[must_use]
    pub fn with_plugin(mut self, plugin: Arc<dyn DispatchPlugin>) -> Self {
        Arc::make_mut(&mut self.plugins).insert(plugin.kind().to_owned(), plugin);
        self
    }

    /// The plugin for a source kind.
    pub fn plugin(&self, kind: &str) -> Option<&Arc<dyn DispatchPlugin>> {
        self.plugins.get(kind)
    }

    pub(super) fn plugins(&self) -> impl Iterator<Item = &Arc<dyn DispatchPlugin>> {
        self.plugins.values()
    }

    /// Checks a spec as a whole: its own rules, then those of its source kind.
    ///
    /// # Errors
    /// The field that is wrong.
    pub fn check(&self, spec: &Spec) -> Result<(), FieldError> {
        spec.validate()?;
        let plugin = self
            .plugin(&spec.source.kind)
            .ok_or_else(|| self.unknown_kind())?;
        if spec.rollout.on_unhealthy == OnUnhealthy::Rollback && plugin.rollback().is_none() {
            let message = "this source kind cannot roll back";
            return Err(FieldError::new("rollout.on_unhealthy", message));
        }
        plugin.check(spec)
    }

    fn unknown_kind(&self) -> FieldError {
        let mut known: Vec<&str> = self.plugins.keys().map(String::as_str).collect();
        known.sort_unstable();
        FieldError::new("source.kind", format!("must be one of {}", known.join(", ")))
    }

    /// The source kinds that are registered, by name, with what each can do and what it lacks.
    pub async fn kinds(&self) -> Vec<Kind> {
        let mut kinds = join_all(self.plugins().map(|plugin| Kind::of(plugin.as_ref()))).await;
        kinds.sort_by(|a, b| a.name.cmp(&b.name));
        kinds
    }

    /// Starts a deploy and answers its running row; for a known idempotency key, the first row as it stands.
    ///
    /// # Errors
    /// [`DispatchRefusal`]; then there is no row.
    pub async fn dispatch(&self, request: DispatchRequest) -> Result<Deploy, DispatchRefusal> {
        self.admit(request.note.as_deref(), request.idempotency_key.as_deref())?;
        let workload = self.shared.workloads.workload(&request.workload).await?;
        let order = self.order(&workload, &request)?;
        if let Some(row) = self.repeated(&order).await? {
            return Ok(row);
        }
        require_ready_for(order.plugin.as_ref(), &order.requested).await?;
        self.start(order).await
    }

    fn order(&self, workload: &Workload, request: &DispatchRequest) -> Result<Order, DispatchRefusal> {
        let (spec, revision) = workload.spec().ok_or(DispatchRefusal::Observed)?;
        let plugin = self
            .plugin(&spec.source.kind)
            .ok_or(DispatchRefusal::UnknownKind)?;
        let mut asked = spec.clone();
        if let Some(reference) = &request.reference {
            asked.source.reference.clone_from(reference);
        }
        let checked = self
            .check(&asked)
            .map_err(|error| blame_request(error, request.reference.is_some()));
        checked.map_err(DispatchRefusal::Invalid)?;
        Ok(Order::deploy(
            workload.id.clone(),
            Arc::clone(plugin),
            spec.clone(),
            revision,
            request,
        ))
    }

    /// Starts a rollback and answers its running row: the same content as the target row ran, with the spec that the request names.
    ///
    /// # Errors
    /// [`DispatchRefusal`]; then there is no row and nothing was touched.
    pub async fn roll_back(&self, request: RollbackRequest) -> Result<Deploy, DispatchRefusal> {
        self.roll_back_because(Reason::Rollback, request).await
    }

    pub(super) async fn roll_back_because(
        &self,
        reason: Reason,
        request: RollbackRequest,
    ) -> Result<Deploy, DispatchRefusal> {
        self.admit(request.note.as_deref(), request.idempotency_key.as_deref())?;
        let workload = self.shared.workloads.workload(&request.workload).await?;
        let target = self.shared.ledger.store().deploy(&request.target).await?;
        if target.workload_id != workload.id {
            return Err(StoreError::NotFound { what: "deploy" }.into());
        }
        let order = self.replay(&workload, &target, reason, &request).await?;
        if let Some(row) = self.repeated(&order).await? {
            return Ok(row);
        }
        if self.shared.flights.is_claimed(&workload.id) {
            return Err(DispatchRefusal::Busy);
        }
        require_ready(order.plugin.as_ref()).await?;
        order.preflight().await.map_err(DispatchRefusal::Rollback)?;
        self.start(order).await
    }

    async fn replay(
        &self,
        workload: &Workload,
        target: &Deploy,
        reason: Reason,
        request: &RollbackRequest,
    ) -> Result<Order, DispatchRefusal> {
        let refuse = DispatchRefusal::Rollback;
        self.rollback_verdict(target).map_err(refuse)?;
        let plugin = self
            .plugin(&target.source_kind)
            .ok_or(refuse(RollbackRefusal::KindCannotRollBack))?;
        let mut record = self.record(target).await?;
        if request.config == RollbackConfig::Current {
            let (spec, revision) = workload.spec().ok_or(DispatchRefusal::Observed)?;
            (record.spec, record.spec_revision) = (spec.clone(), revision);
        }
        if record.spec.source.kind != target.source_kind {
            return Err(refuse(RollbackRefusal::KindCannotRollBack));
        }
        Ok(Order::replay(Arc::clone(plugin), target, record, reason, request))
    }

    fn admit(&self, note: Option<&str>, key: Option<&str>) -> Result<(), DispatchRefusal> {
        if self.shared.stop.is_cancelled() {
            return Err(DispatchRefusal::ShuttingDown);
        }
        let invalid =
            |field: &str, message: &str| Err(DispatchRefusal::Invalid(FieldError::new(field, message)));
        if note.is_some_and(|note| note.chars().count() > 500) {
            return invalid("note", "must not be longer than 500 characters");
        }
        if key.is_some_and(|key| !(1..=128).contains(&key.len())) {
            return invalid("idempotency_key", "must be 1 to 128 characters");
        }
        Ok(())
    }

    /// The row once it is closed. A row that is not under way in this process is answered as it stands.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown row.
    pub async fn wait(&self, id: &DeployId) -> Result<Deploy, StoreError> {
        if let Some(mut flight) = self.shared.flights.of_deploy(id) {
            // An error means that the row could not be closed: then the store has the truth.
            let closed = flight
                .closed
                .wait_for(Option::is_some)
                .await
                .ok()
                .and_then(|row| row.clone());
            if let Some(row) = closed {
                return Ok(row);
            }
        }
        self.shared.ledger.store().deploy(id).await
    }

    /// The events of a dispatch: its steps so far and to come, then its outcome; of one that is over, the outcome alone.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown row.
    pub async fn events(&self, id: &DeployId) -> Result<DeployEvents, StoreError> {
        if let Some(events) = self.shared.events.subscribe_to(id) {
            return Ok(events);
        }
        Ok(DeployEvents::of_closed(
            self.shared.ledger.store().deploy(id).await?,
        ))
    }

    /// What happens to all dispatches from now on: for whoever is to be told of every outcome, whatever caused it.
    pub fn subscribe(&self) -> DispatchEvents {
        self.shared.events.subscribe()
    }

    /// Cancels a dispatch under way: what ran before is put back and the row is closed as failed with `cancelled`. Answers whether there
    /// was one.
    pub fn cancel(&self, id: &DeployId) -> bool {
        let flight = self.shared.flights.of_deploy(id);
        flight.map(|flight| flight.cancel.cancel()).is_some()
    }

    /// What the ledger and the plugins say of rolling back to this row, without asking whether its content can still be had.
    ///
    /// # Errors
    /// The first reason against it.
    pub fn rollback_verdict(&self, row: &Deploy) -> Result<(), RollbackRefusal> {
        let capable = self
            .plugin(&row.source_kind)
            .is_some_and(|plugin| plugin.rollback().is_some());
        replayable(row, capable)
    }

    /// What it is at, and what it got done. Asks nobody.
    pub fn status(&self) -> DispatcherStatus {
        let shared = &self.shared;
        DispatcherStatus {
            running: shared.flights.count(),
            unclosed: shared.ledger.unclosed(),
            unsettled: self.lock_unsettled().len(),
            closed: shared.ledger.closed(),
        }
    }

    /// Takes no more dispatches, lets those under way finish for as long as `bound`, then interrupts them: what ran before is put back and
    /// their rows are closed as [`Outcome::Interrupted`]. Returns when all is done, at most about a minute after `bound`.
    pub async fn shutdown(&self, bound: Duration) {
        let shared = &self.shared;
        shared.stop.cancel();
        shared.tasks.close();
        if tokio::time::timeout(bound, shared.tasks.wait()).await.is_ok() {
            return;
        }
        shared.flights.cancel_all();
        if tokio::time::timeout(Duration::from_secs(60), shared.tasks.wait())
            .await
            .is_err()
        {
            tracing::error!(
                outcome = Outcome::Interrupted.as_str(),
                "deploys are left to be closed at the next start"
            );
        }
    }
}

/// A fault of the reference is the request's own when the request brought the reference.
fn blame_request(error: FieldError, brought: bool) -> FieldError {
    match brought && error.field == "source.reference" {
        true => FieldError {
            field: "reference".to_owned(),
            ..error
        },
        false => error,
    }
}

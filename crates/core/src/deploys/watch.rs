//! Watching over what was deployed, for a while after it succeeded.

use std::error::Error;
use std::pin::Pin;
use std::time::Duration;

use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    Deploy, DispatchEvent, DispatchEvents, DispatchRefusal, Dispatcher, FailureMarker, Outcome, Reason,
    RollbackConfig, RollbackRequest,
};
use crate::id::{DeployId, WorkloadId};
use crate::redact::Redactor;
use crate::store::StoreError;
use crate::workloads::OnUnhealthy;

/// Pause after an engine that did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// Who asks for the rollbacks that nobody asks for.
const WATCH: &str = "watch";

type Watch = Pin<Box<dyn Future<Output = ()> + Send>>;

impl Dispatcher {
    /// Has every dispatch that ends watched over from now on. Once is enough.
    pub(super) fn stand_watch(&self) {
        self.shared.on_watch.call_once(|| {
            let (events, stop) = (self.subscribe(), self.shared.stop.clone());
            let watch = self.clone().follow(events);
            self.shared
                .tasks
                .spawn(async move { stop.run_until_cancelled(watch).await });
        });
    }

    async fn follow(self, mut events: DispatchEvents) {
        while let Some(event) = events.next().await {
            match event {
                DispatchEvent::Closed(row) => self.watch_over(&row.workload_id).await,
                DispatchEvent::GivenUp { workload, .. } => self.watch_over(&workload).await,
                DispatchEvent::Missed(_) => self.watch_over_all().await,
                _ => {}
            }
        }
    }

    /// Watches over every workload whose deploy is still to be watched.
    pub(super) async fn watch_over_all(&self) {
        match self.shared.workloads.workloads().await {
            Ok(workloads) => {
                for workload in workloads {
                    self.watch_over(&workload.id).await;
                }
            }
            Err(failure) => {
                warn!(
                    error = &failure as &dyn Error,
                    "deploys are not watched: the ledger could not be read"
                );
            }
        }
    }

    /// Watches over what a workload runs for as long as its rollout says, counted from the end of its deploy, until something else is dispatched
    /// or the control plane stops. Also takes up again what an earlier process had not finished, or what a deploy that failed broke off.
    pub(super) async fn watch_over(&self, workload: &WorkloadId) {
        match self.watched(workload).await {
            Ok(Some((row, then, left))) => {
                if let Some(superseded) = self.shared.flights.begin_watch(workload) {
                    let watch = self.clone().watch(row, then, left, superseded);
                    self.shared.tasks.spawn(watch);
                }
            }
            Ok(None) => {}
            Err(failure) => {
                warn!(%workload, error = &failure as &dyn Error, "a deploy is not watched: the ledger could not be read");
            }
        }
    }

    /// What is to be watched, what to do when it falters, and for how long; `None` for nothing.
    async fn watched(
        &self,
        workload: &WorkloadId,
    ) -> Result<Option<(Deploy, OnUnhealthy, Duration)>, StoreError> {
        let shared = &self.shared;
        let current = shared.ledger.store().current_deploy(workload).await?;
        let Some(row) = current.filter(|row| row.outcome == Outcome::Succeeded) else {
            return Ok(None);
        };
        let rollout = shared
            .workloads
            .spec_revision(workload, row.spec_revision)
            .await?
            .rollout;
        let since = row.finished_at.map(|at| shared.clock.now().duration_since(at));
        let ago = since
            .and_then(|since| Duration::try_from(since).ok())
            .unwrap_or_default();
        let left = Duration::from_secs(rollout.watch_s.into()).saturating_sub(ago);
        Ok((!left.is_zero()).then_some((row, rollout.on_unhealthy, left)))
    }

    /// Boxed, because it may dispatch a rollback, which is watched over in turn.
    fn watch(self, row: Deploy, then: OnUnhealthy, left: Duration, superseded: CancellationToken) -> Watch {
        Box::pin(async move {
            let ending = tokio::select! {
                ending = timeout(left, self.until_it_falters(&row)) => ending,
                () = superseded.cancelled() => return,
                () = self.shared.stop.cancelled() => return,
            };
            match ending {
                Ok(marker) => self.faltered(&row, marker, then).await,
                Err(_) => {
                    info!(workload = %row.workload_id, deploy = %row.id, "the watch over a deploy is over, and it works")
                }
            }
        })
    }

    async fn until_it_falters(&self, row: &Deploy) -> FailureMarker {
        let Some(plugin) = self.plugin(&row.source_kind) else {
            return std::future::pending().await;
        };
        loop {
            match plugin.falter(&row.workload_id, &row.id).await {
                Ok(marker) => return marker,
                Err(error) => {
                    let (marker, detail) = (error.marker().as_str(), error.redacted(&Redactor::default()));
                    tracing::debug!(deploy = %row.id, marker, detail, "a deploy could not be watched");
                    sleep(ASK_AGAIN).await;
                }
            }
        }
    }

    async fn faltered(&self, row: &Deploy, marker: FailureMarker, then: OnUnhealthy) {
        let (workload, deploy, marker) = (&row.workload_id, &row.id, marker.as_str());
        match then {
            OnUnhealthy::Keep => info!(%workload, %deploy, marker, "a watched deploy no longer works"),
            OnUnhealthy::Rollback if !row.reason.is_rollback() => {
                match self.roll_back_from(row, marker).await {
                    Ok(()) => {
                        warn!(%workload, %deploy, marker, "a watched deploy no longer works and is rolled back")
                    }
                    Err(refusal) => {
                        warn!(%workload, %deploy, marker, %refusal, "a watched deploy no longer works and could not be rolled back");
                    }
                }
            }
            OnUnhealthy::Notify | OnUnhealthy::Rollback => {
                warn!(%workload, %deploy, marker, "a watched deploy no longer works");
            }
        }
    }

    async fn roll_back_from(&self, row: &Deploy, marker: &str) -> Result<(), DispatchRefusal> {
        let target = self
            .before(row)
            .await?
            .ok_or(StoreError::NotFound { what: "deploy" })?;
        let request = RollbackRequest {
            workload: row.workload_id.clone(),
            target,
            config: RollbackConfig::Recorded,
            triggered_by: WATCH.to_owned(),
            note: Some(marker.to_owned()),
            idempotency_key: None,
        };
        self.roll_back_because(Reason::AutoRollback, request)
            .await
            .map(drop)
    }

    /// The newest row before this one that can be rolled back to. `None` when this one is not what runs any more.
    async fn before(&self, row: &Deploy) -> Result<Option<DeployId>, StoreError> {
        let rows = self.shared.ledger.rows(&row.workload_id).await?;
        let mut older = rows.into_iter().skip_while(|other| other.id != row.id);
        if !older.next().is_some_and(|row| row.current) {
            return Ok(None);
        }
        let target = older.find(|other| self.rollback_verdict(other).is_ok());
        Ok(target.map(|target| target.id))
    }
}

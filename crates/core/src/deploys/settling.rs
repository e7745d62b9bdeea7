//! Putting what runs in order with the ledger: after a dispatch, after a crash, and when the engine comes back.

use std::error::Error;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use super::flight::SETTLE_LIMIT;
use super::{
    Deploy, DispatchEvent, DispatchPlugin, DispatchRefusal, Dispatcher, FailureMarker, Outcome, Pinned,
    Record, Running, Survivor, survivor,
};
use crate::id::WorkloadId;
use crate::redact::Redactor;
use crate::store::StoreError;

/// How long the engine may take to say what runs.
const ASK_LIMIT: Duration = Duration::from_secs(15);

impl Dispatcher {
    /// To be called once at start, before anything is dispatched: closes the rows that an earlier process left running, after asking the engine
    /// what runs. What was replaced half-way is put back. While the engine does not answer, rows are closed all the same, and
    /// [`reconcile`](Self::reconcile) does the rest. Deploys that are still to be watched are watched again. Returns how many rows were closed.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn recover(&self) -> Result<usize, StoreError> {
        self.stand_watch();
        let store = self.shared.ledger.store();
        let abandoned = store.running_deploys().await?;
        for row in &abandoned {
            let Some(_claim) = self.shared.flights.claim(&row.workload_id) else {
                continue;
            };
            info!(workload = %row.workload_id, deploy = %row.id, "closing a deploy that was interrupted");
            if let Some(row) = self.close_interrupted(row).await {
                self.shared.events.tell(DispatchEvent::Closed(Box::new(row)));
            }
        }
        self.find_unsettled().await?;
        self.reconcile().await;
        self.watch_over_all().await;
        Ok(abandoned.len())
    }

    /// An engine that went away in the middle of a dispatch may have kept what nobody could remove.
    async fn find_unsettled(&self) -> Result<(), StoreError> {
        let lost = Outcome::Failed(FailureMarker::EngineUnavailable);
        for workload in self.shared.workloads.workloads().await? {
            let newest = self.shared.ledger.newest_closed(&workload.id).await?;
            if newest.is_some_and(|row| row.outcome == lost) {
                self.unsettled(&workload.id);
            }
        }
        Ok(())
    }

    /// Whether nothing waits for [`reconcile`](Self::reconcile).
    pub fn is_settled(&self) -> bool {
        self.lock_unsettled().is_empty()
    }

    /// To be called when the engine is there again; [`keep_settled`](Self::keep_settled) calls it otherwise. Removes what dispatches left
    /// behind, and puts back what ran. Idempotent; workloads with a dispatch under way are left to it, and a dispatch that comes meanwhile waits until
    /// it is done.
    pub async fn reconcile(&self) {
        let waiting = std::mem::take(&mut *self.lock_unsettled());
        for workload in waiting {
            let Some(settling) = self.shared.flights.settle(&workload).await else {
                continue;
            };
            if let Err(failure) = self.reconcile_one(&workload).await {
                warn!(workload = %workload, error = &failure as &dyn Error, "the ledger could not be read");
                self.unsettled(&workload);
            }
            drop(settling);
            self.watch_over(&workload).await;
        }
    }

    async fn reconcile_one(&self, workload: &WorkloadId) -> Result<(), StoreError> {
        // One that was removed meanwhile may have left its containers on purpose.
        match self.shared.workloads.workload(workload).await {
            Err(StoreError::NotFound { .. }) => return Ok(()),
            found => found?,
        };
        let store = self.shared.ledger.store();
        let current = store.current_deploy(workload).await?;
        let newest = self.shared.ledger.newest_closed(workload).await?;
        let Some(interrupted) = newest.filter(|row| row.outcome == Outcome::Interrupted && !row.current)
        else {
            self.settle(workload, current.as_ref()).await;
            return Ok(());
        };
        let Some(running) = self.ask(&interrupted).await else {
            self.unsettled(workload);
            return Ok(());
        };
        let stays = survivor(&interrupted, current.as_ref(), &running);
        if let Survivor::Interrupted(id) = &stays {
            store.make_current(id).await?;
        }
        self.settle_survivor(&interrupted, &stays, current.as_ref()).await;
        Ok(())
    }

    /// Closes a row as interrupted, after asking what runs; the caller has the workload's slot.
    pub(super) async fn close_interrupted(&self, row: &Deploy) -> Option<Deploy> {
        let previous = self
            .shared
            .ledger
            .store()
            .current_deploy(&row.workload_id)
            .await
            .ok()
            .flatten();
        let Some(running) = self.ask(row).await else {
            self.unsettled(&row.workload_id);
            return self
                .shared
                .ledger
                .close(&row.id, Outcome::Interrupted, false)
                .await;
        };
        let stays = survivor(row, previous.as_ref(), &running);
        let current = matches!(stays, Survivor::Interrupted(_));
        let closed = self
            .shared
            .ledger
            .close(&row.id, Outcome::Interrupted, current)
            .await;
        self.settle_survivor(row, &stays, previous.as_ref()).await;
        closed
    }

    async fn settle_survivor(&self, interrupted: &Deploy, stays: &Survivor, previous: Option<&Deploy>) {
        let keep = match stays {
            Survivor::Previous(_) => previous,
            Survivor::Interrupted(_) => Some(interrupted),
            Survivor::Nobody => None,
        };
        self.settle(&interrupted.workload_id, keep).await;
    }

    /// What the engine says runs of the row's workload; `None` when it cannot be asked.
    async fn ask(&self, row: &Deploy) -> Option<Vec<Running>> {
        let plugin = self.plugin(&row.source_kind)?;
        timeout(ASK_LIMIT, plugin.running(&row.workload_id))
            .await
            .ok()?
            .ok()
    }

    /// Makes every plugin keep this deploy's parts and no others. What cannot be done now is remembered.
    pub(super) async fn settle(&self, workload: &WorkloadId, keep: Option<&Deploy>) {
        if !self.try_settle(workload, keep).await {
            self.unsettled(workload);
        }
    }

    async fn try_settle(&self, workload: &WorkloadId, keep: Option<&Deploy>) -> bool {
        let record = match keep {
            Some(row) => Some((row.source_kind.as_str(), self.record(row).await)),
            None => None,
        };
        let keep = match &record {
            Some((kind, Ok(record))) => Some((*kind, record)),
            Some((_, Err(failure))) => {
                warn!(workload = %workload, error = failure as &dyn Error, "the ledger could not be read");
                return false;
            }
            None => None,
        };
        let mut settled = true;
        for plugin in self.plugins() {
            let keep = keep.filter(|(kind, _)| *kind == plugin.kind());
            settled &= settle_one(plugin.as_ref(), workload, keep.map(|(_, record)| record)).await;
        }
        settled
    }

    /// All that is known of a row's deploy. The spec is the one that it recorded.
    pub(super) async fn record(&self, row: &Deploy) -> Result<Record, StoreError> {
        let shared = &self.shared;
        let spec = shared
            .workloads
            .spec_revision(&row.workload_id, row.spec_revision)
            .await?;
        let plan = shared.ledger.store().deploy_plan(&row.id).await?;
        Ok(Record {
            pinned: row.pin.clone().map(|pin| Pinned { pin, plan }),
            spec_revision: row.spec_revision,
            secrets: Arc::clone(&shared.secrets),
            ..Record::new(row.workload_id.clone(), row.id.clone(), spec)
        })
    }

    /// Deletes a workload from the store and, unless `keep_containers`, what runs of it.
    ///
    /// # Errors
    /// [`DispatchRefusal::Busy`] while a dispatch of it runs, [`DispatchRefusal::EngineUnavailable`] when its parts could not be removed, or the
    /// store's error. Then the workload is still there.
    pub async fn retire(&self, workload: &WorkloadId, keep_containers: bool) -> Result<(), DispatchRefusal> {
        let _claim = self.shared.flights.claim(workload).ok_or(DispatchRefusal::Busy)?;
        let _turn = self.shared.flights.turn(workload).await;
        if !keep_containers && !self.try_settle(workload, None).await {
            return Err(DispatchRefusal::EngineUnavailable);
        }
        self.shared.workloads.delete_workload(workload).await?;
        self.lock_unsettled().remove(workload);
        self.shared.flights.forget(workload);
        Ok(())
    }

    pub(super) fn unsettled(&self, workload: &WorkloadId) {
        self.lock_unsettled().insert(workload.clone());
    }

    pub(super) fn lock_unsettled(&self) -> std::sync::MutexGuard<'_, std::collections::HashSet<WorkloadId>> {
        self.shared
            .unsettled
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

async fn settle_one(plugin: &dyn DispatchPlugin, workload: &WorkloadId, keep: Option<&Record>) -> bool {
    match timeout(SETTLE_LIMIT, plugin.settle(workload, keep)).await {
        Ok(Ok(())) => true,
        Ok(Err(error)) => {
            let marker = error.marker().as_str();
            warn!(workload = %workload, marker, detail = error.redacted(&Redactor::default()), "what runs could not be put in order");
            false
        }
        Err(_) => {
            warn!(workload = %workload, "putting back what ran before took too long");
            false
        }
    }
}

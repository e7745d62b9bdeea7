//! The dispatcher's hand on the ledger: rows that will be closed, come what may.

use std::collections::HashMap;
use std::error::Error;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tracing::{error, warn};

use super::events::Hub;
use super::flights::lock;
use super::{
    ClosedDeploys, Closing, Deploy, DeployStore, DispatchError, DispatchEvent, FailureMarker, NewDeploy,
    Outcome, Page, PartName, prunable,
};
use crate::id::{DeployId, WorkloadId};
use crate::store::StoreError;
use crate::time::Clock;

/// Pauses between the attempts to close a row, about 20 s in all: longer than a checkpoint or a backup blocks, and shorter
/// than anybody wants a shutdown to take.
const CLOSE_PAUSES_MS: [u64; 8] = [50, 200, 500, 1_000, 2_000, 4_000, 6_000, 6_000];

/// How a dispatch failed, as far as the ledger has room for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failure {
    pub(super) marker: FailureMarker,
    pub(super) part: Option<PartName>,
}

impl From<FailureMarker> for Failure {
    fn from(marker: FailureMarker) -> Self {
        Self { marker, part: None }
    }
}

impl From<DispatchError> for Failure {
    fn from(error: DispatchError) -> Self {
        Self {
            marker: error.marker(),
            part: error.part().cloned(),
        }
    }
}

#[derive(Debug)]
pub(super) struct Ledger {
    store: Arc<dyn DeployStore>,
    clock: Arc<dyn Clock>,
    keep: usize,
    /// Rows that are over and could not be closed.
    unclosed: Mutex<HashMap<DeployId, Closing>>,
    closed: Mutex<ClosedDeploys>,
    events: Hub,
}

impl Ledger {
    pub(super) fn new(store: Arc<dyn DeployStore>, clock: Arc<dyn Clock>, keep: usize, events: Hub) -> Self {
        Self {
            store,
            clock,
            keep,
            unclosed: Mutex::default(),
            closed: Mutex::default(),
            events,
        }
    }

    pub(super) fn store(&self) -> &dyn DeployStore {
        self.store.as_ref()
    }

    /// Opens a row. The caller has the workload's slot, so a row that is still running is one that could not be closed: it is closed first.
    pub(super) async fn open(&self, new: NewDeploy) -> Result<Deploy, StoreError> {
        match self.store.open_deploy(new.clone()).await {
            Err(StoreError::Conflict {
                what: "running deploy",
            }) => {}
            other => return other,
        }
        self.close_leftovers(&new.workload_id).await?;
        self.store.open_deploy(new).await
    }

    async fn close_leftovers(&self, workload: &WorkloadId) -> Result<(), StoreError> {
        let running = self.store.running_deploys().await?;
        for row in running.into_iter().filter(|row| row.workload_id == *workload) {
            let known = self.take_unclosed(&row.id);
            let closing = known.unwrap_or_else(|| self.closing(Outcome::Interrupted, false));
            let row = self.store.close_deploy(&row.id, closing).await?;
            self.count(&row);
            self.events.tell(DispatchEvent::Closed(Box::new(row)));
        }
        Ok(())
    }

    fn count(&self, closed: &Deploy) {
        lock(&self.closed).count(closed.outcome);
    }

    /// Rows that were closed so far.
    pub(super) fn closed(&self) -> ClosedDeploys {
        *lock(&self.closed)
    }

    /// How many rows are over and could not be closed.
    pub(super) fn unclosed(&self) -> usize {
        lock(&self.unclosed).len()
    }

    fn take_unclosed(&self, id: &DeployId) -> Option<Closing> {
        lock(&self.unclosed).remove(id)
    }

    fn closing(&self, outcome: Outcome, current: bool) -> Closing {
        Closing {
            outcome,
            failed_part: None,
            current,
            finished_at: self.clock.now(),
        }
    }

    /// Closes a row, trying for about 20 s. `None` when that was in vain: then it is closed before the next dispatch, or at the next start.
    pub(super) async fn close(&self, id: &DeployId, outcome: Outcome, current: bool) -> Option<Deploy> {
        self.close_as(id, self.closing(outcome, current)).await
    }

    /// Closes a row as failed, like [`close`](Self::close).
    pub(super) async fn close_failed(&self, id: &DeployId, failure: Failure) -> Option<Deploy> {
        let mut closing = self.closing(Outcome::Failed(failure.marker), false);
        closing.failed_part = failure.part;
        self.close_as(id, closing).await
    }

    async fn close_as(&self, id: &DeployId, closing: Closing) -> Option<Deploy> {
        for pause in CLOSE_PAUSES_MS {
            match self.store.close_deploy(id, closing.clone()).await {
                Ok(row) => {
                    self.count(&row);
                    return Some(row);
                }
                Err(StoreError::Conflict { .. } | StoreError::NotFound { .. }) => {
                    return self.store.deploy(id).await.ok();
                }
                Err(failure) => {
                    warn!(deploy = %id, error = &failure as &dyn Error, "a deploy could not be closed, trying again")
                }
            }
            tokio::time::sleep(Duration::from_millis(pause)).await;
        }
        error!(deploy = %id, outcome = closing.outcome.as_str(), "a deploy could not be closed; it stays running until the ledger can be written");
        lock(&self.unclosed).insert(id.clone(), closing);
        None
    }

    /// Deletes the rows that need not be kept. A failure is logged: the next dispatch prunes again.
    pub(super) async fn prune(&self, workload: &WorkloadId) {
        if let Err(failure) = self.try_prune(workload).await {
            warn!(workload = %workload, error = &failure as &dyn Error, "the ledger could not be pruned");
        }
    }

    /// Every row of a workload, the newest first.
    pub(super) async fn rows(&self, workload: &WorkloadId) -> Result<Vec<Deploy>, StoreError> {
        self.store.all_deploys(workload).await
    }

    async fn try_prune(&self, workload: &WorkloadId) -> Result<(), StoreError> {
        let rows = self.rows(workload).await?;
        let ids = prunable(&rows, self.keep);
        if !ids.is_empty() {
            self.store.delete_deploys(&ids).await?;
        }
        Ok(())
    }

    /// The newest row that is closed; at most one that is newer is not.
    pub(super) async fn newest_closed(&self, workload: &WorkloadId) -> Result<Option<Deploy>, StoreError> {
        let page = Page {
            limit: 2,
            before: None,
        };
        let newest = self.store.deploys(workload, &page).await?;
        Ok(newest.into_iter().find(|row| row.outcome != Outcome::Running))
    }
}

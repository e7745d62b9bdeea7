//! One change at a time to a workload's containers, and none left half-way.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shipslog_core::deploys::{DispatchError, FailureMarker};
use shipslog_core::id::WorkloadId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::ImagePlugin;

/// Whose turn it is to change a workload's containers. Remembers every workload that this process has
/// dispatched.
#[derive(Debug, Clone, Default)]
pub(in crate::deploys) struct Turns(Arc<Mutex<Known>>);

#[derive(Debug, Default)]
struct Known {
    turns: HashMap<WorkloadId, Arc<AsyncMutex<()>>>,
    /// Workloads of which a piece of work was lost from sight: the engine may be at it even now.
    lost: HashSet<WorkloadId>,
}

impl Turns {
    /// Waits until nobody else changes the workload's containers, and keeps others from it.
    pub(in crate::deploys) async fn take(&self, workload: &WorkloadId) -> OwnedMutexGuard<()> {
        let mine = Arc::clone(self.lock().turns.entry(workload.clone()).or_default());
        mine.lock_owned().await
    }

    /// Whether this process has had a turn at the workload.
    pub(super) fn knows(&self, workload: &WorkloadId) -> bool {
        self.lock().turns.contains_key(workload)
    }

    /// Whether the engine may still be at work on the workload, unseen. For whoever has the turn: before that it may yet come about.
    pub(super) fn has_lost(&self, workload: &WorkloadId) -> bool {
        self.lock().lost.contains(workload)
    }

    /// The workload is in order, whatever was lost from sight before.
    pub(super) fn is_in_order(&self, workload: &WorkloadId) {
        self.lock().lost.remove(workload);
    }

    fn lose(&self, workload: WorkloadId) {
        self.lock().lost.insert(workload);
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ImagePlugin {
    /// Lets the engine do a piece of work to its end, in a task of its own. It would do so in any case: a
    /// dispatch that is dropped meanwhile must not be tidied up after before the engine is done, or a
    /// container is stopped, made or started behind the tidier's back.
    pub(in crate::deploys) async fn carry_through<T, F, Fut>(
        &self,
        workload: &WorkloadId,
        work: F,
    ) -> Result<T, DispatchError>
    where
        T: Send + 'static,
        F: FnOnce(Self) -> Fut + Send,
        Fut: Future<Output = Result<T, DispatchError>> + Send + 'static,
    {
        let turn = self.turns.take(workload).await;
        let work = work(self.clone());
        let (turns, workload) = (self.turns.clone(), workload.clone());
        let task = tokio::spawn(async move {
            let done = work.await;
            if matches!(&done, Err(error) if error.marker() == FailureMarker::EngineUnavailable) {
                turns.lose(workload);
            }
            drop(turn);
            done
        });
        task.await.unwrap_or_else(|_| {
            Err(DispatchError::new(
                FailureMarker::Internal,
                "the work was broken off",
            ))
        })
    }
}

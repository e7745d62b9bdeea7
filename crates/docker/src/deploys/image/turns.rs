//! One change at a time to a workload's containers, and none left half-way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use shipslog_core::deploys::{DispatchError, FailureMarker};
use shipslog_core::id::WorkloadId;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use super::ImagePlugin;

/// Whose turn it is to change a workload's containers. Remembers every workload that this process has
/// dispatched.
#[derive(Debug, Clone, Default)]
pub(in crate::deploys) struct Turns(Arc<Mutex<HashMap<WorkloadId, Arc<AsyncMutex<()>>>>>);

impl Turns {
    /// Waits until nobody else changes the workload's containers, and keeps others from it.
    pub(in crate::deploys) async fn take(&self, workload: &WorkloadId) -> OwnedMutexGuard<()> {
        let mine = Arc::clone(self.lock().entry(workload.clone()).or_default());
        mine.lock_owned().await
    }

    /// Whether this process has had a turn at the workload.
    pub(super) fn knows(&self, workload: &WorkloadId) -> bool {
        self.lock().contains_key(workload)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<WorkloadId, Arc<AsyncMutex<()>>>> {
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
        let task = tokio::spawn(async move {
            let done = work.await;
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

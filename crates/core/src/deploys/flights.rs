//! Which dispatches are under way in this process.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, watch};
use tokio_util::sync::CancellationToken;

use super::Deploy;
use crate::id::{DeployId, WorkloadId};

/// A dispatch under way, as those see it who watch, await or cancel it.
#[derive(Debug, Clone)]
pub(super) struct Flight {
    pub(super) deploy: DeployId,
    pub(super) cancel: CancellationToken,
    pub(super) closed: watch::Receiver<Option<Deploy>>,
}

/// One slot a workload: claimed before the row is opened, freed when it is closed.
#[derive(Debug, Default)]
pub(super) struct Flights {
    slots: Mutex<HashMap<WorkloadId, Option<Flight>>>,
    turns: Mutex<HashMap<WorkloadId, Arc<AsyncMutex<()>>>>,
    watches: Mutex<HashMap<WorkloadId, CancellationToken>>,
    /// What runs of them is being put in order, and may look as if it no longer worked.
    settling: Mutex<HashSet<WorkloadId>>,
}

/// A workload's slot; dropping it frees the slot.
#[derive(Debug)]
pub(super) struct Claim {
    flights: Arc<Flights>,
    workload: WorkloadId,
}

/// The turn to put in order what runs of a workload. A dispatch that comes meanwhile has its row, and waits for its own turn.
#[derive(Debug)]
pub(super) struct Settling {
    flights: Arc<Flights>,
    workload: WorkloadId,
    _turn: OwnedMutexGuard<()>,
}

/// Nothing that is kept behind these locks is left half-way by a panic.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Flights {
    /// Claims the workload's slot; `None` while somebody else has it.
    pub(super) fn claim(self: &Arc<Self>, workload: &WorkloadId) -> Option<Claim> {
        let mut slots = lock(&self.slots);
        if slots.contains_key(workload) {
            return None;
        }
        slots.insert(workload.clone(), None);
        self.end_watch(workload);
        Some(Claim {
            flights: Arc::clone(self),
            workload: workload.clone(),
        })
    }

    pub(super) fn is_claimed(&self, workload: &WorkloadId) -> bool {
        lock(&self.slots).contains_key(workload)
    }

    pub(super) fn of_deploy(&self, id: &DeployId) -> Option<Flight> {
        lock(&self.slots)
            .values()
            .flatten()
            .find(|flight| flight.deploy == *id)
            .cloned()
    }

    /// How many dispatches are under way.
    pub(super) fn count(&self) -> usize {
        lock(&self.slots).values().flatten().count()
    }

    pub(super) fn cancel_all(&self) {
        lock(&self.slots)
            .values()
            .flatten()
            .for_each(|flight| flight.cancel.cancel());
    }

    /// Waits for the turn to touch what runs of the workload. The slot is freed as soon as the row is closed, so that who saw
    /// the outcome may dispatch again at once; the clean-up after it still has the turn.
    pub(super) async fn turn(&self, workload: &WorkloadId) -> OwnedMutexGuard<()> {
        let turn = Arc::clone(lock(&self.turns).entry(workload.clone()).or_default());
        turn.lock_owned().await
    }

    /// Waits for the turn to put a workload in order, and ends the watch over it; `None` while somebody has its slot, who does so in the end.
    pub(super) async fn settle(self: &Arc<Self>, workload: &WorkloadId) -> Option<Settling> {
        if self.is_claimed(workload) {
            return None;
        }
        let turn = self.turn(workload).await;
        lock(&self.settling).insert(workload.clone());
        self.end_watch(workload);
        Some(Settling {
            flights: Arc::clone(self),
            workload: workload.clone(),
            _turn: turn,
        })
    }

    /// What ends the watch over a workload's newest deploy, which takes the place of an earlier watch. `None` while somebody has the
    /// workload's slot or puts it in order: when that is over, there may be something else to watch.
    pub(super) fn begin_watch(&self, workload: &WorkloadId) -> Option<CancellationToken> {
        let (slots, settling) = (lock(&self.slots), lock(&self.settling));
        if slots.contains_key(workload) || settling.contains(workload) {
            return None;
        }
        let end = CancellationToken::new();
        let former = lock(&self.watches).insert(workload.clone(), end.clone());
        former.inspect(CancellationToken::cancel);
        Some(end)
    }

    /// Whoever touches the workload ends the watch over what it ran.
    fn end_watch(&self, workload: &WorkloadId) {
        let former = lock(&self.watches).remove(workload);
        former.inspect(CancellationToken::cancel);
    }

    pub(super) fn forget(&self, workload: &WorkloadId) {
        lock(&self.turns).remove(workload);
    }
}

impl Claim {
    pub(super) fn take_off(&self, flight: Flight) {
        lock(&self.flights.slots).insert(self.workload.clone(), Some(flight));
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        lock(&self.flights.settling).remove(&self.workload);
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        lock(&self.flights.slots).remove(&self.workload);
    }
}

//! What a store keeps of deploys.

use std::fmt::Debug;

use async_trait::async_trait;

use super::{Deploy, Outcome, PartName, Pinned, Plan, Reason, Strategy};
use crate::id::{DeployId, WorkloadId};
use crate::store::StoreError;
use crate::time::Timestamp;

/// A row to be opened.
#[derive(Debug, Clone, PartialEq)]
pub struct NewDeploy {
    /// Fresh.
    pub id: DeployId,
    /// Whose row.
    pub workload_id: WorkloadId,
    /// Source kind.
    pub source_kind: String,
    /// What caused it.
    pub reason: Reason,
    /// What was asked for.
    pub requested: String,
    /// Known from the start for a rollback, else `None`.
    pub pinned: Option<Pinned>,
    /// The spec revision in use.
    pub spec_revision: u32,
    /// Who caused it.
    pub triggered_by: String,
    /// A note.
    pub note: Option<String>,
    /// The row replayed.
    pub rollback_of: Option<DeployId>,
    /// The order of stop and start.
    pub strategy: Option<Strategy>,
    /// Chosen by the caller, unique within the workload.
    pub idempotency_key: Option<String>,
    /// Now.
    pub started_at: Timestamp,
}

/// How a row is closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Anything but [`Outcome::Running`].
    pub outcome: Outcome,
    /// Which of several parts failed, if one did.
    pub failed_part: Option<PartName>,
    /// Whether this row is what runs from now on; then no other row of the workload is. `false` leaves them as they are.
    pub current: bool,
    /// Now.
    pub finished_at: Timestamp,
}

/// A part of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// At most so many rows.
    pub limit: u32,
    /// Only rows older than this one.
    pub before: Option<DeployId>,
}

/// The ledger. A row is opened once, may be pinned to one reference, and is closed once.
///
/// Every change is durable when its method returns: it survives the loss of power, not only of the process.
#[async_trait]
pub trait DeployStore: Debug + Send + Sync + 'static {
    /// Writes a row that is running.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown workload; [`StoreError::Conflict`] on `running deploy` when the workload has a row
    /// that is running, on `idempotency key` when the workload has a row with that key. When both hold, it is the key: a repeat is
    /// recognised also while the first one runs.
    async fn open_deploy(&self, new: NewDeploy) -> Result<Deploy, StoreError>;

    /// Writes what a running row was pinned to. A row that is pinned already may be pinned once more to the same reference, with other
    /// content: what a rollback had to build anew.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] on `outcome` for a row that is closed, or pinned to another reference.
    async fn pin_deploy(&self, id: &DeployId, pinned: Pinned) -> Result<(), StoreError>;

    /// The plan of a row; `None` for a row without one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn deploy_plan(&self, id: &DeployId) -> Result<Option<Plan>, StoreError>;

    /// Closes a running row, and moves `current` in the same step.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] on `outcome` for a row that is closed already, which stays as it is.
    /// [`StoreError::Invalid`] when asked to close as running.
    async fn close_deploy(&self, id: &DeployId, closing: Closing) -> Result<Deploy, StoreError>;

    /// Makes a closed row the current one in place of any other: for a deploy that was interrupted, and later found to be what runs.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] on `outcome` for a row that is running.
    async fn make_current(&self, id: &DeployId) -> Result<(), StoreError>;

    /// One row.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn deploy(&self, id: &DeployId) -> Result<Deploy, StoreError>;

    /// The row that was opened with this key.
    async fn deploy_by_key(&self, workload: &WorkloadId, key: &str) -> Result<Option<Deploy>, StoreError>;

    /// Rows of a workload, newest first in the order in which they were opened; empty for an unknown workload.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] on `deploy` when `page.before` is not a row of the workload.
    async fn deploys(&self, workload: &WorkloadId, page: &Page) -> Result<Vec<Deploy>, StoreError>;

    /// What the workload runs.
    async fn current_deploy(&self, workload: &WorkloadId) -> Result<Option<Deploy>, StoreError>;

    /// Every row that is running, of all workloads, oldest first.
    async fn running_deploys(&self) -> Result<Vec<Deploy>, StoreError>;

    /// Every row of a workload, newest first: what pruning decides on.
    async fn all_deploys(&self, workload: &WorkloadId) -> Result<Vec<Deploy>, StoreError>;

    /// Deletes rows, all or none; ids that are gone already do not matter. Returns how many went.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] on `outcome` when one of them is running or current.
    async fn delete_deploys(&self, ids: &[DeployId]) -> Result<u64, StoreError>;
}

//! What a store keeps of workloads.

use std::fmt::Debug;

use async_trait::async_trait;

use super::{Spec, Workload};
use crate::id::WorkloadId;
use crate::store::StoreError;
use crate::time::Timestamp;

/// A managed workload to be created, with a spec that was validated.
#[derive(Debug, Clone, PartialEq)]
pub struct NewWorkload {
    /// Fresh.
    pub id: WorkloadId,
    /// Becomes revision 1.
    pub spec: Spec,
    /// When.
    pub created_at: Timestamp,
}

/// Workloads and every revision of their specs.
#[async_trait]
pub trait WorkloadStore: Debug + Send + Sync + 'static {
    /// Creates a managed workload with its spec as revision 1, in one step.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] on `name` when a managed workload has it. Names of observed workloads do not count.
    async fn create_workload(&self, new: NewWorkload) -> Result<Workload, StoreError>;

    /// The observed workload of this name, created at `seen_at` if there is none.
    async fn observe_workload(&self, name: &str, seen_at: Timestamp) -> Result<Workload, StoreError>;

    /// One workload.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    async fn workload(&self, id: &WorkloadId) -> Result<Workload, StoreError>;

    /// Every workload, by name, managed before observed where the names are equal.
    async fn workloads(&self) -> Result<Vec<Workload>, StoreError>;

    /// Adds `spec` as revision `expected + 1` and makes it, and its name, the workload's own.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] on `spec revision` when `expected` is not the newest or the workload is
    /// observed, on `name` when another managed workload has it.
    async fn revise_workload(
        &self,
        id: &WorkloadId,
        expected: u32,
        spec: Spec,
    ) -> Result<Workload, StoreError>;

    /// A recorded spec. Revisions are kept for as long as the workload.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] for an unknown workload or revision.
    async fn spec_revision(&self, id: &WorkloadId, revision: u32) -> Result<Spec, StoreError>;

    /// Deletes a workload with its specs, ledger, containers and samples, so that no reader sees a part of it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] on `running deploy` while one of its rows is running.
    async fn delete_workload(&self, id: &WorkloadId) -> Result<(), StoreError>;
}

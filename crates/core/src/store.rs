//! What every store answers, whatever it is built on.

use std::error::Error as StdError;
use std::fmt::Debug;

use async_trait::async_trait;

use crate::deploys::DeployStore;
use crate::stats::StatsStore;
use crate::workloads::WorkloadStore;

/// What a caller can decide on when a store did not do as asked.
///
/// `Display` never repeats the source: log the chain, show the variant.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no such row. Nothing was changed.
    #[error("there is no such {what}")]
    NotFound {
        /// The kind of row: `workload`, `deploy`, `spec revision`.
        what: &'static str,
    },
    /// The state is not the one that the change expected, or a name or key is taken. Nothing was changed.
    #[error("{what} does not allow this change")]
    Conflict {
        /// What stood in the way: `name`, `spec revision`, `outcome`, `running deploy`, `idempotency key`.
        what: &'static str,
    },
    /// Another process or connection holds the store for longer than the store waits. Trying again may help.
    #[error("the store is busy")]
    Busy,
    /// The store holds, or was given, something that it cannot read.
    #[error("the store cannot read {what}")]
    Invalid {
        /// What could not be read.
        what: &'static str,
    },
    /// The store cannot work for now: disk full, file gone, connection lost.
    #[error("the store is unavailable during {operation}")]
    Unavailable {
        /// The method that failed.
        operation: &'static str,
        /// The backend's own error, for the log.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Anything else that the backend reports.
    #[error("the store failed during {operation}")]
    Backend {
        /// The method that failed.
        operation: &'static str,
        /// The backend's own error, for the log.
        source: Box<dyn StdError + Send + Sync>,
    },
}

/// What a store says about itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreInfo {
    /// `sqlite`, `postgres` or what a third party calls its own.
    pub kind: &'static str,
    /// The version of the schema in use; 0 for a store without one.
    pub schema_version: u32,
}

/// Self-description and the readiness question.
#[async_trait]
pub trait StoreHealth: Debug + Send + Sync + 'static {
    /// Kind and schema version. Does no I/O.
    fn info(&self) -> StoreInfo;

    /// Reads something that touches the backend.
    ///
    /// # Errors
    /// Whatever a reader would meet now.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Bytes that the store takes up, without room that is free to be used again; 0 for one that does not know.
    ///
    /// # Errors
    /// As any reader meets.
    async fn size(&self) -> Result<u64, StoreError>;
}

/// All that a host needs to keep: the sum of the domain stores.
///
/// It is implemented for whatever implements the parts; do not implement it yourself. Logic takes the narrowest part,
/// and `Arc<dyn Store>` upcasts to each.
pub trait Store: WorkloadStore + DeployStore + StatsStore + StoreHealth {}

impl<T: WorkloadStore + DeployStore + StatsStore + StoreHealth> Store for T {}

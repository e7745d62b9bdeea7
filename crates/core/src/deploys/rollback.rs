//! The rule of what can be rolled back to.

use serde::{Deserialize, Serialize};

use super::{Deploy, Outcome};
use crate::id::{DeployId, WorkloadId};

/// Which spec a rollback runs the pinned content with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum RollbackConfig {
    /// The revision that the row recorded.
    #[default]
    Recorded,
    /// The newest revision.
    Current,
}

/// A rollback to be dispatched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollbackRequest {
    /// Whose rollback.
    pub workload: WorkloadId,
    /// The row to be replayed.
    pub target: DeployId,
    /// Which spec to use.
    pub config: RollbackConfig,
    /// Who asks.
    pub triggered_by: String,
    /// A note for the row.
    pub note: Option<String>,
    /// A repeat with the same key answers the first row.
    pub idempotency_key: Option<String>,
}

/// Why a row cannot be rolled back to. Nothing was touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, thiserror::Error)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RollbackRefusal {
    /// The row is not closed, failed or was interrupted.
    #[error("only a deploy that succeeded can be rolled back to")]
    NotSucceeded,
    /// The row was never pinned.
    #[error("the deploy is not pinned to anything that could be run again")]
    NotPinned,
    /// The plugin is not [`RollbackCapable`](super::RollbackCapable), or not there any more.
    #[error("its source kind cannot roll back")]
    KindCannotRollBack,
    /// Neither the host nor the registry has the image.
    #[error("its image is no longer on this host and the registry no longer has it")]
    ImageGone,
    /// The host does not have the image and it never came from a registry.
    #[error("its image existed only on this host and is gone")]
    LocalImageGone,
    /// The host does not have the image and the registry wants other credentials.
    #[error("its image is no longer on this host and the registry denies access to it")]
    RegistryDenied,
    /// The host does not have the image and the registry does not answer.
    #[error("its image is no longer on this host and the registry does not answer")]
    RegistryUnreachable,
    /// The host does not have the image, and the source no longer has the commit that it was built from.
    #[error("its image is no longer on this host and the repository no longer has its commit")]
    CommitGone,
    /// The host does not have the image and the source wants other credentials.
    #[error("its image is no longer on this host and the source repository denies access")]
    SourceDenied,
    /// The host does not have the image and the source does not answer.
    #[error("its image is no longer on this host and the source repository does not answer")]
    SourceUnreachable,
    /// What was recorded to be replayed is not there, or cannot be read.
    #[error("what was recorded of it to be replayed is missing")]
    PlanMissing,
    /// The engine does not answer, so that nothing can be said.
    #[error("the container engine does not answer")]
    EngineUnavailable,
}

/// What the ledger alone can say: whether `row` succeeded and is pinned, and its kind can roll back.
///
/// That the content can still be had is asked when the rollback is requested.
///
/// # Errors
/// The first reason against it.
pub fn replayable(row: &Deploy, kind_can: bool) -> Result<(), RollbackRefusal> {
    if row.outcome != Outcome::Succeeded {
        return Err(RollbackRefusal::NotSucceeded);
    }
    if row.pin.is_none() {
        return Err(RollbackRefusal::NotPinned);
    }
    if kind_can {
        Ok(())
    } else {
        Err(RollbackRefusal::KindCannotRollBack)
    }
}

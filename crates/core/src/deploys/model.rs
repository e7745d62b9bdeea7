//! Rows of the ledger.

use serde::{Deserialize, Serialize};

use super::{FailureMarker, PartName, Pin};
use crate::id::{DeployId, WorkloadId};
use crate::time::Timestamp;

/// One row of the ledger. There is no field that could hold a raw error.
#[derive(Debug, Clone, PartialEq)]
pub struct Deploy {
    /// The row's id.
    pub id: DeployId,
    /// Whose row it is.
    pub workload_id: WorkloadId,
    /// The source kind at that time, such as `image`.
    pub source_kind: String,
    /// What caused it.
    pub reason: Reason,
    /// What was asked for, such as `registry/app:1.4`.
    pub requested: String,
    /// What that was pinned to; `None` until it is.
    pub pin: Option<Pin>,
    /// The spec revision that it used.
    pub spec_revision: u32,
    /// How it stands or ended.
    pub outcome: Outcome,
    /// Which of several parts failed, if one did.
    pub failed_part: Option<PartName>,
    /// Who caused it: a token's name, a webhook provider.
    pub triggered_by: String,
    /// A note by whoever caused it.
    pub note: Option<String>,
    /// The row that a rollback replays.
    pub rollback_of: Option<DeployId>,
    /// Whether this is what the workload runs now. At most one row of a workload is.
    pub current: bool,
    /// The order of stop and start; `None` when the source kind has none.
    pub strategy: Option<Strategy>,
    /// When the row was written, before anything was touched.
    pub started_at: Timestamp,
    /// When it was closed.
    pub finished_at: Option<Timestamp>,
}

/// How a dispatch stands or ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Not closed yet.
    Running,
    /// It runs what was pinned.
    Succeeded,
    /// It does not; what ran before runs as before.
    Failed(FailureMarker),
    /// The control plane went away in the middle.
    Interrupted,
}

impl Outcome {
    /// `running`, `succeeded`, `failed` or `interrupted`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Succeeded => "succeeded",
            Self::Failed(_) => "failed",
            Self::Interrupted => "interrupted",
        }
    }

    /// The marker of a failure.
    pub fn marker(self) -> Option<FailureMarker> {
        match self {
            Self::Failed(marker) => Some(marker),
            _ => None,
        }
    }
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $text:tt,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// The name in the API and in stores.
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// The value of this name.
            pub fn from_name(name: &str) -> Option<Self> {
                match name {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

named! {
    /// What caused a dispatch.
    Reason {
        /// A person or a script asked for it.
        Manual = "manual",
        /// A webhook asked for it.
        Webhook = "webhook",
        /// Somebody asked for an earlier row to be replayed.
        Rollback = "rollback",
        /// A watched deploy turned unhealthy.
        AutoRollback = "auto_rollback",
        /// Its time had come.
        Schedule = "schedule",
    }
}

named! {
    /// The order of stop and start.
    Strategy {
        /// Stop the old, then start the new: an outage, but never two at once. That goes for all replicas together.
        Recreate = "recreate",
        /// Prove the new version on a trial without host ports, then stop the old, then start the new with them.
        VerifyThenSwap = "verify_then_swap",
        /// Start the new beside the old, then stop the old: no outage. Replicas take turns: one new is started, and once it
        /// works one old is stopped; the first that fails is the end.
        StartThenStop = "start_then_stop",
    }
}

impl Reason {
    /// Whether it was a machine that asked for a deploy.
    pub fn is_automatic(self) -> bool {
        matches!(self, Self::Webhook | Self::Schedule)
    }

    /// Whether an earlier row was replayed.
    pub fn is_rollback(self) -> bool {
        matches!(self, Self::Rollback | Self::AutoRollback)
    }
}

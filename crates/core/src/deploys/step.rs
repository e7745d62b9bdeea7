//! What a dispatch is at.

use serde::Serialize;

use super::PartName;

/// A step of a dispatch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "step", rename_all = "snake_case")]
#[non_exhaustive]
pub enum DeployStep {
    /// Finding out what the reference stands for.
    Resolving,
    /// Pulling; told again as it proceeds.
    Pulling {
        /// Layers that are complete.
        layers_done: u32,
        /// Layers known so far.
        layers_total: u32,
        /// Bytes downloaded of the layers known so far.
        bytes_done: u64,
        /// Size of the layers known so far, in bytes.
        bytes_total: u64,
    },
    /// Fetching the source.
    Fetching,
    /// Building the image; told again as it proceeds.
    Building {
        /// Steps of the build that are complete.
        steps_done: u32,
        /// Steps known so far; 0 while none is.
        steps_total: u32,
    },
    /// One of several parts is worked on; told again for each.
    Part {
        /// Which one.
        #[cfg_attr(feature = "openapi", schema(value_type = String))]
        part: PartName,
        /// What is done to it.
        doing: PartStep,
    },
    /// Replacing one by one what runs side by side; told again as it proceeds.
    Rolling {
        /// New ones that work.
        done: u32,
        /// New ones there will be.
        total: u32,
    },
    /// Creating containers.
    Creating,
    /// Starting containers.
    Starting,
    /// Waiting until they are healthy, or have run for long enough.
    WaitingForHealth,
    /// Taking the old containers out and the new ones in.
    Swapping,
    /// Comparing what runs with what was pinned.
    Verifying,
    /// Putting back what ran before.
    Restoring,
}

impl DeployStep {
    /// Whether the one takes the place of the other for those who come late.
    pub(super) fn repeats(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Part { part, .. }, Self::Part { part: other, .. }) => part == other,
            _ => std::mem::discriminant(self) == std::mem::discriminant(other),
        }
    }
}

/// What is done to one of several parts of a dispatch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum PartStep {
    /// Its image is fetched.
    Pulling,
    /// Its image is built.
    Building,
    /// It takes the place of what ran before.
    Replacing,
    /// It is waited for until it works.
    WaitingForHealth,
    /// It works.
    Done,
    /// What ran before is put back.
    Restoring,
}

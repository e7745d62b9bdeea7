//! Why a dispatch failed, as a closed list.

use serde::{Deserialize, Serialize};

/// Why a dispatch failed. The ledger has no other room for an error, so that no text of an engine, a registry or a tool
/// can reach it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum FailureMarker {
    /// What was asked for is not a reference.
    ReferenceInvalid,
    /// The registry refuses the credentials, or wants some.
    RegistryDenied,
    /// The registry does not answer.
    RegistryUnreachable,
    /// There is no such image, tag or digest.
    ImageNotFound,
    /// The pull began and broke off.
    ImagePullFailed,
    /// The engine refuses the container's configuration.
    CreateFailed,
    /// Another container has the name.
    NameConflict,
    /// A host port is taken.
    PortTaken,
    /// The container was created and could not be started.
    StartFailed,
    /// The container ended, or restarted, before it counted as healthy.
    ExitedAtOnce,
    /// The healthcheck says `unhealthy`.
    Unhealthy,
    /// The healthcheck did not say `healthy` in time.
    HealthTimeout,
    /// The engine does not answer.
    EngineUnavailable,
    /// What runs is not what was pinned.
    ImageMismatch,
    /// Somebody cancelled it.
    Cancelled,
    /// It took longer than a dispatch may take.
    TimedOut,
    /// A secret that the spec refers to could not be read.
    SecretMissing,
    /// An automatic trigger asked for what was just rolled back from.
    Held,
    /// The source refuses the credentials, or wants some.
    SourceDenied,
    /// The source does not answer.
    SourceUnreachable,
    /// The source has no such repository, branch, tag or commit.
    SourceNotFound,
    /// What the source holds cannot be deployed: a file is missing, or not what it should be.
    SourceInvalid,
    /// The build failed.
    BuildFailed,
    /// A fault of the control plane or of a plugin.
    Internal,
}

impl FailureMarker {
    /// Every marker.
    pub const ALL: [Self; 24] = [
        Self::ReferenceInvalid,
        Self::RegistryDenied,
        Self::RegistryUnreachable,
        Self::ImageNotFound,
        Self::ImagePullFailed,
        Self::CreateFailed,
        Self::NameConflict,
        Self::PortTaken,
        Self::StartFailed,
        Self::ExitedAtOnce,
        Self::Unhealthy,
        Self::HealthTimeout,
        Self::EngineUnavailable,
        Self::ImageMismatch,
        Self::Cancelled,
        Self::TimedOut,
        Self::SecretMissing,
        Self::Held,
        Self::SourceDenied,
        Self::SourceUnreachable,
        Self::SourceNotFound,
        Self::SourceInvalid,
        Self::BuildFailed,
        Self::Internal,
    ];

    /// The marker's name in the API and in stores, such as `image_pull_failed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReferenceInvalid => "reference_invalid",
            Self::RegistryDenied => "registry_denied",
            Self::RegistryUnreachable => "registry_unreachable",
            Self::ImageNotFound => "image_not_found",
            Self::ImagePullFailed => "image_pull_failed",
            Self::CreateFailed => "create_failed",
            Self::NameConflict => "name_conflict",
            Self::PortTaken => "port_taken",
            Self::StartFailed => "start_failed",
            Self::ExitedAtOnce => "exited_at_once",
            Self::Unhealthy => "unhealthy",
            Self::HealthTimeout => "health_timeout",
            Self::EngineUnavailable => "engine_unavailable",
            Self::ImageMismatch => "image_mismatch",
            Self::Cancelled => "cancelled",
            Self::TimedOut => "timed_out",
            Self::SecretMissing => "secret_missing",
            Self::Held => "held",
            Self::SourceDenied => "source_denied",
            Self::SourceUnreachable => "source_unreachable",
            Self::SourceNotFound => "source_not_found",
            Self::SourceInvalid => "source_invalid",
            Self::BuildFailed => "build_failed",
            Self::Internal => "internal",
        }
    }

    /// The marker of this name; `None` for a name that is not in the list.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|marker| marker.as_str() == name)
    }

    /// What happened and what to look at, for people.
    pub fn message(self) -> &'static str {
        match self {
            Self::ReferenceInvalid => "The reference is not valid. Check the registry, repository and tag.",
            Self::RegistryDenied => {
                "The registry denied access. Log in on the host with docker login, and check that the repository exists."
            }
            Self::RegistryUnreachable => {
                "The registry did not answer. Check its address and the network of the engine."
            }
            Self::ImageNotFound => "The registry or the engine has no such image. Check the tag or digest.",
            Self::ImagePullFailed => {
                "The image could not be pulled completely. Trying again may help; see the server's log."
            }
            Self::CreateFailed => {
                "The engine refused the container's configuration. Check mounts, networks, limits and environment in the spec."
            }
            Self::NameConflict => "Another container already has the name. Remove or rename it.",
            Self::PortTaken => "A host port of the spec is already in use. Free it or choose another one.",
            Self::StartFailed => {
                "The container could not be started. Check its command, mounts and networks."
            }
            Self::ExitedAtOnce => {
                "The container ended or restarted before it counted as healthy. See its own log."
            }
            Self::Unhealthy => "The healthcheck reported unhealthy.",
            Self::HealthTimeout => "The healthcheck did not report healthy before the deadline.",
            Self::EngineUnavailable => "The container engine did not answer.",
            Self::ImageMismatch => "What ran was not the image that had been pinned.",
            Self::Cancelled => "The dispatch was cancelled.",
            Self::TimedOut => "The dispatch took longer than it may take.",
            Self::SecretMissing => "A secret that the spec refers to could not be read.",
            Self::Held => {
                "This was rolled back from just before, so an automatic trigger may not deploy it again. Deploy it by hand once it is right."
            }
            Self::SourceDenied => {
                "The source repository denied access. Check the token in the spec, and that the repository exists."
            }
            Self::SourceUnreachable => "The source did not answer. Check its address and the network.",
            Self::SourceNotFound => {
                "The source has no such repository, branch, tag or commit. Check the reference."
            }
            Self::SourceInvalid => {
                "The source cannot be deployed: a file that the spec names is missing, outside of it, or not valid."
            }
            Self::BuildFailed => {
                "The image could not be built. Build it by hand to see what its steps print."
            }
            Self::Internal => {
                "The dispatch failed for a reason inside the control plane; see the server's log."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_serialized_ones_and_lead_back() {
        for marker in FailureMarker::ALL {
            assert_eq!(serde_json::to_value(marker).unwrap(), marker.as_str());
            assert_eq!(FailureMarker::from_name(marker.as_str()), Some(marker));
        }
        assert_eq!(FailureMarker::from_name("no such host: user:pass"), None);
    }
}

//! What is kept of a deploy to be run again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use shipslog_core::deploys::{
    DispatchError, FailureMarker, PartName, PartPin, Pin, Pinned, PinnedReference, Plan,
};

use super::file::{ComposeFile, FileError, Origin, digest};
use super::source::Tracked;

/// A Compose file with every image pinned. Its text is as it was given: variables, and with them secrets, are still references.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ComposePlan {
    /// The name of the project, which volumes and networks are named after.
    pub(super) project: String,
    pub(super) file: String,
    /// What paths in the file are relative to, for a file of this host.
    pub(super) folder: Option<PathBuf>,
    /// Where the file is, for one of a repository.
    pub(super) repository: Option<Tracked>,
    /// What each service runs.
    pub(super) images: BTreeMap<PartName, PartPin>,
}

impl ComposePlan {
    /// The plan of what was pinned; `None` if there is none that can be read.
    pub(super) fn of(pinned: &Pinned) -> Option<Self> {
        serde_json::from_str(pinned.plan.as_ref()?.as_str()).ok()
    }

    /// The same for a dispatch, which cannot go on without.
    pub(super) fn required(pinned: &Pinned) -> Result<Self, DispatchError> {
        let missing = || DispatchError::new(FailureMarker::Internal, "there is no plan that can be read");
        Self::of(pinned).ok_or_else(missing)
    }

    pub(super) fn origin(&self) -> Origin {
        match (&self.folder, &self.repository) {
            (Some(_), _) => Origin::Folder,
            (None, Some(_)) => Origin::Repository,
            (None, None) => Origin::Inline,
        }
    }

    /// Reads the file.
    pub(super) fn parse(&self) -> Result<ComposeFile, DispatchError> {
        let file = ComposeFile::parse(&self.file, self.origin()).map_err(|error| unusable(&error))?;
        Ok(file.at(self.repository.as_ref().map(|tracked| tracked.commit.clone())))
    }

    /// The pin: the digest of the plan stands for all of it; for a file of a repository, the commit is shown beside it.
    pub(super) fn into_pinned(self) -> Result<Pinned, DispatchError> {
        let broken = |_| DispatchError::new(FailureMarker::Internal, "the plan cannot be written");
        let text = serde_json::to_string(&self).map_err(broken)?;
        let digest = digest(text.as_bytes());
        let reference = match &self.repository {
            Some(tracked) => tracked.pin(),
            None => format!("compose@{digest}").parse().ok(),
        };
        let unfit = || DispatchError::new(FailureMarker::Internal, "the plan cannot be pinned");
        let content: PinnedReference = digest.parse().map_err(|_| unfit())?;
        let mut pin = Pin::new(reference.ok_or_else(unfit)?, content);
        pin.parts = self.images;
        let plan = Some(Plan::new(text));
        Ok(Pinned { pin, plan })
    }
}

/// A file that cannot be deployed, for whoever did not see it when the spec was checked.
pub(super) fn unusable(error: &FileError) -> DispatchError {
    let failed = DispatchError::new(FailureMarker::SourceInvalid, error.to_string());
    error
        .service()
        .cloned()
        .into_iter()
        .fold(failed, DispatchError::of_part)
}

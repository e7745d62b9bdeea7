//! Whether a commit can still be had.

use std::path::PathBuf;

use shipslog_core::deploys::{DispatchError, FailureMarker, RollbackRefusal};

use super::submodules::{Submodule, Wanted};
use super::{Access, Commit, Repositories, RepositoryUrl};

impl Repositories {
    /// Whether a commit can be had from the cache or from the server. Nothing is kept of what it takes to find that out.
    pub(in crate::deploys) async fn can_be_had(
        &self,
        url: &RepositoryUrl,
        commit: &Commit,
        access: &Access,
    ) -> Result<(), RollbackRefusal> {
        let found = self.look_for(url, commit, access).await;
        found.map_err(|error| refusal(error.marker()))
    }

    /// With its submodules, as far as the cache knows them.
    async fn look_for(
        &self,
        url: &RepositoryUrl,
        commit: &Commit,
        access: &Access,
    ) -> Result<(), DispatchError> {
        let mut wanted = Wanted::first(url, commit, PathBuf::new());
        while let Some(next) = wanted.next()? {
            let repository = self.open(&next.url, access).await?;
            match repository.has(&next.commit).await {
                true => wanted.add(repository.submodules(&next).await?),
                false => self.ask(&next, access).await?,
            }
        }
        Ok(())
    }

    async fn ask(&self, wanted: &Submodule, access: &Access) -> Result<(), DispatchError> {
        let (_scratch, mut repository) = self.open_for_once(&wanted.url, access).await?;
        repository.whole_history = false;
        // The commits alone, without their files, from servers that can do that.
        repository
            .fetch_commit(&wanted.commit, &["--filter=tree:0"])
            .await
    }
}

/// A source that says neither yes nor no counts as one that does not answer.
fn refusal(marker: FailureMarker) -> RollbackRefusal {
    match marker {
        FailureMarker::SourceNotFound => RollbackRefusal::CommitGone,
        FailureMarker::SourceDenied | FailureMarker::SecretMissing => RollbackRefusal::SourceDenied,
        _ => RollbackRefusal::SourceUnreachable,
    }
}

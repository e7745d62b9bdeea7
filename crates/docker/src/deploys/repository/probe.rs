//! Whether a commit can still be had.

use std::path::PathBuf;
use std::time::Duration;

use shipslog_core::deploys::{DispatchError, FailureMarker, RollbackRefusal};
use tokio::time::timeout;

use super::submodules::{Submodule, Wanted};
use super::{Access, Commit, Repositories, RepositoryUrl};

/// How long it may take to find that out: somebody waits for the answer.
const LIMIT: Duration = Duration::from_secs(60);

impl Repositories {
    /// Whether a commit can be had from the cache or from the server. Nothing is kept of what it takes to find that out.
    pub(in crate::deploys) async fn can_be_had(
        &self,
        url: &RepositoryUrl,
        commit: &Commit,
        access: &Access,
    ) -> Result<(), RollbackRefusal> {
        match timeout(LIMIT, self.look_for(url, commit, access)).await {
            Ok(found) => found.map_err(|error| refusal(error.marker())),
            Err(_) => Err(RollbackRefusal::SourceUnreachable),
        }
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
            match self.known(&next, access).await {
                Some(more) => wanted.add(more?),
                None => self.ask(&next, access).await?,
            }
        }
        Ok(())
    }

    /// The submodules of a commit that is in the cache. Nobody is waited for, and nothing is touched.
    async fn known(
        &self,
        wanted: &Submodule,
        access: &Access,
    ) -> Option<Result<Vec<Submodule>, DispatchError>> {
        let repository = self.peek(&wanted.url, access)?;
        match repository.has(&wanted.commit).await {
            true => Some(repository.submodules(wanted).await),
            false => None,
        }
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

//! A bare repository for each address, used by one at a time.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

use sha2::{Digest as _, Sha256};
use shipslog_core::deploys::{DispatchError, FailureMarker};
use tempfile::TempDir;
use tokio::sync::OwnedMutexGuard;

use super::command::{Fault, Git, GitCommand};
use super::fault::failed;
use super::{Access, Commit, Repositories, RepositoryUrl};

/// A cached repository, which nobody else uses meanwhile.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) git: Git,
    pub(super) folder: PathBuf,
    pub(super) url: RepositoryUrl,
    pub(super) access: Access,
    pub(super) whole_history: bool,
    /// `None` where nobody else knows of it.
    _turn: Option<OwnedMutexGuard<()>>,
}

impl Repositories {
    /// Opens the repository of `url`, and makes it if it is not there. What was fetched with one token is not shown to those who come with
    /// another, or none.
    pub(super) async fn open(
        &self,
        url: &RepositoryUrl,
        access: &Access,
    ) -> Result<Repository, DispatchError> {
        let name = name_of(url, access);
        let turn = self.turn(&name).await;
        let folder = self.repository_folder(&name);
        if !tokio::fs::try_exists(folder.join("HEAD")).await.unwrap_or(false) {
            self.make(&folder).await?;
        }
        remove_locks(&folder).await.map_err(|error| unusable(&error))?;
        Ok(self.repository(folder, url, access, Some(turn)))
    }

    /// A repository that vanishes with the folder that is answered with it.
    pub(super) async fn open_for_once(
        &self,
        url: &RepositoryUrl,
        access: &Access,
    ) -> Result<(TempDir, Repository), DispatchError> {
        let scratch = self.scratch().await?;
        let folder = scratch.path().join("repository");
        self.init(&folder).await?;
        Ok((scratch, self.repository(folder, url, access, None)))
    }

    fn repository(
        &self,
        folder: PathBuf,
        url: &RepositoryUrl,
        access: &Access,
        turn: Option<OwnedMutexGuard<()>>,
    ) -> Repository {
        Repository {
            git: self.git.clone(),
            folder,
            url: url.clone(),
            access: access.clone(),
            whole_history: self.whole_history,
            _turn: turn,
        }
    }

    async fn turn(&self, name: &str) -> OwnedMutexGuard<()> {
        let mine = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(name.to_owned()).or_default())
        };
        mine.lock_owned().await
    }

    /// Made aside and moved into its place, so that it is there as a whole or not at all.
    async fn make(&self, folder: &Path) -> Result<(), DispatchError> {
        let scratch = self.scratch().await?;
        let made = scratch.path().join("repository");
        self.init(&made).await?;
        let moved = async {
            tokio::fs::create_dir_all(folder.parent().unwrap_or(folder)).await?;
            tokio::fs::rename(&made, folder).await
        };
        moved.await.map_err(|error| unusable(&error))
    }

    async fn init(&self, folder: &Path) -> Result<(), DispatchError> {
        let command = self
            .git
            .bare()
            .args(["init", "--quiet", "--bare", "--template=", "--"]);
        let made = command.args([folder]).run().await;
        made.map(drop)
            .map_err(|fault| failed("making a repository", &fault))
    }
}

impl Repository {
    /// A command that touches no network.
    pub(super) fn local(&self) -> GitCommand {
        self.git.local(&self.folder)
    }

    /// Whether a commit is here, and then all of it is.
    pub(super) async fn has(&self, commit: &Commit) -> bool {
        let object = format!("{commit}^{{commit}}");
        self.local().args(["cat-file", "-e", &object]).run().await.is_ok()
    }

    /// The error of a command that asked the server.
    pub(super) fn failed(&self, doing: &str, fault: &Fault) -> DispatchError {
        self.access.hide_in(failed(doing, fault))
    }
}

fn name_of(url: &RepositoryUrl, access: &Access) -> String {
    let digest = Sha256::digest(format!("{url}\n{}", access.realm));
    digest.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// A git that was ended leaves locks behind, on which the next one would fail. Nobody else uses the repository now.
async fn remove_locks(folder: &Path) -> io::Result<()> {
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries = tokio::fs::read_dir(&folder).await?;
        while let Some(entry) = entries.next_entry().await? {
            let (path, kind) = (entry.path(), entry.file_type().await?);
            match () {
                () if kind.is_dir() && entry.file_name() != "objects" => folders.push(path),
                () if path.extension().is_some_and(|extension| extension == "lock") => {
                    tokio::fs::remove_file(path).await?;
                }
                () => {}
            }
        }
    }
    Ok(())
}

/// The cache cannot be written: its disk, or its permissions.
pub(super) fn unusable(error: &io::Error) -> DispatchError {
    DispatchError::new(
        FailureMarker::Internal,
        format!("the cache of repositories: {error}"),
    )
}

//! A bare repository for each address, used by one at a time.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};
use shipslog_core::deploys::{DispatchError, FailureMarker};
use tempfile::TempDir;

use super::command::{Fault, Git, GitCommand};
use super::fault::failed;
use super::turn::Turn;
use super::{Access, Commit, Repositories, RepositoryUrl};

/// A cached repository, which nobody else uses meanwhile.
#[derive(Debug)]
pub(super) struct Repository {
    pub(super) git: Git,
    pub(super) folder: PathBuf,
    pub(super) url: RepositoryUrl,
    pub(super) access: Access,
    pub(super) whole_history: bool,
    /// `None` for one that is only looked at, or that nobody else knows of.
    turn: Option<Turn>,
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
        let turn = self.turn(&name).await?;
        let folder = self.repository_folder(&name);
        if !tokio::fs::try_exists(folder.join("HEAD")).await.unwrap_or(false) {
            self.make(&folder).await?;
        }
        remove_litter(&folder).await.map_err(|error| unusable(&error))?;
        Ok(self.repository(folder, url, access, Some(turn)))
    }

    /// The repository of `url` as it is, if it is there, to be looked at while others may be at work in it.
    pub(super) fn peek(&self, url: &RepositoryUrl, access: &Access) -> Option<Repository> {
        let folder = self.repository_folder(&name_of(url, access));
        let is_here = folder.join("HEAD").exists();
        is_here.then(|| self.repository(folder, url, access, None))
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
        turn: Option<Turn>,
    ) -> Repository {
        Repository {
            git: self.git.clone(),
            folder,
            url: url.clone(),
            access: access.clone(),
            whole_history: self.whole_history,
            turn,
        }
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
        self.holding_turn(self.git.local(&self.folder))
    }

    /// A command that asks the server.
    pub(super) fn remote(&self) -> GitCommand {
        self.holding_turn(self.git.remote(&self.folder, &self.url, &self.access))
    }

    fn holding_turn(&self, command: GitCommand) -> GitCommand {
        match &self.turn {
            Some(turn) => command.holding(&turn.lock),
            None => command,
        }
    }

    /// Whether a commit is here, and then all of it is. What has such a number may also be a tag or a tree.
    pub(super) async fn has(&self, commit: &Commit) -> bool {
        let object = format!("{commit}^{{commit}}");
        let command = self
            .local()
            .args(["rev-parse", "--verify", "--quiet", "--end-of-options", &object]);
        let found = command.run().await;
        found.is_ok_and(|found| found.trim() == commit.as_str())
    }

    /// Where a file for each commit that is kept tells when it was used last.
    pub(super) fn stamps(&self) -> PathBuf {
        self.folder.join("used")
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

/// A git that was ended leaves locks behind, on which the next one would fail, and files that it had begun. Nobody else uses the repository
/// now.
async fn remove_litter(repository: &Path) -> io::Result<()> {
    let mut folders = vec![repository.to_owned()];
    while let Some(path) = folders.pop() {
        let mut entries = tokio::fs::read_dir(&path).await?;
        let folder = path.strip_prefix(repository).unwrap_or(&path);
        while let Some(entry) = entries.next_entry().await? {
            let (path, name) = (entry.path(), entry.file_name());
            let name = name.to_string_lossy();
            match entry.file_type().await?.is_dir() {
                true if is_temporary(folder, &name) => tokio::fs::remove_dir_all(path).await?,
                true if !holds_objects_alone(folder, &name) => folders.push(path),
                false if is_lock(&name) || is_temporary(folder, &name) => {
                    tokio::fs::remove_file(path).await?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

fn is_lock(name: &str) -> bool {
    name.ends_with(".lock") || name == "gc.pid"
}

/// No branch and no tag begins with a dot; with the other one they may, and have files of that name outside of `objects`.
fn is_temporary(folder: &Path, name: &str) -> bool {
    name.starts_with(".tmp") || (folder.starts_with("objects") && name.starts_with("tmp_"))
}

/// There may be very many of them.
fn holds_objects_alone(folder: &Path, name: &str) -> bool {
    folder == Path::new("objects") && name.len() == 2
}

/// The cache cannot be written: its disk, or its permissions.
pub(super) fn unusable(error: &io::Error) -> DispatchError {
    DispatchError::new(
        FailureMarker::Internal,
        format!("the cache of repositories: {error}"),
    )
}

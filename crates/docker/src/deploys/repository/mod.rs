//! Git repositories on a server: what a reference stands for, and the files of a commit.
//!
//! What was fetched is kept in a cache. Submodules are repositories like any other: they are cached, checked and given a token, or none, by the
//! same rules, and `git submodule` is never run.

mod access;
mod cache;
mod checkout;
mod command;
mod commit;
mod fault;
mod fetch;
mod probe;
mod reference;
mod submodules;
mod tidy;
mod turn;
mod version;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::Mutex as AsyncMutex;

pub(in crate::deploys) use access::Access;
pub(in crate::deploys) use checkout::Checkout;
use command::Git;
pub(in crate::deploys) use commit::Commit;
pub(in crate::deploys) use reference::{GitReference, RepositoryUrl, Version, is_inner_path};

/// How long git may say nothing. It tells of its progress all the time; servers that count objects do so, too.
const SILENCE_LIMIT: Duration = Duration::from_secs(120);

/// More than sources have, and less than a disk.
const SIZE_LIMIT: u64 = 4 * 1024 * 1024 * 1024;

/// Cached repositories.
#[derive(Debug, Clone)]
pub(in crate::deploys) struct Repositories {
    git: Git,
    folder: PathBuf,
    whole_history: bool,
    locks: Arc<Mutex<HashMap<String, Arc<AsyncMutex<()>>>>>,
}

impl Repositories {
    /// A cache in `folder`, which is made when it is needed first. All of it may be deleted while nothing is deployed.
    pub(in crate::deploys) fn new(folder: impl Into<PathBuf>) -> Self {
        let folder: PathBuf = folder.into();
        // Git does not run where this process does.
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        Self {
            git: Git {
                program: PathBuf::from("git"),
                silence: SILENCE_LIMIT,
                most: SIZE_LIMIT,
                home: folder.join("home"),
            },
            folder,
            whole_history: false,
            locks: Arc::default(),
        }
    }

    /// Runs this program instead of the `git` that is found on the way.
    pub(in crate::deploys) fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.git.program = program.into();
        self
    }

    /// How long git may say nothing while it waits for a server.
    pub(in crate::deploys) fn with_silence_limit(mut self, limit: Duration) -> Self {
        self.git.silence = limit;
        self
    }

    /// How many bytes a server may send as one pack, and the files of a commit may have.
    pub(in crate::deploys) fn with_size_limit(mut self, bytes: u64) -> Self {
        self.git.most = bytes;
        self
    }

    /// Fetches whole histories instead of single commits.
    pub(in crate::deploys) fn with_whole_history(mut self) -> Self {
        self.whole_history = true;
        self
    }

    fn checkouts(&self) -> PathBuf {
        self.folder.join("checkouts")
    }

    fn repositories(&self) -> PathBuf {
        self.folder.join("repositories")
    }

    fn repository_folder(&self, name: &str) -> PathBuf {
        self.repositories().join(name)
    }

    /// Beside the repository, which may be removed.
    fn lock_file(&self, name: &str) -> PathBuf {
        self.repositories().join(format!("{name}.lock"))
    }
}

/// As git wants a path that is an argument.
fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

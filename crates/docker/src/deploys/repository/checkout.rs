//! The files of a commit.

use std::path::{Component, Path, PathBuf};
use std::time::{Duration, SystemTime};

use shipslog_core::deploys::{DispatchError, FailureMarker};
use tempfile::TempDir;

use super::super::child::Unended;
use super::cache::{Repository, unusable};
use super::command::Fault;
use super::turn::make_private;
use super::{Access, Commit, Repositories, RepositoryUrl, text};

/// What is older was left behind by a process that died: no dispatch takes so long.
const LEFT_BEHIND: Duration = Duration::from_secs(24 * 60 * 60);

/// How much git may print of the files of a commit: some hundred thousand lines.
const MAX_LISTING: usize = 64 * 1024 * 1024;

/// The files of a commit with those of its submodules, and without any trace of git. They vanish with this value.
#[derive(Debug)]
pub(in crate::deploys) struct Checkout {
    scratch: Option<TempDir>,
    root: PathBuf,
    time: u64,
}

impl Checkout {
    /// The folder of the files, by a path without links.
    pub(in crate::deploys) fn root(&self) -> &Path {
        &self.root
    }

    /// A folder beside the files that is gone when they are, for files without a name.
    pub(in crate::deploys) fn scratch(&self) -> &Path {
        self.root.parent().unwrap_or(&self.root)
    }

    /// When the commit was made, in seconds since 1970.
    pub(in crate::deploys) fn time(&self) -> u64 {
        self.time
    }

    /// The real path of a file or folder in it; an empty `path` means the root.
    ///
    /// # Errors
    /// [`FailureMarker::SourceInvalid`] when there is no such thing, or a link on the way to it leads out of the checkout.
    pub(in crate::deploys) async fn within(&self, path: impl AsRef<Path>) -> Result<PathBuf, DispatchError> {
        let path = path.as_ref();
        let invalid = |why: &str| DispatchError::new(FailureMarker::SourceInvalid, format!("{path:?} {why}"));
        let real = tokio::fs::canonicalize(self.root.join(path)).await;
        let real = real.map_err(|_| invalid("is not in the repository"))?;
        match real.starts_with(&self.root) {
            true => Ok(real),
            false => Err(invalid("leads out of the repository")),
        }
    }

    /// Whether a path stays in the checkout, followed step after step. One at which there is nothing does.
    pub(in crate::deploys) async fn keeps(&self, path: &Path) -> bool {
        let Some(path) = without_parents(path) else {
            return false;
        };
        let real = tokio::fs::canonicalize(self.root.join(path)).await;
        real.map_or(true, |real| real.starts_with(&self.root))
    }
}

/// As tools read a path that they put together: `a/../b` is `b`, whatever `a` may be. `None` when it leads out.
fn without_parents(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => plain.push(name),
            Component::CurDir => {}
            Component::ParentDir if plain.pop() => {}
            _ => return None,
        }
    }
    Some(plain)
}

impl Drop for Checkout {
    fn drop(&mut self) {
        let scratch = self.scratch.take();
        // A big one takes a while to remove, for which a worker of the runtime has no time.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn_blocking(move || drop(scratch));
        }
    }
}

impl Repositories {
    /// The files of a commit, fetched if they are not in the cache.
    ///
    /// # Errors
    /// Those of [`resolve`](Self::resolve), and [`FailureMarker::SourceInvalid`] for submodules that lie where nothing is fetched from.
    pub(in crate::deploys) async fn check_out(
        &self,
        url: &RepositoryUrl,
        commit: &Commit,
        access: &Access,
    ) -> Result<Checkout, DispatchError> {
        let scratch = self.scratch().await?;
        let root = scratch.path().join("files");
        tokio::fs::create_dir(&root)
            .await
            .map_err(|error| unusable(&error))?;
        let mut checkout = Checkout {
            root: tokio::fs::canonicalize(&root)
                .await
                .map_err(|error| unusable(&error))?,
            scratch: Some(scratch),
            time: 0,
        };
        let used = self.fill(url, commit, access, checkout.root().to_owned()).await?;
        checkout.time = self.open(url, access).await?.time(commit).await?;
        self.tidy_later(used, access.clone());
        Ok(checkout)
    }

    /// A folder that vanishes with its value.
    pub(super) async fn scratch(&self) -> Result<TempDir, DispatchError> {
        let (cache, folder) = (self.folder.clone(), self.checkouts());
        let made = tokio::task::spawn_blocking(move || {
            make_private(&cache)?;
            std::fs::create_dir_all(&folder)?;
            remove_left_behind(&folder)?;
            tempfile::Builder::new().prefix("work-").tempdir_in(&folder)
        });
        let made = made
            .await
            .unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()));
        made.map_err(|error| unusable(&error))
    }
}

impl Repository {
    /// How many bytes the files of a commit have. A few small objects may stand for more of them than any disk can hold: then it is refused.
    pub(super) async fn measure(&self, commit: &Commit) -> Result<u64, DispatchError> {
        let command = self.local().printing(MAX_LISTING).args([
            "ls-tree",
            "-r",
            "-t",
            "-l",
            "--full-tree",
            commit.as_str(),
        ]);
        match command.run().await {
            Ok(listed) => Ok(listed.lines().filter_map(size_of).fold(0, u64::saturating_add)),
            Err(Fault::Unended(Unended::TooMuch)) => Err(DispatchError::new(
                FailureMarker::SourceInvalid,
                "it has too many files",
            )),
            Err(fault) => Err(self.failed("listing files", &fault)),
        }
    }

    /// Writes the files of a commit, which is here, into an empty folder.
    pub(super) async fn write(&self, commit: &Commit, into: &Path) -> Result<(), DispatchError> {
        let index = tempfile::NamedTempFile::new_in(&self.folder).map_err(|error| unusable(&error))?;
        // Git takes a file that is there for an index, and an empty one for a damaged index.
        let index = index.into_temp_path();
        std::fs::remove_file(&index).map_err(|error| unusable(&error))?;
        let command = self.local().env("GIT_INDEX_FILE", &index).args([
            "--work-tree",
            &text(into),
            "read-tree",
            "--reset",
            "-u",
            commit.as_str(),
        ]);
        let written = command.run().await;
        written
            .map(drop)
            .map_err(|fault| self.failed("writing files", &fault))
    }
}

impl Repository {
    async fn time(&self, commit: &Commit) -> Result<u64, DispatchError> {
        let command = self.local().args([
            "log",
            "-1",
            "--no-show-signature",
            "--format=%ct",
            commit.as_str(),
            "--",
        ]);
        let said = command.run().await;
        let said = said.map_err(|fault| self.failed("reading a commit", &fault))?;
        // Before 1970 is as good as in 1970.
        Ok(said.trim().parse().unwrap_or(0))
    }
}

/// The bytes of `100644 blob <number> <bytes>\t<path>`; a folder and a submodule have none.
fn size_of(line: &str) -> Option<u64> {
    let (before, _path) = line.split_once('\t')?;
    before.split_whitespace().next_back()?.parse().ok()
}

fn remove_left_behind(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        // Another one may be removing it, too.
        let Ok(changed) = entry.metadata().and_then(|data| data.modified()) else {
            continue;
        };
        if SystemTime::now()
            .duration_since(changed)
            .is_ok_and(|age| age > LEFT_BEHIND)
        {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
    Ok(())
}

//! What is taken out of the cache again.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::cache::Repository;
use super::{Access, Commit, Repositories, RepositoryUrl};

/// What nobody has used for so long is no longer kept: a rollback that needs it has to ask the server.
const UNUSED: Duration = Duration::from_secs(90 * 24 * 60 * 60);

impl Repositories {
    /// Tidies these repositories, and removes those that nobody uses, while others go on. That it fails harms nothing.
    pub(super) fn tidy_later(&self, urls: Vec<RepositoryUrl>, access: Access) {
        let cache = self.clone();
        tokio::spawn(async move {
            for url in urls {
                if let Ok(repository) = cache.open(&url, &access).await {
                    repository.tidy().await;
                }
            }
            let folder = cache.repositories();
            let removed = tokio::task::spawn_blocking(move || remove_unused(&folder)).await;
            if !matches!(removed, Ok(Ok(()))) {
                tracing::warn!("cached repositories that nobody uses could not be removed");
            }
        });
    }
}

impl Repository {
    /// Each fetch adds a file or two; now and then they are made into one.
    async fn tidy(&self) {
        for commit in unused_commits(&self.stamps()) {
            self.release(&commit).await;
        }
        let command = self
            .local()
            .args(["-c", "gc.auto=1", "-c", "gc.autoDetach=false", "gc", "--auto"]);
        if command.run().await.is_err() {
            tracing::warn!("a cached repository could not be tidied");
        }
    }
}

/// The commits in whose names there are files that are old.
fn unused_commits(stamps: &Path) -> Vec<Commit> {
    let Ok(entries) = fs::read_dir(stamps) else {
        return Vec::new();
    };
    let old = entries.flatten().filter(|entry| is_unused(&entry.path()));
    old.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Beside each repository is its lock, which tells when it was used last. The lock itself stays: others may wait for it.
fn remove_unused(repositories: &Path) -> io::Result<()> {
    for entry in fs::read_dir(repositories)? {
        let path = entry?.path();
        let repository = path.with_extension("");
        let is_lock = path.extension().is_some_and(|extension| extension == "lock");
        if !is_lock || !is_unused(&path) || !repository.exists() {
            continue;
        }
        let lock = File::open(&path)?;
        if lock.try_lock().is_ok() {
            fs::remove_dir_all(repository)?;
        }
    }
    Ok(())
}

fn is_unused(path: &Path) -> bool {
    let used = fs::metadata(path).and_then(|data| data.modified());
    used.is_ok_and(|used| {
        SystemTime::now()
            .duration_since(used)
            .is_ok_and(|age| age > UNUSED)
    })
}

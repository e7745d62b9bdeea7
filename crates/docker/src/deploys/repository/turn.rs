//! Who works in a cached repository.

use std::fs::{self, DirBuilder, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime};

use shipslog_core::deploys::{DispatchError, FailureMarker};
use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use super::Repositories;
use super::cache::unusable;

/// The cache holds the files of private repositories.
const PRIVATE: u32 = 0o700;
/// How long another process may be at work.
const OTHERS_LIMIT: Duration = Duration::from_secs(600);
/// How often it is looked whether it still is.
const OTHERS_EVERY: Duration = Duration::from_millis(100);

/// The right to work in a cached repository, which one has at a time, of all tasks and all processes.
#[derive(Debug)]
pub(super) struct Turn {
    /// Git has it as well: should this process die, the next one waits until git is done.
    pub(super) lock: File,
    _mine: OwnedMutexGuard<()>,
}

impl Repositories {
    /// Waits for those who work in the repository of this name. That it was used is noted.
    pub(super) async fn turn(&self, name: &str) -> Result<Turn, DispatchError> {
        let mine = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(locks.entry(name.to_owned()).or_default())
        };
        let mine = mine.lock_owned().await;
        let lock = self.open_lock(name).map_err(|error| unusable(&error))?;
        wait_for(&lock).await?;
        lock.set_modified(SystemTime::now())
            .map_err(|error| unusable(&error))?;
        Ok(Turn { lock, _mine: mine })
    }

    fn open_lock(&self, name: &str) -> io::Result<File> {
        let path = self.lock_file(name);
        make_private(&self.folder)?;
        fs::create_dir_all(path.parent().unwrap_or(&path))?;
        let mut options = File::options();
        options.create(true).truncate(false).read(true).write(true);
        options.open(path)
    }
}

async fn wait_for(lock: &File) -> Result<(), DispatchError> {
    let until = Instant::now() + OTHERS_LIMIT;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if Instant::now() < until => tokio::time::sleep(OTHERS_EVERY).await,
            Err(TryLockError::WouldBlock) => {
                let detail = "another process is at work in the cached repository";
                return Err(DispatchError::new(FailureMarker::TimedOut, detail));
            }
            Err(TryLockError::Error(error)) => return Err(unusable(&error)),
        }
    }
}

/// Makes a folder that nobody else can look into, or makes one that is there so.
pub(super) fn make_private(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder.parent().unwrap_or(folder))?;
    match DirBuilder::new().mode(PRIVATE).create(folder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    match fs::metadata(folder)?.permissions().mode() & 0o777 {
        PRIVATE => Ok(()),
        _ => fs::set_permissions(folder, Permissions::from_mode(PRIVATE)),
    }
}

//! The SQLite store: connections, and the way of a piece of work to one of them and back.

mod connection;
mod deploys;
mod error;
mod files;
mod health;
mod open;
mod open_error;
mod pool;
mod probe;
mod reserve;
mod schema;
mod seal;
mod stats;
mod workloads;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use rusqlite::{Connection, Transaction};
use shipslog_core::store::StoreError;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Mutex, OwnedMutexGuard};

use connection::{Place, writing};
use error::Failure;
pub use open_error::OpenError;
use pool::Pool;
use reserve::Reserve;
use seal::Seal;
use stats::Present;

/// Everything in one SQLite database, in a file or in memory. Clones share it.
///
/// One connection writes workloads and the ledger and syncs at every commit, one writes samples and does not, and a few
/// read. Writers take turns in the order in which they came, readers never wait for them. No method blocks the runtime:
/// the work is done on its blocking threads, and goes on to its end when the caller stops waiting. Only a tick, which is
/// short and comes often, is recorded on the caller's own thread, if other threads go on with the caller's other tasks.
#[derive(Debug, Clone)]
pub struct SqliteStore {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    place: Place,
    seal: Seal,
    readers: Pool,
    writers: Arc<Mutex<Writers>>,
    /// Counts the changes to what is not newer than all before it.
    rewritten: AtomicU64,
    /// Counts the ticks that were newer than all before them.
    appended: AtomicU64,
}

/// Both connections that write: SQLite lets one write at a time, so whoever writes holds both.
#[derive(Debug)]
struct Writers {
    ledger: Connection,
    samples: Connection,
    /// The containers of the newest tick. `None` until they are needed, and after any change that they did not follow.
    present: Option<Present>,
    /// `None` in memory.
    reserve: Option<Reserve>,
    /// Keeps other processes out, until the last connection that writes is closed. `None` in memory.
    _lock: Option<File>,
}

/// How a database is opened.
///
/// ```
/// use std::time::Duration;
///
/// let options = shipslog_store::SqliteOptions::default().with_busy_timeout(Duration::from_secs(1)).with_readers(2);
/// # let _ = options;
/// ```
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct SqliteOptions {
    busy_timeout: Duration,
    readers: usize,
}

impl Default for SqliteOptions {
    fn default() -> Self {
        Self {
            busy_timeout: Duration::from_secs(5),
            readers: 4,
        }
    }
}

impl SqliteOptions {
    /// How long to wait for another program that has the file locked, such as an operator's `sqlite3` shell, before
    /// [`StoreError::Busy`]. 5 seconds unless set.
    #[must_use]
    pub fn with_busy_timeout(mut self, wait: Duration) -> Self {
        self.busy_timeout = wait;
        self
    }

    /// How many readers may read side by side, at least 1. 4 unless set.
    #[must_use]
    pub fn with_readers(mut self, readers: usize) -> Self {
        self.readers = readers.max(1);
        self
    }
}

impl SqliteStore {
    /// Opens the database file at `path`, or makes it and the directories above it when there is none.
    ///
    /// Beside the file stand its key (`<path>.key`), its lock (`<path>.lock`), SQLite's own `-wal` and `-shm`, and from
    /// the first pruning on 16 MiB of reserve (`<path>.reserve`). All of them are readable by their owner only. The key
    /// seals specs: back it up with the database, and apart from it.
    ///
    /// It reads and may migrate the file, so it blocks: call it before serving, or on a blocking thread.
    ///
    /// # Errors
    /// [`OpenError`] with what is wrong and what to do. No error leaves an empty database behind, and none replaces one.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_with(path, SqliteOptions::default())
    }

    /// As [`open`](Self::open), with options.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn open_with(path: impl AsRef<Path>, options: SqliteOptions) -> Result<Self, OpenError> {
        open::file(path.as_ref(), options)
    }

    /// A new database in memory, for tests and examples: it is gone with the last clone, and holds at most 1 GiB.
    ///
    /// # Errors
    /// [`OpenError::Failed`] when there is not enough memory.
    pub fn in_memory() -> Result<Self, OpenError> {
        open::memory(SqliteOptions::default())
    }

    /// Reads in one transaction, so that all of `work` sees one state.
    async fn read<T, F>(&self, operation: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &Seal) -> Result<T, Failure> + Send + 'static,
    {
        let closed = || StoreError::Unavailable {
            operation,
            source: "no connection is left".into(),
        };
        let mut lease = self.shared.readers.lend().await.ok_or_else(closed)?;
        let shared = Arc::clone(&self.shared);
        blocking(operation, move || {
            work(&lease.connection.transaction()?, &shared.seal)
        })
        .await
    }

    /// Writes workloads or the ledger in one transaction, durably.
    async fn write<T, F>(&self, operation: &'static str, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Transaction<'_>, &Seal) -> Result<T, Failure> + Send + 'static,
    {
        let mut writers = self.writers().await;
        let shared = Arc::clone(&self.shared);
        blocking(operation, move || {
            let tx = writing(&mut writers.ledger)?;
            let done = work(&tx, &shared.seal)?;
            tx.commit()?;
            Ok(done)
        })
        .await
    }

    /// Waits for the turn to write.
    async fn writers(&self) -> OwnedMutexGuard<Writers> {
        Arc::clone(&self.shared.writers).lock_owned().await
    }
}

/// Does blocking work that is short and comes often where the caller is, if the runtime has other threads to go on with.
///
/// Waking a thread and being woken by it costs about half of what a tick of 100 samples does. In exchange the caller's task
/// does nothing else meanwhile, so this is not for work that may take long.
async fn blocking_in_place<T, F>(operation: &'static str, work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Failure> + Send + 'static,
{
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => {
            tokio::task::block_in_place(work).map_err(|failure| failure.during(operation))
        }
        _ => blocking(operation, work).await,
    }
}

/// Does blocking work on a thread for it.
async fn blocking<T, F>(operation: &'static str, work: F) -> Result<T, StoreError>
where
    T: Send + 'static,
    F: FnOnce() -> Result<T, Failure> + Send + 'static,
{
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done.map_err(|failure| failure.during(operation)),
        Err(lost) => Err(StoreError::Unavailable {
            operation,
            source: lost.into(),
        }),
    }
}

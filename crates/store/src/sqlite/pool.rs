//! The readers.

use std::sync::Arc;

use rusqlite::Connection;
use tokio::sync::{Mutex, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};

/// A fixed number of connections, lent one at a time.
#[derive(Debug)]
pub(super) struct Pool {
    connections: Vec<Arc<Mutex<Connection>>>,
    permits: Arc<Semaphore>,
}

/// A connection on loan; dropping it gives it back.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) connection: OwnedMutexGuard<Connection>,
    // After the connection, because fields drop in this order: whoever holds a permit finds a connection free.
    _permit: OwnedSemaphorePermit,
}

impl Pool {
    pub(super) fn new(connections: Vec<Connection>) -> Self {
        let permits = Arc::new(Semaphore::new(connections.len()));
        let share = |connection| Arc::new(Mutex::new(connection));
        Self {
            connections: connections.into_iter().map(share).collect(),
            permits,
        }
    }

    /// Waits for a connection. `None` would mean that the pool is empty or closed, which it never is.
    pub(super) async fn lend(&self) -> Option<Lease> {
        let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
        let free = |connection: &Arc<Mutex<Connection>>| Arc::clone(connection).try_lock_owned().ok();
        let connection = self.connections.iter().find_map(free)?;
        Some(Lease {
            connection,
            _permit: permit,
        })
    }
}

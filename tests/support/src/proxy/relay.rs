//! Carries bytes between the two ends of each connection, at the pace it is told.

use std::io;
use std::net::Shutdown;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use super::stream::Stream;

const BUFFER: usize = 16 * 1024;
const CHUNKS_PER_SECOND: u64 = 20;

/// The connections under way and what holds them back.
#[derive(Debug, Default)]
pub(super) struct Relay {
    connections: Mutex<Vec<Weak<Connection>>>,
    frozen: Mutex<bool>,
    thawed: Condvar,
    /// Bytes a second from target to client, each connection for itself; 0 is unlimited.
    rate: AtomicU64,
    /// Bytes delivered so far, both directions together.
    passed: AtomicU64,
}

/// Held by its two pumps alone, so it closes when both have ended.
#[derive(Debug)]
struct Connection {
    client: Stream,
    target: Stream,
}

impl Relay {
    pub(super) fn carry(self: &Arc<Self>, client: Stream, target: Stream) {
        let upward = Arc::new(Connection { client, target });
        let downward = Arc::clone(&upward);
        self.remember(&upward);
        let relay = Arc::clone(self);
        thread::spawn(move || relay.pump(&upward.client, &upward.target, || 0));
        let relay = Arc::clone(self);
        thread::spawn(move || relay.pump(&downward.target, &downward.client, || relay.rate()));
    }

    pub(super) fn close_all(&self) {
        for connection in lock(&self.connections)
            .drain(..)
            .filter_map(|known| known.upgrade())
        {
            connection.client.shut(Shutdown::Both);
            connection.target.shut(Shutdown::Both);
        }
    }

    pub(super) fn freeze(&self, frozen: bool) {
        *lock(&self.frozen) = frozen;
        self.thawed.notify_all();
    }

    pub(super) fn limit(&self, bytes_per_second: u64) {
        self.rate.store(bytes_per_second, Ordering::Relaxed);
    }

    pub(super) fn passed(&self) -> u64 {
        self.passed.load(Ordering::Relaxed)
    }

    pub(super) fn open_connections(&self) -> usize {
        lock(&self.connections)
            .iter()
            .filter(|known| known.strong_count() > 0)
            .count()
    }

    fn rate(&self) -> u64 {
        self.rate.load(Ordering::Relaxed)
    }

    fn remember(&self, connection: &Arc<Connection>) {
        let mut connections = lock(&self.connections);
        connections.retain(|known| known.strong_count() > 0);
        connections.push(Arc::downgrade(connection));
    }

    /// Passes the end of `from` on to `to`; an error ends both directions.
    fn pump(&self, from: &Stream, to: &Stream, rate: impl Fn() -> u64) {
        if self.copy(from, to, rate).is_ok() {
            return to.shut(Shutdown::Write);
        }
        from.shut(Shutdown::Both);
        to.shut(Shutdown::Both);
    }

    fn copy(&self, from: &Stream, to: &Stream, rate: impl Fn() -> u64) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        loop {
            let read = from.receive(&mut buffer[..chunk_size(rate())])?;
            if read == 0 {
                return Ok(());
            }
            self.wait_while_frozen();
            to.send(&buffer[..read])?;
            self.passed.fetch_add(read as u64, Ordering::Relaxed);
            thread::sleep(duration_of(read, rate()));
        }
    }

    fn wait_while_frozen(&self) {
        let frozen = lock(&self.frozen);
        drop(self.thawed.wait_while(frozen, |frozen| *frozen));
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn chunk_size(rate: u64) -> usize {
    match rate {
        0 => BUFFER,
        _ => usize::try_from(rate / CHUNKS_PER_SECOND)
            .unwrap_or(BUFFER)
            .clamp(1, BUFFER),
    }
}

fn duration_of(bytes: usize, rate: u64) -> Duration {
    match rate {
        0 => Duration::ZERO,
        _ => Duration::from_secs_f64(bytes as f64 / rate as f64),
    }
}

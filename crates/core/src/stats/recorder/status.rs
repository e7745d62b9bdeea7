//! What stored sampling got done, for those who watch over it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::TickError;
use crate::stats::Tick;

/// What a [`Recorder`](super::Recorder) got done. Cheap to clone; clones share all.
///
/// ```
/// use shipslog_core::stats::RecorderStatus;
///
/// let status = RecorderStatus::default();
/// assert_eq!((status.progress().recorded, status.progress().newest), (0, None));
/// ```
#[derive(Debug, Clone, Default)]
pub struct RecorderStatus(Arc<Mutex<State>>);

/// What was recorded up to a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderProgress {
    /// Ticks that were written.
    pub recorded: u64,
    /// Ticks that were not written because the engine did not answer.
    pub without_engine: u64,
    /// Ticks that were not written because the store did not answer.
    pub without_store: u64,
    /// Unix seconds of the tick that was written last; `None` before the first.
    pub newest: Option<i64>,
    /// Time since it was written; before the first, since the [`RecorderStatus`] was made. The time of day does not
    /// matter for it.
    pub since: Duration,
}

#[derive(Debug)]
struct State {
    recorded: u64,
    without_engine: u64,
    without_store: u64,
    newest: Option<i64>,
    at: Instant,
}

impl Default for State {
    fn default() -> Self {
        Self {
            recorded: 0,
            without_engine: 0,
            without_store: 0,
            newest: None,
            at: Instant::now(),
        }
    }
}

impl RecorderStatus {
    /// What was recorded until now.
    pub fn progress(&self) -> RecorderProgress {
        let state = self.lock();
        RecorderProgress {
            recorded: state.recorded,
            without_engine: state.without_engine,
            without_store: state.without_store,
            newest: state.newest,
            since: state.at.elapsed(),
        }
    }

    pub(super) fn note(&self, tick: Result<&Tick, &TickError>) {
        let mut state = self.lock();
        match tick {
            Ok(tick) => state.note_recorded(tick.ts),
            Err(TickError::Engine(_)) => state.without_engine += 1,
            Err(TickError::Store(_)) => state.without_store += 1,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn note_recorded(&mut self, ts: i64) {
        self.recorded += 1;
        self.newest = Some(ts);
        self.at = Instant::now();
    }
}

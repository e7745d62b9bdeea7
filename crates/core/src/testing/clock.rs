use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::time::{Clock, Timestamp};

/// A clock that stands still until it is moved.
///
/// ```
/// use std::time::Duration;
///
/// use shipslog_core::testing::ManualClock;
/// use shipslog_core::time::{Clock, Timestamp};
///
/// let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
/// clock.advance(Duration::from_secs(90));
/// assert_eq!(clock.now().as_second(), 90);
/// clock.set(Timestamp::UNIX_EPOCH);
/// assert_eq!(clock.now().as_second(), 0);
/// ```
#[derive(Debug)]
pub struct ManualClock(Mutex<Timestamp>);

impl ManualClock {
    /// A clock that shows `now`.
    pub fn new(now: Timestamp) -> Self {
        Self(Mutex::new(now))
    }

    /// Moves it on. At the end of representable time it stops.
    pub fn advance(&self, by: Duration) {
        let later = self.now().checked_add(by).unwrap_or(Timestamp::MAX);
        self.set(later);
    }

    /// Moves it to any time, also back.
    pub fn set(&self, now: Timestamp) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = now;
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The system's clock.

use shipslog_core::time::{Clock, Timestamp};

/// Tells the time of day by the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}

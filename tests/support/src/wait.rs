//! Waiting for the outside world.

use std::thread;
use std::time::{Duration, Instant};

const PAUSE: Duration = Duration::from_millis(50);

/// Asks `condition` every 50 ms until it holds; false if it never did within `timeout`.
///
/// It is asked at least once, and a last time when the time is up.
#[must_use = "assert that the condition came to hold"]
pub fn wait_until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    while Instant::now() < deadline {
        if condition() {
            return true;
        }
        thread::sleep(PAUSE);
    }
    condition()
}

//! A thread that accepts connections until it is told to stop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const PAUSE: Duration = Duration::from_millis(5);

/// Accepts until dropped; the drop returns when the listener is closed.
#[derive(Debug)]
pub(crate) struct Acceptor {
    stopping: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    /// Calls `accept` over and over. It owns a non-blocking listener, takes at most one connection
    /// a call, and answers with an error when there was none.
    pub(crate) fn spawn(mut accept: impl FnMut() -> io::Result<()> + Send + 'static) -> Self {
        let stopping = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&stopping);
        let thread = thread::spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                if accept().is_err() {
                    thread::sleep(PAUSE);
                }
            }
        });
        Self {
            stopping,
            thread: Some(thread),
        }
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

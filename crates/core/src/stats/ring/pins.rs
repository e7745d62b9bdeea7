//! Which chunks are being read.

use super::sync::{AtomicUsize, Ordering, Padded, store_before_load, thread_number, yield_now};

/// How many readers can copy at the same instant; one more waits for one of them, the writer for none.
pub(super) const PINS: usize = if cfg!(loom) { 1 } else { 8 };

const IDLE: usize = 0;

/// One place for each reader that copies, in which it says from which chunk.
///
/// A reader pins the chunk that it found in the directory and then looks whether the chunk is still there; the writer
/// takes a chunk out of the directory and then looks whether it is pinned. Whoever comes second sees the other.
pub(super) struct Pins([Padded<AtomicUsize>; PINS]);

impl Pins {
    pub(super) fn new() -> Self {
        Self(std::array::from_fn(|_| Padded(AtomicUsize::new(IDLE))))
    }

    /// Pins `chunk`. Threads begin to look at different places, so that they seldom meet.
    pub(super) fn pin(&self, chunk: usize) -> Pin<'_> {
        let first = thread_number();
        loop {
            for offset in 0..PINS {
                if let Some(pin) = Pin::take(&self.0[(first.wrapping_add(offset)) % PINS], chunk) {
                    return pin;
                }
            }
            yield_now();
        }
    }

    /// Whether a reader may be in `chunk`, which no reader can find any more.
    pub(super) fn is_pinned(&self, chunk: usize) -> bool {
        self.0
            .iter()
            .any(|place| place.load(Ordering::SeqCst) == name(chunk))
    }
}

/// A reader's hold on one chunk: the writer writes to another until this is dropped or moved on.
pub(super) struct Pin<'a>(&'a AtomicUsize);

impl<'a> Pin<'a> {
    fn take(place: &'a AtomicUsize, chunk: usize) -> Option<Self> {
        if place.load(Ordering::Relaxed) != IDLE {
            return None;
        }
        place
            .compare_exchange(IDLE, name(chunk), Ordering::SeqCst, Ordering::Relaxed)
            .ok()?;
        store_before_load();
        Some(Self(place))
    }

    /// Lets go of the chunk, and pins `chunk`.
    pub(super) fn move_to(&mut self, chunk: usize) {
        self.0.store(name(chunk), Ordering::SeqCst);
        store_before_load();
    }
}

impl Drop for Pin<'_> {
    fn drop(&mut self) {
        self.0.store(IDLE, Ordering::Release);
    }
}

/// A chunk in a place: any number but that of no chunk.
fn name(chunk: usize) -> usize {
    chunk + 1
}

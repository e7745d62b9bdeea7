//! What the ring shares between threads, taken from std; in a build with `--cfg loom` from loom, which runs the tests
//! through the orders in which threads can meet.

#[cfg(loom)]
pub(super) use loom::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
#[cfg(loom)]
pub(super) use loom::sync::{Mutex, MutexGuard};
#[cfg(loom)]
pub(super) use loom::thread::yield_now;
#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
#[cfg(not(loom))]
pub(super) use std::sync::{Mutex, MutexGuard};
#[cfg(not(loom))]
pub(super) use std::thread::yield_now;

use std::ops::Deref;

/// A value on cache lines of its own, two of them because processors fetch lines in pairs.
#[repr(align(128))]
pub(super) struct Padded<V>(pub(super) V);

impl<V> Deref for Padded<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.0
    }
}

/// Keeps a store before it ahead of the loads after it.
///
/// On both sides these stores and loads are `SeqCst`, which is all that the language asks for. loom knows that order of
/// fences alone, so there it gets one.
#[inline]
pub(super) fn store_before_load() {
    #[cfg(loom)]
    loom::sync::atomic::fence(Ordering::SeqCst);
}

/// Locks; what a panic left behind is whole, because nothing under the lock can panic half-way.
pub(super) fn lock<V>(mutex: &Mutex<V>) -> MutexGuard<'_, V> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A number that differs from thread to thread.
#[cfg(not(loom))]
pub(super) fn thread_number() -> usize {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    thread_local!(static NUMBER: usize = NEXT.fetch_add(1, Ordering::Relaxed));
    NUMBER.with(|number| *number)
}

/// One number for all: loom has few threads, and they are to meet.
#[cfg(loom)]
pub(super) fn thread_number() -> usize {
    0
}

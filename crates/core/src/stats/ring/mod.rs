//! A bounded buffer of the latest items, for readers that poll.

#[expect(
    unsafe_code,
    reason = "items are copied while other slots are written, which no type of std allows"
)]
mod chunks;
mod cursor;
#[cfg(all(test, loom))]
mod loom_tests;
mod pins;
#[expect(
    unsafe_code,
    reason = "items are copied while other slots are written, which no type of std allows"
)]
mod slots;
mod sync;

use std::fmt;

use uuid::{NoContext, Timestamp, Uuid};

use chunks::Chunks;
pub use cursor::{Cursor, InvalidCursor};

/// Items that a buffer holds unless told otherwise.
const DEFAULT_CAPACITY: usize = 3_000;

/// The latest items of a stream, for any number of readers that ask from time to time what is new.
///
/// A push overwrites the oldest item once the buffer is full. Each reader keeps a [`Cursor`], and [`Self::since`] tells
/// it what came after, and how much of that was overwritten before it asked. Any thread may push and any may read: writers
/// take turns, a writer never waits for a reader, and a reader neither for a writer nor, up to 8 that copy at the same
/// instant, for other readers. Memory is taken when the buffer is made and never again: that of the items, and of 10
/// chunks, each between a 16th and an 8th of the capacity or 8 items, that readers may be copying from while they are
/// replaced.
///
/// ```
/// use shipslog_core::stats::{Cursor, RingBuffer};
///
/// let ring = RingBuffer::new(3);
/// (5..=7).for_each(|item| ring.push(item));
/// let first = ring.since(Cursor::START);
/// assert_eq!((first.items, first.missed), (vec![5, 6, 7], 0));
///
/// (8..=11).for_each(|item| ring.push(item));
/// let second = ring.since(first.next);
/// assert_eq!((second.items, second.missed), (vec![9, 10, 11], 1));
/// assert!(ring.since(second.next).items.is_empty());
/// ```
pub struct RingBuffer<T> {
    epoch: u64,
    capacity: usize,
    chunks: Chunks<T>,
}

/// How a read into a vector of the caller's ended, see [`RingBuffer::since_into`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Where to go on.
    pub next: Cursor,
    /// Items after the cursor that were overwritten before this read. 0 for a cursor of no buffer or another one.
    pub missed: u64,
    /// The cursor was another buffer's, such as one from before a restart, and everything that is there was read.
    pub restarted: bool,
}

/// The items after a cursor, see [`RingBuffer::since`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch<T> {
    /// The items, the oldest first.
    pub items: Vec<T>,
    /// Where to go on.
    pub next: Cursor,
    /// Items after the cursor that were overwritten before this read. 0 for a cursor of no buffer or another one.
    pub missed: u64,
    /// The cursor was another buffer's, such as one from before a restart, and everything that is there was read.
    pub restarted: bool,
}

impl<T: Copy + Send> RingBuffer<T> {
    /// An empty buffer for the latest `capacity` items; 0 is taken as 1. Panics if that much memory cannot be had.
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.max(1);
        Self::over(Chunks::new(capacity), capacity)
    }

    fn over(chunks: Chunks<T>, capacity: usize) -> Self {
        Self {
            epoch: random_epoch(),
            capacity,
            chunks,
        }
    }

    /// Appends an item. The oldest one is overwritten if the buffer is full.
    #[inline]
    pub fn push(&self, item: T) {
        self.chunks.push(item);
    }

    /// The items after the cursor, the oldest first.
    ///
    /// A cursor past the end, which the buffer has not given out yet, is answered with nothing and the present end. One
    /// of another buffer is answered from the start. See [`Self::since_into`] for reads that are overtaken.
    #[inline]
    pub fn since(&self, cursor: Cursor) -> Batch<T> {
        if let Some(end) = self.end_if_reached(cursor) {
            return self.read_to(end, 0).with(Vec::new());
        }
        let mut items = Vec::new();
        self.copy_after(cursor, &mut items).with(items)
    }

    /// Appends the items after the cursor to `into`, the oldest first; allocates only if they do not fit there.
    ///
    /// The items are in a row without a gap. Writers do not wait: if they overwrite what is yet to be copied, the read
    /// ends before that, `next` says where, and the read after counts what was missed.
    #[inline]
    pub fn since_into(&self, cursor: Cursor, into: &mut Vec<T>) -> Read {
        match self.end_if_reached(cursor) {
            Some(end) => self.read_to(end, 0),
            None => self.copy_after(cursor, into),
        }
    }

    /// The latest item, if there was one.
    pub fn latest(&self) -> Option<T> {
        loop {
            let seq = self.pushed().checked_sub(1)?;
            if let Some(item) = self.chunks.get(seq) {
                return Some(item);
            }
        }
    }

    /// How many items are there now.
    pub fn len(&self) -> usize {
        usize::try_from(self.pushed()).map_or(self.capacity, |pushed| pushed.min(self.capacity))
    }

    /// Whether nothing was pushed yet.
    pub fn is_empty(&self) -> bool {
        self.pushed() == 0
    }

    /// The most items that are kept.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// How many items were pushed since the buffer was made.
    pub fn pushed(&self) -> u64 {
        self.chunks.pushed()
    }

    /// The cursor after the first `seq` items that were pushed, whether they are still there, gone or yet to come.
    pub fn cursor_at(&self, seq: u64) -> Cursor {
        Cursor {
            epoch: self.epoch,
            seq,
        }
    }

    /// The end, if nothing comes after the cursor.
    #[inline]
    fn end_if_reached(&self, cursor: Cursor) -> Option<u64> {
        let pushed = self.chunks.pushed();
        (cursor.is_of(self) && cursor.seq >= pushed).then_some(pushed)
    }

    fn copy_after(&self, cursor: Cursor, into: &mut Vec<T>) -> Read {
        let known = cursor.is_of(self);
        let read = self.copy_from(known.then_some(cursor.seq), into);
        let restarted = !known && cursor != Cursor::START;
        Read { restarted, ..read }
    }

    /// Copies what is there from `seq` on, or all of it. Items that are overwritten before the first could be copied are
    /// missed, and the read begins again with what is there then.
    fn copy_from(&self, seq: Option<u64>, into: &mut Vec<T>) -> Read {
        loop {
            let pushed = self.chunks.pushed();
            let oldest = pushed.saturating_sub(self.capacity as u64);
            let from = seq.map_or(oldest, |seq| seq.max(oldest));
            let end = self.chunks.copy(from..pushed, into);
            if end > from || from == pushed {
                return self.read_to(end, seq.map_or(0, |seq| from - seq));
            }
        }
    }

    fn read_to(&self, seq: u64, missed: u64) -> Read {
        Read {
            next: self.cursor_at(seq),
            missed,
            restarted: false,
        }
    }
}

impl Read {
    fn with<T>(self, items: Vec<T>) -> Batch<T> {
        Batch {
            items,
            next: self.next,
            missed: self.missed,
            restarted: self.restarted,
        }
    }
}

impl<T: Copy + Send> Default for RingBuffer<T> {
    /// An empty buffer for the latest 3,000 items.
    fn default() -> Self {
        Self::new(DEFAULT_CAPACITY)
    }
}

impl<T: Copy + Send> fmt::Debug for RingBuffer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RingBuffer")
            .field("capacity", &self.capacity)
            .field("pushed", &self.pushed())
            .finish_non_exhaustive()
    }
}

/// 62 random bits and the two that mark the variant of a UUID, one of which is set: never 0.
fn random_epoch() -> u64 {
    let random = Uuid::new_v7(Timestamp::from_unix(NoContext, 0, 0));
    random.as_u64_pair().1
}

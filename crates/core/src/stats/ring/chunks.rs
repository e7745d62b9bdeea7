//! The buffer's memory: chunks of slots that are filled once, read without a lock, and used again.
//!
//! Items are numbered as they are pushed. Item `seq` stands in the chunk with the number `seq >> shift`, and the directory
//! says where in memory that chunk is. An item is published by the store to `pushed`, after which nobody writes to its slot
//! until the chunk is used again: readers copy plain memory that does not change.
//!
//! A chunk that leaves the directory becomes a spare, and the next chunk is made of a spare that no reader has pinned. There
//! is one spare more than there are pins, so there always is one: the writer never waits for a reader, and no reader for
//! the writer.

use std::ops::Range;

use super::pins::{PINS, Pin, Pins};
use super::slots::Slots;
use super::sync::{AtomicU64, Mutex, Ordering, Padded, lock, store_before_load, yield_now};

/// Bits of a directory entry that say where in memory the chunk is; the others hold its number.
const PLACE_BITS: u32 = 8;

/// How many chunks hold the items of one buffer, about: enough that spare ones add little, and so
/// few that a read of a hundred items pins one or two.
const CHUNKS: usize = 16;

/// The fewest slots in a chunk, so that small buffers do not open one at every push.
const MIN_CHUNK: usize = 8;

/// Items in the order in which they were pushed, of which the last ones can be had.
pub(super) struct Chunks<T> {
    slots: Slots<T>,
    shift: u32,
    directory: Box<[AtomicU64]>,
    pins: Pins,
    pushed: Padded<AtomicU64>,
    writer: Padded<Mutex<Writer>>,
}

/// What whoever pushes needs to know.
struct Writer {
    /// The chunk that the next item goes to, unless it is the first of a new one.
    open: usize,
    /// Chunks that are not in the directory.
    spare: Vec<usize>,
}

impl<T: Copy + Send> Chunks<T> {
    /// Chunks of which at least the last `capacity` items can be had.
    pub(super) fn new(capacity: usize) -> Self {
        let len = capacity.div_ceil(CHUNKS).next_power_of_two().max(MIN_CHUNK);
        Self::with_chunks_of(len.trailing_zeros(), capacity)
    }

    /// As [`Self::new`], with chunks of `1 << shift` slots, of which there may be 200 at most.
    pub(super) fn with_chunks_of(shift: u32, capacity: usize) -> Self {
        // One more than are full, because the items of a full buffer seldom begin with a chunk.
        let listed = capacity.div_ceil(1 << shift) + 1;
        let chunks = listed + PINS + 1;
        debug_assert!(chunks <= 1 << PLACE_BITS);
        Self {
            slots: Slots::new(chunks.saturating_mul(1 << shift)),
            shift,
            directory: (0..listed).map(|_| AtomicU64::new(0)).collect(),
            pins: Pins::new(),
            pushed: Padded(AtomicU64::new(0)),
            writer: Padded(Mutex::new(Writer {
                open: 0,
                spare: (0..chunks).rev().collect(),
            })),
        }
    }

    /// How many items were pushed; all of them are there for whoever saw this number, until their chunk is used again.
    #[inline]
    pub(super) fn pushed(&self) -> u64 {
        self.pushed.load(Ordering::Acquire)
    }

    /// Appends an item.
    #[inline]
    pub(super) fn push(&self, item: T) {
        let mut writer = lock(&self.writer);
        let seq = self.pushed.load(Ordering::Relaxed);
        if self.offset(seq) == 0 {
            self.open(&mut writer, seq >> self.shift);
        }
        // SAFETY: The lock excludes other writers. No reader is in the slot: it reads items below `pushed` only, so not
        // this one, and when the chunk was opened no reader was left in it with an earlier item (see `open`).
        unsafe { self.slots.write(self.slot(writer.open, seq), item) };
        self.pushed.store(seq + 1, Ordering::Release);
    }

    /// Makes a spare chunk the one with the given number, and the one that had its place in the directory a spare.
    ///
    /// The spare left the directory when an earlier chunk was opened, by a `SeqCst` store. A reader that pinned it and
    /// then still found it in the directory did so before that store in the one order of all `SeqCst` operations, so its pin
    /// comes before the look at the pins here, which therefore sees it, or that the reader has let go, which happens
    /// after its last read.
    #[cold]
    fn open(&self, writer: &mut Writer, number: u64) {
        store_before_load();
        let chunk = self.take_spare(writer);
        let entry = self.entry(number);
        let former = entry.load(Ordering::Relaxed);
        entry.store(pack(number, chunk), Ordering::SeqCst);
        if former != 0 {
            writer.spare.push(place(former));
        }
        writer.open = chunk;
    }

    /// A spare chunk without a reader. Readers can pin all spares but one, so the search does not come round again; if
    /// ever it did, waiting is better than writing under a reader's hands.
    fn take_spare(&self, writer: &mut Writer) -> usize {
        loop {
            let free = |chunk: &usize| !self.pins.is_pinned(*chunk);
            if let Some(index) = writer.spare.iter().rposition(free) {
                return writer.spare.swap_remove(index);
            }
            yield_now();
        }
    }

    /// Appends the items in `range`, which ends at what [`Self::pushed`] returned or before, to `into`, and says which
    /// is the first that could not be had any more: the end of the range, or less.
    pub(super) fn copy(&self, range: Range<u64>, into: &mut Vec<T>) -> u64 {
        into.reserve((range.end - range.start) as usize);
        let mut at = range.start;
        let mut pin = None;
        while at < range.end {
            let Some(chunk) = self.hold(at, &mut pin) else {
                break;
            };
            let end = range.end.min(((at >> self.shift) + 1) << self.shift);
            let slot = self.slot(chunk, at);
            // SAFETY: The items are below `pushed`, whose load happens after their writes. The chunk was in the directory
            // when it was pinned, so no writer opens it again before the pin moves on (see `open`).
            unsafe { self.slots.copy(slot..slot + (end - at) as usize, into) };
            at = end;
        }
        at
    }

    /// The item with this number, which is below what [`Self::pushed`] returned, if it can still be had.
    pub(super) fn get(&self, seq: u64) -> Option<T> {
        let mut pin = None;
        let chunk = self.hold(seq, &mut pin)?;
        // SAFETY: As in `copy`, and `pin` lives until the end of the function.
        Some(unsafe { self.slots.read(self.slot(chunk, seq)) })
    }

    /// Pins the chunk of an item, with a new pin or with the one that is there, and says where it is in memory. `None`
    /// if the chunk has left the directory.
    fn hold<'a>(&'a self, seq: u64, pin: &mut Option<Pin<'a>>) -> Option<usize> {
        let number = seq >> self.shift;
        let entry = self.entry(number);
        // Whoever sees that the chunk is gone also sees how far the writer is, so that to try again is of use.
        let found = entry.load(Ordering::Acquire);
        if found >> PLACE_BITS != number + 1 {
            return None;
        }
        match pin {
            Some(pin) => pin.move_to(place(found)),
            None => *pin = Some(self.pins.pin(place(found))),
        }
        (entry.load(Ordering::SeqCst) == found).then(|| place(found))
    }

    fn entry(&self, number: u64) -> &AtomicU64 {
        &self.directory[(number % self.directory.len() as u64) as usize]
    }

    /// Where in memory the slot of an item is, given where its chunk is.
    fn slot(&self, chunk: usize, seq: u64) -> usize {
        (chunk << self.shift) + self.offset(seq)
    }

    fn offset(&self, seq: u64) -> usize {
        seq as usize & ((1 << self.shift) - 1)
    }
}

/// A directory entry: the chunk's number plus 1, so that none is 0, and its place in memory.
fn pack(number: u64, chunk: usize) -> u64 {
    (number + 1) << PLACE_BITS | chunk as u64
}

fn place(entry: u64) -> usize {
    (entry & ((1 << PLACE_BITS) - 1)) as usize
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// Chunks of 2 items, of which 3 are listed.
    fn chunks() -> Chunks<u64> {
        Chunks::with_chunks_of(1, 4)
    }

    #[test]
    fn a_chunk_is_not_used_again_while_a_reader_is_in_it() {
        let chunks = chunks();
        let mut pins = Vec::new();
        let mut next = 0;
        for _ in 0..PINS {
            chunks.push(next);
            let mut pin = None;
            let chunk = chunks.hold(next, &mut pin).unwrap();
            pins.push((pin, chunk, next));
            (next + 1..next + 20).for_each(|item| chunks.push(item));
            next += 20;
        }
        (next..next + 1_000).for_each(|item| chunks.push(item));
        for (pin, chunk, item) in pins {
            // SAFETY: The chunk was found in the directory after it was pinned, and the pin is still there.
            assert_eq!(unsafe { chunks.slots.read(chunks.slot(chunk, item)) }, item);
            drop(pin);
        }
        assert_eq!(chunks.get(next + 999), Some(next + 999));
    }

    #[test]
    fn memory_stays_what_it_was() {
        let chunks = chunks();
        let spare = |chunks: &Chunks<u64>| {
            let writer = lock(&chunks.writer);
            (writer.spare.capacity(), writer.spare.as_ptr())
        };
        let before = spare(&chunks);
        (0..1_000).for_each(|item| chunks.push(item));
        assert_eq!(spare(&chunks), before);
    }

    #[test]
    fn an_item_whose_chunk_left_the_directory_is_not_found() {
        let chunks = chunks();
        (0..9).for_each(|item| chunks.push(item));
        let mut items = Vec::new();
        assert_eq!((chunks.copy(0..9, &mut items), items.len()), (0, 0));
        assert_eq!(chunks.get(3), None);
        assert_eq!((chunks.copy(4..9, &mut items), items), (9, vec![4, 5, 6, 7, 8]));
    }

    #[test]
    fn a_reader_without_a_place_waits_for_another_reader_alone() {
        let chunks = chunks();
        chunks.push(7);
        let mut pins: Vec<_> = (0..PINS).map(|_| chunks.pins.pin(0)).collect();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| chunks.get(0));
            (8..100).for_each(|item| chunks.push(item));
            pins.pop();
            // The reader may come after the pushes, when its item is gone.
            assert!(matches!(reader.join(), Ok(None | Some(7))));
        });
    }

    #[test]
    fn every_capacity_has_chunks_that_an_entry_can_name() {
        for capacity in [1, 7, 8, 9, 511, 512, 513, 3_000, 4_097] {
            let chunks = Chunks::<u8>::new(capacity);
            let spare = lock(&chunks.writer).spare.len();
            assert!(spare <= 1 << PLACE_BITS, "{capacity}: {spare}");
            assert!(chunks.directory.len() > capacity >> chunks.shift, "{capacity}");
        }
    }
}

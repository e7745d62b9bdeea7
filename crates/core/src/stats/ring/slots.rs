//! Memory for items.

use std::mem::MaybeUninit;
use std::ops::Range;

#[cfg(loom)]
use loom::cell::UnsafeCell;
#[cfg(not(loom))]
use std::cell::UnsafeCell;

/// A fixed number of slots, each of which holds an item once it was written.
pub(super) struct Slots<T>(Box<[UnsafeCell<MaybeUninit<T>>]>);

// SAFETY: The cells are reached through `write`, `read` and `copy` alone, whose callers see to it that no write meets
// another access. Items go from the thread that writes to those that read by value, which is what `Send` allows.
unsafe impl<T: Send> Sync for Slots<T> {}

impl<T: Copy> Slots<T> {
    pub(super) fn new(count: usize) -> Self {
        Self(
            (0..count)
                .map(|_| UnsafeCell::new(MaybeUninit::uninit()))
                .collect(),
        )
    }
}

#[cfg(not(loom))]
impl<T: Copy> Slots<T> {
    /// Writes `item` to the slot.
    ///
    /// # Safety
    ///
    /// No other access to the slot happens at the same time: each happens before this call, or after it.
    pub(super) unsafe fn write(&self, index: usize, item: T) {
        // SAFETY: The pointer is of a cell in the box, so it is valid and aligned. The caller excludes other accesses.
        unsafe { self.0[index].get().write(MaybeUninit::new(item)) }
    }

    /// The item in the slot.
    ///
    /// # Safety
    ///
    /// The slot was written, which happens before this call, and the next write to it happens after.
    pub(super) unsafe fn read(&self, index: usize) -> T {
        // SAFETY: As above for the pointer. The caller says that an item is there and that nobody is writing to it.
        unsafe { self.0[index].get().read().assume_init() }
    }

    /// Appends the items in the slots to `into`.
    ///
    /// # Safety
    ///
    /// What [`Self::read`] asks for, for each of the slots.
    pub(super) unsafe fn copy(&self, range: Range<usize>, into: &mut Vec<T>) {
        let cells = &self.0[range];
        // SAFETY: `UnsafeCell` and `MaybeUninit` have the layout of what is in them, so this is the same memory, in
        // bounds and aligned. The caller says that all of it holds items and that none is written while the slice lives,
        // which ends with this function.
        let items = unsafe { std::slice::from_raw_parts(cells.as_ptr().cast::<T>(), cells.len()) };
        into.extend_from_slice(items);
    }
}

/// The same item by item, because loom checks every access to a cell of its own.
#[cfg(loom)]
impl<T: Copy> Slots<T> {
    /// See the other one.
    ///
    /// # Safety
    ///
    /// As there; loom fails the test otherwise.
    pub(super) unsafe fn write(&self, index: usize, item: T) {
        // SAFETY: loom gives a valid pointer. The caller excludes other accesses.
        self.0[index].with_mut(|slot| unsafe { slot.write(MaybeUninit::new(item)) });
    }

    /// See the other one.
    ///
    /// # Safety
    ///
    /// As there; loom fails the test otherwise.
    pub(super) unsafe fn read(&self, index: usize) -> T {
        // SAFETY: loom gives a valid pointer. The caller says that an item is there.
        self.0[index].with(|slot| unsafe { slot.read().assume_init() })
    }

    /// See the other one.
    ///
    /// # Safety
    ///
    /// As there; loom fails the test otherwise.
    pub(super) unsafe fn copy(&self, range: Range<usize>, into: &mut Vec<T>) {
        // SAFETY: The caller says of every slot what `read` asks for.
        into.extend(range.map(|index| unsafe { self.read(index) }));
    }
}

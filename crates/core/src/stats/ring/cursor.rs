//! Where a reader is.

use std::fmt;
use std::str::FromStr;

/// Where a reader is in a [`RingBuffer`](super::RingBuffer): which buffer it read, and how far it got.
///
/// A cursor is written as a text that is safe in a URL and that means nothing to whoever carries it; `0` is
/// [`Cursor::START`].
///
/// ```
/// use shipslog_core::stats::{Cursor, RingBuffer};
///
/// let ring = RingBuffer::new(10);
/// ring.push('a');
/// let text = ring.since(Cursor::START).next.to_string();
/// ring.push('b');
/// assert_eq!(ring.since(text.parse()?).items, ['b']);
/// # Ok::<(), shipslog_core::stats::InvalidCursor>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cursor {
    /// The buffer's; 0 for the start of whichever buffer it is shown to.
    pub(super) epoch: u64,
    /// The number of the next item to read; 0 if the epoch is.
    pub(super) seq: u64,
}

impl Cursor {
    /// Before everything that a buffer holds, whichever buffer it is.
    pub const START: Self = Self { epoch: 0, seq: 0 };

    /// Whether the buffer itself gave this cursor out. One from before a restart is of a buffer that is gone;
    /// [`Self::START`] is of none.
    pub fn is_of<T>(self, ring: &super::RingBuffer<T>) -> bool {
        self.epoch == ring.epoch
    }
}

impl Default for Cursor {
    fn default() -> Self {
        Self::START
    }
}

/// A text that no buffer gives out as a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a cursor")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::START {
            return f.write_str("0");
        }
        write!(f, "{:016x}-{}", self.epoch, self.seq)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        if text == "0" {
            return Ok(Self::START);
        }
        let (epoch, seq) = text.split_once('-').ok_or(InvalidCursor)?;
        let cursor = Self {
            epoch: number(epoch, 16, 16)?,
            seq: number(seq, 10, 20)?,
        };
        let whole = epoch.len() == 16 && cursor.epoch != 0;
        if whole { Ok(cursor) } else { Err(InvalidCursor) }
    }
}

/// A number of digits alone, at most `len` of them: no sign, which the parser of std would take.
fn number(text: &str, radix: u32, len: usize) -> Result<u64, InvalidCursor> {
    let plain = text.len() <= len && text.bytes().all(|b| char::from(b).is_digit(radix));
    let number = plain.then(|| u64::from_str_radix(text, radix).ok());
    number.flatten().ok_or(InvalidCursor)
}

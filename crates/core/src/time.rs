//! Time is passed in: core reads no clock of its own.

use std::fmt::Debug;

pub use jiff::Timestamp;

/// Tells the time of day. Hosts pass the system's clock, tests one that they move by hand.
pub trait Clock: Debug + Send + Sync + 'static {
    /// Now, in UTC. May jump either way; nothing here relies on it going forward.
    fn now(&self) -> Timestamp;
}

/// A length of history such as `90s`, `30m`, `6h` or `7d`: a whole number above zero and a unit.
///
/// ```
/// use shipslog_core::time::Window;
///
/// let kept = Window::from_seconds(7 * 86_400).unwrap();
/// assert_eq!(Window::parse("30m", kept).unwrap().seconds(), 1_800);
/// assert!(Window::parse("-1h", kept).is_err());
/// assert!(Window::parse("999999d", kept).is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window(i64);

/// Why a text is no [`Window`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// Not a whole number above zero followed by `s`, `m`, `h` or `d`.
    #[error("must be a whole number above zero and a unit: s, m, h or d, such as 30m")]
    Syntax,
    /// Longer than what is kept.
    #[error("must not be longer than what is kept: {kept_seconds} seconds")]
    TooLong {
        /// The longest window that would be answered.
        kept_seconds: i64,
    },
}

impl Window {
    /// A day.
    pub const DAY: Self = Self(86_400);

    /// A week.
    pub const WEEK: Self = Self(7 * 86_400);

    /// 90 days.
    pub const QUARTER: Self = Self(90 * 86_400);

    /// A window of so many seconds; `None` unless above zero.
    pub fn from_seconds(seconds: i64) -> Option<Self> {
        (seconds > 0).then_some(Self(seconds))
    }

    /// Reads a text, refusing what is longer than `kept`.
    ///
    /// # Errors
    /// [`WindowError::Syntax`] for anything but digits and one unit, [`WindowError::TooLong`] past `kept`.
    pub fn parse(text: &str, kept: Window) -> Result<Self, WindowError> {
        let window = Self::parse_any(text)?;
        let too_long = WindowError::TooLong { kept_seconds: kept.0 };
        if window > kept { Err(too_long) } else { Ok(window) }
    }

    /// Reads a text of any length up to about 292 thousand million years.
    ///
    /// # Errors
    /// [`WindowError::Syntax`], also for a number that does not fit.
    pub fn parse_any(text: &str) -> Result<Self, WindowError> {
        let unit = text.chars().last().ok_or(WindowError::Syntax)?;
        let seconds = unit_seconds(unit).ok_or(WindowError::Syntax)?;
        let digits = &text[..text.len() - 1];
        if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
            return Err(WindowError::Syntax);
        }
        // Digits that overflow are a length beyond any retention, which the caller's comparison refuses.
        let count: i64 = digits.parse().unwrap_or(i64::MAX);
        Self::from_seconds(count.saturating_mul(seconds)).ok_or(WindowError::Syntax)
    }

    /// The length in seconds, above zero.
    pub fn seconds(self) -> i64 {
        self.0
    }
}

fn unit_seconds(unit: char) -> Option<i64> {
    match unit {
        's' => Some(1),
        'm' => Some(60),
        'h' => Some(3_600),
        'd' => Some(86_400),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_a_whole_number_above_zero_and_a_unit() {
        let kept = Window(30 * 86_400);
        for bad in [
            "", "0", "0s", "-1h", "abc", "h", "1", "1.5h", "+1h", " 1h", "1h ", "1w", "１h", "1é",
        ] {
            assert_eq!(Window::parse(bad, kept), Err(WindowError::Syntax), "{bad:?}");
        }
        for (good, seconds) in [("90s", 90), ("30m", 1_800), ("6h", 21_600), ("7d", 604_800)] {
            assert_eq!(Window::parse(good, kept), Ok(Window(seconds)));
        }
    }

    #[test]
    fn a_window_is_at_most_what_is_kept() {
        let too_long = Err(WindowError::TooLong { kept_seconds: 86_400 });
        for text in [
            "2d",
            "999999d",
            "99999999999999999999999d",
            "9223372036854775807d",
        ] {
            assert_eq!(Window::parse(text, Window(86_400)), too_long);
        }
        assert_eq!(Window::parse("24h", Window(86_400)), Ok(Window(86_400)));
    }
}

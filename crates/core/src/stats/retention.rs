//! How long history is kept, and how finely.

use super::Tier;
use crate::time::Window;

/// How long samples and their roll-ups are kept. None of the lengths may be longer than the next; one that is counts as
/// long as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Samples as they were taken: 24 hours by default.
    pub samples: Window,
    /// Roll-ups of a minute: 7 days by default.
    pub minutes: Window,
    /// Roll-ups of 5 minutes, and the longest window that is answered: 90 days by default.
    pub longest: Window,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            samples: Window::DAY,
            minutes: Window::WEEK,
            longest: Window::QUARTER,
        }
    }
}

impl Retention {
    /// How long samples are kept.
    pub fn of_samples(&self) -> Window {
        self.samples.min(self.of(Tier::Minute))
    }

    /// How long a tier is kept.
    pub fn of(&self, tier: Tier) -> Window {
        match tier {
            Tier::Minute => self.minutes.min(self.longest),
            Tier::FiveMinutes => self.longest,
        }
    }

    /// The finest form in which a whole window is kept: `None` for samples.
    pub fn tier_for(&self, window: Window) -> Option<Tier> {
        if window <= self.of_samples() {
            return None;
        }
        let minutes = window <= self.of(Tier::Minute);
        Some(if minutes { Tier::Minute } else { Tier::FiveMinutes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_answered_from_the_finest_form_that_holds_all_of_it() {
        let kept = Retention::default();
        let tier = |text| kept.tier_for(Window::parse_any(text).unwrap());
        assert_eq!((tier("24h"), tier("86401s")), (None, Some(Tier::Minute)));
        assert_eq!(
            (tier("7d"), tier("8d")),
            (Some(Tier::Minute), Some(Tier::FiveMinutes))
        );
    }

    #[test]
    fn nothing_is_kept_for_longer_than_the_longest() {
        let hour = Window::from_seconds(3_600).unwrap();
        let kept = Retention {
            longest: hour,
            ..Retention::default()
        };
        assert_eq!((kept.of_samples(), kept.of(Tier::Minute)), (hour, hour));
        assert_eq!(kept.tier_for(hour), None);
    }
}

//! Taking credentials out of a text before it reaches the log.
//!
//! The texts of engines, registries and tools are written by others, and they quote what they were given: the
//! `Authorization` header that a registry refused, the URL that a build could not fetch, the command line
//! that did not start. [`Redactor::redact`] is the one way in which such a text may come near the log. It
//! works on three grounds at once:
//!
//! * **Known values.** What was given to [`Redactor::hide`] is found raw and in its encodings: base64 at any
//!   offset in a longer base64 text and in both alphabets, percent-encoding, form encoding, hex, JSON and
//!   other backslash escapes, HTML entities, and up to three of these on top of each other. Nothing
//!   enumerates the encodings of a value; the text is decoded instead, and what is found is traced back to
//!   the bytes it came from.
//! * **Looks.** Userinfo and query values of URLs, values of `Basic` and `Bearer`, fields with a telling name
//!   (`password=`, `"auth":`), command lines and mounts that the engine quotes, base64 that decodes to
//!   `user:password`, JSON web tokens, and long random tokens, without knowing any secret. Digests stay; a
//!   64-digit container id is cut to its first 12 digits.
//! * **Cleaning.** Escape sequences, control characters and invisible characters go, so that a hostile text
//!   can neither forge a line of the log nor hide one.
//!
//! ```
//! use shipslog_core::redact::Redactor;
//!
//! let mut redactor = Redactor::default();
//! redactor.hide("hunter2");
//! assert_eq!(
//!     redactor.redact("Get \"http://app:x@registry:5000/v2/?account=app\": denied, aHVudGVyMg=="),
//!     "Get \"http://[redacted]@registry:5000/v2/?account=[redacted]\": denied, [redacted]==",
//! );
//! ```
//!
//! It leans to taking too much. What it cannot do is recognise an unknown secret that looks like an ordinary
//! word in an ordinary place.

mod clean;
mod encoding;
mod known;
mod mask;
mod rules;
mod scan;
mod view;

use known::{Known, Matcher};
use mask::Mask;
use view::View;

/// Bytes of a text that are looked at.
const SCANNED: usize = 16 * 1024;

/// Bytes at the end of a text cut at [`SCANNED`] that are looked at but not shown: the beginning of a value
/// whose end was cut away would not be recognised.
const MARGIN: usize = 8 * 1024;

/// Characters of the result.
const SHOWN: usize = 2_000;

/// Encodings on top of each other that are taken off.
const LAYERS: usize = 3;

/// Takes out what is known to be secret, and what looks like it.
#[derive(Clone, Default)]
pub struct Redactor {
    known: Known,
}

impl std::fmt::Debug for Redactor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Redactor({} known)", self.known.len())
    }
}

impl Redactor {
    /// Adds a value.
    ///
    /// White space around it does not count, and an empty value is ignored. A value of fewer than 4
    /// characters is found only raw or text-escaped and only as a whole word, or every log would be full of
    /// holes. Of a value of several lines, each line of at least 8 characters is hidden on its own as well,
    /// since tools quote keys by the line.
    pub fn hide(&mut self, value: &str) {
        self.known.add(value);
    }

    /// Adds all values of another.
    pub fn hide_all(&mut self, other: &Redactor) {
        self.known.add_all(&other.known);
    }

    /// The text, fit for the log: one line of at most 2,000 characters, with `[redacted]` in place of each
    /// secret.
    ///
    /// A longer text ends in `…`. Only the first 16 KiB are looked at and, of a text longer than that, only
    /// the first 8 KiB can be shown; the work is bounded whatever the text.
    pub fn redact(&self, text: &str) -> String {
        let scanned = scan::cut(text, SCANNED);
        let clean = clean::clean(scanned);
        let Some(matcher) = self.known.matcher() else {
            return mask::MARK.to_owned();
        };
        let mut mask = Mask::default();
        inspect(&View::of(&clean), LAYERS, &matcher, &mut mask);
        mask.add_all(rules::in_the_raw(clean.as_bytes()));
        let cut = scanned.len() < text.len();
        let shown = if cut {
            clean.len().saturating_sub(MARGIN)
        } else {
            clean.len()
        };
        mask.render(&clean, shown, SHOWN)
    }
}

/// Marks what is secret in a view of the text and, below it, in what its encoded parts decode to.
fn inspect(view: &View, layers: usize, matcher: &Matcher, mask: &mut Mask) {
    mask.add_all(matcher.find(view).map(|hit| view.origin(hit)));
    if view.is_text() {
        mask.add_all(
            rules::anywhere(view.bytes())
                .into_iter()
                .map(|hit| view.origin(hit)),
        );
    }
    if layers > 0 {
        for decoded in view.decoded() {
            inspect(&decoded, layers - 1, matcher, mask);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hiding(values: &[&str]) -> Redactor {
        let mut redactor = Redactor::default();
        for value in values {
            redactor.hide(value);
        }
        redactor
    }

    #[test]
    fn debug_counts_values_and_shows_none() {
        assert_eq!(
            format!("{:?}", hiding(&["s3cr3t", "other", "", "s3cr3t"])),
            "Redactor(2 known)"
        );
    }

    #[test]
    fn hide_all_takes_over_every_value() {
        let mut redactor = hiding(&["first-one"]);
        redactor.hide_all(&hiding(&["second-one"]));
        assert_eq!(redactor.redact("first-one, second-one"), "[redacted], [redacted]");
    }

    #[test]
    fn an_empty_value_hides_nothing() {
        assert_eq!(
            hiding(&["", " \n"]).redact("status 404: not found"),
            "status 404: not found"
        );
    }

    #[test]
    fn a_short_value_is_hidden_as_a_word_only() {
        assert_eq!(
            hiding(&["ab"]).redact("ab cab/ab: abc"),
            "[redacted] cab/[redacted]: abc"
        );
    }

    #[test]
    fn white_space_around_a_value_does_not_count() {
        assert_eq!(hiding(&[" hunter2\n"]).redact("got hunter2!"), "got [redacted]!");
    }

    #[test]
    fn the_lines_of_a_value_are_hidden_one_by_one() {
        let redactor =
            hiding(&["-----BEGIN KEY-----\nfirst line of it\nsecond line of it\n-----END KEY-----"]);
        assert_eq!(
            redactor.redact("cannot parse second line of it at 3"),
            "cannot parse [redacted] at 3"
        );
    }

    #[test]
    fn a_long_value_is_hidden_when_only_its_beginning_is_quoted() {
        let value: String = (0..400).map(|n| format!("word{n} ")).collect();
        let quoted = &value[..1_024];
        let redacted = hiding(&[&value]).redact(&format!("bad value {quoted}"));
        assert_eq!(redacted, "bad value [redacted]");
    }

    #[test]
    fn escape_sequences_do_not_protect_a_value() {
        assert_eq!(
            hiding(&["hunter2"]).redact("a hun\u{1b}[31mt\u{200b}er2 b"),
            "a [redacted] b"
        );
    }

    #[test]
    fn a_value_cut_by_the_scan_limit_does_not_show_its_beginning() {
        let redactor = hiding(&["correct horse battery staple"]);
        for gap in SCANNED - 40..SCANNED {
            let text = format!(
                "{}correct horse battery staple",
                "\u{200b}".repeat(gap / 3) + &" ".repeat(gap % 3)
            );
            assert!(!redactor.redact(&text).contains("cor"), "{gap}");
        }
    }
}

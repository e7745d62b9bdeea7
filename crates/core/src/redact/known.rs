//! The values that are known to be secret.

use std::collections::BTreeSet;
use std::ops::Range;

use aho_corasick::{AhoCorasick, AhoCorasickKind};

use super::view::View;
use super::{clean, scan};

/// Below this many characters a value is found as a whole word only.
const SHORT: usize = 4;

/// From this many characters on a line of a value is a value.
const LINE: usize = 8;

/// A longer value is hidden in pieces of this many bytes, so that a text that quotes a part of it shows none.
const PIECE: usize = 256;

/// Bytes at each end of a value that a decoder may get wrong: base64 at an odd offset mixes them with
/// neighbours that may be cut away, and a stray `%2` takes a letter with it. What is between must do.
const EDGE: usize = 2;

/// A set of values.
#[derive(Clone, Default)]
pub(super) struct Known {
    values: BTreeSet<String>,
}

impl Known {
    pub(super) fn add(&mut self, value: &str) {
        let value = value.trim();
        if !value.is_empty() {
            self.values.insert(value.to_owned());
        }
    }

    pub(super) fn add_all(&mut self, other: &Known) {
        self.values.extend(other.values.iter().cloned());
    }

    pub(super) fn len(&self) -> usize {
        self.values.len()
    }

    /// What finds the values, or `None` if there are too many of them to be searched for.
    ///
    /// It is built for a text or two: the kind that is quick to build is, for one error, 8 times faster than
    /// the default.
    pub(super) fn matcher(&self) -> Option<Matcher> {
        let mut patterns = BTreeSet::new();
        for value in &self.values {
            patterns.extend(patterns_of(value));
            patterns.extend(patterns_of(clean::clean(value).trim()));
            for line in value
                .lines()
                .map(str::trim)
                .filter(|line| line.chars().count() >= LINE)
            {
                patterns.extend(patterns_of(line));
            }
        }
        let patterns: Vec<Pattern> = patterns.into_iter().collect();
        let automaton = AhoCorasick::builder()
            .kind(Some(AhoCorasickKind::NoncontiguousNFA))
            .build(patterns.iter().map(|pattern| &pattern.bytes))
            .ok()?;
        Some(Matcher { automaton, patterns })
    }
}

/// Bytes to search for, and where they count.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Pattern {
    bytes: Vec<u8>,
    counts: Counts,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Counts {
    Everywhere,
    AsWord,
    Decoded,
}

fn patterns_of(value: &str) -> Vec<Pattern> {
    let pattern = |bytes: &[u8], counts| Pattern {
        bytes: bytes.to_owned(),
        counts,
    };
    match value.chars().count() {
        0 => Vec::new(),
        1..SHORT => vec![pattern(value.as_bytes(), Counts::AsWord)],
        _ => pieces(value)
            .flat_map(|piece| [(piece, Counts::Everywhere), (inner(piece), Counts::Decoded)])
            .filter(|(bytes, _)| bytes.len() >= SHORT)
            .map(|(bytes, counts)| pattern(bytes, counts))
            .collect(),
    }
}

/// The value, or pieces of equal length that cover it.
fn pieces(value: &str) -> impl Iterator<Item = &[u8]> {
    let bytes = value.as_bytes();
    let last = bytes.len().saturating_sub(PIECE);
    let starts = (0..last).step_by(PIECE).chain([last]);
    starts.map(move |start| &bytes[start..bytes.len().min(start + PIECE)])
}

fn inner(piece: &[u8]) -> &[u8] {
    piece.get(EDGE..piece.len() - EDGE).unwrap_or_default()
}

/// Searches for all values at once, in time linear in the text.
pub(super) struct Matcher {
    automaton: AhoCorasick,
    patterns: Vec<Pattern>,
}

impl Matcher {
    /// Where values stand in the view.
    pub(super) fn find<'a>(&'a self, view: &'a View) -> impl Iterator<Item = Range<usize>> + 'a {
        self.automaton
            .find_overlapping_iter(view.bytes())
            .filter(|hit| match self.patterns[hit.pattern()].counts {
                Counts::Everywhere => true,
                Counts::Decoded => !view.is_text() || (view.is_decoded() && hit.len() >= LINE),
                Counts::AsWord => view.is_text() && is_word(view.bytes(), hit.range()),
            })
            .map(|hit| hit.range())
    }
}

fn is_word(text: &[u8], range: Range<usize>) -> bool {
    let inside = |byte: Option<&u8>| byte.is_some_and(|&byte| scan::is_name(byte) && byte != b'.');
    !inside(text[..range.start].last()) && !inside(text.get(range.end))
}

#[cfg(test)]
mod tests {
    use base64::Engine as _;
    use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

    use crate::redact::Redactor;

    /// Short enough that no encoding of it looks like a random token.
    const VALUE: &str = "hunter??>é2";

    fn redact(text: &str) -> String {
        let mut redactor = Redactor::default();
        redactor.hide(VALUE);
        redactor.redact(text)
    }

    #[test]
    fn base64_hides_it_at_no_offset_and_in_neither_alphabet() {
        for before in ["", "a", "ab", "abc"] {
            for alphabet in [BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD] {
                let encoded = alphabet.encode(format!("{before}{VALUE}"));
                let bare = &alphabet.encode(VALUE)[1..13];
                for glued in ["", "x", "xy", "xyz"] {
                    let redacted = redact(&format!("got {glued}{encoded} here"));
                    assert!(
                        !redacted.contains(bare) && redacted.contains("[redacted]"),
                        "{encoded}: {redacted}"
                    );
                }
            }
        }
    }

    #[test]
    fn base64_hides_no_part_that_was_cut_out_of_a_longer_one() {
        for offset in 0..3 {
            let bytes = [&b"ab"[..offset], VALUE.as_bytes()].concat();
            let cut = &BASE64_STANDARD_NO_PAD.encode(&bytes)[(offset * 8).div_ceil(6)..bytes.len() * 8 / 6];
            let redacted = redact(&format!("got {cut} here"));
            assert!(!redacted.contains(&cut[3..cut.len() - 3]), "{cut}: {redacted}");
        }
    }

    #[test]
    fn hex_hides_it_at_no_offset_and_in_neither_case() {
        let hex: String = VALUE.bytes().map(|byte| format!("{byte:02x}")).collect();
        for text in [hex.clone(), hex.to_uppercase()] {
            assert_eq!(redact(&format!("got {text} here")), "got [redacted] here");
            assert_eq!(redact(&format!("got 0{text} here")), "got 0[redacted] here");
        }
    }

    #[test]
    fn no_way_of_escaping_hides_it() {
        for text in [
            r"hunter\077\077\076\303\2512",
            r"\x68unter??\u003e\u00e92",
            r"hunter??>\u{e9}2",
            r"hunter??>\U000000e92",
            r"hunter\?\?\>é2",
            r"hunter??\\u003e\\u00e92",
            "hunter%3f%3F%3e%C3%A92",
            "hunter%253F%253F%253E%25C3%25A92",
            "hunter??&gt;&#233;2",
            "hunter??&#x3E;&#xe9;2",
        ] {
            let redacted = redact(&format!("got {text} here"));
            assert!(redacted.ends_with("[redacted] here"), "{text}: {redacted}");
        }
    }

    #[test]
    fn no_white_space_hides_it() {
        let mut redactor = Redactor::default();
        redactor.hide("two\twords\r\nand more");
        for text in [
            "two\twords\r\nand more",
            r"two\twords\r\nand more",
            "two%09words%0D%0Aand+more",
        ] {
            assert_eq!(
                redactor.redact(&format!("got {text} here")),
                "got [redacted] here"
            );
        }
    }
}

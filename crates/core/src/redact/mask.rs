//! The parts of a text that must not be shown.

use std::ops::Range;

/// What stands in the place of a secret.
pub(super) const MARK: &str = "[redacted]";

/// Byte ranges of one text, in any order, overlapping at will.
#[derive(Default)]
pub(super) struct Mask {
    ranges: Vec<Range<usize>>,
}

impl Mask {
    /// Adds ranges; empty ones are ignored.
    pub(super) fn add_all(&mut self, ranges: impl IntoIterator<Item = Range<usize>>) {
        self.ranges
            .extend(ranges.into_iter().filter(|range| !range.is_empty()));
    }

    /// The first `bytes` bytes of the text with the mark in place of each range, cut to `chars` characters.
    pub(super) fn render(self, text: &str, bytes: usize, chars: usize) -> String {
        let mut shown = String::new();
        let mut at = 0;
        for range in self.merged(text) {
            if range.start >= bytes {
                break;
            }
            shown.push_str(&text[at..range.start]);
            shown.push_str(MARK);
            at = range.end;
        }
        let end = super::scan::cut(text, bytes).len();
        shown.push_str(text.get(at..end).unwrap_or_default());
        shorten(shown, chars, end < text.len())
    }

    /// The ranges in order, widened to whole characters, those that overlap or touch made one.
    fn merged(mut self, text: &str) -> Vec<Range<usize>> {
        self.ranges.sort_unstable_by_key(|range| range.start);
        let mut merged: Vec<Range<usize>> = Vec::new();
        for range in self.ranges {
            let range = whole_characters(text, range);
            match merged.last_mut() {
                Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
                _ => merged.push(range),
            }
        }
        merged
    }
}

fn whole_characters(text: &str, mut range: Range<usize>) -> Range<usize> {
    while !text.is_char_boundary(range.start) {
        range.start -= 1;
    }
    while !text.is_char_boundary(range.end) {
        range.end += 1;
    }
    range
}

/// At most `chars` characters, the last of them `…` when something is missing.
fn shorten(mut text: String, chars: usize, incomplete: bool) -> String {
    let room = text.char_indices().nth(chars - 1).map(|(at, _)| at);
    let full = room.is_some_and(|at| text[at..].chars().nth(1).is_some());
    if let Some(at) = room.filter(|_| full || incomplete) {
        text.truncate(at);
    }
    if full || incomplete {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Mask;

    fn render(text: &str, ranges: &[(usize, usize)], bytes: usize, chars: usize) -> String {
        let mut mask = Mask::default();
        mask.add_all(ranges.iter().map(|&(start, end)| start..end));
        mask.render(text, bytes, chars)
    }

    #[test]
    fn overlapping_and_touching_ranges_give_one_mark() {
        assert_eq!(
            render("abcdefgh", &[(4, 6), (1, 3), (2, 4), (3, 3)], 8, 50),
            "a[redacted]gh"
        );
    }

    #[test]
    fn a_range_is_widened_to_whole_characters() {
        assert_eq!(
            render("aéb☃c", &[(2, 3), (5, 6)], 8, 50),
            "a[redacted]b[redacted]c"
        );
    }

    #[test]
    fn a_cut_text_says_so() {
        assert_eq!(render("abcdef", &[], 6, 6), "abcdef");
        assert_eq!(render("abcdefg", &[], 7, 6), "abcde…");
        assert_eq!(render("éééééééé", &[], 16, 6), "ééééé…");
        assert_eq!(render("abcdef", &[], 3, 6), "abc…");
        assert_eq!(render("abcdef", &[(2, 5)], 3, 50), "ab[redacted]…");
        assert_eq!(render("abcdef", &[(4, 5)], 3, 50), "abc…");
    }
}

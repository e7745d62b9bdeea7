//! Small scanners that the rules share. All of them take bytes: what they look for is ASCII.

use std::ops::Range;

/// The first `bytes` bytes of a text, or a little less, so that no character is torn.
pub(super) fn cut(text: &str, bytes: usize) -> &str {
    let mut end = bytes.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// Letters, digits and what else stands in names of fields and flags.
pub(super) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// The quotes that engines and tools put around what they were given.
pub(super) fn is_quote(byte: u8) -> bool {
    matches!(byte, b'"' | b'\'' | b'`')
}

/// Where the needle first stands at or after `from`, in any case of letters.
pub(super) fn find(text: &[u8], needle: &[u8], from: usize) -> Option<usize> {
    let rest = text.get(from..)?;
    let found = rest
        .windows(needle.len())
        .position(|window| window.eq_ignore_ascii_case(needle))?;
    Some(from + found)
}

/// The first place at or after `from` whose byte satisfies `stop`, or the end.
pub(super) fn until(text: &[u8], from: usize, stop: impl Fn(u8) -> bool) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.iter()
        .position(|&byte| stop(byte))
        .map_or(text.len(), |found| from + found)
}

/// The first place at or after `from` that is no space.
pub(super) fn skip_spaces(text: &[u8], from: usize) -> usize {
    until(text, from, |byte| byte != b' ')
}

/// The longest stretches of bytes that all satisfy `part`.
pub(super) fn runs(text: &[u8], part: impl Fn(u8) -> bool) -> Vec<Range<usize>> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let start = until(text, at, &part);
        at = until(text, start, |byte| !part(byte));
        if start < at {
            runs.push(start..at);
        }
    }
    runs
}

/// How many backslashes stand right before `at`: the depth at which a quote there is escaped.
pub(super) fn backslashes_before(text: &[u8], at: usize) -> usize {
    text[..at].iter().rev().take_while(|&&byte| byte == b'\\').count()
}

/// A quoted string from `open`, where there may be backslashes before the quote: its content, without the
/// quotes. A string that is not closed reaches to the end.
///
/// A quote inside is told from the closing one by having more backslashes before it.
pub(super) fn quoted(text: &[u8], open: usize) -> Option<Range<usize>> {
    let quote = until(text, open, |byte| byte != b'\\');
    let kind = *text.get(quote).filter(|&&byte| is_quote(byte))?;
    let depth = quote - open;
    let mut close = quote;
    loop {
        close = until(text, close + 1, |byte| byte == kind);
        let escapes = backslashes_before(text, close);
        if close == text.len() {
            return Some(quote + 1..close);
        }
        if escapes <= depth {
            return Some(quote + 1..(close - escapes).max(quote + 1));
        }
    }
}

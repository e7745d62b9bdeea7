//! What looks like a secret, without knowing any. Each rule gives ranges of bytes that must not be shown.

mod argv;
mod fields;
mod schemes;
mod tokens;
mod urls;

use std::ops::Range;

/// Rules that hold however often the text was encoded.
pub(super) fn anywhere(text: &[u8]) -> Vec<Range<usize>> {
    let mut hits = Vec::new();
    urls::mark(text, &mut hits);
    fields::mark(text, &mut hits);
    schemes::mark(text, &mut hits);
    tokens::mark(text, &mut hits);
    hits
}

/// Rules that go by quotes and so need them as they were written, with the backslashes before them.
pub(super) fn in_the_raw(text: &[u8]) -> Vec<Range<usize>> {
    let mut hits = Vec::new();
    argv::mark(text, &mut hits);
    hits
}

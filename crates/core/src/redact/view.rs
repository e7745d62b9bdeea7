//! A text as it reads once an encoding is taken off, with the way back to the bytes it came from.

use std::ops::Range;

use super::encoding::{self, Decoded, Unit};
use super::scan;

/// Shorter runs of base64 or hex hold no value that is worth a search.
const SHORTEST_RUN: usize = 6;

/// Stands between two decoded runs, so that nothing is found across them.
const GAP: u8 = 0;

/// Bytes, and for each of them the bytes of the original text that it was read from.
pub(super) struct View {
    bytes: Vec<u8>,
    origins: Vec<Range<usize>>,
    is_text: bool,
    is_decoded: bool,
}

impl View {
    /// The original text as it is.
    pub(super) fn of(text: &str) -> Self {
        let origins = (0..text.len()).map(|at| at..at + 1).collect();
        Self {
            bytes: text.as_bytes().to_owned(),
            origins,
            is_text: true,
            is_decoded: false,
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether this is still the whole text, rather than what its base64 or hex runs decode to.
    pub(super) fn is_text(&self) -> bool {
        self.is_text
    }

    /// Whether an encoding was taken off.
    pub(super) fn is_decoded(&self) -> bool {
        self.is_decoded
    }

    /// Where in the original text a range of this view came from.
    pub(super) fn origin(&self, range: Range<usize>) -> Range<usize> {
        match self.origins.get(range) {
            Some([only]) => only.clone(),
            Some([first, .., last]) => first.start..last.end,
            _ => 0..0,
        }
    }

    /// This view with each encoding taken off that it has a trace of.
    pub(super) fn decoded(&self) -> Vec<View> {
        let texts = [encoding::percent, encoding::backslash, encoding::entity].into_iter();
        let form = self
            .bytes
            .contains(&b'+')
            .then_some(encoding::form as fn(&[u8]) -> Decoded);
        let texts = texts.map(|decode| decode as fn(&[u8]) -> Decoded).chain(form);
        let texts = texts.filter_map(|decode| self.rewritten(decode));
        let base64 = (0..4).filter_map(|offset| self.base64(offset));
        let hex = (0..2).filter_map(|offset| self.hex(offset));
        texts.chain(base64).chain(hex).collect()
    }

    fn empty(is_text: bool) -> Self {
        Self {
            bytes: Vec::new(),
            origins: Vec::new(),
            is_text,
            is_decoded: true,
        }
    }

    /// The view with each unit that `decode` knows in place of what it was written as; `None` if there is
    /// none.
    fn rewritten(&self, decode: fn(&[u8]) -> Decoded) -> Option<View> {
        let mut child = View::empty(self.is_text);
        let mut at = 0;
        while let Some(&byte) = self.bytes.get(at) {
            let (length, unit) = decode(&self.bytes[at..]).unwrap_or((1, Unit::Byte(byte)));
            child.push_unit(unit, self.origin(at..at + length));
            at += length;
        }
        (child.bytes != self.bytes).then_some(child)
    }

    /// What the runs of base64 stand for, when bytes begin `offset` characters after the begin of each.
    fn base64(&self, offset: usize) -> Option<View> {
        self.binary(encoding::is_base64, |child, run| {
            let start = run.start + offset;
            for (n, byte) in encoding::base64(&self.bytes[start..run.end])
                .into_iter()
                .enumerate()
            {
                let (first, last) = (n * 8 / 6, (n * 8 + 7) / 6);
                child.push(byte, self.origin(start + first..start + last + 1));
            }
        })
    }

    /// What the runs of hex digits stand for, when bytes begin `offset` digits after the begin of each.
    fn hex(&self, offset: usize) -> Option<View> {
        self.binary(
            |byte| byte.is_ascii_hexdigit(),
            |child, run| {
                for at in (run.start + offset..run.end - 1).step_by(2) {
                    let byte = encoding::hex_byte(&self.bytes[at..]).unwrap_or(GAP);
                    child.push(byte, self.origin(at..at + 2));
                }
            },
        )
    }

    fn binary(&self, part: fn(u8) -> bool, decode: impl Fn(&mut View, Range<usize>)) -> Option<View> {
        let mut child = View::empty(false);
        for run in scan::runs(&self.bytes, part)
            .into_iter()
            .filter(|run| run.len() >= SHORTEST_RUN)
        {
            let end = self.origin(run.end - 1..run.end);
            decode(&mut child, run);
            child.push(GAP, end);
        }
        (!child.bytes.is_empty()).then_some(child)
    }

    fn push(&mut self, byte: u8, origin: Range<usize>) {
        self.bytes.push(byte);
        self.origins.push(origin);
    }

    fn push_unit(&mut self, unit: Unit, origin: Range<usize>) {
        match unit {
            Unit::Byte(byte) => self.push(byte, origin),
            Unit::Char(c) => {
                for &byte in c.encode_utf8(&mut [0; 4]).as_bytes() {
                    self.push(byte, origin.clone());
                }
            }
        }
    }
}

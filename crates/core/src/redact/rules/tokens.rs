//! Words that no human wrote: JSON web tokens, encoded credentials, long random tokens.

use std::ops::Range;

use crate::redact::{encoding, scan};

/// Shorter base64 is not decoded in search of a `user:password`.
const SHORTEST_BASE64: usize = 16;

/// A random token has at least this many characters.
const SHORTEST_TOKEN: usize = 20;

/// As many hex digits are a token, unless they are a digest or an id.
const SHORTEST_HEX: usize = 32;

/// Length of a container id, and of its short form.
const ID: usize = 64;
const SHORT_ID: usize = 12;

/// What announces a digest, and the length of it.
const DIGESTS: [(&[u8], usize); 3] = [(b"sha256:", 64), (b"sha384:", 96), (b"sha512:", 128)];

pub(super) fn mark(text: &[u8], hits: &mut Vec<Range<usize>>) {
    hits.extend(
        scan::runs(text, in_web_token)
            .into_iter()
            .filter(|run| is_web_token(&text[run.clone()])),
    );
    hits.extend(
        scan::runs(text, |byte| byte.is_ascii_hexdigit())
            .into_iter()
            .filter_map(|run| hex(text, run)),
    );
    for run in scan::runs(text, encoding::is_base64) {
        let word = &text[run.clone()];
        if holds_credentials(word) || is_random(word) {
            hits.push(run);
        } else {
            mark_segments(text, run, hits);
        }
    }
}

/// The random ones among the segments of a path.
fn mark_segments(text: &[u8], run: Range<usize>, hits: &mut Vec<Range<usize>>) {
    let segments = scan::runs(&text[run.clone()], |byte| byte != b'/').into_iter();
    let segments = segments.map(|segment| run.start + segment.start..run.start + segment.end);
    hits.extend(segments.filter(|segment| is_random(&text[segment.clone()])));
}

fn in_web_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// Dotted base64 that begins with `{"`.
fn is_web_token(word: &[u8]) -> bool {
    let dots = word.iter().filter(|&&byte| byte == b'.').count();
    word.starts_with(b"eyJ") && dots >= 2 && word.len() >= SHORTEST_TOKEN
}

/// What of a run of hex digits must not be shown.
fn hex(text: &[u8], run: Range<usize>) -> Option<Range<usize>> {
    let is_digest =
        |(name, length): &(&[u8], usize)| run.len() == *length && text[..run.start].ends_with(name);
    if run.len() < SHORTEST_HEX || DIGESTS.iter().any(is_digest) {
        return None;
    }
    let shown = if run.len() == ID { SHORT_ID } else { 0 };
    Some(run.start + shown..run.end)
}

/// Whether base64 stands for a text with a colon in it: all of it, or, when something is glued to its front,
/// a part.
fn holds_credentials(word: &[u8]) -> bool {
    if word.len() < SHORTEST_BASE64 || word.iter().all(u8::is_ascii_hexdigit) {
        return false;
    }
    is_text(&encoding::base64(word)) || (0..4).any(|offset| holds_text(&encoding::base64(&word[offset..])))
}

fn is_text(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    text.contains(':') && !text.contains(|c: char| c.is_control() && !c.is_whitespace())
}

/// A stretch of printable ASCII with a colon, too long to be chance.
fn holds_text(bytes: &[u8]) -> bool {
    let stretches = scan::runs(bytes, |byte| matches!(byte, b' '..=b'~')).into_iter();
    stretches
        .filter(|stretch| stretch.len() >= 10)
        .any(|stretch| bytes[stretch].contains(&b':'))
}

/// Whether small letters, capitals and digits follow each other as only chance lets them. Of two random
/// characters of base64 in a row, six in ten differ in kind; one in three is more than names and paths have.
fn is_random(word: &[u8]) -> bool {
    let kinds: Vec<u8> = word.iter().filter_map(|&byte| kind(byte)).collect();
    let changes = kinds.windows(2).filter(|pair| pair[0] != pair[1]).count();
    word.len() >= SHORTEST_TOKEN
        && changes * 3 >= word.len()
        && [0, 1, 2].iter().all(|kind| kinds.contains(kind))
}

fn kind(byte: u8) -> Option<u8> {
    match byte {
        b'a'..=b'z' => Some(0),
        b'A'..=b'Z' => Some(1),
        b'0'..=b'9' => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::redact::Redactor;

    fn redact(text: &str) -> String {
        Redactor::default().redact(text)
    }

    #[test]
    fn base64_of_credentials_goes_whatever_is_before_it() {
        for glued in ["", "x=", "v2/", "a", "ab", "abc-"] {
            let redacted = redact(&format!("got {glued}cmVsdXNlcjpTRUNSRVQxMQ== here"));
            assert!(!redacted.contains("cmVsdXNlcjpTRUNSRVQxMQ"), "{redacted}");
            assert!(
                redacted.starts_with("got ") && redacted.ends_with(" here"),
                "{redacted}"
            );
        }
    }

    #[test]
    fn base64_of_credentials_beyond_ascii_goes() {
        assert_eq!(redact("got cmVsOnDDpHNzd8O2cmQ= here"), "got [redacted]= here");
    }

    #[test]
    fn tokens_go() {
        for token in [
            "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.",
            "pQ7x/Zr2KdVn0+yLs8TjWbE3uGhMf1Ac6XoRiN5k",
            "zx_R4nd0mT0k3nW1thC4p1t4lsAndD1g1ts",
            "d41d8cd98f00b204e9800998ecf8427e",
        ] {
            assert_eq!(redact(&format!("got {token} here")), "got [redacted] here");
        }
    }

    #[test]
    fn digests_and_names_stay_and_ids_are_cut_short() {
        let hex = "0123456789abcdef".repeat(4);
        for text in [
            &format!("host:5000/app@sha256:{hex}"),
            "/var/lib/docker/volumes/web-data/_data",
            "0192e4a1-7b3c-7def-8123-456789abcdef",
            "container 0123456789ab is not running",
            "application/vnd.docker.distribution.manifest.v2+json",
        ] {
            assert_eq!(redact(text), text);
        }
        assert_eq!(
            redact(&format!("endpoint web ({hex})")),
            "endpoint web (0123456789ab[redacted])"
        );
    }
}

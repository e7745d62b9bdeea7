//! What follows `Basic` or `Bearer`, in any case of letters.

use std::ops::Range;

use crate::redact::scan;

const SCHEMES: [&[u8]; 2] = [b"basic", b"bearer"];

/// Words after a scheme that speak about it, and parameters of a challenge, which the registry sets.
const ABOUT: [&[u8]; 11] = [
    b"auth",
    b"authentication",
    b"authorization",
    b"credential",
    b"credentials",
    b"token",
    b"tokens",
    b"scheme",
    b"realm=",
    b"service=",
    b"error=",
];

pub(super) fn mark(text: &[u8], hits: &mut Vec<Range<usize>>) {
    for scheme in SCHEMES {
        let mut at = 0;
        while let Some(start) = scan::find(text, scheme, at) {
            at = start + scheme.len();
            let is_word = start == 0 || !text[start - 1].is_ascii_alphanumeric();
            hits.extend(is_word.then(|| credential(text, at)).flatten());
        }
    }
}

/// The word after the scheme, unless it is about the scheme.
fn credential(text: &[u8], end: usize) -> Option<Range<usize>> {
    let start = scan::until(text, end, |byte| !matches!(byte, b' ' | b':' | b'='));
    let stop = scan::until(text, start, |byte| {
        matches!(byte, b' ' | b'"' | b'`' | b',' | b'<' | b'>')
    });
    let is_credential = start > end && !ABOUT.iter().any(|about| speaks_of(&text[start..stop], about));
    is_credential.then_some(start..stop)
}

fn speaks_of(word: &[u8], about: &[u8]) -> bool {
    let Some((head, tail)) = word.split_at_checked(about.len()) else {
        return false;
    };
    let ends = about.ends_with(b"=") || tail.iter().all(u8::is_ascii_punctuation);
    head.eq_ignore_ascii_case(about) && ends
}

#[cfg(test)]
mod tests {
    use crate::redact::Redactor;

    fn redact(text: &str) -> String {
        Redactor::default().redact(text)
    }

    #[test]
    fn values_of_schemes_go() {
        for (raw, redacted) in [
            (
                "denied for Basic cmVs, sorry",
                "denied for Basic [redacted], sorry",
            ),
            ("BEARER  a.b.c failed", "BEARER  [redacted] failed"),
            ("bearer=x", "bearer=[redacted]"),
            ("got Basic%20cmVs", "got Basic%20[redacted]"),
            (r#""Bearer x""#, r#""[redacted]""#),
        ] {
            assert_eq!(redact(raw), redacted);
        }
    }

    #[test]
    fn words_about_schemes_stay() {
        for text in [
            "no basic auth credentials",
            "invalid bearer token.",
            "Www-Authenticate: Bearer realm=\"https://h/token\",service=\"h\"",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}

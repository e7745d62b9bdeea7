//! Userinfo and query values of URLs, with a scheme or without.

use std::ops::Range;

use crate::redact::scan;

/// Stands after the `@` that pins an image rather than names a host.
const DIGESTS: [&[u8]; 2] = [b"sha256:", b"sha512:"];

pub(super) fn mark(text: &[u8], hits: &mut Vec<Range<usize>>) {
    for token in scan::runs(text, in_url) {
        let before = hits.len();
        mark_userinfo(text, token.clone(), hits);
        let rest = hits[before..].last().map_or(token.start, |userinfo| userinfo.end);
        mark_query(text, token, rest, hits);
    }
}

/// An apostrophe may stand in a password.
fn in_url(byte: u8) -> bool {
    !matches!(byte, b' ' | b'"' | b'`' | b'<' | b'>') && !byte.is_ascii_control()
}

fn mark_userinfo(text: &[u8], token: Range<usize>, hits: &mut Vec<Range<usize>>) {
    let Some(at) = last_at(text, token.clone()) else {
        return;
    };
    let mut authority = token.start;
    let mut has_scheme = false;
    while let Some(scheme) = scan::find(&text[..token.end], b"://", authority) {
        has_scheme = true;
        authority = scheme + 3;
        hits.extend(userinfo(text, authority..token.end, at));
    }
    if !has_scheme {
        hits.extend(userinfo(text, token, at).filter(|userinfo| text[userinfo.clone()].contains(&b':')));
    }
}

/// The last `@` in the token that is not before a digest.
fn last_at(text: &[u8], token: Range<usize>) -> Option<usize> {
    let pins = |at: usize| DIGESTS.iter().any(|digest| text[at + 1..].starts_with(digest));
    token.rev().find(|&at| text[at] == b'@' && !pins(at))
}

/// The userinfo of a URL from behind its scheme. `at` is the last `@` of what could belong to it.
///
/// A password that holds a `/` as it is moves the end of the authority; it gives itself away by what stands
/// after the colon being no port.
fn userinfo(text: &[u8], url: Range<usize>, at: usize) -> Option<Range<usize>> {
    let end = scan::until(&text[..url.end], url.start, |byte| {
        matches!(byte, b'/' | b'?' | b'#')
    });
    let authority = &text[url.start..end];
    if let Some(own) = authority.iter().rposition(|&byte| byte == b'@') {
        return Some(url.start..url.start + own);
    }
    let colon = authority.iter().rposition(|&byte| byte == b':')?;
    let is_port = authority[colon + 1..].iter().all(u8::is_ascii_digit);
    (!is_port && at > end).then_some(url.start..at)
}

/// The values after the first `?` of what follows the userinfo, or after the `#` of a URL; without a name,
/// the whole.
fn mark_query(text: &[u8], token: Range<usize>, rest: usize, hits: &mut Vec<Range<usize>>) {
    let text = &text[..token.end];
    let is_url = scan::find(text, b"://", token.start).is_some();
    let start = scan::until(text, rest, |byte| byte == b'?' || (is_url && byte == b'#'));
    let has_path = is_url || text[token.start..start].contains(&b'/');
    let mut at = start + 1;
    while at < token.end {
        let end = scan::until(text, at, |byte| matches!(byte, b'&' | b';' | b'?' | b'#'));
        match text[at..end].iter().position(|&byte| byte == b'=') {
            Some(name) => hits.push(at + name + 1..end),
            None if has_path => hits.push(at..end),
            None => {}
        }
        at = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use crate::redact::Redactor;

    fn redact(text: &str) -> String {
        Redactor::default().redact(text)
    }

    #[test]
    fn userinfo_goes_and_the_host_stays() {
        for (raw, redacted) in [
            ("http://u:p@h:80/x", "http://[redacted]@h:80/x"),
            ("HTTPS://tok@h/x", "HTTPS://[redacted]@h/x"),
            ("git+ssh://u:p@[::1]:22/x", "git+ssh://[redacted]@[::1]:22/x"),
            ("postgres://u:p@ss@h/db", "postgres://[redacted]@h/db"),
            ("http://u:p/a?s#s@h/x", "http://[redacted]@h/x"),
            (
                "a http://u:p@h1,http://v:q@h2 b",
                "a http://[redacted]@h1,http://[redacted]@h2 b",
            ),
            ("lookup u:p@h: no such host", "lookup [redacted]@h: no such host"),
            ("http://user:***@127.0.0.1:1/x", "http://[redacted]@127.0.0.1:1/x"),
            ("http%3A%2F%2Fu%3Ap%40h%2Fx", "http%3A%2F%2F[redacted]%40h%2Fx"),
        ] {
            assert_eq!(redact(raw), redacted);
        }
    }

    #[test]
    fn what_only_looks_like_userinfo_stays() {
        let digest = "a".repeat(64);
        for text in [
            "http://h:5000/@scope/package",
            "http://h/x",
            "git@example.org/app",
            &format!("h:5000/app:1@sha256:{digest}"),
            &format!("http://h:5000/v2/app:1@sha256:{digest}"),
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn query_values_go_and_their_names_stay() {
        for (raw, redacted) in [
            (
                "http://h/x?a=1&b=2;c=3",
                "http://h/x?a=[redacted]&b=[redacted];c=[redacted]",
            ),
            ("/x?a=1 not found", "/x?a=[redacted] not found"),
            ("http://h/x?value", "http://h/x?[redacted]"),
            ("http://h/x#access=1&y", "http://h/x#access=[redacted]&[redacted]"),
            ("what? nothing", "what? nothing"),
        ] {
            assert_eq!(redact(raw), redacted);
        }
    }
}

//! Values of fields whose name says that they are secret: `password=x`, `"auth": "x"`, `--token x`.

use std::ops::Range;

use super::argv;
use crate::redact::scan;

/// In whatever place of a name.
const TELLING_PARTS: [&[u8]; 6] = [
    b"passw",
    b"passphrase",
    b"secret",
    b"token",
    b"credential",
    b"apikey",
];

/// At the end of a word of a name, so that `unauthorized` and `keyboard` stay.
const TELLING_ENDINGS: [&[u8]; 11] = [
    b"pass",
    b"pwd",
    b"key",
    b"keys",
    b"auth",
    b"authorization",
    b"cred",
    b"creds",
    b"signature",
    b"session",
    b"cookie",
];

/// Names of fields that hold a command line, an environment or what a command printed.
const COMMANDS: [&[u8]; 11] = [
    b"cmd",
    b"command",
    b"args",
    b"argv",
    b"entrypoint",
    b"exec",
    b"env",
    b"environment",
    b"shell",
    b"output",
    b"test",
];

/// More of a name is not looked at.
const LONGEST_NAME: usize = 64;

pub(super) fn mark(text: &[u8], hits: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(sign) = next_sign(text, at) {
        let value = secret_value(text, sign);
        at = value.as_ref().map_or(sign + 1, |value| value.end.max(sign + 1));
        hits.extend(value);
    }
}

/// The next sign that may stand between a name and a value; a space does so after a flag.
fn next_sign(text: &[u8], from: usize) -> Option<usize> {
    let sign = scan::until(text, from, |byte| matches!(byte, b'=' | b':' | b' '));
    (sign < text.len()).then_some(sign)
}

fn secret_value(text: &[u8], sign: usize) -> Option<Range<usize>> {
    let name = name_before(text, sign);
    let word = &text[name.clone()];
    if text[sign] == b' ' {
        return (word.starts_with(b"--") && is_telling(word)).then(|| value_after(text, sign))?;
    }
    if is_path(text, &name, sign) || text[sign..].starts_with(b"://") {
        return None;
    }
    if COMMANDS.iter().any(|command| word.eq_ignore_ascii_case(command)) {
        return command_after(text, sign);
    }
    let value = is_telling(word).then(|| value_after(text, sign))??;
    Some(with_scheme(text, word, value))
}

/// The name that ends before the sign, without quotes and the backslashes before them. The last word of a
/// longer quoted string is none.
fn name_before(text: &[u8], sign: usize) -> Range<usize> {
    let back = |end: usize, part: fn(u8) -> bool| {
        text[..end]
            .iter()
            .rev()
            .take(LONGEST_NAME)
            .take_while(|&&byte| part(byte))
            .count()
    };
    let spaces = if text[sign] == b' ' {
        0
    } else {
        back(sign, |byte| byte == b' ')
    };
    let close = sign - spaces;
    let end = close - back(close, |byte| scan::is_quote(byte) || byte == b'\\');
    let start = end - back(end, scan::is_name);
    let is_whole = end == close || start > 0 && scan::is_quote(text[start - 1]);
    if is_whole { start..end } else { end..end }
}

/// `library/token:1` or `/run/token: no such file`, where the colon ends a path.
fn is_path(text: &[u8], name: &Range<usize>, sign: usize) -> bool {
    text[sign] == b':' && text[..name.start].ends_with(b"/")
}

/// Of a dotted name the last part tells: `spring.password` does, the host `auth.example.org` does not.
fn is_telling(name: &[u8]) -> bool {
    let name = name
        .rsplit(|&byte| byte == b'.')
        .next()
        .unwrap_or_default()
        .to_ascii_lowercase();
    let has = |part: &[u8]| name.windows(part.len()).any(|window| window == part);
    let mut words = name.split(|byte| !byte.is_ascii_alphanumeric());
    TELLING_PARTS.iter().any(|part| has(part))
        || words.any(|word| TELLING_ENDINGS.iter().any(|ending| word.ends_with(ending)))
}

/// The value after the sign. An object is none: its fields are looked at one by one.
fn value_after(text: &[u8], sign: usize) -> Option<Range<usize>> {
    let start = scan::until(text, sign, |byte| !matches!(byte, b' ' | b'=' | b':' | b'>'));
    let start = within_wrapper(text, start);
    match text.get(start)? {
        b'{' => None,
        b'[' => Some(start..list_end(text, start)),
        _ => Some(scan::quoted(text, start).unwrap_or_else(|| start..bare_end(text, start))),
    }
}

/// The begin of the quoted string in `Some("x")`, or `start` itself.
fn within_wrapper(text: &[u8], start: usize) -> usize {
    let name = scan::until(text, start, |byte| !byte.is_ascii_alphabetic());
    let wraps = text.get(name) == Some(&b'(') && scan::quoted(text, name + 1).is_some();
    if wraps { name + 1 } else { start }
}

/// A command line, an environment or an output: a list, or a quoted string that is more than the name of a
/// program.
fn command_after(text: &[u8], sign: usize) -> Option<Range<usize>> {
    let start = scan::skip_spaces(text, sign + 1);
    if text.get(start) == Some(&b'[') {
        return Some(start..list_end(text, start));
    }
    scan::quoted(text, start).filter(|content| !argv::is_harmless(&text[content.clone()]))
}

/// The end of a list from its opening bracket; brackets within quoted strings do not count.
fn list_end(text: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    loop {
        at = scan::until(text, at, |byte| matches!(byte, b']' | b'"'));
        if text.get(at) != Some(&b'"') {
            return text.len().min(at + 1);
        }
        let escapes = scan::backslashes_before(text, at);
        let string = scan::quoted(text, at - escapes).unwrap_or(at..at);
        at = scan::until(text, string.end, |byte| byte == b'"') + 1;
    }
}

/// The end of a value without quotes: white space, a quote, or a separator that white space or the next field
/// follows.
fn bare_end(text: &[u8], start: usize) -> usize {
    let mut end = start;
    loop {
        end = scan::until(text, end, |byte| matches!(byte, b' ' | b'"' | b',' | b';' | b'&'));
        match text.get(end) {
            Some(b',' | b';' | b'&') if !ends_field(text, end + 1) => end += 1,
            _ => return end,
        }
    }
}

/// Whether a separator before `at` is followed by white space, the end or `name=`.
fn ends_field(text: &[u8], at: usize) -> bool {
    let end = scan::until(text, at, |byte| !scan::is_name(byte));
    let next = text.get(end);
    if end == at {
        next.is_none_or(|&byte| byte == b' ')
    } else {
        next == Some(&b'=')
    }
}

/// With the word after it, if the value is the scheme of an authorization: `Authorization: Custom x`.
fn with_scheme(text: &[u8], name: &[u8], value: Range<usize>) -> Range<usize> {
    let authorizes = [&b"authorization"[..], b"auth", b"creds"].iter().any(|ending| {
        name.len() >= ending.len() && name[name.len() - ending.len()..].eq_ignore_ascii_case(ending)
    });
    if !authorizes || !text[value.clone()].iter().all(u8::is_ascii_alphabetic) {
        return value;
    }
    let next = scan::skip_spaces(text, value.end);
    if next == value.end {
        value
    } else {
        value.start..bare_end(text, next)
    }
}

#[cfg(test)]
mod tests {
    use crate::redact::Redactor;

    fn redact(text: &str) -> String {
        Redactor::default().redact(text)
    }

    #[test]
    fn values_of_telling_names_go() {
        for (raw, redacted) in [
            (
                "data: username=u,password=p,w,addr=h: bad",
                "data: username=u,password=[redacted],addr=h: bad",
            ),
            ("DB_PASS=x MODE=prod", "DB_PASS=[redacted] MODE=prod"),
            (
                r#"{"user":"u","password":"a\"b","id":5}"#,
                r#"{"user":"u","password":"[redacted]","id":5}"#,
            ),
            (
                r#"{\"auth\": \"x y\", \"id\": 5}"#,
                r#"{\"auth\": \"[redacted]\", \"id\": 5}"#,
            ),
            (
                "{Username:u Password:p Host:h}",
                "{Username:u Password:[redacted] Host:h}",
            ),
            (
                "run --api-token abc --name web",
                "run --api-token [redacted] --name web",
            ),
            (
                r#"Login { user: Some("u"), password: Some("a b") }"#,
                r#"Login { user: Some("u"), password: Some("[redacted]") }"#,
            ),
            (
                "X-Registry-Auth: abc= status 401",
                "X-Registry-Auth: [redacted] status 401",
            ),
            (
                "Authorization: Custom abc status 401",
                "Authorization: [redacted] status 401",
            ),
            (r#""tokens":["a]","b"],"x":1"#, r#""tokens":[redacted],"x":1"#),
            (
                r#""auths":{"h":{"auth":"x"}}"#,
                r#""auths":{"h":{"auth":"[redacted]"}}"#,
            ),
            (
                "%22secret%22%3A%22x%22%2C%22id%22%3A5",
                "%22secret%22%3A%22[redacted]%22%2C%22id%22%3A5",
            ),
            ("accessKeyId = x", "accessKeyId = x"),
            ("access_key = x", "access_key = [redacted]"),
        ] {
            assert_eq!(redact(raw), redacted);
        }
    }

    #[test]
    fn command_lines_and_environments_go() {
        for (raw, redacted) in [
            (
                r#"{"Cmd":["sh","-c","echo ]x"],"Id":"c1"}"#,
                r#"{"Cmd":[redacted],"Id":"c1"}"#,
            ),
            (
                r#"{"Env":["A=x"],"Output":"x y","ExitCode":1}"#,
                r#"{"Env":[redacted],"Output":"[redacted]","ExitCode":1}"#,
            ),
            ("args: [sh -c x] failed", "args: [redacted] failed"),
            (
                r#"exec: "mysql": executable file not found"#,
                r#"exec: "mysql": executable file not found"#,
            ),
        ] {
            assert_eq!(redact(raw), redacted);
        }
    }

    #[test]
    fn names_that_only_resemble_telling_ones_keep_their_values() {
        for text in [
            "unauthorized: authentication required",
            "library/token:1.4: not found",
            "keyboard: us",
            "command: not found",
            "https://auth.example.org/v2/: 502 Bad Gateway",
            "lookup auth.example.org: no such host, auth.example.org:443",
            "open /run/secrets/token: no such file or directory",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}

//! Command lines, mounts and variables that the engine quotes in its errors and events.

use std::collections::BTreeSet;
use std::ops::Range;

use crate::redact::scan;

/// All that follows goes: nothing marks where it ends.
const OPEN_ENDED: [&[u8]; 4] = [
    b"invalid environment variable:",
    b"exec_create:",
    b"exec_start:",
    b"cookie:",
];

/// The quoted string that follows goes, whatever it is, to the last place where the closing part stands.
const CLOSED: [(&[u8], &[u8]); 3] = [
    (b"the command '", b"' returned"),
    (b"specification: '", b"': "),
    (b" spec: '", b"': "),
];

/// What stands before a reference whose tag goes.
const NO_IMAGE: &[u8] = b"no such image: ";

/// Phrases in quotes that the engine means literally.
const PHRASES: [&[u8]; 1] = [b"docker login"];

pub(super) fn mark(text: &[u8], hits: &mut Vec<Range<usize>>) {
    for lead in OPEN_ENDED {
        hits.extend(scan::find(text, lead, 0).map(|at| scan::skip_spaces(text, at + lead.len())..text.len()));
    }
    for (lead, close) in CLOSED {
        hits.extend(closed(text, lead, close));
    }
    mark_tags(text, hits);
    mark_quoted(text, b'\'', 0, hits);
    mark_quoted(text, b'`', 0, hits);
    for depth in depths(text) {
        mark_quoted(text, b'"', depth, hits);
    }
}

fn closed(text: &[u8], lead: &[u8], close: &[u8]) -> Option<Range<usize>> {
    let start = scan::find(text, lead, 0)? + lead.len();
    let end = text[start..]
        .windows(close.len())
        .rposition(|window| window == close);
    Some(start..end.map_or(text.len(), |end| start + end))
}

fn mark_tags(text: &[u8], hits: &mut Vec<Range<usize>>) {
    let mut at = 0;
    while let Some(lead) = scan::find(text, NO_IMAGE, at) {
        let start = lead + NO_IMAGE.len();
        at = scan::until(text, start, |byte| byte == b' ' || scan::is_quote(byte));
        hits.extend(tag(text, start..at));
    }
}

/// The tag of an image reference: after the last colon that has no slash after it, before a digest.
fn tag(text: &[u8], reference: Range<usize>) -> Option<Range<usize>> {
    let end = scan::until(&text[..reference.end], reference.start, |byte| byte == b'@');
    let name = &text[reference.start..end];
    let colon = name.iter().rposition(|&byte| matches!(byte, b':' | b'/'))?;
    (name[colon] == b':').then_some(reference.start + colon + 1..end)
}

/// The depths of escaping at which there are double quotes.
fn depths(text: &[u8]) -> BTreeSet<usize> {
    let quotes = text.iter().enumerate().filter(|(_, byte)| **byte == b'"');
    quotes.map(|(at, _)| scan::backslashes_before(text, at)).collect()
}

/// Marks the quoted strings at one depth of escaping that are more than a name, a reference or a URL.
fn mark_quoted(text: &[u8], kind: u8, depth: usize, hits: &mut Vec<Range<usize>>) {
    let is_quote = |at: &usize| text[*at] == kind && scan::backslashes_before(text, *at) == depth;
    let mut quotes = (0..text.len()).filter(is_quote);
    let mut before: Option<Range<usize>> = None;
    while let Some(open) = quotes.find(|&at| may_open(text, at - depth)) {
        let close = quotes.find(|&at| may_close(text, at));
        let content = open + 1..close.map_or(text.len(), |close| close - depth);
        let is_string = close.is_some() || kind == b'"';
        if is_string && !is_value(text, open - depth, before) && !is_harmless(&text[content.clone()]) {
            hits.push(content.clone());
        }
        before = Some(open - depth..content.end + depth);
    }
}

/// Not the apostrophe of a word, nor the end of a string whose begin was missed.
fn may_open(text: &[u8], at: usize) -> bool {
    let opens = |byte: u8| b" ([{<:=,".contains(&byte) || scan::is_quote(byte);
    text[..at].last().is_none_or(|&byte| opens(byte))
}

fn may_close(text: &[u8], at: usize) -> bool {
    text.get(at + 1).is_none_or(|byte| !byte.is_ascii_alphanumeric())
}

/// Whether the string from `open` is the value of a field, `"message": "..."` or `msg="..."`. Such a one
/// holds whole sentences; what they quote is quoted at another depth. `before` is the quoted string before
/// it, up to its quote.
fn is_value(text: &[u8], open: usize, before: Option<Range<usize>>) -> bool {
    let lead = text[..open].trim_ascii_end();
    if lead.ends_with(b"=") {
        return true;
    }
    let (Some(name), Some(lead)) = (before, lead.strip_suffix(b":")) else {
        return false;
    };
    let is_named = lead.trim_ascii_end().len() == name.end + 1;
    is_named && matches!(text[..name.start].trim_ascii_end().last(), Some(b'{' | b','))
}

/// Whether a quoted string is nothing but a name, a path, a reference or a URL, and no flag.
pub(super) fn is_harmless(content: &[u8]) -> bool {
    let plain = |byte: &u8| scan::is_name(*byte) || matches!(byte, b'/' | b':' | b'@' | b'+');
    let is_url = scan::find(content, b"://", 0).is_some() && !content.contains(&b' ');
    PHRASES.contains(&content) || is_url || (!content.starts_with(b"-") && content.iter().all(plain))
}

#[cfg(test)]
mod tests {
    use crate::redact::Redactor;

    fn redact(text: &str) -> String {
        Redactor::default().redact(text)
    }

    #[test]
    fn quoted_command_lines_go_at_any_depth_of_escaping() {
        for (raw, redacted) in [
            (
                r#"caused: exec: "mysql -px": not found"#,
                r#"caused: exec: "[redacted]": not found"#,
            ),
            (
                r#"caused: exec: "sh -c \"a b\"": not found"#,
                r#"caused: exec: "[redacted]": not found"#,
            ),
            (
                r#"{"message":"caused: exec: \"mysql -px\": not found"}"#,
                r#"{"message":"caused: exec: \"[redacted]\": not found"}"#,
            ),
            (r#"a "mysql -px"#, r#"a "[redacted]"#),
            (r#"foo" exec: "mysql -px" bar"#, r#"foo" exec: "[redacted]" bar"#),
            (
                r#"{"message":"cannot run \"mysql -px\" here"}"#,
                r#"{"message":"cannot run \"[redacted]\" here"}"#,
            ),
            ("ran 'sh -c it's x' twice", "ran '[redacted]' twice"),
            ("ran `mysql -px` twice", "ran `[redacted]` twice"),
            ("flag \"-px\" unknown", "flag \"[redacted]\" unknown"),
            ("label \"a=x\" unknown", "label \"[redacted]\" unknown"),
        ] {
            assert_eq!(redact(raw), redacted);
        }
    }

    #[test]
    fn quoted_names_references_urls_and_sentences_stay() {
        for text in [
            r#"Conflict. The container name "/web" is already in use by container "0123456789ab"."#,
            r#"Head "http://127.0.0.1:5000/v2/app/manifests/1": no basic auth credentials"#,
            r#"may require 'docker login': denied"#,
            r#"unexpected end of JSON input: """#,
            r#"{"message": "driver failed: port is already allocated", "code": 500}"#,
            r#"level=error msg="cannot start the container" id=1"#,
            "the users' files can't be read, it isn't allowed",
        ] {
            assert_eq!(redact(text), text);
        }
    }

    #[test]
    fn only_the_tag_of_a_missing_image_goes() {
        for (raw, redacted) in [
            (
                "No such image: h:5000/a/b:tag",
                "No such image: h:5000/a/b:[redacted]",
            ),
            ("No such image: h:5000/a/b", "No such image: h:5000/a/b"),
            ("\"No such image: a:tag\"", "\"[redacted]\""),
            (
                "{\"message\":\"No such image: a:tag\"}",
                "{\"message\":\"No such image: a:[redacted]\"}",
            ),
        ] {
            assert_eq!(redact(raw), redacted);
        }
    }
}

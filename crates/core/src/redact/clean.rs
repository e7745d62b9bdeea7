//! Taking out of a text what acts on a terminal, breaks a line or cannot be seen.

/// The text on one line: white space of any kind as spaces, without escape sequences, control characters and
/// invisible characters.
pub(super) fn clean(text: &str) -> String {
    let mut clean = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(next) = rest.next() {
        match next {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_control_sequence(&mut rest),
            '\u{90}' | '\u{98}' | '\u{9d}'..='\u{9f}' => skip_string(&mut rest),
            '\n' | '\r' | '\t' | '\u{85}' | '\u{2028}' | '\u{2029}' => clean.push(' '),
            c if c.is_control() || is_invisible(c) => {}
            c => clean.push(c),
        }
    }
    clean
}

/// Zero-width characters, and those that turn the direction of writing.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// What follows an escape character, if it begins a sequence. Of any other the escape character alone goes:
/// what a terminal would take with it may be the first letter of something that must be recognised.
fn skip_escape(rest: &mut std::str::Chars<'_>) {
    let mut ahead = rest.clone();
    match ahead.next() {
        Some('[') => skip_control_sequence(&mut ahead),
        Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut ahead),
        _ => return,
    }
    *rest = ahead;
}

/// The parameters of a control sequence, and its last byte.
fn skip_control_sequence(rest: &mut std::str::Chars<'_>) {
    let mut ahead = rest.clone();
    while let Some(' '..='?') = ahead.next() {
        *rest = ahead.clone();
    }
    if let Some('@'..='~') = rest.clone().next() {
        rest.next();
    }
}

/// A string for the terminal, such as a window title. One that does not end takes the rest, as it does there.
fn skip_string(rest: &mut std::str::Chars<'_>) {
    while let Some(next) = rest.next() {
        match next {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' if rest.as_str().starts_with('\\') => break,
            _ => {}
        }
    }
    rest.next();
}

#[cfg(test)]
mod tests {
    use super::clean;

    #[test]
    fn a_text_becomes_one_line() {
        assert_eq!(clean("a\nb\r\n\tc\u{2028}d\u{85}e"), "a b   c d e");
    }

    #[test]
    fn what_acts_on_a_terminal_goes() {
        let hostile =
            "a\u{1b}[31;1mb\u{9b}2Kc\u{1b}]0;title\u{7}d\u{1b}]8;;http://x\u{1b}\\e\u{1b}f\u{7}g\u{8}\0h";
        assert_eq!(clean(hostile), "abcdefgh");
    }

    #[test]
    fn what_cannot_be_seen_goes() {
        assert_eq!(clean("a\u{200b}b\u{202e}c\u{feff}d\u{2066}e"), "abcde");
    }

    #[test]
    fn letters_of_any_script_stay() {
        assert_eq!(clean("Bär ☃ 日本 𝄞"), "Bär ☃ 日本 𝄞");
    }

    #[test]
    fn sequences_that_stop_short_do_no_harm() {
        assert_eq!(clean("a\u{1b}"), "a");
        assert_eq!(clean("a\u{1b}["), "a");
        assert_eq!(clean("a\u{1b}[31é"), "aé");
        assert_eq!(clean("a\u{1b}]0;never ends"), "a");
    }
}

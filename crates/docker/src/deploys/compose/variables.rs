//! Variables of a Compose file.

/// A variable that a text uses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Variable {
    pub(super) name: String,
    /// Whether the text says nothing of what is to stand there when it is not set.
    pub(super) is_required: bool,
}

/// A `$` that begins no variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct NoVariable;

/// What is known of a variable's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known<'a> {
    Value(&'a str),
    Unset,
    /// It has one, which is not told here.
    Secret,
}

/// A part of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece<'a> {
    Text(&'a str),
    Variable {
        name: &'a str,
        /// Whether an empty value is as good as none.
        or_empty: bool,
        instead: Instead<'a>,
    },
}

/// What stands there besides the value of a variable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Instead<'a> {
    Nothing,
    /// This, if it is not set.
    Default(&'a str),
    /// This, if it is set.
    Alternative(&'a str),
}

/// The variables that a text uses: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?why}`, `${NAME?why}`, `${NAME:+text}`
/// and `${NAME+text}`. `$$` is a plain dollar.
pub(super) fn variables_of(text: &str) -> Result<Vec<Variable>, NoVariable> {
    let mut found = Vec::new();
    for piece in pieces(text)? {
        if let Piece::Variable { name, instead, .. } = piece {
            found.push(Variable {
                name: name.to_owned(),
                is_required: instead == Instead::Nothing,
            });
            if let Instead::Default(text) | Instead::Alternative(text) = instead {
                found.extend(variables_of(text)?);
            }
        }
    }
    Ok(found)
}

/// A text with all variables filled in; `None` if it depends on what is not told, or cannot be read.
pub(super) fn filled<'a>(text: &str, value_of: &dyn Fn(&str) -> Known<'a>) -> Option<String> {
    let mut whole = String::new();
    for piece in pieces(text).ok()? {
        match piece {
            Piece::Text(text) => whole.push_str(text),
            Piece::Variable {
                name,
                or_empty,
                instead,
            } => match (value_of(name), instead) {
                (Known::Secret, _) => return None,
                (Known::Value(value), Instead::Alternative(text)) if !(or_empty && value.is_empty()) => {
                    whole.push_str(&filled(text, value_of)?);
                }
                (_, Instead::Alternative(_)) => {}
                (Known::Value(value), Instead::Default(text)) if or_empty && value.is_empty() => {
                    whole.push_str(&filled(text, value_of)?);
                }
                (Known::Unset, Instead::Default(text)) => whole.push_str(&filled(text, value_of)?),
                (Known::Value(value), _) => whole.push_str(value),
                (Known::Unset, Instead::Nothing) => {}
            },
        }
    }
    Some(whole)
}

/// Whether what stands for a variable without a value is more than plain text.
pub(super) fn has_nested(text: &str) -> bool {
    let nested = |piece: &Piece<'_>| match piece {
        Piece::Variable {
            instead: Instead::Default(text) | Instead::Alternative(text),
            ..
        } => text.contains(['$', '{']),
        _ => false,
    };
    pieces(text).is_ok_and(|pieces| pieces.iter().any(nested))
}

fn pieces(text: &str) -> Result<Vec<Piece<'_>>, NoVariable> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('$') {
        found.push(Piece::Text(before));
        rest = match after.as_bytes().first() {
            Some(b'$') => {
                found.push(Piece::Text("$"));
                &after[1..]
            }
            Some(b'{') => braced(&after[1..], &mut found)?,
            _ => plain(after, &mut found)?,
        };
    }
    found.push(Piece::Text(rest));
    Ok(found)
}

fn plain<'a>(text: &'a str, found: &mut Vec<Piece<'a>>) -> Result<&'a str, NoVariable> {
    let (name, rest) = split_name(text)?;
    found.push(Piece::Variable {
        name,
        or_empty: false,
        instead: Instead::Nothing,
    });
    Ok(rest)
}

fn braced<'a>(text: &'a str, found: &mut Vec<Piece<'a>>) -> Result<&'a str, NoVariable> {
    let (inner, rest) = split_brace(text).ok_or(NoVariable)?;
    let (name, operation) = split_name(inner)?;
    let operator = operation.strip_prefix(':').unwrap_or(operation);
    let instead = match operator.as_bytes().first() {
        None if operation.is_empty() => Instead::Nothing,
        Some(b'?') => Instead::Nothing,
        Some(b'-') => Instead::Default(&operator[1..]),
        Some(b'+') => Instead::Alternative(&operator[1..]),
        _ => return Err(NoVariable),
    };
    found.push(Piece::Variable {
        name,
        or_empty: operation.starts_with(':'),
        instead,
    });
    Ok(rest)
}

/// How deep defaults may hold further braces.
const MAX_DEPTH: usize = 8;

/// Up to the brace that closes, and what follows it.
fn split_brace(text: &str) -> Option<(&str, &str)> {
    let mut depth = 1_usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth > MAX_DEPTH {
            return None;
        }
        if depth == 0 {
            return Some((&text[..at], &text[at + 1..]));
        }
    }
    None
}

fn split_name(text: &str) -> Result<(&str, &str), NoVariable> {
    let end = text
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(text.len());
    match text.as_bytes().first() {
        Some(first) if end > 0 && !first.is_ascii_digit() => Ok(text.split_at(end)),
        _ => Err(NoVariable),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(String, bool)> {
        let found = variables_of(text).unwrap();
        found.into_iter().map(|v| (v.name, v.is_required)).collect()
    }

    #[test]
    fn every_notation_is_read() {
        let a = |required| vec![("A".to_owned(), required)];
        for text in ["$A", "x${A}y", "${A:?why}", "${A?}", "$$$A", "${A}$$B"] {
            assert_eq!(names(text), a(true), "{text}");
        }
        for text in ["${A:-1}", "${A-}", "${A:+x}", "${A+x}"] {
            assert_eq!(names(text), a(false), "{text}");
        }
        assert_eq!(
            names("${A:-${B}}/$C_1"),
            [("A".into(), false), ("B".into(), true), ("C_1".into(), true)]
        );
        assert_eq!(names("plain $$HOME"), []);
    }

    #[test]
    fn a_dollar_that_begins_nothing_is_none() {
        let nested = format!("{}{}", "${A:-".repeat(100_000), "}".repeat(100_000));
        for text in [
            &*nested,
            "$",
            "a$ b",
            "${",
            "${}",
            "${A",
            "${A!}",
            "$1",
            "${1}",
            "${A:}",
            "\u{e9}$\u{e9}",
        ] {
            assert_eq!(variables_of(text), Err(NoVariable), "{text}");
        }
    }

    #[test]
    fn a_text_is_filled_as_compose_fills_it() {
        let value_of = |name: &str| match name {
            "A" => Known::Value("a"),
            "EMPTY" => Known::Value(""),
            "KEY" => Known::Secret,
            _ => Known::Unset,
        };
        for (text, expected) in [
            ("$A/${A}/$$A", "a/a/$A"),
            ("${A:-b}${NO:-c}${NO-d}", "acd"),
            ("${EMPTY:-b}${EMPTY-c}", "b"),
            ("${A:+b}${EMPTY:+c}${EMPTY+d}${NO+e}", "bd"),
            ("${NO:-${NO:-.}/x}", "./x"),
            ("[$NO]", "[]"),
        ] {
            assert_eq!(filled(text, &value_of).as_deref(), Some(expected), "{text}");
        }
        for unknown in ["$KEY", "${KEY:-x}", "${NO:-$KEY}", "a$"] {
            assert_eq!(filled(unknown, &value_of), None, "{unknown}");
        }
    }

    #[test]
    fn what_stands_for_a_value_may_hold_variables() {
        assert!(has_nested("${A:-${B}}") && has_nested("x${A-{}}"));
        assert!(!has_nested("${A:-b}${B}$C"));
    }
}

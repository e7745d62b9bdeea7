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

/// The variables that a text uses: `$NAME`, `${NAME}`, `${NAME:-default}`, `${NAME-default}`, `${NAME:?why}`, `${NAME?why}`, `${NAME:+text}`
/// and `${NAME+text}`. `$$` is a plain dollar.
pub(super) fn variables_of(text: &str) -> Result<Vec<Variable>, NoVariable> {
    let (mut found, mut rest) = (Vec::new(), text);
    while let Some((_, after)) = rest.split_once('$') {
        rest = match after.as_bytes().first() {
            Some(b'$') => &after[1..],
            Some(b'{') => braced(&after[1..], &mut found)?,
            _ => plain(after, &mut found)?,
        };
    }
    Ok(found)
}

fn plain<'a>(text: &'a str, found: &mut Vec<Variable>) -> Result<&'a str, NoVariable> {
    let (name, rest) = split_name(text)?;
    found.push(Variable {
        name: name.to_owned(),
        is_required: true,
    });
    Ok(rest)
}

fn braced<'a>(text: &'a str, found: &mut Vec<Variable>) -> Result<&'a str, NoVariable> {
    let (inner, rest) = split_brace(text).ok_or(NoVariable)?;
    let (name, operation) = split_name(inner)?;
    let operator = operation.strip_prefix(':').unwrap_or(operation);
    let is_required = match operator.as_bytes().first() {
        None if operation.is_empty() => true,
        Some(b'?') => true,
        Some(b'-' | b'+') => false,
        _ => return Err(NoVariable),
    };
    found.push(Variable {
        name: name.to_owned(),
        is_required,
    });
    if !is_required {
        found.extend(variables_of(&operator[1..])?);
    }
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
}

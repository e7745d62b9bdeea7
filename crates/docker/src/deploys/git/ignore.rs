//! `.dockerignore`.

/// The rules of a `.dockerignore` file; the last one that fits decides.
#[derive(Debug, Default)]
pub(super) struct Ignore(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    takes_back: bool,
    parts: Vec<String>,
}

impl Ignore {
    /// Reads the file. A rule that makes no sense fits nothing.
    pub(super) fn parse(text: &str) -> Self {
        let lines = text.trim_start_matches('\u{feff}').lines();
        let rules = lines.filter(|line| !line.starts_with('#')).filter_map(rule);
        Self(rules.collect())
    }

    /// Whether a path, with `/` between its parts, is left out. What lies in a folder that is left out is, too.
    pub(super) fn leaves_out(&self, path: &str) -> bool {
        let path: Vec<&str> = path.split('/').collect();
        let fitting = self.0.iter().rev().find(|rule| rule.fits(&path));
        fitting.is_some_and(|rule| !rule.takes_back)
    }
}

fn rule(line: &str) -> Option<Rule> {
    let line = line.trim();
    let (takes_back, pattern) = match line.strip_prefix('!') {
        Some(pattern) => (true, pattern.trim()),
        None => (false, line),
    };
    let parts = parts(pattern);
    (!parts.is_empty()).then_some(Rule { takes_back, parts })
}

/// As if it were a path: `./a//b/../c/` is `a/c`. Of `**.log` the stars reach across folders.
fn parts(pattern: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            "**" => parts.push("**".to_owned()),
            part => match part.strip_prefix("**") {
                Some(rest) => parts.extend(["**".to_owned(), format!("*{rest}")]),
                None => parts.push(part.to_owned()),
            },
        }
    }
    parts
}

impl Rule {
    /// Whether it is about the path or a folder above it.
    fn fits(&self, path: &[&str]) -> bool {
        (1..=path.len()).any(|depth| fits(&self.parts, &path[..depth]))
    }
}

fn fits(parts: &[String], path: &[&str]) -> bool {
    match (parts.split_first(), path.split_first()) {
        (None, None) => true,
        (Some((part, rest)), _) if part == "**" => {
            (0..=path.len()).any(|skipped| fits(rest, &path[skipped..]))
        }
        (Some((part, rest)), Some((name, below))) => {
            let (part, name): (Vec<char>, Vec<char>) = (part.chars().collect(), name.chars().collect());
            fits_name(&part, &name) && fits(rest, below)
        }
        _ => false,
    }
}

/// `*` any signs, `?` one, `[a-c]` and `[^a-c]` one of a class, `\` the next as it is.
fn fits_name(pattern: &[char], name: &[char]) -> bool {
    match (pattern, name) {
        ([], []) => true,
        (['*', rest @ ..], _) => (0..=name.len()).any(|skipped| fits_name(rest, &name[skipped..])),
        (['?', rest @ ..], [_, below @ ..]) => fits_name(rest, below),
        (['[', class @ ..], [sign, below @ ..]) => match split_class(class) {
            Some((class, rest)) => is_in(class, *sign) && fits_name(rest, below),
            None => false,
        },
        (['\\', escaped, rest @ ..], [sign, below @ ..]) => escaped == sign && fits_name(rest, below),
        ([plain, rest @ ..], [sign, below @ ..]) => plain == sign && fits_name(rest, below),
        _ => false,
    }
}

fn split_class(pattern: &[char]) -> Option<(&[char], &[char])> {
    let end = pattern.iter().position(|sign| *sign == ']')?;
    Some((&pattern[..end], &pattern[end + 1..]))
}

fn is_in(class: &[char], sign: char) -> bool {
    let (is_inverse, mut class) = match class {
        ['^', class @ ..] => (true, class),
        class => (false, class),
    };
    let mut found = false;
    while let Some((first, rest)) = class.split_first() {
        (found, class) = match rest {
            ['-', last, rest @ ..] => (found || (*first..=*last).contains(&sign), rest),
            rest => (found || *first == sign, rest),
        };
    }
    found != is_inverse
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_rule_that_fits_decides() {
        let ignore = Ignore::parse(
            "# a comment\n\n*.log\n/build/\n**/node_modules\n!keep.log\ndocs/*\n!docs/README.md\n **/*.tm[pq] \nsecret?\n./x//y/../z\n**.bak\n\\!odd\n[unclosed",
        );
        for left_out in [
            "a.log",
            "build",
            "build/out/a",
            "node_modules/x",
            "web/node_modules/x/y",
            "docs/a/b",
            "a/b.tmp",
            "c.tmq",
            "secret1",
            "x/z",
            "x/z/deep",
            "deep/a.bak",
            "!odd",
        ] {
            assert!(ignore.leaves_out(left_out), "{left_out}");
        }
        for kept in [
            "sub/a.log",
            "keep.log",
            "docs",
            "docs/README.md",
            "c.tmx",
            "secret12",
            "src/build",
            "x",
            "[unclosed",
        ] {
            assert!(!ignore.leaves_out(kept), "{kept}");
        }
    }

    #[test]
    fn everything_but_a_few_can_be_left_out() {
        let ignore = Ignore::parse("*\n!src\n!Dockerfile\nsrc/[^a-m]*");
        assert!(ignore.leaves_out("other/a") && ignore.leaves_out("src/z"));
        assert!(!ignore.leaves_out("src/a") && !ignore.leaves_out("Dockerfile"));
        assert!(!Ignore::default().leaves_out("a"));
    }
}

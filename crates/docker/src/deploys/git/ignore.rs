//! `.dockerignore`.

use std::ops::RangeInclusive;

/// The rules of a `.dockerignore` file; the last one that fits decides.
#[derive(Debug, Default)]
pub(super) struct Ignore(Vec<Rule>);

#[derive(Debug)]
struct Rule {
    takes_back: bool,
    parts: Vec<Glob<Name>>,
}

/// A step of a pattern: whatever there may be, or exactly one thing that fits.
#[derive(Debug, Clone)]
enum Glob<T> {
    Any,
    One(T),
}

/// The pattern of a file's name.
type Name = Vec<Glob<Sign>>;

#[derive(Debug, Clone)]
enum Sign {
    Each,
    Plain(char),
    Class {
        is_inverse: bool,
        ranges: Vec<RangeInclusive<char>>,
    },
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
        let path: Vec<Vec<char>> = path.split('/').map(|name| name.chars().collect()).collect();
        let fitting = self
            .0
            .iter()
            .rev()
            .find(|rule| fits(&rule.parts, &path, |part, name| fits(part, name, fits_sign)));
        fitting.is_some_and(|rule| !rule.takes_back)
    }
}

fn rule(line: &str) -> Option<Rule> {
    let line = line.trim();
    let (takes_back, pattern) = match line.strip_prefix('!') {
        Some(pattern) => (true, pattern.trim()),
        None => (false, line),
    };
    let mut parts = parts(pattern)?;
    if parts.is_empty() {
        return None;
    }
    // What lies in a folder that fits does, too.
    parts.push(Glob::Any);
    Some(Rule { takes_back, parts })
}

/// As if it were a path: `./a//b/../c/` is `a/c`. Of `**.log` the stars reach across folders.
fn parts(pattern: &str) -> Option<Vec<Glob<Name>>> {
    let mut parts = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            "**" => parts.push(Glob::Any),
            part => {
                let rest = part.strip_prefix("**");
                parts.extend(rest.is_some().then_some(Glob::Any));
                let part = rest.map_or_else(|| part.to_owned(), |rest| format!("*{rest}"));
                parts.push(Glob::One(name(&part)?));
            }
        }
    }
    Some(parts)
}

/// `*` any signs, `?` one, `[a-c]` and `[^a-c]` one of a class, `\` the next as it is.
fn name(pattern: &str) -> Option<Name> {
    let (mut signs, mut name) = (pattern.chars(), Name::new());
    while let Some(sign) = signs.next() {
        name.push(match sign {
            '*' => Glob::Any,
            '?' => Glob::One(Sign::Each),
            '\\' => Glob::One(Sign::Plain(signs.next()?)),
            '[' => {
                let (inner, rest) = signs.as_str().split_once(']')?;
                signs = rest.chars();
                Glob::One(class(inner))
            }
            plain => Glob::One(Sign::Plain(plain)),
        });
    }
    Some(name)
}

fn class(inner: &str) -> Sign {
    let signs: Vec<char> = inner.strip_prefix('^').unwrap_or(inner).chars().collect();
    let (mut signs, mut ranges) = (signs.as_slice(), Vec::new());
    while let Some((first, rest)) = signs.split_first() {
        let (last, rest) = match rest {
            ['-', last, rest @ ..] => (last, rest),
            rest => (first, rest),
        };
        ranges.push(*first..=*last);
        signs = rest;
    }
    Sign::Class {
        is_inverse: inner.starts_with('^'),
        ranges,
    }
}

/// Whether things fit a pattern from its first to its last step. After a mismatch only the last [`Glob::Any`] takes in one thing more: it
/// could have taken in whatever an earlier one would. So this takes no longer than the pattern's steps times the things.
fn fits<P, T>(pattern: &[Glob<P>], things: &[T], is_one: impl Fn(&P, &T) -> bool) -> bool {
    let (mut step, mut at, mut again) = (0, 0, None);
    while at < things.len() || step < pattern.len() {
        match (pattern.get(step), things.get(at)) {
            (Some(Glob::Any), _) => {
                again = Some((step, at));
                step += 1;
            }
            (Some(Glob::One(one)), Some(thing)) if is_one(one, thing) => (step, at) = (step + 1, at + 1),
            _ => match again {
                Some((any, from)) if from < things.len() => {
                    again = Some((any, from + 1));
                    (step, at) = (any + 1, from + 1);
                }
                _ => return false,
            },
        }
    }
    true
}

fn fits_sign(pattern: &Sign, sign: &char) -> bool {
    match pattern {
        Sign::Each => true,
        Sign::Plain(plain) => plain == sign,
        Sign::Class { is_inverse, ranges } => ranges.iter().any(|range| range.contains(sign)) != *is_inverse,
    }
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

    /// The stars of one that tries all ways to fit would take longer than the universe has.
    #[test]
    fn rules_that_nearly_fit_in_many_ways_take_no_time() {
        let (stars, folders) = ("*a".repeat(40), "**/a/".repeat(40));
        let ignore = Ignore::parse(&format!("{stars}b\n{folders}b\n{}", "**/".repeat(200)));
        let (name, path) = ("a".repeat(250), "a/".repeat(250));
        let since = std::time::Instant::now();
        assert!(Ignore::parse(&stars).leaves_out(&name));
        for path in [name.as_str(), path.trim_end_matches('/')] {
            assert!(ignore.leaves_out(path));
            let rules = format!("{stars}b\n{folders}b");
            assert!(!Ignore::parse(&rules).leaves_out(path));
        }
        assert!(since.elapsed() < std::time::Duration::from_secs(60));
    }
}

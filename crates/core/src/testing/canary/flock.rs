//! A great many canaries of all shapes, searched for at once.

use std::fmt;

use aho_corasick::AhoCorasick;

use super::{TRICKY, forms, mixed, searcher};

const PLAIN: &str = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const QUOTES: &str = "\"'\\`$ {}[]()<>|;&ab12";
const FOREIGN: &str = "éßñüиж漢字☃𝄞😀";

/// Of a value of more characters, pieces of so many are searched for: they find it as a whole, and in part.
const PIECE: usize = 48;

/// How values are made of chance and of the value before. Each begins and ends with letters that nobody can guess.
const SHAPES: [fn(&mut Dice, &str) -> String; 9] = [
    |dice, _| dice.picks(8, PLAIN),
    |dice, before| format!("{before}{}", dice.picks(6, PLAIN)),
    |dice, _| dice.around(3, |dice| dice.picks(3, TRICKY)),
    |dice, _| dice.around(12, |_| TRICKY.to_owned()),
    |dice, _| dice.around(6, |dice| format!("%2B%zz%%25%{}%41", dice.picks(4, PLAIN))),
    |dice, _| dice.around(6, |dice| dice.picks(20, QUOTES)),
    |dice, _| dice.around(5, |dice| dice.picks(10, FOREIGN)),
    |dice, _| format!("{}==", dice.around(20, |_| "+/".to_owned())),
    |dice, _| {
        dice.around(12, |dice| {
            dice.picks(400, &[PLAIN, TRICKY, QUOTES, FOREIGN].concat())
        })
    },
];

/// After so many values comes a long one, of about 4 kB.
const LONG_EVERY: usize = 60;

/// Generated secrets: short ones of 8 characters and long ones of 4 kB, ones that begin with another one, and all that
/// encodings differ in. None of them has a line break or a NUL.
///
/// ```
/// use shipslog_core::testing::canary::Flock;
///
/// let flock = Flock::seeded(7, 100);
/// assert_eq!(flock.values().len(), 100);
/// assert_eq!(flock.find_in(b"nothing of the kind"), None);
/// let log = format!("denied: {}", flock.values()[41]);
/// assert_eq!(flock.find_in(log.as_bytes()).map(|(index, _)| index), Some(41));
/// ```
pub struct Flock {
    values: Vec<String>,
    /// For each pattern of the automaton, whose form it is and how that is named.
    named: Vec<(usize, &'static str)>,
    automaton: AhoCorasick,
}

impl Flock {
    /// So many of them, the same ones for the same seed.
    pub fn seeded(seed: u64, count: usize) -> Self {
        let mut dice = Dice(seed);
        let mut values: Vec<String> = Vec::with_capacity(count);
        for index in 0..count {
            let before = values.last().map_or("Cny", String::as_str);
            let value = match (index + 1) % LONG_EVERY {
                0 => dice.around(2_000, |_| TRICKY.to_owned()),
                _ => SHAPES[index % SHAPES.len()](&mut dice, before),
            };
            values.push(value);
        }
        let (named, patterns): (Vec<_>, Vec<_>) = values
            .iter()
            .enumerate()
            .flat_map(|(index, value)| traces(index, value))
            .unzip();
        Self {
            automaton: searcher(&patterns),
            named,
            values,
        }
    }

    /// The secrets.
    pub fn values(&self) -> &[String] {
        &self.values
    }

    /// The index of a value that stands in the bytes, whole or in a part that gives it away, and the name of the
    /// encoding.
    pub fn find_in(&self, bytes: &[u8]) -> Option<(usize, &'static str)> {
        let found = self.automaton.find(bytes)?;
        Some(self.named[found.pattern().as_usize()])
    }
}

/// The count alone is shown.
impl fmt::Debug for Flock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Flock({})", self.values.len())
    }
}

/// What to search for, and whose it is.
fn traces(index: usize, value: &str) -> Vec<((usize, &'static str), String)> {
    let of = |(name, form)| ((index, name), form);
    pieces(value)
        .iter()
        .flat_map(|piece| forms(piece))
        .map(of)
        .collect()
}

/// The value itself, or the beginning, the middle and the end of a long one.
fn pieces(value: &str) -> Vec<String> {
    let letters: Vec<char> = value.chars().collect();
    if letters.len() <= PIECE {
        return vec![value.to_owned()];
    }
    let last = letters.len() - PIECE;
    [0, last / 2, last]
        .map(|start| letters[start..start + PIECE].iter().collect())
        .to_vec()
}

/// Chance that can be repeated.
struct Dice(u64);

impl Dice {
    /// So many characters of an alphabet.
    fn picks(&mut self, count: usize, alphabet: &str) -> String {
        let letters: Vec<char> = alphabet.chars().collect();
        let mut pick = || {
            self.0 = mixed(self.0);
            letters[(self.0 >> 33) as usize % letters.len()]
        };
        (0..count).map(|_| pick()).collect()
    }

    /// Something between two words of so many letters.
    fn around(&mut self, letters: usize, middle: impl FnOnce(&mut Self) -> String) -> String {
        let (before, middle) = (self.picks(letters, PLAIN), middle(self));
        format!("{before}{middle}{}", self.picks(letters, PLAIN))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_are_alike_and_all_fit_into_an_environment() {
        let flock = Flock::seeded(1, 600);
        let distinct: std::collections::HashSet<&String> = flock.values().iter().collect();
        assert_eq!(distinct.len(), 600);
        assert!(
            flock
                .values()
                .iter()
                .all(|value| !value.contains(['\n', '\r', '\0']))
        );
        let lengths = || flock.values().iter().map(String::len);
        assert_eq!(lengths().min(), Some(8));
        assert!(lengths().max() >= Some(4_000));
        let nested = flock
            .values()
            .windows(2)
            .filter(|pair| pair[1].starts_with(&pair[0]));
        assert!(nested.count() >= 60, "some begin with another one");
    }

    #[test]
    fn each_is_found_raw_and_encoded_and_a_long_one_by_its_end() {
        let flock = Flock::seeded(2, 120);
        for value in flock.values() {
            for (name, form) in forms(value) {
                let text = format!("before {form} after");
                assert!(flock.find_in(text.as_bytes()).is_some(), "{name}");
            }
        }
        let long = flock.values().iter().max_by_key(|value| value.len()).unwrap();
        assert!(flock.find_in(&long.as_bytes()[long.len() - 60..]).is_some());
        assert!(
            flock
                .find_in(Flock::seeded(3, 1).values()[0].as_bytes())
                .is_none()
        );
    }
}

//! Secrets made to be searched for: whatever a test lets a program write, none of them may be in it.
//!
//! ```
//! use shipslog_core::testing::canary::Canaries;
//!
//! let canaries = Canaries::random();
//! let log = format!("denied: Basic {}", "dXNlcjpub3QgYSBzZWNyZXQ=");
//! assert_eq!(canaries.find_in(log.as_bytes()), None);
//! let log = format!("denied: {}", canaries.token.value());
//! assert_eq!(canaries.find_in(log.as_bytes()).unwrap().to_string(), "token, raw");
//! ```

mod flock;

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};

use crate::redact::Redactor;
use crate::secret::Secret;
pub use flock::Flock;

/// Stands between the two halves of a canary: what one encoding or another must escape.
const TRICKY: &str = "+/=:@%\"\\ ~?&#<>'é☃𝄞";

/// What of it may stand in the value of an HTTP header.
const TRICKY_IN_HEADER: &str = "+/=:@%\"\\~?&#<>'";

/// Characters on each side of it.
const HALF: usize = 12;

/// The characters that a canary has beside letters and digits, by what its place takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Alphabet {
    /// Everything that encodings differ in: quotes, a backslash, a space, `+/=:@%`, characters of 2, 3 and 4
    /// bytes.
    Any,
    /// Visible ASCII, as in the value of an HTTP header.
    Header,
    /// Nothing, as in the tag of an image.
    Word,
}

/// A secret that stands nowhere unless something let it out.
///
/// `Debug` shows its name alone, so that a failing test does not spread it.
#[derive(Clone, PartialEq, Eq)]
pub struct Canary {
    name: &'static str,
    halves: [String; 2],
    value: String,
}

impl Canary {
    /// A new one each time.
    pub fn random(name: &'static str, alphabet: Alphabet) -> Self {
        Self::seeded(name, alphabet, RandomState::new().hash_one(name))
    }

    /// The same one for the same seed, so that a failing case can be run again.
    pub fn seeded(name: &'static str, alphabet: Alphabet, seed: u64) -> Self {
        let halves = [letters(seed), letters(!seed)];
        let tricky = match alphabet {
            Alphabet::Any => TRICKY,
            Alphabet::Header => TRICKY_IN_HEADER,
            Alphabet::Word => "",
        };
        let value = format!("{}{tricky}{}", halves[0], halves[1]);
        Self { name, halves, value }
    }

    /// What the secret is for.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// The secret.
    pub fn value(&self) -> &str {
        &self.value
    }

    /// The secret, out of sight.
    pub fn secret(&self) -> Secret<String> {
        Secret::new(self.value.clone())
    }

    /// All that the value looks like in one encoding or two: the bytes to search for. Those of base64 are
    /// without the characters at both ends that depend on what stands before and after the value.
    pub fn forms(&self) -> Vec<Vec<u8>> {
        forms(&self.value)
            .into_iter()
            .map(|(_, form)| form.into_bytes())
            .collect()
    }

    /// The name of the first form found, if there is one. Half of the value counts as a form: whoever sees it
    /// needs to guess only the other half.
    pub fn find_in(&self, bytes: &[u8]) -> Option<&'static str> {
        let halves = self.halves.iter().map(|half| ("half of it", half.clone()));
        let (names, forms): (Vec<_>, Vec<_>) = forms(&self.value).into_iter().chain(halves).unzip();
        names.get(first_in(bytes, &forms)?).copied()
    }
}

impl fmt::Debug for Canary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Canary({})", self.name)
    }
}

/// A canary for each way in which a secret enters the system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Canaries {
    /// For the Docker client's config and the registry's htpasswd file.
    pub registry_password: Canary,
    /// For a variable of a workload's environment.
    pub env_secret: Canary,
    /// For the userinfo of a URL. It must be percent-encoded there.
    pub url_userinfo: Canary,
    /// For a bearer token.
    pub token: Canary,
    /// For an argument of a command line.
    pub argv_secret: Canary,
}

impl Canaries {
    /// New ones each time.
    pub fn random() -> Self {
        Self::seeded(RandomState::new().hash_one(HALF))
    }

    /// The same ones for the same seed, and no two alike.
    pub fn seeded(seed: u64) -> Self {
        let canary = |n: u64, name, alphabet| Canary::seeded(name, alphabet, mixed(seed).wrapping_add(n));
        Self {
            registry_password: canary(0, "registry password", Alphabet::Any),
            env_secret: canary(1, "environment secret", Alphabet::Any),
            url_userinfo: canary(2, "URL userinfo", Alphabet::Any),
            token: canary(3, "token", Alphabet::Header),
            argv_secret: canary(4, "argument", Alphabet::Any),
        }
    }

    /// All of them.
    pub fn all(&self) -> [&Canary; 5] {
        [
            &self.registry_password,
            &self.env_secret,
            &self.url_userinfo,
            &self.token,
            &self.argv_secret,
        ]
    }

    /// The first one found, in whatever form.
    pub fn find_in(&self, bytes: &[u8]) -> Option<Found> {
        let found = |canary: &&Canary| {
            Some(Found {
                canary: canary.name,
                form: canary.find_in(bytes)?,
            })
        };
        self.all().iter().find_map(found)
    }

    /// A redactor that knows all of them.
    pub fn redactor(&self) -> Redactor {
        let mut redactor = Redactor::default();
        for canary in self.all() {
            redactor.hide(canary.value());
        }
        redactor
    }
}

/// Which canary got out, and how it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub canary: &'static str,
    /// The name of the encoding.
    pub form: &'static str,
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}", self.canary, self.form)
    }
}

/// The splitmix64 step: a well-spread number for each of a row of seeds.
fn mixed(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Letters and digits that stand for the seed and begin in a way that people recognise.
fn letters(seed: u64) -> String {
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut left = mixed(seed);
    let mut text = "Cny".to_owned();
    while text.len() < HALF {
        text.push(char::from(LETTERS[(left % 62) as usize]));
        left /= 62;
    }
    text
}

/// The index of the form that stands first; of several that begin there, of the longest.
fn first_in(bytes: &[u8], forms: &[String]) -> Option<usize> {
    searcher(forms)
        .find(bytes)
        .map(|found| found.pattern().as_usize())
}

/// Finds the form that stands first; of several that begin there, the longest.
fn searcher(forms: &[String]) -> AhoCorasick {
    #[expect(
        clippy::expect_used,
        reason = "what a test searches for is far from any limit"
    )]
    AhoCorasick::builder()
        .kind(Some(AhoCorasickKind::NoncontiguousNFA))
        .match_kind(MatchKind::LeftmostLongest)
        .build(forms)
        .expect("an automaton of some thousand patterns")
}

/// The value in all encodings, each with its name.
fn forms(value: &str) -> Vec<(&'static str, String)> {
    let mut forms = vec![("raw", value.to_owned())];
    forms.extend(base64_forms(value));
    forms.extend(percent_forms(value));
    forms.extend(escaped_forms(value));
    forms.push(("hex", value.bytes().map(|byte| format!("{byte:02x}")).collect()));
    forms.push((
        "hex in capitals",
        value.bytes().map(|byte| format!("{byte:02X}")).collect(),
    ));
    forms
}

fn base64_forms(value: &str) -> Vec<(&'static str, String)> {
    let mut forms = Vec::new();
    for offset in 0..3 {
        let bytes = [&[0; 2][..offset.min(2)], value.as_bytes()].concat();
        // Of six bits each, those characters that the value alone decides.
        let whole = (offset * 8).div_ceil(6)..bytes.len() * 8 / 6;
        let standard = BASE64_STANDARD_NO_PAD.encode(&bytes)[whole.clone()].to_owned();
        forms.push(("percent-encoded base64", percent(&standard, b"", true)));
        forms.push(("base64", standard));
        forms.push((
            "URL-safe base64",
            BASE64_URL_SAFE_NO_PAD.encode(&bytes)[whole].to_owned(),
        ));
    }
    forms
}

fn percent_forms(value: &str) -> Vec<(&'static str, String)> {
    let all: String = value.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let mut forms = vec![("percent-encoded in small letters throughout", all.to_lowercase())];
    forms.push(("percent-encoded throughout", all));
    for upper in [true, false] {
        let strict = percent(value, b"-._~", upper);
        forms.push(("form-encoded", strict.replace("%20", "+")));
        forms.push(("percent-encoded twice", percent(&strict, b"-._~", upper)));
        forms.push(("percent-encoded", strict));
        forms.push((
            "percent-encoded where a path needs it",
            percent(value, b"-._~!$&'()*+,;=:@/", upper),
        ));
    }
    forms
}

/// The text with everything but ASCII letters, digits and what is kept as `%` and two digits.
fn percent(text: &str, kept: &[u8], upper: bool) -> String {
    let encode = |byte: u8| match byte {
        _ if byte.is_ascii_alphanumeric() || kept.contains(&byte) => char::from(byte).to_string(),
        _ if upper => format!("%{byte:02X}"),
        _ => format!("%{byte:02x}"),
    };
    text.bytes().map(encode).collect()
}

fn escaped_forms(value: &str) -> Vec<(&'static str, String)> {
    let json = value.replace('\\', r"\\").replace('"', r#"\""#);
    let html = value
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let ascii: String = json
        .chars()
        .map(|c| if c.is_ascii() { c.to_string() } else { utf16(c) })
        .collect();
    vec![
        (
            "JSON with HTML in escapes",
            json.replace('&', r"\u0026")
                .replace('<', r"\u003c")
                .replace('>', r"\u003e"),
        ),
        ("JSON with slashes in escapes", json.replace('/', r"\/")),
        ("JSON in JSON", json.replace('\\', r"\\").replace('"', r#"\""#)),
        ("JSON in ASCII", ascii),
        ("escapes of Rust", value.escape_default().to_string()),
        ("escapes of Go", value.chars().map(go).collect()),
        ("escapes of bytes", value.as_bytes().escape_ascii().to_string()),
        ("HTML", html.replace('"', "&#34;").replace('\'', "&#39;")),
        (
            "HTML with names",
            html.replace('"', "&quot;").replace('\'', "&apos;"),
        ),
        ("JSON", json),
    ]
}

/// A character as JSON in ASCII has it.
fn utf16(c: char) -> String {
    c.encode_utf16(&mut [0; 2])
        .iter()
        .map(|unit| format!("\\u{unit:04x}"))
        .collect()
}

/// A character as `strconv.QuoteToASCII` has it.
fn go(c: char) -> String {
    match c {
        '"' | '\\' => format!("\\{c}"),
        ' '..='~' => c.to_string(),
        '\u{10000}'.. => format!("\\U{:08x}", u32::from(c)),
        _ => format!("\\u{:04x}", u32::from(c)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_canaries_and_another_gives_others() {
        assert_eq!(Canaries::seeded(7), Canaries::seeded(7));
        let (a, b) = (Canaries::seeded(7), Canaries::seeded(8));
        for canary in a.all() {
            assert_eq!(
                b.find_in(canary.value().as_bytes()).map(|found| found.canary),
                None
            );
        }
    }

    #[test]
    fn debug_shows_names_alone() {
        let canaries = Canaries::random();
        assert_eq!(canaries.find_in(format!("{canaries:?}").as_bytes()), None);
    }

    #[test]
    fn every_form_is_found_in_the_midst_of_something_else() {
        for alphabet in [Alphabet::Any, Alphabet::Header, Alphabet::Word] {
            let canary = Canary::random("x", alphabet);
            for form in canary.forms() {
                let text = [&b"before "[..], &form, b" after"].concat();
                assert!(
                    canary.find_in(&text).is_some(),
                    "{}",
                    String::from_utf8_lossy(&form)
                );
            }
            assert_eq!(canary.find_in(b"before  after"), None);
        }
    }

    #[test]
    fn base64_is_found_at_any_offset() {
        let canary = Canary::random("x", Alphabet::Any);
        for user in ["", "u", "us", "use", "user"] {
            let encoded = BASE64_STANDARD_NO_PAD.encode(format!("{user}{}:{user}", canary.value()));
            assert_eq!(canary.find_in(encoded.as_bytes()), Some("base64"));
        }
    }

    #[test]
    fn what_others_encode_is_found() {
        let canary = Canary::random("x", Alphabet::Any);
        let json = serde_json::to_string(canary.value()).unwrap();
        assert_eq!(canary.find_in(json.as_bytes()), Some("JSON"));
        let nested = serde_json::to_string(&json).unwrap();
        assert_eq!(canary.find_in(nested.as_bytes()), Some("JSON in JSON"));
    }
}

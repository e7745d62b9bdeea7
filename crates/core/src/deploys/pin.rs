//! References that cannot move.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{PartName, Running};

/// A reference to content that cannot change under its name: `registry/app@sha256:…`, or `sha256:…` for an image that exists only
/// on its host. Other source kinds use their own name and algorithm: `config@git:<commit>`.
///
/// It is parsed so that nothing else fits into the ledger's column: no userinfo, no URL, no free text.
///
/// ```
/// use shipslog_core::deploys::PinnedReference;
///
/// let digest = "ab".repeat(32);
/// assert!(format!("127.0.0.1:5000/web@sha256:{digest}").parse::<PinnedReference>().is_ok());
/// assert!("127.0.0.1:5000/web:1".parse::<PinnedReference>().is_err());
/// assert!(format!("https://user:pass@host/web@sha256:{digest}").parse::<PinnedReference>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PinnedReference(String);

/// A text that pins nothing, or holds more than a name and a digest. It is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a pinned reference")]
pub struct InvalidPin;

impl PinnedReference {
    /// The whole text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What stands before the `@`: the repository, with its registry. `None` for a bare digest.
    pub fn name(&self) -> Option<&str> {
        self.0.split_once('@').map(|(name, _)| name)
    }

    /// The digest with its algorithm: `sha256:…`.
    pub fn digest(&self) -> &str {
        self.0.split_once('@').map_or(&self.0, |(_, digest)| digest)
    }
}

/// Lower-case path components, with at most one port, which belongs to the registry.
fn is_name(name: &str) -> bool {
    let plain =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'/' | b':' | b'[' | b']');
    let path = name.split_once('/').map_or(name, |(_, path)| path);
    !name.is_empty()
        && name.bytes().all(plain)
        && !name.contains("//")
        && (path == name || !path.contains(':'))
}

fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let named = (1..=16).contains(&algorithm.len()) && algorithm.bytes().all(|b| b.is_ascii_alphanumeric());
    named && (32..=128).contains(&hex.len()) && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

impl FromStr for PinnedReference {
    type Err = InvalidPin;

    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (Some(name), digest),
            None => (None, text),
        };
        let ok = text.len() <= 512 && is_digest(digest) && name.is_none_or(is_name);
        if ok {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPin)
        }
    }
}

impl TryFrom<String> for PinnedReference {
    type Error = InvalidPin;

    fn try_from(text: String) -> Result<Self, InvalidPin> {
        text.parse()
    }
}

impl From<PinnedReference> for String {
    fn from(pin: PinnedReference) -> String {
        pin.0
    }
}

impl fmt::Display for PinnedReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a dispatch was pinned to: where it can be had again, and what then runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    /// Where the content can be had again.
    pub reference: PinnedReference,
    /// The identity that whatever runs it reports of itself: for a container its image id. The two differ because a registry
    /// names a manifest and an engine names the configuration inside it. A bare digest, without a name. Of several parts it
    /// stands for all of them, and each reports its own.
    pub content: PinnedReference,
    /// What each part is pinned to, for a deploy that runs several things; else empty.
    pub parts: BTreeMap<PartName, PartPin>,
}

/// What one part of a deploy was pinned to; the fields mean the same as those of a [`Pin`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartPin {
    /// Where the content can be had again.
    pub reference: PinnedReference,
    /// What runs it reports this identity of itself.
    pub content: PinnedReference,
}

impl Pin {
    /// The pin of a single thing.
    pub fn new(reference: PinnedReference, content: PinnedReference) -> Self {
        Self {
            reference,
            content,
            parts: BTreeMap::new(),
        }
    }

    /// Whether something that runs is what was pinned.
    pub fn is(&self, running: &Running) -> bool {
        let pinned = match &running.part {
            Some(part) => self.parts.get(part).map(|part| &part.content),
            None if self.parts.is_empty() => Some(&self.content),
            None => None,
        };
        pinned == Some(&running.content)
    }

    /// Whether both stand for the same version, be it that one of them was built anew from the same source. One reference can stand
    /// for several where its parts have tags that move.
    pub fn is_same_version(&self, other: &Self) -> bool {
        self.content == other.content || (self.reference == other.reference && self.parts == other.parts)
    }
}

/// What a dispatch runs: its pin and, for kinds whose pin does not say all of it, the text to be replayed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned {
    /// What the row of the ledger shows.
    pub pin: Pin,
    /// What else it takes to run exactly the same again.
    pub plan: Option<Plan>,
}

impl From<Pin> for Pinned {
    fn from(pin: Pin) -> Self {
        Self { pin, plan: None }
    }
}

/// A text that a plugin writes to run exactly the same again, such as a Compose file in which every image is pinned. It is kept with the
/// row and shown to nobody. Secrets belong in it as references only; `Debug` does not show it all the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Plan(String);

impl Plan {
    /// A plan. Only its plugin understands it.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plan({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_but_a_name_and_a_digest_is_a_pin() {
        let d = format!("sha256:{}", "0a".repeat(32));
        let good = [
            d.clone(),
            format!("app@{d}"),
            format!("h:5000/a/b-c_d@{d}"),
            format!("cfg@git:{}", "ab".repeat(20)),
        ];
        for text in good {
            assert_eq!(
                text.parse::<PinnedReference>().unwrap().digest(),
                text.rsplit('@').next().unwrap()
            );
        }
        let bad = [
            String::new(),
            "app:1".into(),
            "app@sha256:short".into(),
            format!("@{d}"),
            format!("u:p@h/app@{d}"),
            format!("h/app:user:pw@{d}"),
            format!("https://h/app@{d}"),
            format!("app@{d} denied"),
            format!("app?token=x@{d}"),
            format!("{}@{d}", "x".repeat(600)),
        ];
        for text in bad {
            assert_eq!(text.parse::<PinnedReference>(), Err(InvalidPin), "{text}");
        }
    }

    #[test]
    fn one_commit_is_one_version_unless_its_parts_have_moved() {
        let at = |text: String| text.parse::<PinnedReference>().unwrap();
        let of = |content: u8, part: Option<u8>| {
            let image = |n: u8| at(format!("sha256:{}", format!("{n:02x}").repeat(32)));
            let mut pin = Pin::new(at(format!("cfg@git:{}", "ab".repeat(20))), image(content));
            let image_of = |n| PartPin {
                reference: image(n),
                content: image(n),
            };
            let part = part.map(|n| ("web".parse().unwrap(), image_of(n)));
            pin.parts.extend(part);
            pin
        };
        assert!(of(1, None).is_same_version(&of(2, None)), "built anew");
        assert!(of(1, Some(3)).is_same_version(&of(2, Some(3))));
        assert!(
            !of(1, Some(3)).is_same_version(&of(2, Some(4))),
            "a tag has moved"
        );
    }
}

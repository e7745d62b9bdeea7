//! Opaque identifiers that are safe in a URL path.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::{NoContext, Uuid};

use crate::time::Timestamp;

/// A text that is no identifier: empty, longer than 128 characters, or with a character outside `A-Z a-z 0-9 _ . -`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an identifier")]
pub struct InvalidId;

fn check(text: &str) -> Result<(), InvalidId> {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    let ok = (1..=128).contains(&text.len()) && text.bytes().all(plain);
    if ok { Ok(()) } else { Err(InvalidId) }
}

/// 32 hexadecimal digits that sort by `at`, with 74 random bits, so that two ids of one millisecond differ.
fn time_ordered(at: Timestamp) -> String {
    let seconds = u64::try_from(at.as_second()).unwrap_or(0);
    let nanos = u32::try_from(at.subsec_nanosecond()).unwrap_or(0);
    Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, seconds, nanos))
        .simple()
        .to_string()
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text of the id.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                check(text).map(|()| Self(text.to_owned()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, InvalidId> {
                check(&text).map(|()| Self(text))
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id! {
    /// Names one workload for as long as it exists; a deleted workload's id is never given again.
    WorkloadId
}
id! {
    /// Names one row of the deploy ledger.
    DeployId
}
id! {
    /// The engine's own id of a container, in full. A container that is made anew gets another one.
    ContainerId
}

impl WorkloadId {
    /// A new id, ordered by the time given.
    pub fn generate(at: Timestamp) -> Self {
        Self(time_ordered(at))
    }
}

impl DeployId {
    /// A new id, ordered by the time given.
    pub fn generate(at: Timestamp) -> Self {
        Self(time_ordered(at))
    }

    /// The last 8 characters, the random ones: enough to tell the containers of one workload apart by name.
    pub fn short(&self) -> &str {
        let start = self.0.len().saturating_sub(8);
        &self.0[start..]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_refuse_what_would_break_a_path() {
        for bad in ["", "a/b", "a b", "ä", "a?b", "a%2F", &"x".repeat(129)] {
            assert!(bad.parse::<WorkloadId>().is_err(), "{bad:?}");
        }
        assert!("0190-a_b.c".parse::<WorkloadId>().is_ok());
    }

    #[test]
    fn ids_of_the_same_instant_differ_and_sort_by_time() {
        let early = Timestamp::from_second(1_000).unwrap();
        let late = Timestamp::from_second(2_000).unwrap();
        assert_ne!(DeployId::generate(early), DeployId::generate(early));
        assert_ne!(
            DeployId::generate(early).short(),
            DeployId::generate(early).short()
        );
        assert!(DeployId::generate(early) < DeployId::generate(late));
    }
}

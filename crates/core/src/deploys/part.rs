//! Names of the parts of a deploy that runs several things.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// The name of one part of a deploy, such as a service of a Compose file: 1 to 63 characters, letters, digits, `_`, `.` and `-`,
/// the first a letter or digit.
///
/// It is parsed because it is kept in the ledger beside a failure, where there is no room for free text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PartName(String);

/// A text that is no [`PartName`]. It is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the name of a part")]
pub struct InvalidPartName;

impl PartName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for PartName {
    type Err = InvalidPartName;

    fn from_str(text: &str) -> Result<Self, InvalidPartName> {
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
        let begins = text.starts_with(|c: char| c.is_ascii_alphanumeric());
        if text.len() <= 63 && begins && text.bytes().all(plain) {
            Ok(Self(text.to_owned()))
        } else {
            Err(InvalidPartName)
        }
    }
}

impl TryFrom<String> for PartName {
    type Error = InvalidPartName;

    fn try_from(text: String) -> Result<Self, InvalidPartName> {
        text.parse()
    }
}

impl From<PartName> for String {
    fn from(name: PartName) -> String {
        name.0
    }
}

impl fmt::Display for PartName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_no_room_for_anything_else() {
        for good in ["web", "db_1", "a.b-c", "9"] {
            assert!(good.parse::<PartName>().is_ok(), "{good}");
        }
        let long = "x".repeat(64);
        for bad in ["", "-web", "a b", "user:pw", "a/b", "\u{e9}", &long] {
            assert_eq!(bad.parse::<PartName>(), Err(InvalidPartName), "{bad}");
        }
    }
}

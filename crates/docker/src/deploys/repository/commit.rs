//! Names of commits.

use std::fmt;
use std::str::FromStr;

/// A commit by its full number: 40 digits, of which git writes the letters small.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(in crate::deploys) struct Commit(String);

/// A text that is no commit's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deploys) struct InvalidCommit;

impl Commit {
    /// The number.
    pub(in crate::deploys) fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Commit {
    type Err = InvalidCommit;

    fn from_str(text: &str) -> Result<Self, InvalidCommit> {
        if text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit()) {
            Ok(Self(text.to_ascii_lowercase()))
        } else {
            Err(InvalidCommit)
        }
    }
}

impl fmt::Display for Commit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

//! Values that must not be seen, and where they come from.

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

/// Holds a value that no formatting shows: there is no `Display`, and `Debug` prints `[redacted]`.
///
/// ```
/// let password = shipslog_core::secret::Secret::new("hunter2".to_owned());
/// assert_eq!(format!("{password:?}"), "[redacted]");
/// assert_eq!(password.expose(), "hunter2");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Takes a value out of sight.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Each caller is a place to look at when a secret got out.
    pub fn expose(&self) -> &T {
        &self.0
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// A text of a spec that may hold a secret in spite of all advice: an argument or a literal environment value.
///
/// It is stored and given back as it is, but `Debug` does not show it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Literal(String);

impl Literal {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Literal {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Literal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Where a secret is to be read when it is needed: `file:/run/secrets/db` or `env:DB_PASSWORD`. The reference itself is no secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum SecretRef {
    /// The contents of the file at this absolute path, without the line break at the end.
    File(String),
    /// The environment variable of this name, in the environment of the control plane.
    Env(String),
}

/// A text that is no [`SecretRef`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be file:/absolute/path or env:NAME")]
pub struct InvalidSecretRef;

impl TryFrom<String> for SecretRef {
    type Error = InvalidSecretRef;

    fn try_from(text: String) -> Result<Self, InvalidSecretRef> {
        match text.split_once(':') {
            Some(("file", path)) if path.starts_with('/') => Ok(Self::File(path.to_owned())),
            Some(("env", name)) if !name.is_empty() && !name.contains(['=', '\0']) => {
                Ok(Self::Env(name.to_owned()))
            }
            _ => Err(InvalidSecretRef),
        }
    }
}

impl From<SecretRef> for String {
    fn from(reference: SecretRef) -> String {
        match reference {
            SecretRef::File(path) => format!("file:{path}"),
            SecretRef::Env(name) => format!("env:{name}"),
        }
    }
}

/// A secret that could not be read. It says nothing about why: the reason belongs to the log of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the secret could not be read")]
pub struct SecretMissing;

/// Reads secrets at the moment of a dispatch. What it gives is passed on and never stored.
#[async_trait]
pub trait SecretSource: fmt::Debug + Send + Sync + 'static {
    /// The value that `reference` names now.
    ///
    /// # Errors
    /// [`SecretMissing`] when there is no such file or variable, or it cannot be read as UTF-8.
    async fn read(&self, reference: &SecretRef) -> Result<Secret<String>, SecretMissing>;
}

/// Has no secrets at all.
#[derive(Debug, Clone, Copy)]
pub struct NoSecrets;

#[async_trait]
impl SecretSource for NoSecrets {
    async fn read(&self, _: &SecretRef) -> Result<Secret<String>, SecretMissing> {
        Err(SecretMissing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_files_and_variables_are_secret_references() {
        for bad in ["", "db", "file:", "file:relative", "env:", "env:A=B", "vault:x"] {
            assert_eq!(
                SecretRef::try_from(bad.to_owned()),
                Err(InvalidSecretRef),
                "{bad:?}"
            );
        }
        let good = SecretRef::try_from("file:/run/secrets/db".to_owned()).unwrap();
        assert_eq!(String::from(good), "file:/run/secrets/db");
    }

    #[test]
    fn debug_shows_neither_secrets_nor_literals() {
        assert_eq!(
            format!("{:?} {:?}", Secret::new("s3cr3t"), Literal::from("s3cr3t")),
            "[redacted] [redacted]"
        );
    }
}

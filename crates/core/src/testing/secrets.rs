use std::collections::HashMap;

use async_trait::async_trait;

use crate::secret::{Secret, SecretMissing, SecretRef, SecretSource};

/// Secrets that a test made up. Nothing is read from files or from the environment.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
/// use shipslog_core::secret::{SecretMissing, SecretRef, SecretSource};
/// use shipslog_core::testing::FakeSecrets;
///
/// let secrets = FakeSecrets::default().with("env:DB_PASSWORD", "hunter2");
/// let known = SecretRef::Env("DB_PASSWORD".into());
/// assert_eq!(secrets.read(&known).await.unwrap().expose(), "hunter2");
/// assert_eq!(secrets.read(&SecretRef::Env("OTHER".into())).await, Err(SecretMissing));
/// # });
/// ```
#[derive(Debug, Default)]
pub struct FakeSecrets(HashMap<String, Secret<String>>);

impl FakeSecrets {
    /// Adds what a reference, such as `env:NAME` or `file:/path`, gives.
    #[must_use]
    pub fn with(mut self, reference: &str, value: &str) -> Self {
        self.0.insert(reference.to_owned(), Secret::new(value.to_owned()));
        self
    }
}

#[async_trait]
impl SecretSource for FakeSecrets {
    async fn read(&self, reference: &SecretRef) -> Result<Secret<String>, SecretMissing> {
        self.0
            .get(&String::from(reference.clone()))
            .cloned()
            .ok_or(SecretMissing)
    }
}

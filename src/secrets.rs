//! Secrets from this host's files and environment.

use async_trait::async_trait;
use shipslog_core::secret::{Secret, SecretMissing, SecretRef, SecretSource};
use tracing::warn;

/// The largest secret file that is read, in bytes: what a mistaken path leads to should not fill the memory.
const LARGEST: u64 = 1024 * 1024;

/// Reads `file:` references from the file system and `env:` references from the environment of the process.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostSecrets;

#[async_trait]
impl SecretSource for HostSecrets {
    /// A file's contents lose one line break at the end, which editors add. The log says why a secret is missing; it shows
    /// the reference alone.
    async fn read(&self, reference: &SecretRef) -> Result<Secret<String>, SecretMissing> {
        let value = match reference {
            SecretRef::File(path) => read_file(path).await,
            SecretRef::Env(name) => std::env::var(name).map_err(|_| "not set, or not UTF-8"),
        };
        value.map(Secret::new).map_err(|reason| {
            warn!(
                reference = String::from(reference.clone()),
                reason, "a secret could not be read"
            );
            SecretMissing
        })
    }
}

async fn read_file(path: &str) -> Result<String, &'static str> {
    let metadata = tokio::fs::metadata(path)
        .await
        .map_err(|_| "no such file, or no permission")?;
    if !metadata.is_file() || metadata.len() > LARGEST {
        return Err("not a regular file of at most 1 MiB");
    }
    let mut text = tokio::fs::read_to_string(path)
        .await
        .map_err(|_| "not readable, or not UTF-8")?;
    if text.ends_with('\n') {
        text.pop();
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(reference: &str) -> Result<Secret<String>, SecretMissing> {
        HostSecrets
            .read(&SecretRef::try_from(reference.to_owned()).unwrap())
            .await
    }

    #[tokio::test]
    async fn a_file_loses_one_line_break_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("db");
        std::fs::write(&path, " p\u{e4}ss \n\n").unwrap();
        let value = read(&format!("file:{}", path.display())).await.unwrap();
        assert_eq!(value.expose(), " p\u{e4}ss \n");
    }

    #[tokio::test]
    async fn what_is_not_there_is_missing() {
        let dir = tempfile::tempdir().unwrap();
        assert!(read("file:/nonexistent/shipslog").await.is_err());
        assert!(read(&format!("file:{}", dir.path().display())).await.is_err());
        assert!(read("env:SHIPSLOG_NO_SUCH_VARIABLE").await.is_err());
        assert!(read("env:PATH").await.is_ok());
    }
}

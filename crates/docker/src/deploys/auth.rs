//! Credentials for registries, from where a Docker client keeps them.

use std::fs::File;
use std::io::{BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use bollard::auth::DockerCredentials;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use shipslog_core::deploys::DispatchError;
use shipslog_core::secret::Secret;
use tracing::warn;

use super::reference::ImageReference;

/// How long a credential helper may take; some ask a server.
const HELPER_LIMIT: Duration = Duration::from_secs(30);

/// What a registry is shown: nothing, a password or a token.
#[derive(Debug, Clone)]
pub(super) enum Credentials {
    Anonymous,
    Password { user: String, password: Secret<String> },
    Token(Secret<String>),
}

impl Credentials {
    /// Those for the registry of `image`, from `config.json` in `folder`, or where a Docker client looks for it:
    /// `DOCKER_CONFIG`, else `~/.docker`. Where there are none, or none that can be read, the registry is asked
    /// without, as a Docker client does.
    pub(super) async fn of(image: &ImageReference, folder: Option<&Path>) -> Self {
        let Some(file) = folder
            .map(Path::to_owned)
            .or_else(default_folder)
            .map(|folder| folder.join("config.json"))
        else {
            return Self::Anonymous;
        };
        let key = image.credentials_key().to_owned();
        // Files and helper programs are read with blocking calls.
        let reading = tokio::task::spawn_blocking(move || read(&file, &key));
        match tokio::time::timeout(HELPER_LIMIT, reading).await {
            Ok(Ok(credentials)) => credentials,
            Ok(Err(_)) | Err(_) => unreadable("the credential helper did not answer"),
        }
    }

    /// The engine's form of them.
    pub(super) fn header(&self) -> Option<DockerCredentials> {
        match self {
            Self::Anonymous => None,
            Self::Password { user, password } => Some(DockerCredentials {
                username: Some(user.clone()),
                password: Some(password.expose().clone()),
                ..DockerCredentials::default()
            }),
            Self::Token(token) => Some(DockerCredentials {
                identitytoken: Some(token.expose().clone()),
                ..DockerCredentials::default()
            }),
        }
    }

    /// Keeps them out of whatever the log shows of `error`: registries may quote what they were sent.
    pub(super) fn hide_in(&self, error: DispatchError) -> DispatchError {
        match self {
            Self::Anonymous => error,
            Self::Token(token) => error.hiding(token),
            Self::Password { user, password } => {
                let pair = Secret::new(format!("{user}:{}", password.expose()));
                error.hiding(password).hiding(&pair)
            }
        }
    }
}

fn default_folder() -> Option<PathBuf> {
    let set = |name| {
        std::env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    set("DOCKER_CONFIG").or_else(|| set("HOME").map(|home| home.join(".docker")))
}

fn read(file: &Path, key: &str) -> Credentials {
    let file = match File::open(file) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Credentials::Anonymous,
        Err(_) => return unreadable("the file cannot be opened"),
    };
    match docker_credential::get_credential_from_reader(BufReader::new(file), key) {
        Ok(DockerCredential::IdentityToken(token)) => Credentials::Token(Secret::new(token)),
        Ok(DockerCredential::UsernamePassword(user, password)) => Credentials::Password {
            user,
            password: Secret::new(password),
        },
        Err(error) => explain(&error),
    }
}

/// What a helper printed is not shown.
fn explain(error: &CredentialRetrievalError) -> Credentials {
    use CredentialRetrievalError as E;
    match error {
        E::NoCredentialConfigured | E::ConfigNotFound => Credentials::Anonymous,
        E::HelperCommunicationError => unreadable("the credential helper cannot be run"),
        // Helpers end so when they know no credentials for a registry.
        E::HelperFailure { .. } => Credentials::Anonymous,
        E::MalformedHelperResponse => unreadable("the credential helper answered in an unknown form"),
        E::CredentialDecodingError | E::CredentialMismatchError => unreadable("the entry is malformed"),
        E::ConfigReadError => unreadable("the file is malformed"),
    }
}

fn unreadable(reason: &'static str) -> Credentials {
    warn!(
        reason,
        "registry credentials could not be read; asking the registry without"
    );
    Credentials::Anonymous
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    async fn of(config: &str, image: &str) -> Credentials {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.json"), config).unwrap();
        Credentials::of(&ImageReference::parse(image).unwrap(), Some(folder.path())).await
    }

    #[tokio::test]
    async fn credentials_are_found_as_docker_login_leaves_them() {
        let config = r#"{"auths": {"r.io:5000": {"auth": "YW5uOnM6M2NyM3Q="}, "https://index.docker.io/v1/": {"identitytoken": "t0ken"}}}"#;
        let Credentials::Password { user, password } = of(config, "r.io:5000/app").await else {
            panic!("no password")
        };
        assert_eq!((user.as_str(), password.expose().as_str()), ("ann", "s:3cr3t"));
        let Credentials::Token(token) = of(config, "alpine").await else {
            panic!("no token")
        };
        assert_eq!(token.expose(), "t0ken");
        assert!(of(config, "other.io/app").await.header().is_none());
    }

    #[tokio::test]
    async fn what_cannot_be_read_means_none() {
        for config in [
            "",
            "[]",
            r#"{"auths": {"r.io": {"auth": "%%%"}}}"#,
            r#"{"credsStore": "no-such-helper-here"}"#,
        ] {
            assert!(of(config, "r.io/app").await.header().is_none(), "{config}");
        }
        let nowhere = Path::new("/nonexistent");
        assert!(
            Credentials::of(&ImageReference::parse("a").unwrap(), Some(nowhere))
                .await
                .header()
                .is_none()
        );
    }

    #[test]
    fn formatting_shows_no_secret() {
        let password = Credentials::Password {
            user: "ann".to_owned(),
            password: Secret::new("SECRET".to_owned()),
        };
        assert!(
            !format!(
                "{password:?} {:?}",
                Credentials::Token(Secret::new("SECRET".to_owned()))
            )
            .contains("SECRET")
        );
    }
}

//! What a server is shown.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use shipslog_core::deploys::{DispatchError, FailureMarker};
use shipslog_core::secret::{Secret, SecretRef, SecretSource};

use super::{GitReference, RepositoryUrl};

/// The user that goes with a token where none is named: servers look at the token alone, and some want this very name.
const DEFAULT_USER: &str = "x-access-token";

/// A token for the server of one repository, or nothing.
#[derive(Debug, Clone, Default)]
pub(in crate::deploys) struct Access {
    shown: Option<Shown>,
    /// Who may see what of the cache: it holds nothing secret.
    pub(super) realm: String,
}

#[derive(Debug, Clone)]
struct Shown {
    origin: String,
    token: Secret<String>,
    /// User and token as they are sent.
    pair: Secret<String>,
    header: Secret<String>,
}

impl Access {
    /// Reads `token`, to be shown to the server of `url` and to nobody else. It was written beside the reference `beside`, and is meant for
    /// the server that is named there: it is not even read for another.
    ///
    /// # Errors
    /// [`FailureMarker::SecretMissing`].
    pub(in crate::deploys) async fn read(
        secrets: &dyn SecretSource,
        url: &RepositoryUrl,
        beside: &str,
        token: Option<&SecretRef>,
        user: Option<&str>,
    ) -> Result<Self, DispatchError> {
        let own = GitReference::parse(beside).is_ok_and(|own| own.url().origin() == url.origin());
        let Some(reference) = token.filter(|_| own) else {
            return Ok(Self::default());
        };
        let user = user.unwrap_or(DEFAULT_USER);
        let missing = |_| DispatchError::new(FailureMarker::SecretMissing, "source.options.token");
        let token = secrets.read(reference).await.map_err(missing)?;
        let pair = STANDARD.encode(format!("{user}:{}", token.expose()));
        Ok(Self {
            shown: Some(Shown {
                origin: url.origin(),
                token,
                header: Secret::new(format!("Authorization: Basic {pair}")),
                pair: Secret::new(pair),
            }),
            realm: format!("{user}\n{}", String::from(reference.clone())),
        })
    }

    /// The header to be sent to `url`; `None` on another host, under another port or another scheme.
    pub(super) fn header(&self, url: &RepositoryUrl) -> Option<&Secret<String>> {
        let shown = self.shown.as_ref()?;
        (shown.origin == url.origin()).then_some(&shown.header)
    }

    /// Keeps the token out of whatever the log shows of `error`: servers may quote what they were sent.
    pub(super) fn hide_in(&self, error: DispatchError) -> DispatchError {
        match &self.shown {
            Some(shown) => error.hiding(&shown.token).hiding(&shown.pair),
            None => error,
        }
    }
}

#[cfg(test)]
mod tests {
    use shipslog_core::secret::NoSecrets;
    use shipslog_core::testing::FakeSecrets;

    use super::*;

    fn url(text: &str) -> RepositoryUrl {
        RepositoryUrl::parse(text).unwrap()
    }

    #[tokio::test]
    async fn a_token_is_shown_to_one_server_alone() {
        let (secrets, own) = (
            FakeSecrets::default().with("env:T", "SECRET"),
            url("https://host/a"),
        );
        let reference = SecretRef::Env("T".to_owned());
        let read = async |beside: &str| {
            Access::read(&secrets, &own, beside, Some(&reference), Some("me"))
                .await
                .unwrap()
        };
        let access = read("https://host/b#main").await;
        let header = access.header(&url("https://host/other")).unwrap();
        assert_eq!(header.expose(), "Authorization: Basic bWU6U0VDUkVU");
        for other in [
            "http://host/a",
            "https://host:444/a",
            "https://host.evil/a",
            "https://other/a",
        ] {
            assert!(access.header(&url(other)).is_none(), "{other}");
        }
        assert!(!format!("{access:?}").contains("SECRET") && !format!("{access:?}").contains("bWU6"));
        assert!(Access::default().header(&own).is_none());
        for beside in [
            "https://other/a",
            "http://host/a",
            "https://host:444/a",
            "inline",
            "/srv/a",
        ] {
            let access = read(beside).await;
            assert!(
                access.header(&own).is_none() && access.realm.is_empty(),
                "{beside}"
            );
        }
    }

    #[tokio::test]
    async fn a_token_that_cannot_be_read_is_missing() {
        let reference = SecretRef::Env("T".to_owned());
        let read = Access::read(
            &NoSecrets,
            &url("https://host/a"),
            "https://host/a",
            Some(&reference),
            None,
        )
        .await;
        assert_eq!(read.unwrap_err().marker(), FailureMarker::SecretMissing);
    }
}

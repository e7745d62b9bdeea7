//! Who asks, and what they may do.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use axum::http::HeaderName;
use axum::http::header::{AUTHORIZATION, COOKIE, HOST, ORIGIN, UPGRADE};
use axum::http::request::Parts;
use percent_encoding::percent_decode_str;
use serde::Serialize;
use sha2::{Digest, Sha256};
use shipslog_core::secret::Secret;
use subtle::ConstantTimeEq;
use utoipa::ToSchema;

/// The cookie in which a browser keeps its token.
pub(crate) const COOKIE_NAME: &str = "shipslog_token";

/// How a browser says where a request comes from.
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// What somebody may do. An admin may do whatever a viewer may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// May read, but not the literal values of specs.
    Viewer,
    /// May read and change everything.
    Admin,
}

impl Role {
    /// `viewer` or `admin`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Admin => "admin",
        }
    }
}

/// Somebody who was recognised.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Identity {
    /// What the ledger calls them, in `triggered_by`. Never a secret.
    pub name: String,
    /// What they may do.
    pub role: Role,
}

impl Identity {
    /// Somebody of this name, with this role.
    pub fn new(name: impl Into<String>, role: Role) -> Self {
        Self {
            name: name.into(),
            role,
        }
    }
}

/// Recognises who sends a request. A host implements it over the accounts that it has; [`StaticTokens`] is
/// for those that have none.
#[async_trait]
pub trait Authenticator: fmt::Debug + Send + Sync + 'static {
    /// Who sends this request; `None` when that cannot be told, for whatever reason. The request is then
    /// answered 401.
    ///
    /// It is called once for each request to a route that is not open to all, and once with nothing but an
    /// `Authorization` header when somebody signs in at the root path. An implementation that goes by cookies
    /// must itself refuse what another site makes a browser send.
    async fn authenticate(&self, request: &Parts) -> Option<Identity>;
}

/// A text that is no hash of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the hash of a token must be 64 hexadecimal digits")]
pub struct InvalidTokenHash;

/// The SHA-256 of a token: what is kept in its place. `Display` and `FromStr` use 64 hexadecimal digits.
///
/// It is neither salted nor slow, so it hides a token only as well as the token was random: 16 random bytes
/// are plenty, a word is not.
///
/// ```
/// use shipslog_core::secret::Secret;
/// use shipslog_http::TokenHash;
///
/// let hash = TokenHash::of(&Secret::new("correct-horse".to_owned()));
/// assert_eq!(hash.to_string().parse::<TokenHash>().unwrap(), hash);
/// ```
#[derive(Clone)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token. That of the empty text matches nothing that can be sent.
    pub fn of(token: &Secret<String>) -> Self {
        Self::digest(token.expose().as_bytes())
    }

    fn digest(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }
}

/// In constant time.
impl PartialEq for TokenHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for TokenHash {}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenHash([redacted])")
    }
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for TokenHash {
    type Err = InvalidTokenHash;

    fn from_str(text: &str) -> Result<Self, InvalidTokenHash> {
        let digits: Option<Vec<u8>> = text
            .chars()
            .map(|c| c.to_digit(16).map(|digit| digit as u8))
            .collect();
        let bytes: Vec<u8> = digits
            .unwrap_or_default()
            .chunks(2)
            .map(|pair| pair.iter().fold(0, |sum, d| sum << 4 | d))
            .collect();
        let whole = text.len() == 64;
        whole
            .then(|| bytes.try_into().ok())
            .flatten()
            .map(Self)
            .ok_or(InvalidTokenHash)
    }
}

/// Tokens that are known beforehand: `Authorization: Bearer <token>`, or a cookie, which signing in at the
/// root path sets where there is no dashboard.
///
/// A browser sends its cookie along whatever site made it send the request, so a cookie counts for an unsafe
/// method, and for a WebSocket, only if the browser says that the request comes from this server's own pages.
#[derive(Debug, Clone, Default)]
pub struct StaticTokens {
    tokens: Vec<(TokenHash, Identity)>,
}

impl StaticTokens {
    /// Adds a token whose holder is an admin, called `name` in the ledger.
    #[must_use]
    pub fn with_admin(self, name: impl Into<String>, token: TokenHash) -> Self {
        self.with(Identity::new(name, Role::Admin), token)
    }

    /// Adds a token whose holder is a viewer of this name.
    #[must_use]
    pub fn with_viewer(self, name: impl Into<String>, token: TokenHash) -> Self {
        self.with(Identity::new(name, Role::Viewer), token)
    }

    fn with(mut self, identity: Identity, token: TokenHash) -> Self {
        self.tokens.push((token, identity));
        self
    }

    /// Looks at every token, whichever fits, so that the time taken tells nothing.
    fn holder(&self, token: &[u8]) -> Option<&Identity> {
        let presented = TokenHash::digest(token);
        self.tokens.iter().fold(
            None,
            |found, (hash, identity)| if *hash == presented { Some(identity) } else { found },
        )
    }
}

#[async_trait]
impl Authenticator for StaticTokens {
    async fn authenticate(&self, request: &Parts) -> Option<Identity> {
        self.holder(&presented(request)?).cloned()
    }
}

/// The token of a request. A header that is wrong is not rescued by a cookie.
fn presented(request: &Parts) -> Option<Cow<'_, [u8]>> {
    if request.headers.contains_key(AUTHORIZATION) {
        return bearer(request).map(Cow::Borrowed);
    }
    let harmless = request.method.is_safe() && !request.headers.contains_key(UPGRADE);
    let trusted = harmless || is_own_page(request);
    cookie(request).filter(|_| trusted)
}

fn bearer(request: &Parts) -> Option<&[u8]> {
    let value = only(request, AUTHORIZATION)?;
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

/// The value of a header that is given once.
fn only(request: &Parts, name: HeaderName) -> Option<&[u8]> {
    let mut values = request.headers.get_all(name).iter();
    let value = values.next()?;
    if values.next().is_some() {
        None
    } else {
        Some(value.as_bytes())
    }
}

fn cookie(request: &Parts) -> Option<Cow<'_, [u8]>> {
    let headers = request
        .headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = headers
        .flat_map(|header| header.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    pairs
        .find(|(name, _)| *name == COOKIE_NAME)
        .map(|(_, token)| percent_decode_str(token).into())
        .filter(|token: &Cow<'_, [u8]>| !token.is_empty())
}

/// The value that carries a token in the cookie.
#[cfg(any(test, not(feature = "dashboard")))]
pub(crate) fn cookie_value(token: &str) -> String {
    percent_encoding::utf8_percent_encode(token, percent_encoding::NON_ALPHANUMERIC).to_string()
}

/// Whether the browser says that one of this server's pages, or the person at it, sent the request. Browsers
/// say it in `Sec-Fetch-Site`; older ones, and all of them over plain HTTP to another machine, only in
/// `Origin`. What sends neither is no browser.
fn is_own_page(request: &Parts) -> bool {
    let has = |name: &HeaderName| request.headers.contains_key(name);
    if has(&SEC_FETCH_SITE) {
        return matches!(only(request, SEC_FETCH_SITE), Some(b"same-origin" | b"none"));
    }
    if !has(&ORIGIN) {
        return true;
    }
    let origin = only(request, ORIGIN).and_then(|origin| str::from_utf8(origin).ok()?.split_once("://"));
    let host = only(request, HOST).and_then(|host| str::from_utf8(host).ok());
    origin
        .zip(host)
        .is_some_and(|((_, authority), host)| host.eq_ignore_ascii_case(authority))
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn hash(token: &str) -> TokenHash {
        TokenHash::of(&Secret::new(token.to_owned()))
    }

    fn request(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    async fn role(method: &str, headers: &[(&str, &str)]) -> Option<Role> {
        let tokens = StaticTokens::default()
            .with_admin("a", hash("adm"))
            .with_viewer("v", hash("view"));
        tokens
            .authenticate(&request(method, headers))
            .await
            .map(|identity| identity.role)
    }

    #[tokio::test]
    async fn only_a_well_formed_header_with_a_known_token_is_recognised() {
        assert_eq!(
            role("GET", &[("authorization", "Bearer adm")]).await,
            Some(Role::Admin)
        );
        assert_eq!(
            role("GET", &[("authorization", "bearer  view")]).await,
            Some(Role::Viewer)
        );
        for bad in [
            "",
            "Bearer",
            "Bearer ",
            "Bearer other",
            "Basic adm",
            "adm",
            "Bearer adm view",
            "Bearer adm,view",
            "Beareradm",
        ] {
            assert_eq!(role("GET", &[("authorization", bad)]).await, None, "{bad:?}");
        }
        let twice = [("authorization", "Bearer adm"), ("authorization", "Bearer adm")];
        assert_eq!(role("GET", &twice).await, None);
        assert_eq!(role("GET", &[]).await, None);
    }

    #[tokio::test]
    async fn a_cookie_is_a_token_unless_a_wrong_header_comes_with_it() {
        assert_eq!(
            role("GET", &[("cookie", "a=b; shipslog_token=view; c")]).await,
            Some(Role::Viewer)
        );
        assert_eq!(
            role("GET", &[("cookie", "a=b"), ("cookie", "shipslog_token=adm")]).await,
            Some(Role::Admin)
        );
        assert_eq!(
            role(
                "GET",
                &[("cookie", "shipslog_token=adm"), ("authorization", "Bearer no")]
            )
            .await,
            None
        );
        assert_eq!(role("GET", &[("cookie", "xshipslog_token=adm")]).await, None);
    }

    #[tokio::test]
    async fn another_site_cannot_use_the_cookie_to_change_anything() {
        let cookie = ("cookie", "shipslog_token=adm");
        let host = ("host", "127.0.0.1:8080");
        for own in [
            vec![cookie, ("sec-fetch-site", "same-origin")],
            vec![cookie, ("sec-fetch-site", "none")],
            vec![cookie, host, ("origin", "http://127.0.0.1:8080")],
            vec![cookie, host],
        ] {
            assert_eq!(role("POST", &own).await, Some(Role::Admin), "{own:?}");
        }
        for foreign in [
            vec![cookie, ("sec-fetch-site", "cross-site")],
            vec![cookie, ("sec-fetch-site", "same-site")],
            vec![
                cookie,
                host,
                ("sec-fetch-site", "cross-site"),
                ("origin", "http://127.0.0.1:8080"),
            ],
            vec![cookie, host, ("origin", "http://127.0.0.1:3000")],
            vec![cookie, host, ("origin", "null")],
            vec![cookie, ("origin", "http://127.0.0.1:8080")],
        ] {
            assert_eq!(role("POST", &foreign).await, None, "{foreign:?}");
            assert_eq!(role("DELETE", &foreign).await, None, "{foreign:?}");
        }
    }

    #[test]
    fn hashes_lead_back_and_nothing_else_does() {
        let digits = hash("adm").to_string();
        assert_eq!(digits.len(), 64);
        assert_eq!(digits.to_uppercase().parse::<TokenHash>().unwrap(), hash("adm"));
        assert_ne!(digits.parse::<TokenHash>().unwrap(), hash("view"));
        for bad in [
            "",
            "ab",
            &digits[1..],
            &format!("{digits}0"),
            &format!("+{}", &digits[1..]),
            &"ä".repeat(32),
        ] {
            assert_eq!(bad.parse::<TokenHash>(), Err(InvalidTokenHash), "{bad}");
        }
    }

    #[tokio::test]
    async fn any_text_but_the_empty_one_can_be_a_token() {
        for token in ["a b", "a;b,c=d", "ä\"%41"] {
            let tokens = StaticTokens::default().with_admin("a", hash(token));
            let cookie = format!("shipslog_token={}; x=y", cookie_value(token));
            assert!(
                tokens
                    .authenticate(&request("GET", &[("cookie", &cookie)]))
                    .await
                    .is_some(),
                "{token}"
            );
            let header = format!("Bearer {token}");
            assert!(
                tokens
                    .authenticate(&request("GET", &[("authorization", &header)]))
                    .await
                    .is_some(),
                "{token}"
            );
        }
        let empty = StaticTokens::default().with_admin("a", hash(""));
        assert_eq!(
            empty
                .authenticate(&request("GET", &[("authorization", "Bearer ")]))
                .await,
            None
        );
        assert_eq!(
            empty
                .authenticate(&request("GET", &[("cookie", "shipslog_token=")]))
                .await,
            None
        );
    }
}

//! Parts of a request that the handlers ask for, each refused with a problem when it is wrong.

use std::convert::Infallible;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, OriginalUri, Query, RawPathParams, Request};
use axum::http::header::{CONTENT_TYPE, LOCATION};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri};
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::time::Window;

use crate::auth::Identity;
use crate::error::Problem;
use crate::schema::{self, BodyError};

/// The largest body that is read.
pub(crate) const MAX_BODY: usize = 256 * 1024;

/// How much of a larger body is still taken off the line. A client that is writing does not read the refusal
/// before it is done.
const MAX_DRAIN: usize = 32 * 1024 * 1024;

/// How long a body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(20);

/// What the `{id}` of a path can stand for.
pub(crate) trait Resource: FromStr + Send {
    /// Its name in a problem.
    const WHAT: &'static str;
}

impl Resource for WorkloadId {
    const WHAT: &'static str = "workload";
}

impl Resource for DeployId {
    const WHAT: &'static str = "deploy";
}

/// The `{id}` of the path. A text that is no id names nothing: 404.
pub(crate) struct Id<T>(pub(crate) T);

impl<S: Send + Sync, T: Resource> FromRequestParts<S> for Id<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let unknown = || Problem::not_found(T::WHAT);
        let params = RawPathParams::from_request_parts(parts, state)
            .await
            .map_err(|_| unknown())?;
        let id = params
            .iter()
            .find(|(name, _)| *name == "id")
            .and_then(|(_, id)| id.parse().ok());
        id.map(Self).ok_or_else(unknown)
    }
}

/// The `{id}` of the path, whatever it is; empty if it is not UTF-8.
pub(crate) struct RawId(pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for RawId {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let params = RawPathParams::from_request_parts(parts, state).await;
        let id = params.iter().flatten().find(|(name, _)| *name == "id");
        Ok(Self(id.map(|(_, id)| id.to_owned()).unwrap_or_default()))
    }
}

/// Whoever the guard recognised.
pub(crate) struct Caller(pub(crate) Identity);

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Absent only on a route that is open to all, whose handler has no business asking.
        parts
            .extensions
            .get::<Identity>()
            .cloned()
            .map(Self)
            .ok_or_else(Problem::internal)
    }
}

/// The path under which a host mounted the router: empty, or such as `/ops`.
pub(crate) struct Mount(String);

impl Mount {
    fn path(&self, path: &str) -> String {
        format!("{}{path}", self.0)
    }

    /// What a client puts before our paths: `/`, or such as `/ops`.
    pub(crate) fn base(&self) -> &str {
        if self.0.is_empty() { "/" } else { &self.0 }
    }

    /// The path as it is here, of one that a client uses.
    pub(crate) fn inner<'a>(&self, path: &'a str) -> &'a str {
        path.strip_prefix(self.0.as_str()).unwrap_or(path)
    }

    /// A `Location` header.
    pub(crate) fn location(&self, path: &str) -> [(HeaderName, String); 1] {
        [(LOCATION, self.path(path))]
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Mount {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let OriginalUri(original) = OriginalUri::from_request_parts(parts, state).await?;
        Ok(Self(mount(original.path(), parts.uri.path()).to_owned()))
    }
}

/// The root path is mounted as `/ops`, without the slash that it has here.
fn mount<'a>(original: &'a str, inner: &str) -> &'a str {
    original
        .strip_suffix(inner)
        .unwrap_or(original)
        .trim_end_matches('/')
}

/// The query of a request, each parameter at most once.
#[derive(Debug, Clone, Default)]
pub(crate) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query in which only these names are known.
    pub(crate) fn read(uri: &Uri, known: &[String]) -> Result<Self, Problem> {
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).unwrap_or_default();
        for (i, (name, _)) in pairs.iter().enumerate() {
            if !known.contains(name) {
                return Err(Problem::bad_parameter(name, "is not a known parameter"));
            }
            if pairs[..i].iter().any(|(other, _)| other == name) {
                return Err(Problem::bad_parameter(name, "is given twice"));
            }
        }
        Ok(Self(pairs))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(other, _)| other == name)
            .map(|(_, value)| value.as_str())
    }

    /// `true` or `false`, which is also what an absent one means.
    pub(crate) fn flag(&self, name: &str) -> Result<bool, Problem> {
        match self.get(name) {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(Problem::bad_parameter(name, "must be true or false")),
        }
    }

    /// A whole number in a range.
    pub(crate) fn number(
        &self,
        name: &str,
        range: RangeInclusive<u32>,
        default: u32,
    ) -> Result<u32, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(default);
        };
        let number = text
            .parse()
            .ok()
            .filter(|number| range.contains(number) && !text.starts_with('+'));
        let message = format!("must be a whole number from {} to {}", range.start(), range.end());
        number.ok_or_else(|| Problem::bad_parameter(name, &message))
    }

    /// A window no longer than `kept`; an absent one is of `default` seconds, or `kept` if that is shorter.
    pub(crate) fn window(&self, name: &str, kept: Window, default: i64) -> Result<Window, Problem> {
        let Some(text) = self.get(name) else {
            return Ok(Window::from_seconds(default).map_or(kept, |default| default.min(kept)));
        };
        Window::parse(text, kept).map_err(|error| Problem::bad_parameter(name, &error.to_string()))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Params {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // The guard reads the query of every route and leaves it here.
        parts.extensions.remove::<Self>().ok_or_else(Problem::internal)
    }
}

/// The header `Idempotency-Key`.
pub(crate) struct IdempotencyKey(pub(crate) Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        const NAME: &str = "Idempotency-Key";
        let mut values = parts.headers.get_all(NAME).iter();
        let Some(value) = values.next() else {
            return Ok(Self(None));
        };
        let key = value
            .to_str()
            .ok()
            .filter(|key| is_key(key) && values.next().is_none());
        let wrong = || Problem::bad_parameter(NAME, "must be given once, with 1 to 128 printable characters");
        key.map(|key| Self(Some(key.to_owned()))).ok_or_else(wrong)
    }
}

fn is_key(key: &str) -> bool {
    (1..=128).contains(&key.len()) && key.bytes().all(|b| matches!(b, b' '..=b'~'))
}

/// A body that must be a JSON object.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for JsonBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        require_json(&parts.headers)?;
        parse(&collect(body).await?).map(Self)
    }
}

/// A body that must be a JSON object if there is one; `null` is none.
pub(crate) struct OptionalBody<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for OptionalBody<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let bytes = collect(body).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        require_json(&parts.headers)?;
        match bytes.trim_ascii() {
            b"null" => Ok(Self(T::default())),
            object => parse(object).map(Self),
        }
    }
}

fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if essence.eq_ignore_ascii_case("application/json") {
        return Ok(());
    }
    let detail = "The body must be JSON, with Content-Type: application/json.";
    Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail))
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Problem> {
    schema::read(body).map_err(|error| match error {
        BodyError::Syntax => Problem::new(StatusCode::BAD_REQUEST, "The body is not JSON."),
        BodyError::Schema(field) => Problem::invalid(&field),
    })
}

async fn collect(body: Body) -> Result<Vec<u8>, Problem> {
    let late = |_| Problem::new(StatusCode::REQUEST_TIMEOUT, "The body did not arrive in time.");
    tokio::time::timeout(BODY_TIME, collect_slowly(body))
        .await
        .map_err(late)?
}

async fn collect_slowly(body: Body) -> Result<Vec<u8>, Problem> {
    let (mut kept, mut seen) = (Vec::new(), 0);
    let mut chunks = body.into_data_stream();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "The body broke off."))?;
        seen += chunk.len();
        if seen <= MAX_BODY {
            kept.extend_from_slice(&chunk);
        } else if seen > MAX_DRAIN {
            break;
        }
    }
    if seen <= MAX_BODY {
        Ok(kept)
    } else {
        Err(too_large())
    }
}

fn too_large() -> Problem {
    Problem::new(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("The body is larger than {MAX_BODY} bytes."),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_is_what_stands_before_our_own_path() {
        for (original, inner, expected) in [
            ("/", "/", ""),
            ("/api/workloads", "/api/workloads", ""),
            ("/ops", "/", "/ops"),
            ("/ops/", "/", "/ops"),
            ("/a/b/api/workloads", "/api/workloads", "/a/b"),
        ] {
            assert_eq!(mount(original, inner), expected, "{original}");
        }
    }
}

//! The REST API of shipslog, as an [`axum::Router`] that a host mounts wherever it likes.
//!
//! [`Api`] takes the parts that a host put together, [`router`] makes routes of them. It binds no port, and
//! sees no database and no engine other than through the traits of `shipslog-core`.
//!
//! | A request passes | which answers |
//! | --- | --- |
//! | [`HostPolicy`] | 421 to a foreign `Host` on a loopback listener |
//! | the guard of its route | 401 and 403 by [`Authenticator`] and [`Role`], 405, 400 for unknown parameters, 503 after 30 seconds |
//! | its handler | 400, 413, 415 and 422 for bodies, 404 and 409 by the domain |
//!
//! With the feature `dashboard` the root path answers the page that operators open, which the crate then holds. It
//! works under any mount, and asks the same API. `make dashboard` builds it, before the crate is compiled.
//!
//! Everything that is not a success is `application/problem+json` (RFC 9457), in words of this project. The
//! description at `/api/openapi.json` is generated from the handlers; the guards read their rules from it, so
//! that what is published is what is enforced.
//!
//! ```
//! use axum::Router;
//! use axum::routing::get;
//! use shipslog_http::{Api, router};
//!
//! /// A host's own routes, and shipslog's under `/ops`.
//! fn app(api: Api) -> Router {
//!     Router::new().route("/", get(async || "hello")).nest("/ops", router(api))
//! }
//! ```
//!
//! The facade, `shipslog`, makes an [`Api`] of SQLite and Docker; `examples/embed.rs` there is a whole host.

mod auth;
#[cfg(feature = "dashboard")]
mod dashboard;
mod deploys;
mod docs;
mod error;
mod extract;
mod guard;
mod host;
mod live;
mod metrics;
mod openapi;
mod schema;
#[cfg(not(feature = "dashboard"))]
mod sign_in;
mod state;
mod stats;
mod stream;
mod system;
mod tape;
mod tickets;
mod workloads;

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Router};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::classify::ServerErrorsFailureClass;
use tower_http::trace::TraceLayer;
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

pub use crate::auth::{Authenticator, Identity, InvalidTokenHash, Role, StaticTokens, TokenHash};
pub use crate::host::HostPolicy;
pub use crate::state::{Api, StreamOptions};

use crate::error::Problem;
use crate::guard::Guard;
use crate::openapi::Description;
use crate::stream::Seats;
use crate::tape::Tapes;
use crate::tickets::Tickets;

/// The routes of a domain: handlers with their descriptions, one entry a path.
type Routes = Vec<UtoipaMethodRouter<Arc<Api>>>;

fn routes() -> Routes {
    let domains = [
        system::router(),
        workloads::router(),
        deploys::router(),
        stats::router(),
        live::router(),
        metrics::router(),
        tickets::router(),
    ];
    let routes = domains.into_iter().flatten().chain(openapi::router());
    #[cfg(not(feature = "dashboard"))]
    let routes = routes.chain(sign_in::router());
    routes.collect()
}

/// The routes of the API, to be served as they are or mounted under a path with [`Router::nest`].
///
/// They need a tokio runtime with time enabled. The root path, `/` or the path of the mount, is for browsers: with the feature
/// `dashboard` it is the page that operators open, without it an address that signs them in with a cookie. Both take `?token=`.
pub fn router(api: Api) -> Router {
    let api = Arc::new(api);
    let mut described = OpenApiRouter::with_openapi(openapi::base());
    let routes = routes();
    let streams = routes
        .iter()
        .flat_map(|(_, paths, _)| guard::streams(paths))
        .collect();
    let tickets = Arc::new(Tickets::new(Arc::clone(&api.clock), streams));
    for (schemas, paths, methods) in routes {
        let guard = Arc::new(Guard::new(&api, &tickets, &paths));
        let guarded = methods.layer(from_fn_with_state(guard, guard::guard));
        described = described.routes((schemas, paths, guarded));
    }
    let (router, description) = described.split_for_parts();
    #[cfg(feature = "dashboard")]
    let router = dashboard::mount(router);
    let trace = TraceLayer::new_for_http().make_span_with(span).on_failure(failed);
    router
        .fallback(async || Problem::new(StatusCode::NOT_FOUND, "There is nothing at this path."))
        .layer(Extension(Arc::new(Description::new(description))))
        .layer(Extension(Arc::new(Tapes::new())))
        .layer(Extension(Arc::new(Seats::new(api.streams))))
        .layer(Extension(tickets))
        .layer(from_fn_with_state(Arc::clone(&api), check_host))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(trace)
        .layer(map_response(harden))
        .with_state(api)
}

async fn check_host(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match api.hosts.check(&parts) {
        Ok(()) => next.run(Request::from_parts(parts, body)).await,
        Err(problem) => problem.into_response(),
    }
}

/// The panic's own text is for the panic hook; it may hold anything.
fn panicked(_: Box<dyn Any + Send>) -> Response {
    tracing::error!("a handler panicked");
    Problem::internal().into_response()
}

/// Names a request by its route: a path may hold anything, and a query may hold a token.
fn span(request: &axum::http::Request<axum::body::Body>) -> tracing::Span {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("-", MatchedPath::as_str);
    tracing::info_span!("request", method = %request.method(), route)
}

/// Being full or without a store is a state and not an error: in a storm of requests it would flood the log, and `readyz` tells of it.
fn failed(failure: ServerErrorsFailureClass, latency: Duration, _: &tracing::Span) {
    match failure {
        ServerErrorsFailureClass::StatusCode(StatusCode::SERVICE_UNAVAILABLE) => {
            tracing::debug!(?latency, "answered that it cannot be done now");
        }
        failure => tracing::error!(%failure, ?latency, "answered with an error"),
    }
}

/// Marks an answer that says itself how long it may be kept.
#[derive(Debug, Clone, Copy)]
struct OwnCaching;

/// Headers that keep browsers from guessing, keeping, framing or passing on what is answered.
async fn harden(mut response: Response) -> Response {
    const HEADERS: [(HeaderName, &str); 3] = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (
            HeaderName::from_static("cross-origin-resource-policy"),
            "same-origin",
        ),
    ];
    let kept = response.extensions().get::<OwnCaching>().is_some();
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !kept {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    let closed = HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'");
    headers.entry(CONTENT_SECURITY_POLICY).or_insert(closed);
    response
}

//! The dashboard: the page that operators open. Its files are inside the program, and it talks to the API
//! like anybody else.
//!
//! `make dashboard` builds them from `crates/http/dashboard`. A program that was compiled before that says so
//! where the page would be.

mod encoding;
mod site;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::extract::{OriginalUri, Path};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, VARY,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use axum::{Extension, Router};
use rust_embed::Embed;

use crate::OwnCaching;
use crate::dashboard::encoding::Accepted;
use crate::dashboard::site::Site;
use crate::error::Problem;

/// What `make dashboard` made; empty if it was not run before compiling.
#[derive(Embed)]
#[folder = "dashboard/dist"]
#[allow_missing = true]
struct Dist;

/// The page loads from here and sends to here alone, and has no script or style inside it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// An asset's name tells its content.
const FOR_EVER: &str = "public, max-age=31536000, immutable";

const NOT_BUILT: &str = include_str!("not_built.html");

/// Adds the page at the root, and what it loads.
pub(crate) fn mount<S: Clone + Send + Sync + 'static>(router: Router<S>) -> Router<S> {
    let files = Dist::iter().filter_map(|name| Some((name.to_string(), Dist::get(&name)?.data)));
    mount_site(router, Site::new(files))
}

fn mount_site<S: Clone + Send + Sync + 'static>(router: Router<S>, site: Site) -> Router<S> {
    let site = Extension(Arc::new(site));
    router
        .route("/", nothing_else(get(page)).layer(site.clone()))
        .route("/assets/{*name}", nothing_else(get(asset)).layer(site))
}

/// Refuses other methods in the same form as the API.
fn nothing_else<S: Clone + Send + Sync + 'static>(methods: MethodRouter<S>) -> MethodRouter<S> {
    methods.fallback(async || {
        Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "This path does not know this method.",
        )
    })
}

/// Whatever the query is: a token in it is for the page's own script.
async fn page(
    Extension(site): Extension<Arc<Site>>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let Some(page) = &site.page else {
        return not_built(uri.path());
    };
    let common = [
        (CACHE_CONTROL, caching(&uri)),
        (CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (ETAG, page.etag.clone()),
    ];
    let body = match headers.get(IF_NONE_MATCH) {
        Some(etag) if *etag == page.etag => StatusCode::NOT_MODIFIED.into_response(),
        _ => Html(site::seen_from(uri.path(), &page.html)).into_response(),
    };
    (Extension(OwnCaching), common, body).into_response()
}

/// A browser keeps an answer under its whole address, which must not be if a token is in it.
fn caching(uri: &Uri) -> HeaderValue {
    HeaderValue::from_static(if uri.query().is_some() {
        "no-store"
    } else {
        "no-cache"
    })
}

/// Says how to build the page. Its style is inside it, and it has no script.
fn not_built(path: &str) -> Response {
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    let headers = [(CONTENT_SECURITY_POLICY, policy)];
    let page = Html(site::seen_from(path, NOT_BUILT));
    (StatusCode::SERVICE_UNAVAILABLE, headers, page).into_response()
}

async fn asset(
    Extension(site): Extension<Arc<Site>>,
    Path(name): Path<String>,
    headers: HeaderMap,
) -> Response {
    let Some(asset) = site.assets.get(&name) else {
        return Problem::new(StatusCode::NOT_FOUND, "There is nothing at this path.").into_response();
    };
    let (encoding, body) = asset.encoded(Accepted::of(&headers));
    let common = [
        (CACHE_CONTROL, FOR_EVER),
        (CONTENT_TYPE, asset.content_type),
        (VARY, "accept-encoding"),
    ];
    let encoding = encoding.map(|encoding| [(CONTENT_ENCODING, encoding)]);
    match encoding {
        Some(encoding) => (Extension(OwnCaching), common, encoding, body).into_response(),
        None => (Extension(OwnCaching), common, body).into_response(),
    }
}

//! The root path: where a browser exchanges a token in a link for a cookie.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use utoipa_axum::routes;

use crate::Routes;
use crate::auth::{COOKIE_NAME, cookie_value};
use crate::error::Problem;
use crate::extract::{Mount, Params};
use crate::guard::unauthenticated;
use crate::state::Api;

pub(crate) fn router() -> Routes {
    vec![routes!(sign_in)]
}

/// Leads to the page that describes the API; with a valid `token`, sets the cookie that signs a browser in.
#[utoipa::path(
    get,
    path = "/",
    tag = "system",
    security(()),
    params(("token" = Option<String>, Query, description = "A token, as it is printed in a link")),
    responses(
        (status = 303, description = "To the page", headers(("Location" = String, description = "Path of the page"))),
        (status = 401, description = "The token is not valid"),
    )
)]
async fn sign_in(State(api): State<Arc<Api>>, mount: Mount, params: Params) -> Result<Response, Problem> {
    let to_docs = (StatusCode::SEE_OTHER, mount.location("/api/docs")).into_response();
    let Some(token) = params.get("token") else {
        return Ok(to_docs);
    };
    // Nothing of the request itself is shown to the authenticator: the token alone has to do.
    let known = match bearer(token) {
        Some(request) => api.authenticator.authenticate(&request).await.is_some(),
        None => false,
    };
    if !known {
        return Err(unauthenticated());
    }
    Ok(([(SET_COOKIE, cookie(token, mount.base()))], to_docs).into_response())
}

/// A request with nothing but a token.
fn bearer(token: &str) -> Option<Parts> {
    let mut value = HeaderValue::try_from(format!("Bearer {token}").into_bytes()).ok()?;
    value.set_sensitive(true);
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.headers.insert(AUTHORIZATION, value);
    Some(parts)
}

/// For this browser session, hidden from scripts and from requests that other sites begin.
fn cookie(token: &str, path: &str) -> String {
    format!(
        "{COOKIE_NAME}={}; Path={path}; HttpOnly; SameSite=Strict",
        cookie_value(token)
    )
}

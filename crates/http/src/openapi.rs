//! The description of the API, generated from the handlers, and the two routes that serve it.

use std::sync::Arc;

use axum::http::header::CONTENT_SECURITY_POLICY;
use axum::response::{Html, IntoResponse, Response};
use axum::{Extension, Json};
use serde_json::{Value, json};
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi as _};
use utoipa_axum::routes;

use crate::Routes;
use crate::docs;
use crate::error::{PROBLEM_JSON, ProblemBody};
use crate::extract::Mount;
use crate::guard::SCHEME;

pub(crate) fn router() -> Routes {
    vec![routes!(openapi_json), routes!(docs_page)]
}

#[derive(utoipa::OpenApi)]
#[openapi(
    info(
        title = "shipslog",
        description = "The ship's log of a container control plane: every deploy, honest rollbacks, and what the containers use. \
            JSON in snake_case; times of day are RFC 3339 in UTC, sample times (`ts`) unix seconds, sizes bytes. \
            `cpu_percent` is 100 for one fully used core. `null` means not known, never 0. \
            Whatever is not a success is a Problem: 400 for a body that is not JSON and for wrong or unknown parameters, 413 for bodies of more \
            than 256 KiB, 415 for other content types, 422 for JSON that breaks the schema or a rule.",
        license(name = "MIT", identifier = "MIT")
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "system", description = "The server itself"),
        (name = "workloads", description = "What runs, or is meant to run"),
        (name = "deploys", description = "The deploy ledger"),
        (name = "stats", description = "What containers use"),
    ),
    modifiers(&Token)
)]
struct Base;

struct Token;

impl Modify for Token {
    fn modify(&self, openapi: &mut OpenApi) {
        let cookie = if cfg!(feature = "dashboard") {
            ""
        } else {
            ", or the cookie that signing in at the root path sets"
        };
        let text = format!(
            "`Authorization: Bearer <token>`{cookie}. Its scopes are roles: an admin may do whatever a viewer may."
        );
        let scheme = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(text))
            .build();
        openapi
            .components
            .get_or_insert_default()
            .add_security_scheme(SCHEME, SecurityScheme::Http(scheme));
    }
}

/// The description without any path.
pub(crate) fn base() -> OpenApi {
    Base::openapi()
}

/// The whole description, as JSON and as a page.
#[derive(Debug)]
pub(crate) struct Description {
    json: Value,
    page: String,
}

impl Description {
    pub(crate) fn new(generated: OpenApi) -> Self {
        // Serializing what was built from strings and maps of strings cannot fail.
        let mut json = serde_json::to_value(generated).unwrap_or_default();
        for operation in operations(&mut json) {
            describe_problems(operation);
        }
        Self {
            page: docs::page(&json),
            json,
        }
    }
}

fn operations(json: &mut Value) -> impl Iterator<Item = &mut Value> {
    let paths = json["paths"].as_object_mut().into_iter().flatten();
    paths
        .filter_map(|(_, item)| item.as_object_mut())
        .flatten()
        .map(|(_, operation)| operation)
}

/// Adds what all operations have in common: how they say no.
fn describe_problems(operation: &mut Value) {
    let closed = operation["security"] != json!([{}]);
    let Some(responses) = operation["responses"].as_object_mut() else {
        return;
    };
    if closed {
        responses.insert(
            "401".to_owned(),
            json!({"description": "No token, or one that is not valid"}),
        );
        responses.insert(
            "403".to_owned(),
            json!({"description": "The token's role does not allow it"}),
        );
    }
    responses.insert(
        "default".to_owned(),
        json!({"description": "Anything else that is not a success"}),
    );
    let failures = responses.iter_mut().filter(|(status, _)| status.as_str() >= "4");
    for (_, response) in failures {
        response["content"] = json!({PROBLEM_JSON: {"schema": {"$ref": "#/components/schemas/Problem"}}});
    }
}

/// This description.
#[utoipa::path(
    get,
    path = "/api/openapi.json",
    tag = "system",
    security(()),
    responses((status = 200, description = "OpenAPI 3.1", body = Object))
)]
async fn openapi_json(Extension(description): Extension<Arc<Description>>, mount: Mount) -> Json<Value> {
    let mut json = description.json.clone();
    json["servers"] = json!([{"url": mount.base()}]);
    Json(json)
}

/// This description as a page for people.
#[utoipa::path(
    get,
    path = "/api/docs",
    tag = "system",
    security(()),
    responses((status = 200, description = "HTML", body = String, content_type = "text/html"))
)]
async fn docs_page(Extension(description): Extension<Arc<Description>>) -> Response {
    // The page has one style sheet, inside it, and no script.
    let policy = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'";
    (
        [(CONTENT_SECURITY_POLICY, policy)],
        Html(description.page.clone()),
    )
        .into_response()
}

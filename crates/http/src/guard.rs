//! The one layer that every request to a route passes: who may do what, which parameters there are, and how
//! long it may take.
//!
//! Its rules are read from the description of the route, which is generated from the handler's own
//! attributes. So there is one place where a route says its role, and what is published is what is enforced.
//! A route that says nothing is closed to everybody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{ALLOW, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use utoipa::openapi::path::Paths;

use crate::auth::{Identity, Role};
use crate::error::Problem;
use crate::extract::Params;
use crate::state::Api;

/// How long a request may take until its answer begins. Streams that have begun, and requests that wait on
/// purpose, take longer.
const REQUEST_TIME: Duration = Duration::from_secs(30);

/// The security scheme of the description. Its scopes are roles.
pub(crate) const SCHEME: &str = "token";

/// The parameter with which a caller waits for the end of what is started.
pub(crate) const WAIT: &str = "wait";

/// Who may use an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Everybody,
    AtLeast(Role),
    Nobody,
}

/// What the description says of one method of a path.
#[derive(Debug)]
struct Operation {
    access: Access,
    parameters: Vec<String>,
}

/// The rules of one path.
#[derive(Debug)]
pub(crate) struct Guard {
    api: Arc<Api>,
    operations: BTreeMap<String, Operation>,
}

impl Guard {
    /// Reads the rules of a path from its description.
    pub(crate) fn new(api: &Arc<Api>, described: &Paths) -> Self {
        let described = serde_json::to_value(described).unwrap_or_default();
        let items = described.as_object().into_iter().flat_map(|paths| paths.values());
        let methods = items.filter_map(Value::as_object).flatten();
        let operations = methods
            .map(|(method, operation)| (method.to_uppercase(), Operation::read(operation)))
            .collect();
        Self {
            api: Arc::clone(api),
            operations,
        }
    }

    /// HEAD is answered by what answers GET.
    fn operation(&self, method: &Method) -> Result<&Operation, Problem> {
        let name = if method == Method::HEAD {
            Method::GET.as_str()
        } else {
            method.as_str()
        };
        self.operations.get(name).ok_or_else(|| self.not_allowed())
    }

    fn not_allowed(&self) -> Problem {
        let problem = Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "This path does not know this method.",
        );
        match HeaderValue::from_str(&self.allow()) {
            Ok(allow) => problem.with_header(ALLOW, allow),
            Err(_) => problem,
        }
    }

    fn allow(&self) -> String {
        let head = self.operations.contains_key("GET").then_some("HEAD");
        let methods: Vec<&str> = self.operations.keys().map(String::as_str).chain(head).collect();
        methods.join(", ")
    }

    /// Lets a request pass, with who sent it and its parameters, or says why not.
    async fn admit(&self, request: &mut Parts) -> Result<(), Problem> {
        let operation = self.operation(&request.method)?;
        if let Some(identity) = self.identify(operation.access, request).await? {
            request.extensions.insert(identity);
        }
        let params = Params::read(&request.uri, &operation.parameters)?;
        request.extensions.insert(params);
        Ok(())
    }

    async fn identify(&self, access: Access, request: &Parts) -> Result<Option<Identity>, Problem> {
        let needed = match access {
            Access::Everybody => return Ok(None),
            Access::Nobody => return Err(forbidden("Nobody may use this path.")),
            Access::AtLeast(role) => role,
        };
        let identity = self
            .api
            .authenticator
            .authenticate(request)
            .await
            .ok_or_else(unauthenticated)?;
        if identity.role >= needed {
            Ok(Some(identity))
        } else {
            Err(forbidden("This needs the role admin."))
        }
    }
}

/// The answer to those who are not recognised.
pub(crate) fn unauthenticated() -> Problem {
    let problem = Problem::new(
        StatusCode::UNAUTHORIZED,
        "A valid token is needed: Authorization: Bearer <token>.",
    );
    problem.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
}

fn forbidden(detail: &'static str) -> Problem {
    Problem::new(StatusCode::FORBIDDEN, detail)
}

impl Operation {
    fn read(operation: &Value) -> Self {
        let parameters = operation["parameters"].as_array().into_iter().flatten();
        let query = parameters.filter(|parameter| parameter["in"] == "query");
        let parameters = query
            .filter_map(|parameter| parameter["name"].as_str())
            .map(str::to_owned)
            .collect();
        Self {
            access: Access::read(&operation["security"]),
            parameters,
        }
    }
}

impl Access {
    /// `[{}]` opens an operation to everybody; `[{"token": ["viewer"]}]` to those with at least that role.
    fn read(security: &Value) -> Self {
        let Some([requirement]) = security.as_array().map(Vec::as_slice) else {
            return Self::Nobody;
        };
        if requirement.as_object().is_some_and(serde_json::Map::is_empty) {
            return Self::Everybody;
        }
        match requirement[SCHEME][0].as_str() {
            Some("viewer") => Self::AtLeast(Role::Viewer),
            Some("admin") => Self::AtLeast(Role::Admin),
            _ => Self::Nobody,
        }
    }
}

/// The layer.
pub(crate) async fn guard(State(guard): State<Arc<Guard>>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    let admitted = tokio::time::timeout(REQUEST_TIME, guard.admit(&mut parts)).await;
    if let Err(problem) = admitted.unwrap_or_else(|_| Err(too_slow())) {
        return problem.into_response();
    }
    let waits = parts
        .extensions
        .get::<Params>()
        .is_some_and(|params| params.get(WAIT) == Some("true"));
    let answer = next.run(Request::from_parts(parts, body));
    match waits {
        true => answer.await,
        false => tokio::time::timeout(REQUEST_TIME, answer)
            .await
            .unwrap_or_else(|_| too_slow().into_response()),
    }
}

fn too_slow() -> Problem {
    Problem::unavailable("The request took too long.")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_route_that_does_not_say_who_may_use_it_is_closed() {
        for silent in [
            json!(null),
            json!([]),
            json!([{"token": []}]),
            json!([{"token": ["root"]}]),
            json!([{"other": ["admin"]}]),
        ] {
            assert_eq!(Access::read(&silent), Access::Nobody, "{silent}");
        }
        assert_eq!(Access::read(&json!([{}, {"token": ["admin"]}])), Access::Nobody);
        assert_eq!(Access::read(&json!([{}])), Access::Everybody);
        assert_eq!(
            Access::read(&json!([{"token": ["viewer"]}])),
            Access::AtLeast(Role::Viewer)
        );
        assert_eq!(
            Access::read(&json!([{"token": ["admin"]}])),
            Access::AtLeast(Role::Admin)
        );
    }
}

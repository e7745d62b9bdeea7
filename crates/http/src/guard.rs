//! The one layer that every request to a route passes: who may do what, which parameters there are, and how
//! long it may take.
//!
//! Its rules are read from the description of the route, which is generated from the handler's own
//! attributes. So there is one place where a route says its role, and what is published is what is enforced.
//! A route that says nothing is closed to everybody.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, Request, State};
use axum::http::header::{ALLOW, AUTHORIZATION, WWW_AUTHENTICATE};
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
use crate::tickets::{Holder, TICKET, Tickets};

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
    tickets: Arc<Tickets>,
    operations: BTreeMap<String, Operation>,
}

impl Guard {
    /// Reads the rules of a path from its description.
    pub(crate) fn new(api: &Arc<Api>, tickets: &Arc<Tickets>, described: &Paths) -> Self {
        let described = serde_json::to_value(described).unwrap_or_default();
        let items = described.as_object().into_iter().flat_map(|paths| paths.values());
        let methods = items.filter_map(Value::as_object).flatten();
        let operations = methods
            .map(|(method, operation)| (method.to_uppercase(), Operation::read(operation)))
            .collect();
        Self {
            api: Arc::clone(api),
            tickets: Arc::clone(tickets),
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
        match operation.access {
            Access::Everybody => {}
            Access::Nobody => return Err(forbidden("Nobody may use this path.")),
            Access::AtLeast(role) if operation.takes_tickets() => self.admit_to_stream(role, request).await?,
            Access::AtLeast(role) => {
                let identity = self.authenticate(request).await?;
                request.extensions.insert(with_role(identity, role)?);
            }
        }
        let params = Params::read(&request.uri, &operation.parameters)?;
        request.extensions.insert(params);
        Ok(())
    }

    async fn authenticate(&self, request: &Parts) -> Result<Identity, Problem> {
        let identity = self.api.authenticator.authenticate(request).await;
        identity.ok_or_else(unauthenticated)
    }

    /// A ticket counts in the place of a header, not beside one.
    async fn admit_to_stream(&self, needed: Role, request: &mut Parts) -> Result<(), Problem> {
        let holder = match ticket(request) {
            Some(ticket) => self
                .tickets
                .holder(&ticket, request.uri.path())
                .ok_or_else(unauthenticated)?,
            None => Holder {
                identity: self.authenticate(request).await?,
                request: Arc::new(request.clone()),
            },
        };
        let identity = with_role(holder.identity, needed)?;
        request.extensions.insert(identity);
        request.extensions.insert(Visitor {
            request: holder.request,
            needed,
        });
        Ok(())
    }
}

/// Who has opened a stream: the request that let them in, and the role that it takes.
#[derive(Clone)]
pub(crate) struct Visitor {
    pub(crate) request: Arc<Parts>,
    pub(crate) needed: Role,
}

fn with_role(identity: Identity, needed: Role) -> Result<Identity, Problem> {
    if identity.role >= needed {
        Ok(identity)
    } else {
        Err(forbidden("This needs the role admin."))
    }
}

fn ticket(request: &Parts) -> Option<String> {
    if request.headers.contains_key(AUTHORIZATION) {
        return None;
    }
    let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(&request.uri).ok()?;
    let ticket = pairs.into_iter().find(|(name, _)| name == TICKET);
    ticket.map(|(_, ticket)| ticket)
}

/// The paths that take tickets.
pub(crate) fn streams(described: &Paths) -> Vec<String> {
    let described = serde_json::to_value(described).unwrap_or_default();
    let paths = described.as_object().into_iter().flatten();
    let takes = |item: &Value| {
        let mut methods = item.as_object().into_iter().flatten();
        methods.any(|(_, operation)| Operation::read(operation).takes_tickets())
    };
    paths
        .filter(|(_, item)| takes(item))
        .map(|(path, _)| path.clone())
        .collect()
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
    fn takes_tickets(&self) -> bool {
        self.parameters.iter().any(|parameter| parameter == TICKET)
    }

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

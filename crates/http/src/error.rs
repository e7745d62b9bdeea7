//! Problems (RFC 9457): the one form of every answer that is not a success.
//!
//! All texts are written here or in core. Nothing quotes a value that was sent, a serializer or a backend.

use std::borrow::Cow;
use std::error::Error;
use std::iter::successors;

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shipslog_core::deploys::{DispatchRefusal, RollbackRefusal};
use shipslog_core::redact::Redactor;
use shipslog_core::store::StoreError;
use shipslog_core::workloads::{CatalogError, FieldError};
use utoipa::ToSchema;

/// What a problem says of itself in `Content-Type`.
pub(crate) const PROBLEM_JSON: &str = "application/problem+json";

/// A field's name is cut here, so that an answer does not grow with what was sent.
const MAX_FIELD_CHARS: usize = 128;

const OBSERVED: &str = "The workload is only observed: it was not started by shipslog.";
const NO_ENGINE: &str = "The container engine does not answer.";

/// An answer other than a success.
#[derive(Debug)]
pub(crate) struct Problem {
    status: StatusCode,
    detail: Cow<'static, str>,
    field: Option<String>,
    reason: Option<RollbackRefusal>,
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

/// Why a request was not answered as asked: `application/problem+json` as in RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// Always `about:blank`: the status says what kind of problem it is.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    kind: &'static str,
    /// The name of the status.
    #[schema(value_type = String)]
    title: &'static str,
    /// The status again.
    status: u16,
    /// What is wrong, for people. It never quotes what was sent.
    #[schema(value_type = String)]
    detail: Cow<'static, str>,
    /// The field of the body, the parameter or the header that is wrong, such as `ports[0].host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<String>,
    /// Why a rollback is refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<RollbackRefusal>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            status,
            detail: detail.into(),
            field: None,
            reason: None,
            header: None,
        }
    }

    /// 400 for a parameter or header.
    pub(crate) fn bad_parameter(name: &str, message: &str) -> Self {
        Self::at_field(StatusCode::BAD_REQUEST, &FieldError::new(name, message))
    }

    /// 422 for a field of the body.
    pub(crate) fn invalid(error: &FieldError) -> Self {
        Self::at_field(StatusCode::UNPROCESSABLE_ENTITY, error)
    }

    fn at_field(status: StatusCode, error: &FieldError) -> Self {
        let field: String = error.field.chars().take(MAX_FIELD_CHARS).collect();
        let detail = format!("{field}: {}.", error.message);
        Self {
            field: Some(field),
            ..Self::new(status, detail)
        }
    }

    pub(crate) fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, format!("There is no such {what}."))
    }

    fn conflict(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::CONFLICT, detail)
    }

    /// 503 for what may work in a few seconds.
    pub(crate) fn unavailable(detail: &'static str) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
            .with_header(RETRY_AFTER, HeaderValue::from_static("5"))
    }

    pub(crate) fn internal() -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "The server failed; its log says why.",
        )
    }

    pub(crate) fn with_header(self, name: HeaderName, value: HeaderValue) -> Self {
        Self {
            header: Some(Box::new((name, value))),
            ..self
        }
    }

    fn refused(reason: RollbackRefusal) -> Self {
        let detail = format!("The deploy cannot be rolled back to: {reason}.");
        Self {
            reason: Some(reason),
            ..Self::conflict(detail)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = Json(ProblemBody {
            kind: "about:blank",
            title: self.status.canonical_reason().unwrap_or("Problem"),
            status: self.status.as_u16(),
            detail: self.detail,
            field: self.field,
            reason: self.reason,
        });
        let mut response = (self.status, [(CONTENT_TYPE, PROBLEM_JSON)], body).into_response();
        if let Some((name, value)) = self.header.map(|header| *header) {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// Tells the log, and only the log, what a backend said.
fn log(failure: &StoreError) {
    let errors = successors(Some(failure as &dyn Error), |error| (*error).source());
    let chain: Vec<String> = errors.map(ToString::to_string).collect();
    tracing::error!(
        error = Redactor::default().redact(&chain.join(": ")),
        "the store failed a request"
    );
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::NotFound { what } => Self::not_found(what),
            StoreError::Conflict { what } => {
                Self::conflict(format!("The {what} does not allow this change."))
            }
            StoreError::Busy | StoreError::Unavailable { .. } => {
                log(&error);
                Self::unavailable("The store does not answer for now.")
            }
            _ => {
                log(&error);
                Self::internal()
            }
        }
    }
}

impl From<CatalogError> for Problem {
    fn from(error: CatalogError) -> Self {
        match error {
            CatalogError::Invalid(field) => Self::invalid(&field),
            CatalogError::NameTaken => Self::conflict("Another managed workload has this name."),
            CatalogError::Observed => Self::conflict(OBSERVED),
            CatalogError::StillObserved => Self::conflict(
                "The workload is observed and its containers are still there: remove them with the tool that made them.",
            ),
            CatalogError::Busy => Self::conflict("The workload is being deployed or changed."),
            CatalogError::EngineUnavailable => Self::unavailable(NO_ENGINE),
            CatalogError::Store(error) => error.into(),
            _ => Self::internal(),
        }
    }
}

impl From<DispatchRefusal> for Problem {
    fn from(refusal: DispatchRefusal) -> Self {
        match refusal {
            DispatchRefusal::Observed => Self::conflict(OBSERVED),
            DispatchRefusal::Busy => Self::conflict("Another dispatch of this workload is running."),
            DispatchRefusal::UnknownKind => {
                Self::conflict("No plugin is registered for the workload's source kind.")
            }
            DispatchRefusal::Invalid(field) => Self::invalid(&field),
            DispatchRefusal::KeyReused => Self::conflict("The idempotency key was used for another request."),
            DispatchRefusal::NotReady(missing) => Self::conflict(missing.join(" ")),
            DispatchRefusal::Rollback(reason) => Self::refused(reason),
            DispatchRefusal::ShuttingDown => Self::unavailable("The control plane is shutting down."),
            DispatchRefusal::EngineUnavailable => Self::unavailable(NO_ENGINE),
            DispatchRefusal::Store(error) => error.into(),
            _ => Self::internal(),
        }
    }
}

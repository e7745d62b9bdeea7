//! What the client's errors mean.

use std::error::Error as _;
use std::io;

use bollard::errors::Error;
use shipslog_core::workloads::EngineUnavailable;

use super::address::Endpoint;

/// Why a request was not granted.
///
/// `Answer` holds the engine's own words, which may hold secrets: they leave this crate only as the detail of
/// a [`DispatchError`](shipslog_core::deploys::DispatchError).
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// There was no answer, or none that can be understood.
    Unreachable(Unreachable),
    /// The engine said no.
    Answer {
        /// HTTP status; 200 when the refusal came inside a stream.
        status: u16,
        /// The engine's words.
        message: String,
    },
}

/// The ways of giving no answer, in words that are safe to show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreachable {
    #[error("no socket at {0}")]
    NoSocket(String),
    #[error("connection refused at {0}")]
    Refused(String),
    #[error("permission denied at {0}")]
    Denied(String),
    #[error("cannot connect to {0}")]
    NotConnected(String),
    #[error("no answer in time")]
    TimedOut,
    #[error("the connection broke off")]
    Lost,
    #[error("the answer could not be understood")]
    Garbled,
    #[error("the engine's address must be unix:///path, tcp://host:port or http://host:port")]
    Unsupported,
    #[error("DOCKER_TLS_VERIFY is set, and encrypted connections are not supported")]
    Encrypted,
}

impl Fault {
    /// The engine's words, or why there are none: for the log alone, and that redacted.
    pub(crate) fn detail(&self) -> String {
        match self {
            Self::Unreachable(why) => why.to_string(),
            Self::Answer { status, message } => format!("{status}: {message}"),
        }
    }

    pub(super) fn of(error: Error, endpoint: &Endpoint) -> Self {
        match error {
            Error::DockerResponseServerError { status_code, message } => Self::Answer {
                status: status_code,
                message,
            },
            Error::DockerStreamError { error } => Self::Answer {
                status: 200,
                message: error,
            },
            error => Self::Unreachable(silence(&error, endpoint)),
        }
    }
}

impl From<Fault> for EngineUnavailable {
    fn from(fault: Fault) -> Self {
        let reason = match fault {
            Fault::Unreachable(why) => why.to_string(),
            Fault::Answer { status, .. } => format!("the engine answered with status {status}"),
        };
        Self { reason }
    }
}

/// Nothing but the kind is shown: the message may hold a secret.
impl std::fmt::Debug for Fault {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unreachable(why) => write!(f, "Unreachable({why:?})"),
            Self::Answer { status, .. } => write!(f, "Answer({status})"),
        }
    }
}

fn silence(error: &Error, endpoint: &Endpoint) -> Unreachable {
    let place = endpoint.to_string();
    match (error, io_kind(error)) {
        (Error::RequestTimeoutError, _) | (_, Some(io::ErrorKind::TimedOut)) => Unreachable::TimedOut,
        (Error::SocketNotFoundError(_), _) | (_, Some(io::ErrorKind::NotFound)) => {
            Unreachable::NoSocket(place)
        }
        (_, Some(io::ErrorKind::ConnectionRefused)) => Unreachable::Refused(place),
        (_, Some(io::ErrorKind::PermissionDenied)) => Unreachable::Denied(place),
        (Error::HyperLegacyError { err }, _) if err.is_connect() => Unreachable::NotConnected(place),
        (Error::IOError { .. } | Error::HyperResponseError { .. } | Error::HyperLegacyError { .. }, _) => {
            Unreachable::Lost
        }
        _ => Unreachable::Garbled,
    }
}

/// The kind of the first I/O error among the error and its causes.
fn io_kind(error: &Error) -> Option<io::ErrorKind> {
    if let Error::IOError { err } = error {
        return Some(err.kind());
    }
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    causes
        .find_map(|cause| cause.downcast_ref::<io::Error>())
        .map(io::Error::kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neither_debug_nor_a_reason_quotes_the_engine() {
        let fault = Fault::Answer {
            status: 500,
            message: "mysql -pSECRET".to_owned(),
        };
        assert_eq!(format!("{fault:?}"), "Answer(500)");
        assert_eq!(
            EngineUnavailable::from(fault).reason,
            "the engine answered with status 500"
        );
    }
}

//! From what SQLite reports to what a caller can decide on.

use rusqlite::ErrorCode;
use rusqlite::types::FromSqlError;
use shipslog_core::store::StoreError;

/// What ended a piece of work inside the store, before the name of its operation is added.
#[derive(Debug)]
pub(super) enum Failure {
    /// Decided here.
    Store(StoreError),
    /// Reported by SQLite.
    Sqlite(rusqlite::Error),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<FromSqlError> for Failure {
    fn from(_: FromSqlError) -> Self {
        Self::invalid("stored value")
    }
}

impl Failure {
    /// A row that does not exist.
    pub(super) fn not_found(what: &'static str) -> Self {
        Self::Store(StoreError::NotFound { what })
    }

    /// A state that does not allow the change.
    pub(super) fn conflict(what: &'static str) -> Self {
        Self::Store(StoreError::Conflict { what })
    }

    /// A value that cannot be read.
    pub(super) fn invalid(what: &'static str) -> Self {
        Self::Store(StoreError::Invalid { what })
    }

    /// Whether there was no room left on the disk.
    pub(super) fn is_disk_full(&self) -> bool {
        matches!(self, Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DiskFull))
    }

    /// The error that the caller of `operation` sees.
    pub(super) fn during(self, operation: &'static str) -> StoreError {
        match self {
            Self::Store(error) => error,
            Self::Sqlite(error) => from_sqlite(error, operation),
        }
    }
}

fn from_sqlite(error: rusqlite::Error, operation: &'static str) -> StoreError {
    if is_unreadable(&error) {
        return StoreError::Invalid { what: "stored value" };
    }
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => StoreError::Busy,
        Some(code) if is_outage(code) => StoreError::Unavailable {
            operation,
            source: error.into(),
        },
        _ => StoreError::Backend {
            operation,
            source: error.into(),
        },
    }
}

/// A stored value of another type, range or encoding than its reader expects.
fn is_unreadable(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(
        error,
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)
    )
}

/// The file or its disk does not do its part; another query would not fare better.
fn is_outage(code: ErrorCode) -> bool {
    use ErrorCode::{
        CannotOpen, DatabaseCorrupt, DiskFull, FileLockingProtocolFailed, NotADatabase, OutOfMemory,
        PermissionDenied, ReadOnly, SystemIoFailure,
    };
    matches!(
        code,
        DiskFull
            | SystemIoFailure
            | CannotOpen
            | ReadOnly
            | DatabaseCorrupt
            | NotADatabase
            | PermissionDenied
            | FileLockingProtocolFailed
            | OutOfMemory
    )
}

#[cfg(test)]
mod tests {
    use rusqlite::ffi;

    use super::*;

    fn mapped(code: i32) -> StoreError {
        let text = Some("the text of the backend".to_owned());
        Failure::from(rusqlite::Error::SqliteFailure(ffi::Error::new(code), text)).during("open_deploy")
    }

    #[test]
    fn codes_become_decisions() {
        for code in [ffi::SQLITE_BUSY, ffi::SQLITE_BUSY_SNAPSHOT, ffi::SQLITE_LOCKED] {
            assert!(matches!(mapped(code), StoreError::Busy));
        }
        let outages = [
            ffi::SQLITE_FULL,
            ffi::SQLITE_IOERR,
            ffi::SQLITE_IOERR_WRITE,
            ffi::SQLITE_CANTOPEN,
            ffi::SQLITE_READONLY,
            ffi::SQLITE_CORRUPT,
            ffi::SQLITE_NOTADB,
        ];
        for code in outages {
            assert!(
                matches!(
                    mapped(code),
                    StoreError::Unavailable {
                        operation: "open_deploy",
                        ..
                    }
                ),
                "{code}"
            );
        }
        assert!(matches!(
            mapped(ffi::SQLITE_CONSTRAINT),
            StoreError::Backend {
                operation: "open_deploy",
                ..
            }
        ));
    }

    #[test]
    fn the_text_of_the_backend_is_in_the_source_alone() {
        let error = mapped(ffi::SQLITE_FULL);
        assert_eq!(error.to_string(), "the store is unavailable during open_deploy");
        assert!(
            std::error::Error::source(&error)
                .unwrap()
                .to_string()
                .contains("the text of the backend")
        );
    }
}

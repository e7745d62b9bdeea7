//! Connections: how each is set up, and the transactions that run on it.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, Params, Row, Transaction, TransactionBehavior};

use super::error::Failure;

/// Bytes of journal after which it is written back, and to which it is cut when a burst had made it larger. SQLite's own
/// choice is a quarter of it, and costs four times as many syncs.
pub(super) const JOURNAL_BYTES: i64 = 16 * 1024 * 1024;

const PAGE_BYTES: i64 = 4096;

/// More than there are statements, so that each is compiled once a connection.
const CACHED_STATEMENTS: usize = 64;

/// Where a database is.
#[derive(Debug, Clone)]
pub(super) enum Place {
    /// In a file.
    File(PathBuf),
    /// In memory, under a name that every connection of the store knows.
    Memory(String),
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Writes what must survive the loss of power: synced at each commit.
    Ledger,
    /// Writes samples: the loss of power may cost the newest ones.
    Samples,
    /// Cannot write.
    Reader,
}

impl Role {
    fn synchronous(self) -> &'static str {
        match self {
            Self::Ledger => "FULL",
            Self::Samples | Self::Reader => "NORMAL",
        }
    }
}

impl Place {
    /// Opens a connection that waits `busy` for locks of others.
    pub(super) fn connect(&self, role: Role, busy: Duration) -> rusqlite::Result<Connection> {
        let connection = self.open()?;
        connection.busy_timeout(busy)?;
        connection.set_prepared_statement_cache_capacity(CACHED_STATEMENTS);
        connection.pragma_update(None, "foreign_keys", true)?;
        connection.pragma_update(None, "temp_store", "MEMORY")?;
        connection.pragma_update(None, "synchronous", role.synchronous())?;
        connection.pragma_update(None, "query_only", role == Role::Reader)?;
        connection.pragma_update_and_check(None, "journal_size_limit", JOURNAL_BYTES, |_| Ok(()))?;
        let pages = JOURNAL_BYTES / PAGE_BYTES;
        connection.pragma_update_and_check(None, "wal_autocheckpoint", pages, |_| Ok(()))?;
        Ok(connection)
    }

    fn open(&self) -> rusqlite::Result<Connection> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        match self {
            // Never CREATE: a file that vanished is not replaced by an empty one.
            Self::File(path) => Connection::open_with_flags(path, flags),
            Self::Memory(uri) => {
                let flags = flags | OpenFlags::SQLITE_OPEN_URI | OpenFlags::SQLITE_OPEN_CREATE;
                Connection::open_with_flags(uri, flags)
            }
        }
    }
}

/// A transaction that takes the write lock at once: taken later, SQLite could refuse it without waiting.
pub(super) fn writing(connection: &mut Connection) -> rusqlite::Result<Transaction<'_>> {
    connection.transaction_with_behavior(TransactionBehavior::Immediate)
}

/// The rows of a query.
pub(super) fn all<T, P, F>(connection: &Connection, sql: &str, params: P, read: F) -> Result<Vec<T>, Failure>
where
    P: Params,
    F: FnMut(&Row<'_>) -> Result<T, Failure>,
{
    connection
        .prepare_cached(sql)?
        .query_and_then(params, read)?
        .collect()
}

/// The first row of a query, if there is one.
pub(super) fn first<T, P, F>(
    connection: &Connection,
    sql: &str,
    params: P,
    read: F,
) -> Result<Option<T>, Failure>
where
    P: Params,
    F: FnMut(&Row<'_>) -> Result<T, Failure>,
{
    connection
        .prepare_cached(sql)?
        .query_and_then(params, read)?
        .next()
        .transpose()
}

/// The first column of the first row, if there is one.
pub(super) fn value<T, P>(connection: &Connection, sql: &str, params: P) -> Result<Option<T>, Failure>
where
    T: rusqlite::types::FromSql,
    P: Params,
{
    first(connection, sql, params, |row| Ok(row.get(0)?))
}

/// Runs a statement and says how many rows it changed.
pub(super) fn run<P: Params>(connection: &Connection, sql: &str, params: P) -> Result<usize, Failure> {
    Ok(connection.prepare_cached(sql)?.execute(params)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_role_syncs_and_writes_as_it_must() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("x.db");
        std::fs::write(&path, "").unwrap();
        let place = Place::File(path);
        for (role, synchronous, query_only) in
            [(Role::Ledger, 2, 0), (Role::Samples, 1, 0), (Role::Reader, 1, 1)]
        {
            let connection = place.connect(role, Duration::from_secs(1)).unwrap();
            let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get(0));
            assert_eq!(pragma("synchronous"), Ok(synchronous));
            assert_eq!(pragma("query_only"), Ok(query_only));
            assert_eq!(pragma("foreign_keys"), Ok(1));
            assert_eq!(pragma("busy_timeout"), Ok(1_000));
            assert_eq!(pragma("journal_size_limit"), Ok(JOURNAL_BYTES));
        }
    }
}

//! The schema: what makes a file ours, and its numbered migrations.

use rusqlite::Connection;
use rusqlite_migration::{M, Migrations};
use shipslog_core::store::StoreError;

use super::error::Failure;
use super::seal::Seal;

/// Written into the header of every database of ours: `SHLG`.
pub(super) const APPLICATION_ID: u32 = u32::from_be_bytes(*b"SHLG");

const STEPS: &[M<'static>] = &[
    M::up(include_str!("../../migrations/001_store.sql")),
    M::up(include_str!("../../migrations/002_workloads.sql")),
    M::up(include_str!("../../migrations/003_deploys.sql")),
    M::up(include_str!("../../migrations/004_stats.sql")),
];

/// The version that this program reads and writes.
pub(super) const VERSION: u32 = STEPS.len() as u32;

/// Brings an existing database to [`VERSION`].
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    Migrations::from_slice(STEPS)
        .to_latest(connection)
        .map_err(into_failure)
}

/// The version of an existing database.
pub(super) fn version(connection: &Connection) -> rusqlite::Result<u32> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

/// Makes an empty database ours.
pub(super) fn create(connection: &mut Connection, seal: &Seal) -> Result<(), Failure> {
    // Both take effect only as long as there is no table.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    migrate(connection)?;
    seal.write_check(connection)
}

fn into_failure(error: rusqlite_migration::Error) -> Failure {
    match error {
        rusqlite_migration::Error::RusqliteError { err, .. } => Failure::Sqlite(err),
        other => Failure::Store(StoreError::Backend {
            operation: "migrate",
            source: other.into(),
        }),
    }
}

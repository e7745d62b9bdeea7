//! The schema: what makes a file ours, and its numbered migrations.

use rusqlite::{Connection, Transaction};
use rusqlite_migration::{HookResult, M, Migrations};
use shipslog_core::store::StoreError;

use super::error::Failure;
use super::seal::Seal;
use super::stats;

/// Written into the header of every database of ours: `SHLG`.
pub(super) const APPLICATION_ID: u32 = u32::from_be_bytes(*b"SHLG");

/// The version that this program reads and writes.
pub(super) const VERSION: u32 = 6;

fn steps() -> Migrations<'static> {
    Migrations::new(vec![
        M::up(include_str!("../../migrations/001_store.sql")),
        M::up(include_str!("../../migrations/002_workloads.sql")),
        M::up(include_str!("../../migrations/003_deploys.sql")),
        M::up(include_str!("../../migrations/004_stats.sql")),
        M::up_with_hook(include_str!("../../migrations/005_blocks.sql"), pack_samples),
        M::up(include_str!("../../migrations/006_parts.sql")),
    ])
}

/// Until version 4 a sample was a row.
fn pack_samples(tx: &Transaction<'_>) -> HookResult {
    stats::pack_rows(tx).map_err(|failure| rusqlite_migration::HookError::Hook(failure.to_string()))
}

/// Brings an existing database to [`VERSION`].
pub(super) fn migrate(connection: &mut Connection) -> Result<(), Failure> {
    steps().to_latest(connection).map_err(into_failure)
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

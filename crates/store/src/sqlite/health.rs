//! What the store says about itself.

use async_trait::async_trait;
use rusqlite::ErrorCode;
use shipslog_core::store::{StoreError, StoreHealth, StoreInfo};

use super::connection::{Place, value};
use super::error::Failure;
use super::{SqliteStore, schema};

#[async_trait]
impl StoreHealth for SqliteStore {
    fn info(&self) -> StoreInfo {
        StoreInfo {
            kind: "sqlite",
            schema_version: schema::VERSION,
        }
    }

    /// Also looks whether the file still has its name: SQLite itself would go on with a file that was deleted.
    async fn ping(&self) -> Result<(), StoreError> {
        let place = self.shared.place.clone();
        self.read("ping", move |tx, _| {
            still_there(&place)?;
            value::<i64, _>(tx, "SELECT number FROM workloads LIMIT 1", [])?;
            Ok(())
        })
        .await
    }

    /// The database file alone, without its journal, which is up to 16 MiB, and the reserve, which is as large.
    async fn size(&self) -> Result<u64, StoreError> {
        self.read("size", |tx, _| {
            let pages = "SELECT (page_count - freelist_count) * page_size
                FROM pragma_page_count, pragma_freelist_count, pragma_page_size";
            Ok(value(tx, pages, [])?.unwrap_or_default())
        })
        .await
    }
}

fn still_there(place: &Place) -> Result<(), Failure> {
    match place {
        Place::File(path) if !path.exists() => {
            let gone = rusqlite::ffi::Error {
                code: ErrorCode::CannotOpen,
                extended_code: 0,
            };
            Err(Failure::Sqlite(rusqlite::Error::SqliteFailure(gone, None)))
        }
        _ => Ok(()),
    }
}

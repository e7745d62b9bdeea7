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

//! Whether a file is a database of ours that can be read, asked at a cost that does not grow with its history.

use std::fs::File;
use std::io::{ErrorKind, Read};

use rusqlite::Connection;

use super::connection::{all, value};
use super::error::Failure;
use super::files::Files;
use super::open_error::OpenError;
use super::schema::APPLICATION_ID;

/// Length of the header of a database file.
const HEADER: usize = 100;

const MAGIC: &[u8] = b"SQLite format 3\0";

/// Where in the header the application id stands, most significant byte first.
const APPLICATION_ID_AT: usize = 68;

/// Reads the header without SQLite, which would already write beside a foreign database.
pub(super) fn header(files: &Files) -> Result<(), OpenError> {
    let path = files.database.clone();
    let mut header = [0; HEADER];
    match File::open(&path).and_then(|mut file| file.read_exact(&mut header)) {
        Ok(()) if !header.starts_with(MAGIC) => Err(OpenError::Corrupt { path, source: None }),
        Ok(()) if !header[APPLICATION_ID_AT..].starts_with(&APPLICATION_ID.to_be_bytes()) => {
            Err(OpenError::NotShipslog { path })
        }
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => {
            Err(OpenError::Corrupt { path, source: None })
        }
        Err(error) => Err(OpenError::from_io(error, &path)),
    }
}

/// Checks the ledger whole, and of every other table the way from its root to its first and last row. `false` for damage
/// that SQLite found without failing at it.
pub(super) fn tables(connection: &Connection) -> Result<bool, Failure> {
    for table in ["seal_check", "workloads", "specs", "deploys", "containers"] {
        let verdict: Option<String> = value(connection, &format!("PRAGMA quick_check({table})"), [])?;
        if verdict.as_deref() != Some("ok") {
            return Ok(false);
        }
    }
    for ends in [
        "SELECT min(ts), max(ts) FROM recent",
        "SELECT min(first), max(first) FROM spans",
        "SELECT min(key), max(key) FROM blocks",
        "SELECT min(key), max(key) FROM rollups",
        "SELECT through FROM rolled",
    ] {
        all(connection, ends, [], |_| Ok(()))?;
    }
    Ok(true)
}

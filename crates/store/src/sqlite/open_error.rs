//! Why a database cannot be opened.

use std::error::Error as StdError;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// Why a database cannot be opened, as a sentence for whoever runs the program: it names the file and says what to do.
///
/// None of them changes or replaces the file. `Display` never repeats the source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// A sound SQLite database that another program made.
    #[error("{} is a database of another program; give the path of a shipslog database, or of a file that does not exist yet", path.display())]
    NotShipslog {
        /// The database file.
        path: PathBuf,
    },
    /// Not a database at all, cut off, or with pages that cannot be read.
    #[error("{} is damaged or not a database; restore it from a backup together with its key, or move it away to start anew", path.display())]
    Corrupt {
        /// The database file.
        path: PathBuf,
        /// What was found, if SQLite found it.
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// Written by a later version of this program.
    #[error("{} has schema version {found}, and this program knows versions up to {known}; use the newer program, or restore a backup from before the update", path.display())]
    Newer {
        /// The database file.
        path: PathBuf,
        /// The file's schema version.
        found: u32,
        /// The newest version that this program knows.
        known: u32,
    },
    /// The file is there and holds nothing. It may have been more before.
    #[error("{} is empty, which a database never is; restore it from a backup, or delete it and the files that begin with its name to start anew", path.display())]
    Empty {
        /// The database file.
        path: PathBuf,
    },
    /// The database file is gone, and something that belongs to it is not.
    #[error("{} is missing, but {} is still there; restore the database from a backup, or move what is left away to start anew", path.display(), left.display())]
    Missing {
        /// Where the database file should be.
        path: PathBuf,
        /// The key or the journal that was left.
        left: PathBuf,
    },
    /// The file or its directory does not exist, cannot be written, or is of the wrong kind.
    #[error("{} cannot be written; check its owner and permissions and those of its directory, and that the file system is not read-only", path.display())]
    NotWritable {
        /// The file or directory.
        path: PathBuf,
        /// What the system said.
        source: Box<dyn StdError + Send + Sync>,
    },
    /// Another process has it open.
    #[error("{} is in use by another process; stop that one first, or give this one another path", path.display())]
    InUse {
        /// The database file.
        path: PathBuf,
    },
    /// Another program, which is not this one, kept it locked for longer than the busy time-out.
    #[error("{} is locked by another program, such as a database shell or a backup; wait for it or stop it", path.display())]
    Busy {
        /// The database file.
        path: PathBuf,
    },
    /// There is no room left on the disk.
    #[error("the disk that holds {} is full; make room on it and start again", path.display())]
    DiskFull {
        /// The file that could not be written.
        path: PathBuf,
    },
    /// The database is there and its key is not. A new key could not open what is sealed.
    #[error("{} is missing, without which the database cannot be read; restore the key file from a backup", path.display())]
    KeyMissing {
        /// The key file.
        path: PathBuf,
    },
    /// The key is not the one that the database was made with.
    #[error("{} is not the key of the database beside it; restore the key file that belongs to it", path.display())]
    KeyWrong {
        /// The key file.
        path: PathBuf,
    },
    /// Anything else.
    #[error("{} could not be opened; see the log for the reason", path.display())]
    Failed {
        /// The file.
        path: PathBuf,
        /// What the system or SQLite said.
        source: Box<dyn StdError + Send + Sync>,
    },
}

impl OpenError {
    pub(super) fn from_io(error: io::Error, path: &Path) -> Self {
        use io::ErrorKind::{
            AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem,
            StorageFull,
        };
        let path = path.to_owned();
        match error.kind() {
            StorageFull => Self::DiskFull { path },
            PermissionDenied | ReadOnlyFilesystem | IsADirectory | NotADirectory | NotFound
            | AlreadyExists => Self::NotWritable {
                path,
                source: error.into(),
            },
            _ => Self::Failed {
                path,
                source: error.into(),
            },
        }
    }

    pub(super) fn from_sqlite(error: rusqlite::Error, path: &Path) -> Self {
        use ErrorCode::{
            CannotOpen, DatabaseBusy, DatabaseCorrupt, DatabaseLocked, DiskFull, NotADatabase,
            PermissionDenied, ReadOnly,
        };
        let path = path.to_owned();
        // The index of the journal is all that SQLite needs room for at once; it reports that in a way of its own.
        let no_room = |error: &rusqlite::Error| {
            error
                .sqlite_error()
                .is_some_and(|e| e.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE)
        };
        match error.sqlite_error_code() {
            _ if no_room(&error) => Self::DiskFull { path },
            Some(DatabaseBusy | DatabaseLocked) => Self::Busy { path },
            Some(DatabaseCorrupt | NotADatabase) => Self::Corrupt {
                path,
                source: Some(error.into()),
            },
            Some(CannotOpen | ReadOnly | PermissionDenied) => Self::NotWritable {
                path,
                source: error.into(),
            },
            Some(DiskFull) => Self::DiskFull { path },
            _ => Self::Failed {
                path,
                source: error.into(),
            },
        }
    }
}

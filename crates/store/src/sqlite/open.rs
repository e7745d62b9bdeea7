//! Opening a database, and making one where there is none.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::Mutex;

use super::connection::{Place, Role};
use super::error::Failure;
use super::files::{Files, Found};
use super::open_error::OpenError;
use super::pool::Pool;
use super::reserve::Reserve;
use super::seal::Seal;
use super::{Shared, SqliteOptions, SqliteStore, Writers, probe, schema};

/// What a file needs kept beside its connections.
#[derive(Default)]
struct Kept {
    reserve: Option<Reserve>,
    lock: Option<File>,
}

/// Opens or makes the database at `path`.
pub(super) fn file(path: &Path, options: SqliteOptions) -> Result<SqliteStore, OpenError> {
    let files = Files::new(path);
    files.make_directory()?;
    let lock = files.lock()?;
    let seal = match files.look()? {
        Found::Nothing => create(&files, options)?,
        Found::Unnamed => {
            files.finish()?;
            files.read_key()?
        }
        Found::Database => {
            probe::header(&files)?;
            files.read_key()?
        }
    };
    let failed = |failure| from_failure(failure, path);
    let place = Place::File(path.to_owned());
    let ledger = connect(&place, options).map_err(failed)?;
    accept(ledger, &files, &seal).and_then(|ledger| {
        let kept = Kept {
            reserve: Some(Reserve::new(files.reserve.clone())),
            lock: Some(lock),
        };
        assemble(place, seal, ledger, kept, options).map_err(|error| failed(error.into()))
    })
}

/// Makes a database in memory.
pub(super) fn memory(options: SqliteOptions) -> Result<SqliteStore, OpenError> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    // This VFS gives each connection transactions of its own, which the shared cache does not.
    let uri = format!(
        "file:/shipslog-{}?vfs=memdb",
        NEXT.fetch_add(1, Ordering::Relaxed)
    );
    let failed = |failure| from_failure(failure, Path::new(":memory:"));
    let (place, seal) = (Place::Memory(uri), Seal::generate());
    let mut ledger = place
        .connect(Role::Ledger, options.busy_timeout)
        .map_err(|e| failed(e.into()))?;
    schema::create(&mut ledger, &seal).map_err(failed)?;
    assemble(place, seal, ledger, Kept::default(), options).map_err(|error| failed(error.into()))
}

/// Makes a database under another name, then its key, then gives it its own: whenever this breaks off, the next open
/// finds either nothing or everything.
fn create(files: &Files, options: SqliteOptions) -> Result<Seal, OpenError> {
    files.begin()?;
    let seal = Seal::generate();
    let failed = |failure| from_failure(failure, &files.unfinished);
    let place = Place::File(files.unfinished.clone());
    let mut connection = place
        .connect(Role::Ledger, options.busy_timeout)
        .map_err(|e| failed(e.into()))?;
    schema::create(&mut connection, &seal).map_err(failed)?;
    connection.close().map_err(|(_, error)| failed(error.into()))?;
    files.write_key(&seal)?;
    files.finish()?;
    Ok(seal)
}

fn connect(place: &Place, options: SqliteOptions) -> Result<Connection, Failure> {
    let connection = place.connect(Role::Ledger, options.busy_timeout)?;
    if connection.is_readonly("main")? {
        // SQLite does not fail when it may only read; the first deploy would.
        let code = rusqlite::ffi::Error {
            code: ErrorCode::ReadOnly,
            extended_code: rusqlite::ffi::SQLITE_READONLY,
        };
        return Err(rusqlite::Error::SqliteFailure(code, None).into());
    }
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    Ok(connection)
}

/// Takes a database that can be read, is not newer than this program, and was made with this key.
fn accept(mut ledger: Connection, files: &Files, seal: &Seal) -> Result<Connection, OpenError> {
    let path = &files.database;
    let failed = |failure| from_failure(failure, path);
    let found = schema::version(&ledger).map_err(|error| failed(error.into()))?;
    if found > schema::VERSION {
        return Err(OpenError::Newer {
            path: path.clone(),
            found,
            known: schema::VERSION,
        });
    }
    schema::migrate(&mut ledger).map_err(failed)?;
    if !probe::tables(&ledger).map_err(failed)? {
        return Err(OpenError::Corrupt {
            path: path.clone(),
            source: None,
        });
    }
    if !seal.fits(&ledger).map_err(|error| failed(error.into()))? {
        return Err(OpenError::KeyWrong {
            path: files.key.clone(),
        });
    }
    Ok(ledger)
}

fn assemble(
    place: Place,
    seal: Seal,
    ledger: Connection,
    kept: Kept,
    options: SqliteOptions,
) -> rusqlite::Result<SqliteStore> {
    let connect = |role| place.connect(role, options.busy_timeout);
    let samples = connect(Role::Samples)?;
    let readers = (0..options.readers)
        .map(|_| connect(Role::Reader))
        .collect::<Result<_, _>>()?;
    let writers = Writers {
        ledger,
        samples,
        present: None,
        reserve: kept.reserve,
        _lock: kept.lock,
    };
    let writers = Arc::new(Mutex::new(writers));
    let shared = Shared {
        place,
        seal,
        readers: Pool::new(readers),
        writers,
        rewritten: AtomicU64::new(0),
        appended: AtomicU64::new(0),
    };
    Ok(SqliteStore {
        shared: Arc::new(shared),
    })
}

fn from_failure(failure: Failure, path: &Path) -> OpenError {
    match failure {
        Failure::Sqlite(error) => OpenError::from_sqlite(error, path),
        Failure::Store(error) => OpenError::Failed {
            path: path.to_owned(),
            source: error.into(),
        },
    }
}

//! The files of a database, and who may read them.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::open_error::OpenError;
use super::seal::{KEY_LENGTH, Seal};

/// A database file and what stands beside it.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) database: PathBuf,
    pub(super) key: PathBuf,
    /// SQLite's journal.
    pub(super) wal: PathBuf,
    /// A database that is being made. It gets its name when it is complete.
    pub(super) unfinished: PathBuf,
    /// Room kept back for a full disk.
    pub(super) reserve: PathBuf,
    unfinished_key: PathBuf,
    lock: PathBuf,
}

/// What is there of a database before it is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// A complete database, of which only the renaming was left to do.
    Unnamed,
    /// A file that holds something.
    Database,
}

impl Files {
    pub(super) fn new(database: &Path) -> Self {
        let beside = |suffix: &str| {
            let mut name = OsString::from(database);
            name.push(suffix);
            PathBuf::from(name)
        };
        Self {
            database: database.to_owned(),
            key: beside(".key"),
            wal: beside("-wal"),
            unfinished: beside(".new"),
            reserve: beside(".reserve"),
            unfinished_key: beside(".key.new"),
            lock: beside(".lock"),
        }
    }

    fn directory(&self) -> &Path {
        match self.database.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Makes the directory, and those above it, for the owner only. One that exists stays as it is.
    pub(super) fn make_directory(&self) -> Result<(), OpenError> {
        let mut builder = DirBuilder::new();
        private_directory(&mut builder);
        let made = builder.recursive(true).create(self.directory());
        made.map_err(|error| OpenError::from_io(error, self.directory()))
    }

    /// Keeps other processes out for as long as the file lives. The system lets go of it when the process ends, however
    /// it ends.
    pub(super) fn lock(&self) -> Result<File, OpenError> {
        let mut options = private_file();
        let file = options.create(true).truncate(false).open(&self.lock);
        let file = file.map_err(|error| OpenError::from_io(error, &self.lock))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(OpenError::InUse {
                path: self.database.clone(),
            }),
            Err(TryLockError::Error(error)) => Err(OpenError::from_io(error, &self.lock)),
        }
    }

    /// Looks what is there, and refuses what looks like a loss.
    pub(super) fn look(&self) -> Result<Found, OpenError> {
        match fs::metadata(&self.database) {
            Ok(meta) if meta.is_dir() => {
                let source = io::Error::from(io::ErrorKind::IsADirectory);
                Err(OpenError::from_io(source, &self.database))
            }
            Ok(meta) if meta.len() == 0 => Err(OpenError::Empty {
                path: self.database.clone(),
            }),
            Ok(_) => Ok(Found::Database),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.look_without_database(),
            Err(error) => Err(OpenError::from_io(error, &self.database)),
        }
    }

    fn look_without_database(&self) -> Result<Found, OpenError> {
        let missing = |left: &Path| OpenError::Missing {
            path: self.database.clone(),
            left: left.to_owned(),
        };
        if self.wal.exists() {
            return Err(missing(&self.wal));
        }
        match (self.key.exists(), self.unfinished.exists()) {
            // The key is written when the database is complete, and before it gets its name.
            (true, true) => Ok(Found::Unnamed),
            (true, false) => Err(missing(&self.key)),
            (false, _) => Ok(Found::Nothing),
        }
    }

    /// An empty file for a database that is to be made, in place of what an earlier try left.
    pub(super) fn begin(&self) -> Result<(), OpenError> {
        let options = private_file().create(true).truncate(true).open(&self.unfinished);
        options
            .map(drop)
            .map_err(|error| OpenError::from_io(error, &self.unfinished))
    }

    /// Gives a complete database its name.
    pub(super) fn finish(&self) -> Result<(), OpenError> {
        let renamed = fs::rename(&self.unfinished, &self.database).and_then(|()| self.sync_directory());
        renamed.map_err(|error| OpenError::from_io(error, &self.database))
    }

    /// Writes the key so that it is on the disk, whole, when this returns.
    pub(super) fn write_key(&self, seal: &Seal) -> Result<(), OpenError> {
        let written = self.try_write_key(seal);
        written.map_err(|error| OpenError::from_io(error, &self.key))
    }

    fn try_write_key(&self, seal: &Seal) -> io::Result<()> {
        let mut file = private_file()
            .create(true)
            .truncate(true)
            .open(&self.unfinished_key)?;
        file.write_all(seal.key())?;
        file.sync_all()?;
        fs::rename(&self.unfinished_key, &self.key)?;
        self.sync_directory()
    }

    /// The seal of the key file.
    pub(super) fn read_key(&self) -> Result<Seal, OpenError> {
        let mut bytes = Vec::new();
        let limit = KEY_LENGTH as u64 + 1;
        match File::open(&self.key).and_then(|file| file.take(limit).read_to_end(&mut bytes)) {
            Ok(_) => Seal::from_bytes(&bytes).ok_or_else(|| OpenError::KeyWrong {
                path: self.key.clone(),
            }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(OpenError::KeyMissing {
                path: self.key.clone(),
            }),
            Err(error) => Err(OpenError::from_io(error, &self.key)),
        }
    }

    /// Makes new names in the directory durable.
    fn sync_directory(&self) -> io::Result<()> {
        // Elsewhere a directory cannot be opened as a file, and names are durable without it.
        if cfg!(unix) {
            File::open(self.directory())?.sync_all()
        } else {
            Ok(())
        }
    }
}

/// Options to write a file that only its owner may read.
pub(super) fn private_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.write(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

fn private_directory(builder: &mut DirBuilder) {
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(builder, 0o700);
    #[cfg(not(unix))]
    let _ = builder;
}

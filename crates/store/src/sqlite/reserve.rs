//! Room kept back for the day on which the disk is full: without any, SQLite can neither delete nor write its journal
//! back, and pruning, the only cure within reach, would fail like everything else.

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use super::connection::JOURNAL_BYTES;
use super::files::private_file;

/// As much as a whole journal needs to be written back, after which there is a journal to write to.
const BYTES: usize = JOURNAL_BYTES as usize;

/// A file of zeros beside the database.
#[derive(Debug)]
pub(super) struct Reserve {
    path: PathBuf,
}

impl Reserve {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path }
    }

    /// Takes the room, if there is enough. To have none is no failure: the disk is then what it would be without.
    pub(super) fn take(&self) {
        let whole = fs::metadata(&self.path).is_ok_and(|meta| meta.len() == BYTES as u64);
        if !whole && self.try_take().is_err() {
            self.give();
        }
    }

    fn try_take(&self) -> io::Result<()> {
        let mut file = private_file().create(true).truncate(true).open(&self.path)?;
        // Zeros that are written, because a length that is only set takes no room.
        file.write_all(&vec![0; BYTES])?;
        file.sync_all()
    }

    /// Gives the room back; `false` when there was none.
    pub(super) fn give(&self) -> bool {
        fs::remove_file(&self.path).is_ok()
    }
}

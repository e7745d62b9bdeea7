//! One file of the kernel's, read over and over.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::PathBuf;

/// Where a buffer begins. Most files are shorter; a longer one makes the buffer grow once.
pub(super) const BUFFER: usize = 16 * 1024;

/// What the kernel hands out at a time of a file that it makes line by line is at least a page less one line. An answer
/// that is shorter is all there is, and needs no second call to say so.
const SURELY_WHOLE: usize = 3_584;

/// A file, kept open or opened for each reading.
#[derive(Debug)]
pub(super) struct Source {
    path: PathBuf,
    held: Option<File>,
}

impl Source {
    /// Opens the file, to see that it can be, and keeps it open if it is to be held.
    pub(super) fn open(path: PathBuf, hold: bool) -> io::Result<Self> {
        let file = File::open(&path)?;
        Ok(Self {
            path,
            held: hold.then_some(file),
        })
    }

    /// As [`open`](Self::open), but a file that is not there is `None`.
    pub(super) fn open_if_there(path: PathBuf, hold: bool) -> io::Result<Option<Self>> {
        match Self::open(path, hold) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// What the file says now, from its beginning.
    pub(super) fn read<'b>(&self, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
        match &self.held {
            Some(file) => whole(file, buffer),
            None => whole(&File::open(&self.path)?, buffer),
        }
    }

    pub(super) fn is_held(&self) -> bool {
        self.held.is_some()
    }
}

fn whole<'b>(file: &File, buffer: &'b mut Vec<u8>) -> io::Result<&'b [u8]> {
    let mut length = file.read_at(buffer, 0)?;
    let mut last = length;
    while last >= SURELY_WHOLE || length == buffer.len() {
        if length == buffer.len() {
            buffer.resize(length * 2, 0);
        }
        last = file.read_at(&mut buffer[length..], length as u64)?;
        length += last;
        if last == 0 {
            break;
        }
    }
    Ok(&buffer[..length])
}

/// All of a file that is read once.
pub(super) fn read_once(path: &std::path::Path) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.read_to_end(&mut text)?;
    Ok(text)
}

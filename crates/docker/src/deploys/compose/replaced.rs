//! Which containers are being replaced.
//!
//! One that ends well when it is told to stop looks like a job that is done. To put things back, even after a crash, it has to be known which of
//! them ran until then.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::containers::Container;
use super::project::{make_folder, write};

const FILE: &str = "replaced.json";

/// The ids of containers that ran when their replacement began, in the folder of their project.
#[derive(Debug)]
pub(super) struct Replaced {
    folder: PathBuf,
    ids: BTreeSet<String>,
}

impl Replaced {
    /// What an earlier deploy left behind, or nothing.
    pub(super) fn of(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join(FILE)).unwrap_or_default();
        Self {
            folder: folder.to_owned(),
            ids: serde_json::from_str(&text).unwrap_or_default(),
        }
    }

    /// Takes note of those that run.
    pub(super) fn note(&mut self, containers: &[Container]) -> io::Result<()> {
        let running = containers.iter().filter(|container| container.runs());
        self.ids.extend(running.map(|container| container.id.clone()));
        make_folder(&self.folder)?;
        write(&self.folder.join(FILE), &serde_json::json!(self.ids).to_string())
    }

    pub(super) fn has(&self, container: &Container) -> bool {
        self.ids.contains(&container.id)
    }

    /// To be called once all is as it should be: from then on, who ends has ended by itself.
    pub(super) fn forget(self) {
        // What is left would start a job once more.
        if let Err(error) = fs::remove_file(self.folder.join(FILE))
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(kind = %error.kind(), "the note of what was replaced stays");
        }
    }
}

//! Where a Compose file comes from.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use shipslog_core::deploys::{DeployStep, DispatchError, FailureMarker, Job};
use shipslog_core::workloads::FieldError;

use super::file::{MAX_FILE, Origin};
use super::spec::ComposeOptions;

/// The names under which Compose looks for a file in a folder, in its order.
const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// The option `file`.
    Inline,
    /// A file or folder on this host.
    Path(PathBuf),
}

impl Place {
    pub(super) fn parse(reference: &str) -> Result<Self, FieldError> {
        match reference {
            "inline" => Ok(Self::Inline),
            path if path.starts_with('/') => Ok(Self::Path(PathBuf::from(path))),
            _ => Err(FieldError::new(
                "source.reference",
                "must be inline, or the absolute path of a Compose file or of its folder",
            )),
        }
    }
}

/// A file that was read.
#[derive(Debug)]
pub(super) struct Source {
    pub(super) text: String,
    /// What paths in it are relative to.
    pub(super) folder: Option<PathBuf>,
}

impl Source {
    pub(super) fn origin(&self) -> Origin {
        match self.folder {
            Some(_) => Origin::Folder,
            None => Origin::Inline,
        }
    }

    /// Reads the file that the job asks for.
    pub(super) async fn read(job: &Job) -> Result<Self, DispatchError> {
        let refused =
            |error: FieldError| DispatchError::new(FailureMarker::ReferenceInvalid, error.to_string());
        match Place::parse(&job.requested).map_err(refused)? {
            Place::Inline => {
                let options: ComposeOptions = job.spec.source.options.read().map_err(refused)?;
                let missing =
                    || DispatchError::new(FailureMarker::SourceInvalid, "there is no file in the options");
                let text = options.file.ok_or_else(missing)?;
                Ok(Self { text, folder: None })
            }
            Place::Path(path) => {
                job.progress.step(DeployStep::Fetching);
                // Disks may be slow, or on a network.
                let reading = tokio::task::spawn_blocking(move || from_host(&path));
                let broken =
                    |_| DispatchError::new(FailureMarker::Internal, "reading the file was broken off");
                reading.await.map_err(broken)?
            }
        }
    }
}

fn from_host(path: &Path) -> Result<Source, DispatchError> {
    let file = match path.is_dir() {
        true => NAMES
            .iter()
            .map(|name| path.join(name))
            .find(|file| file.is_file()),
        false => Some(path.to_owned()),
    };
    let missing = |detail| DispatchError::new(FailureMarker::SourceNotFound, detail);
    let file = file.ok_or_else(|| missing("the folder has no Compose file"))?;
    let text = read(&file).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => missing("there is no such file"),
        kind => DispatchError::new(
            FailureMarker::SourceInvalid,
            format!("the file cannot be read: {kind}"),
        ),
    })?;
    let folder = file.parent().map(Path::to_owned);
    Ok(Source { text, folder })
}

/// One byte more than is allowed is enough to refuse it. A pipe or device would never end.
fn read(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (mut text, limit) = (String::new(), u64::try_from(MAX_FILE).unwrap_or(u64::MAX));
    file.take(limit.saturating_add(1)).read_to_string(&mut text)?;
    Ok(text)
}

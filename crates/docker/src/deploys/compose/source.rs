//! Where a Compose file comes from.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use shipslog_core::deploys::{
    DeployStep, DispatchError, FailureMarker, Job, PinnedReference, Record, RollbackRefusal,
};
use shipslog_core::secret::SecretSource;
use shipslog_core::workloads::{FieldError, Spec};

use super::super::repository::{Access, Checkout, Commit, GitReference, RepositoryUrl};
use super::ComposePlugin;
use super::file::{ComposeFile, MAX_FILE};
use super::plan::ComposePlan;
use super::spec::ComposeOptions;

/// The names under which Compose looks for a file in a folder, in its order.
const NAMES: [&str; 4] = [
    "compose.yaml",
    "compose.yml",
    "docker-compose.yaml",
    "docker-compose.yml",
];

/// Those that it would lay over the one that it found.
const OVERRIDES: [&str; 4] = [
    "compose.override.yaml",
    "compose.override.yml",
    "docker-compose.override.yaml",
    "docker-compose.override.yml",
];

/// What a reference names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Location {
    /// The option `file`.
    Inline,
    /// A file or folder on this host.
    Path(PathBuf),
    /// A file or folder in a Git repository.
    Repository(GitReference),
}

impl Location {
    pub(super) fn parse(reference: &str) -> Result<Self, FieldError> {
        match reference {
            "inline" => Ok(Self::Inline),
            path if path.starts_with('/') => Ok(Self::Path(PathBuf::from(path))),
            url if url.contains("://") => {
                let read = GitReference::parse(url).map(Self::Repository);
                read.map_err(|error| FieldError::new("source.reference", error.to_string()))
            }
            _ => Err(FieldError::new(
                "source.reference",
                "must be inline, the absolute path of a Compose file or of its folder, or https://host/repository.git#branch:path",
            )),
        }
    }
}

/// A file that was read.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) text: String,
    /// What paths in it are relative to, on the host.
    pub(super) folder: Option<PathBuf>,
    /// Where in a repository it is.
    pub(super) repository: Option<Tracked>,
    /// The files of that repository.
    pub(super) tree: Option<Arc<Checkout>>,
}

/// A folder of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Tracked {
    url: String,
    pub(super) commit: String,
    /// From the root of the repository; empty for the root itself.
    pub(super) folder: PathBuf,
}

impl Tracked {
    /// What the ledger shows.
    pub(super) fn pin(&self) -> Option<PinnedReference> {
        let (url, commit) = self.parsed()?;
        url.pin(&commit)
    }

    fn parsed(&self) -> Option<(RepositoryUrl, Commit)> {
        Some((RepositoryUrl::parse(&self.url).ok()?, self.commit.parse().ok()?))
    }
}

impl ComposePlugin {
    /// Reads the file that the job asks for.
    pub(super) async fn source(&self, job: &Job) -> Result<Source, DispatchError> {
        let options = options(&job.spec)?;
        match Location::parse(&job.requested).map_err(|error| refused(&error))? {
            Location::Inline => {
                let missing =
                    || DispatchError::new(FailureMarker::SourceInvalid, "there is no file in the options");
                let text = options.file.ok_or_else(missing)?;
                Ok(Source {
                    text,
                    ..Source::default()
                })
            }
            Location::Path(path) => {
                job.progress.step(DeployStep::Fetching);
                from_host(path).await
            }
            Location::Repository(reference) => self.in_repository(job, &reference, &options).await,
        }
    }

    async fn in_repository(
        &self,
        job: &Job,
        reference: &GitReference,
        options: &ComposeOptions,
    ) -> Result<Source, DispatchError> {
        let url = reference.url();
        let access = access(&job.spec, job.secrets.as_ref(), url, options).await?;
        job.progress.step(DeployStep::Fetching);
        let commit = self.repositories.resolve(reference, &access).await?;
        let tree = self.repositories.check_out(url, &commit, &access).await?;
        let (folder, file) = located(&tree, reference.path()).await?;
        let text = read(file).await?;
        let outside = |_| DispatchError::new(FailureMarker::Internal, "the file is not where it was found");
        let repository = Tracked {
            url: url.to_string(),
            commit: commit.as_str().to_owned(),
            folder: folder.strip_prefix(tree.root()).map_err(outside)?.to_owned(),
        };
        Ok(Source {
            text,
            folder: None,
            repository: Some(repository),
            tree: Some(Arc::new(tree)),
        })
    }

    /// The files of the repository that a plan came from, if the tool has to find some of them.
    pub(super) async fn tree(
        &self,
        plan: &ComposePlan,
        file: &ComposeFile,
        spec: &Spec,
        secrets: &dyn SecretSource,
    ) -> Result<Option<Arc<Checkout>>, DispatchError> {
        let Some(tracked) = plan.repository.as_ref().filter(|_| file.needs_folder()) else {
            return Ok(None);
        };
        let unreadable = || DispatchError::new(FailureMarker::Internal, "the plan names no commit");
        let (url, commit) = tracked.parsed().ok_or_else(unreadable)?;
        let access = access(spec, secrets, &url, &options(spec)?).await?;
        let tree = self.repositories.check_out(&url, &commit, &access).await?;
        Ok(Some(Arc::new(tree)))
    }

    /// Whether what a plan needs beside its file is there.
    pub(super) async fn has_folder(
        &self,
        plan: &ComposePlan,
        target: &Record,
    ) -> Result<(), RollbackRefusal> {
        if plan.folder.as_ref().is_some_and(|folder| !folder.is_dir()) {
            return Err(RollbackRefusal::PlanMissing);
        }
        let file = plan.parse().map_err(|_| RollbackRefusal::PlanMissing)?;
        let Some(tracked) = plan.repository.as_ref().filter(|_| file.needs_folder()) else {
            return Ok(());
        };
        let (url, commit) = tracked.parsed().ok_or(RollbackRefusal::PlanMissing)?;
        let options = options(&target.spec).map_err(|_| RollbackRefusal::PlanMissing)?;
        let access = access(&target.spec, target.secrets.as_ref(), &url, &options).await;
        let access = access.map_err(|_| RollbackRefusal::SourceDenied)?;
        self.repositories.can_be_had(&url, &commit, &access).await
    }
}

fn refused(error: &FieldError) -> DispatchError {
    DispatchError::new(FailureMarker::ReferenceInvalid, error.to_string())
}

fn options(spec: &Spec) -> Result<ComposeOptions, DispatchError> {
    spec.source.options.read().map_err(|error| refused(&error))
}

/// What is shown to the server of `url`, if these are the options of `spec`.
async fn access(
    spec: &Spec,
    secrets: &dyn SecretSource,
    url: &RepositoryUrl,
    options: &ComposeOptions,
) -> Result<Access, DispatchError> {
    let beside = &spec.source.reference;
    Access::read(secrets, url, beside, options.token.as_ref(), None).await
}

async fn from_host(path: PathBuf) -> Result<Source, DispatchError> {
    let file = match is_folder(&path).await {
        true => in_folder(&path).await?,
        false => path,
    };
    let folder = file.parent().map(Path::to_owned);
    let text = read(file).await?;
    Ok(Source {
        text,
        folder,
        ..Source::default()
    })
}

/// The folder in which a path of a repository names a file, and the file itself: a link may lead to it from there.
async fn located(tree: &Checkout, path: &str) -> Result<(PathBuf, PathBuf), DispatchError> {
    let named = tree.within(path).await?;
    if is_folder(&named).await {
        let file = tree.within(in_folder(&named).await?).await?;
        return Ok((named, file));
    }
    let parent = Path::new(path).parent().unwrap_or(Path::new(""));
    Ok((tree.within(parent).await?, named))
}

async fn is_folder(path: &Path) -> bool {
    tokio::fs::metadata(path).await.is_ok_and(|found| found.is_dir())
}

/// The file that Compose would take in a folder. It would lay another one over it, which would go unseen.
async fn in_folder(folder: &Path) -> Result<PathBuf, DispatchError> {
    for name in OVERRIDES {
        if tokio::fs::try_exists(folder.join(name)).await.unwrap_or(false) {
            let detail = format!("there is a {name} beside it: name one file that says it all");
            return Err(DispatchError::new(FailureMarker::SourceInvalid, detail));
        }
    }
    for file in NAMES.map(|name| folder.join(name)) {
        if tokio::fs::metadata(&file)
            .await
            .is_ok_and(|found| found.is_file())
        {
            return Ok(file);
        }
    }
    Err(missing("the folder has no Compose file"))
}

/// Disks may be slow, or on a network.
async fn read(file: PathBuf) -> Result<String, DispatchError> {
    let reading = tokio::task::spawn_blocking(move || read_bounded(&file));
    let read = reading.await.unwrap_or_else(|_| Err(io::ErrorKind::Other.into()));
    read.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => missing("there is no such file"),
        kind => DispatchError::new(
            FailureMarker::SourceInvalid,
            format!("the file cannot be read: {kind}"),
        ),
    })
}

fn missing(detail: &str) -> DispatchError {
    DispatchError::new(FailureMarker::SourceNotFound, detail)
}

/// One byte more than is allowed is enough to refuse it. A pipe or device would never end.
fn read_bounded(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let (mut text, limit) = (String::new(), u64::try_from(MAX_FILE).unwrap_or(u64::MAX));
    file.take(limit.saturating_add(1)).read_to_string(&mut text)?;
    Ok(text)
}

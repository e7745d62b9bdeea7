//! A source kind of one's own, without Docker: text files that are published by moving a link.
//!
//! `Files` cannot roll back: it keeps nothing that it published. `Files::with_archive` keeps every content under its digest,
//! which makes it [`RollbackCapable`]. The ledger, the pin, the check of what runs and the refusals come from shipslog.
//!
//! Run with `cargo run --example custom_plugin`.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use sha2::{Digest, Sha256};
use shipslog::core::deploys::{
    Deploy, DispatchError, DispatchPlugin, DispatchRequest, Dispatcher, DispatcherOptions, FailureMarker,
    Job, Pin, Pinned, PinnedReference, Reason, Record, RollbackCapable, RollbackConfig, RollbackRefusal,
    RollbackRequest, Running, Strategy,
};
use shipslog::core::id::{DeployId, WorkloadId};
use shipslog::core::store::Store;
use shipslog::core::time::Clock as _;
use shipslog::core::workloads::{FieldError, NewWorkload, Spec};
use shipslog::store::SqliteStore;
use shipslog::{HostSecrets, SystemClock};

type Result<T, E = Box<dyn std::error::Error>> = std::result::Result<T, E>;

/// Publishes `inbox/<reference>` as `live/<workload>/current`.
#[derive(Debug, Clone)]
struct Files {
    inbox: PathBuf,
    live: PathBuf,
    archive: Option<PathBuf>,
}

fn failed(marker: FailureMarker) -> impl FnOnce(io::Error) -> DispatchError {
    move |error| DispatchError::new(marker, error.to_string())
}

fn digest_of(content: &[u8]) -> Result<PinnedReference, DispatchError> {
    let hex: String = Sha256::digest(content)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("sha256:{hex}")
        .parse()
        .map_err(|_| DispatchError::new(FailureMarker::Internal, "digest"))
}

impl Files {
    fn new(root: &Path) -> Self {
        Self {
            inbox: root.join("inbox"),
            live: root.join("live"),
            archive: None,
        }
    }

    fn with_archive(root: &Path) -> Self {
        Self {
            archive: Some(root.join("archive")),
            ..Self::new(root)
        }
    }

    fn home(&self, workload: &WorkloadId) -> PathBuf {
        self.live.join(workload.as_str())
    }

    /// Where the content of a pin is kept, or for a plugin without an archive, where it was found.
    fn content(&self, job: &Job, pin: &Pin) -> PathBuf {
        let kept = self
            .archive
            .as_ref()
            .map(|archive| archive.join(pin.content.digest()));
        kept.unwrap_or_else(|| self.inbox.join(&job.requested))
    }

    fn point(&self, workload: &WorkloadId, deploy: &DeployId) -> io::Result<()> {
        let next = self.home(workload).join("next");
        let _ = fs::remove_file(&next);
        symlink(deploy.as_str(), &next)?;
        fs::rename(&next, self.home(workload).join("current"))
    }

    fn publish(&self, job: &Job, pin: &Pin) -> io::Result<()> {
        fs::create_dir_all(self.home(&job.workload))?;
        fs::copy(
            self.content(job, pin),
            self.home(&job.workload).join(job.deploy.as_str()),
        )?;
        self.point(&job.workload, &job.deploy)
    }

    fn keep_only(&self, workload: &WorkloadId, keep: &DeployId) -> io::Result<()> {
        let Ok(entries) = fs::read_dir(self.home(workload)) else {
            return Ok(());
        };
        self.point(workload, keep)?;
        for entry in entries {
            let path = entry?.path();
            if !path.ends_with("current") && !path.ends_with(keep.as_str()) {
                fs::remove_file(path)?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl DispatchPlugin for Files {
    fn kind(&self) -> &str {
        "file"
    }

    fn check(&self, spec: &Spec) -> Result<(), FieldError> {
        let plain = !spec.source.reference.contains(['/', '\\']);
        let error = || FieldError::new("source.reference", "must be the name of a file in the inbox");
        plain.then_some(()).ok_or_else(error)
    }

    fn strategy(&self, _: &Spec) -> Option<Strategy> {
        None
    }

    async fn resolve(&self, job: &Job) -> Result<Pinned, DispatchError> {
        let content =
            fs::read(self.inbox.join(&job.requested)).map_err(failed(FailureMarker::ImageNotFound))?;
        let digest = digest_of(&content)?;
        if let Some(archive) = &self.archive {
            let kept =
                fs::create_dir_all(archive).and_then(|()| fs::write(archive.join(digest.as_str()), &content));
            kept.map_err(failed(FailureMarker::Internal))?;
        }
        Ok(Pin::new(digest.clone(), digest).into())
    }

    async fn run(&self, job: &Job, pinned: &Pinned) -> Result<(), DispatchError> {
        self.publish(job, &pinned.pin)
            .map_err(failed(FailureMarker::StartFailed))
    }

    async fn running(&self, workload: &WorkloadId) -> Result<Vec<Running>, DispatchError> {
        let current = self.home(workload).join("current");
        let Ok(target) = fs::read_link(&current) else {
            return Ok(Vec::new());
        };
        let content = digest_of(&fs::read(&current).map_err(failed(FailureMarker::Internal))?)?;
        let deploy = target.to_string_lossy().parse();
        Ok(deploy
            .map(|deploy| Running::new(deploy, content))
            .into_iter()
            .collect())
    }

    /// Files do not fall over.
    async fn falter(&self, _: &WorkloadId, _: &DeployId) -> Result<FailureMarker, DispatchError> {
        std::future::pending().await
    }

    async fn settle(&self, workload: &WorkloadId, keep: Option<&Record>) -> Result<(), DispatchError> {
        let done = match keep {
            Some(keep) => self.keep_only(workload, &keep.deploy),
            None if self.home(workload).exists() => fs::remove_dir_all(self.home(workload)),
            None => Ok(()),
        };
        done.map_err(failed(FailureMarker::Internal))
    }

    fn rollback(&self) -> Option<&dyn RollbackCapable> {
        self.archive.as_ref().map(|_| self as &dyn RollbackCapable)
    }
}

#[async_trait]
impl RollbackCapable for Files {
    async fn preflight(&self, target: &Record) -> Result<(), RollbackRefusal> {
        let pin = &target.pinned.as_ref().ok_or(RollbackRefusal::NotPinned)?.pin;
        let kept = self
            .archive
            .as_ref()
            .is_some_and(|archive| archive.join(pin.content.digest()).exists());
        kept.then_some(()).ok_or(RollbackRefusal::ImageGone)
    }

    async fn obtain(&self, _: &Job, pinned: &Pinned) -> Result<Pinned, DispatchError> {
        Ok(pinned.clone())
    }
}

/// A ledger in memory with one workload, `motd`.
struct Log {
    dispatcher: Dispatcher,
    workload: WorkloadId,
}

impl Log {
    async fn new(plugin: Files) -> Result<Self> {
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory()?);
        let clock = Arc::new(SystemClock);
        let spec =
            serde_json::from_str(r#"{"name": "motd", "source": {"kind": "file", "reference": "motd"}}"#)?;
        let new = NewWorkload {
            id: WorkloadId::generate(clock.now()),
            spec,
            created_at: clock.now(),
        };
        let workload = store.create_workload(new).await?.id;
        let dispatcher = Dispatcher::new(store, Arc::new(HostSecrets), clock, DispatcherOptions::default());
        Ok(Self {
            dispatcher: dispatcher.with_plugin(Arc::new(plugin)),
            workload,
        })
    }

    async fn deploy(&self) -> Result<Deploy> {
        let request = DispatchRequest {
            workload: self.workload.clone(),
            reference: None,
            reason: Reason::Manual,
            triggered_by: "example".to_owned(),
            note: None,
            idempotency_key: None,
            force: false,
        };
        let row = self.dispatcher.dispatch(request).await?;
        Ok(self.dispatcher.wait(&row.id).await?)
    }

    async fn roll_back(&self, target: &Deploy) -> Result<Deploy> {
        let request = RollbackRequest {
            workload: self.workload.clone(),
            target: target.id.clone(),
            config: RollbackConfig::Recorded,
            triggered_by: "example".to_owned(),
            note: None,
            idempotency_key: None,
        };
        let row = self.dispatcher.roll_back(request).await?;
        Ok(self.dispatcher.wait(&row.id).await?)
    }
}

fn write(root: &Path, text: &str) -> io::Result<()> {
    fs::create_dir_all(root.join("inbox"))?;
    fs::write(root.join("inbox/motd"), text)
}

fn published(root: &Path, log: &Log) -> io::Result<String> {
    fs::read_to_string(root.join("live").join(log.workload.as_str()).join("current"))
}

#[tokio::main]
async fn main() -> Result<()> {
    let root = tempfile::tempdir()?;
    let log = Log::new(Files::with_archive(root.path())).await?;
    write(root.path(), "one")?;
    let first = log.deploy().await?;
    write(root.path(), "two")?;
    log.deploy().await?;
    println!("deployed:    {}", published(root.path(), &log)?);
    let back = log.roll_back(&first).await?;
    println!(
        "rolled back: {}  {}",
        published(root.path(), &log)?,
        back.outcome.as_str()
    );

    let log = Log::new(Files::new(root.path())).await?;
    let row = log.deploy().await?;
    if let Err(refusal) = log.dispatcher.rollback_verdict(&row) {
        println!("without an archive: {refusal}");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use shipslog::core::deploys::Outcome;

    use super::*;

    #[tokio::test]
    async fn the_archive_makes_a_rollback_run_what_ran() {
        let root = tempfile::tempdir().unwrap();
        let log = Log::new(Files::with_archive(root.path())).await.unwrap();
        write(root.path(), "one").unwrap();
        let first = log.deploy().await.unwrap();
        write(root.path(), "two").unwrap();
        log.deploy().await.unwrap();
        assert_eq!(published(root.path(), &log).unwrap(), "two");
        let back = log.roll_back(&first).await.unwrap();
        assert_eq!((back.outcome, back.pin), (Outcome::Succeeded, first.pin));
        assert_eq!(published(root.path(), &log).unwrap(), "one");
    }

    #[tokio::test]
    async fn without_an_archive_a_rollback_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let log = Log::new(Files::new(root.path())).await.unwrap();
        write(root.path(), "one").unwrap();
        let row = log.deploy().await.unwrap();
        assert_eq!(row.outcome, Outcome::Succeeded);
        assert!(log.roll_back(&row).await.is_err());
        assert_eq!(published(root.path(), &log).unwrap(), "one");
    }

    #[tokio::test]
    async fn a_file_that_is_not_there_leaves_what_was_published() {
        let root = tempfile::tempdir().unwrap();
        let log = Log::new(Files::new(root.path())).await.unwrap();
        write(root.path(), "one").unwrap();
        log.deploy().await.unwrap();
        fs::remove_file(root.path().join("inbox/motd")).unwrap();
        let failed = log.deploy().await.unwrap();
        assert_eq!(failed.outcome, Outcome::Failed(FailureMarker::ImageNotFound));
        assert_eq!(published(root.path(), &log).unwrap(), "one");
    }
}

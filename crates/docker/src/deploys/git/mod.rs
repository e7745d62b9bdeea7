//! Deploys of what is built from Git repositories.

mod archive;
mod bases;
mod build;
mod ignore;
mod options;
mod recipe;
mod steps;

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use shipslog_core::deploys::{
    DeployStep, DispatchError, DispatchPlugin, FailureMarker, Job, Pin, Pinned, PinnedReference, Readiness,
    Record, RollbackCapable, RollbackRefusal, Running, Strategy,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::workloads::{FieldError, Spec};

use super::image::ImagePlugin;
use super::repository::{Commit, GitReference, Repositories, RepositoryUrl};
use crate::DockerEngine;
use options::GitOptions;
use recipe::Recipe;

/// The source kind.
const GIT: &str = "git";
/// More than sources have, and less than a disk.
const CONTEXT_LIMIT: u64 = 2 * 1024 * 1024 * 1024;

/// The source kind `git`: builds an image from a commit of a repository, and runs it as [`ImagePlugin`] runs images.
///
/// The reference is `https://host/path/repo.git#<branch, tag or commit>:<folder>`, as Docker writes it. Without `#` it is the repository's
/// default branch; of a branch and a tag of one name it is the branch; a commit must be given in full. The folder is what the build sees.
/// Schemes are `https` and `http`. The options of the source:
///
/// | option | meaning |
/// | --- | --- |
/// | `dockerfile` | its path in the folder; `Dockerfile` by default |
/// | `build_args` | a list of `{"name", "value"}` or `{"name", "secret"}` |
/// | `token` | the secret that the repository's server wants: `file:/…` or `env:…` |
/// | `user` | the user that goes with the token; `x-access-token` by default |
///
/// **Build arguments end up in the history of the image**, whoever gives them: anybody who has the image can read them, even those that were
/// given as secrets. What runs should get its secrets by the environment of the spec instead.
///
/// The token is shown to the server of the spec's own reference alone, same scheme and port included, in a header: it is in no address, no
/// argument, no file and no row. What is on other servers is fetched without one: submodules, a reference that a dispatch brings, and what a
/// rollback builds again. With a token no redirection is followed. Over plain `http` whoever listens can read it.
///
/// The `git` of the host fetches into a cache folder, without any settings, hooks, filters or passwords of the host and its users. Each
/// address has a repository of its own in it, which holds single commits unless [`with_whole_history`](Self::with_whole_history) says
/// otherwise. Submodules are fetched likewise; they must be reachable by `https` or `http`, too. Filters do not run, so that files of Git LFS
/// are the few lines that stand for them. What nobody used for 90 days is removed from the cache.
///
/// The engine builds, with the builder that it had before `BuildKit`, so that Dockerfiles cannot use what only that one knows. `.dockerignore`
/// is followed. Base images come from the engine if it has them; else they are pulled, with the credentials of the Docker client. Equal steps
/// are taken from the engine's own build cache, so that building a commit again gives the same image as long as that lasts. A build is tried five
/// times at most when somebody removes images while it looks for such steps, which that builder takes amiss.
/// Images are labelled with `org.opencontainers.image.revision` and `.source`, named `shipslog/<workload>:<commit>-<image>`, so that pruning
/// dangling images leaves them alone, and never removed.
///
/// A rollback runs the image that was built. If it is no longer there, it is built anew from the recorded commit, which the cache keeps when the
/// server does not, with the build arguments of the spec that the rollback runs with: the pin then has the same reference and new content.
///
/// Clones share their state.
#[derive(Debug, Clone)]
pub struct GitPlugin {
    images: ImagePlugin,
    repositories: Repositories,
    context_limit: u64,
}

impl GitPlugin {
    /// A plugin for this engine that keeps what it fetches in `cache_folder`, which is made when it is needed first. No other plugin may use
    /// that folder, and nobody else can look into it. Registry credentials come from where [`ImagePlugin::new`] takes them.
    pub fn new(engine: DockerEngine, cache_folder: impl Into<PathBuf>) -> Self {
        Self {
            images: ImagePlugin {
                kind: GIT,
                ..ImagePlugin::new(engine)
            },
            repositories: Repositories::new(cache_folder),
            context_limit: CONTEXT_LIMIT,
        }
    }

    /// Reads `config.json` in this folder for registry credentials instead.
    #[must_use]
    pub fn with_docker_config(mut self, folder: impl Into<PathBuf>) -> Self {
        self.images = self.images.with_docker_config(folder);
        self
    }

    /// Runs this program instead of the `git` that is found on the `PATH`.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.repositories = self.repositories.with_program(program);
        self
    }

    /// How long git may say nothing while it waits for a server, 2 minutes by default. Then the source counts as unreachable.
    #[must_use]
    pub fn with_silence_limit(mut self, limit: Duration) -> Self {
        self.repositories = self.repositories.with_silence_limit(limit);
        self
    }

    /// Keeps whole histories in the cache instead of single commits: more to fetch at first, and commits outlive the force-push that removed
    /// them even when they never were deployed.
    #[must_use]
    pub fn with_whole_history(mut self) -> Self {
        self.repositories = self.repositories.with_whole_history();
        self
    }

    /// How many bytes a repository may send as one pack, and the files of a commit with its submodules may have together, 4 GiB by default. What
    /// is fetched at a time is one pack, but from servers that give out plain files.
    #[must_use]
    pub fn with_source_limit(mut self, bytes: u64) -> Self {
        self.repositories = self.repositories.with_size_limit(bytes);
        self
    }

    /// How many bytes of files a build may be given, 2 GiB by default. What `.dockerignore` leaves out does not count.
    #[must_use]
    pub fn with_context_limit(mut self, bytes: u64) -> Self {
        self.context_limit = bytes;
        self
    }

    async fn resolve_commit(&self, job: &Job) -> Result<Pinned, DispatchError> {
        let reference = GitReference::parse(&job.requested)
            .map_err(|error| DispatchError::new(FailureMarker::ReferenceInvalid, error.to_string()))?;
        let options = GitOptions::of(&job.spec)?;
        let access = options
            .access(&job.spec, job.secrets.as_ref(), reference.url())
            .await?;
        job.progress.step(DeployStep::Fetching);
        let commit = self.repositories.resolve(&reference, &access).await?;
        let recipe = Recipe::new(&reference, &options);
        let content = self.build(job, &recipe, &commit, &options, &access).await?;
        Ok(Pinned {
            pin: Pin::new(pin_reference(reference.url(), &commit)?, content),
            plan: Some(recipe.plan()),
        })
    }

    /// Builds the recorded commit once more.
    async fn build_again(&self, job: &Job, pinned: &Pinned) -> Result<Pinned, DispatchError> {
        let unreadable = || {
            DispatchError::new(
                FailureMarker::Internal,
                "what was recorded to be built cannot be read",
            )
        };
        let (recipe, url, commit) = recorded(pinned).ok_or_else(unreadable)?;
        let options = GitOptions::of(&job.spec)?;
        let access = options.access(&job.spec, job.secrets.as_ref(), &url).await?;
        job.progress.step(DeployStep::Fetching);
        let content = self.build(job, &recipe, &commit, &options, &access).await?;
        let mut again = pinned.clone();
        again.pin.content = content;
        Ok(again)
    }

    async fn is_here(&self, pin: &Pin) -> Result<bool, DispatchError> {
        Ok(self.images.image(pin.content.as_str()).await?.is_some())
    }

    /// Whether the recorded commit can be had from cache or server.
    async fn can_be_built(&self, target: &Record, pinned: &Pinned) -> Result<(), RollbackRefusal> {
        let (_, url, commit) = recorded(pinned).ok_or(RollbackRefusal::PlanMissing)?;
        let options = GitOptions::of(&target.spec).map_err(|_| RollbackRefusal::PlanMissing)?;
        let access = options.access(&target.spec, target.secrets.as_ref(), &url).await;
        let access = access.map_err(|_| RollbackRefusal::SourceDenied)?;
        self.repositories.can_be_had(&url, &commit, &access).await
    }
}

#[async_trait]
impl DispatchPlugin for GitPlugin {
    fn kind(&self) -> &str {
        GIT
    }

    fn check(&self, spec: &Spec) -> Result<(), FieldError> {
        let parsed = GitReference::parse(&spec.source.reference);
        parsed.map_err(|error| FieldError::new("source.reference", error.to_string()))?;
        spec.source.options.read::<GitOptions>()?.check()?;
        spec.check_host_ports()
    }

    fn strategy(&self, spec: &Spec) -> Option<Strategy> {
        self.images.strategy(spec)
    }

    async fn readiness(&self) -> Readiness {
        self.repositories.readiness().await
    }

    async fn resolve(&self, job: &Job) -> Result<Pinned, DispatchError> {
        self.resolve_commit(job).await
    }

    async fn run(&self, job: &Job, pinned: &Pinned) -> Result<(), DispatchError> {
        self.images.run(job, pinned).await
    }

    async fn running(&self, workload: &WorkloadId) -> Result<Vec<Running>, DispatchError> {
        self.images.running(workload).await
    }

    async fn falter(&self, workload: &WorkloadId, deploy: &DeployId) -> Result<FailureMarker, DispatchError> {
        self.images.falter(workload, deploy).await
    }

    async fn settle(&self, workload: &WorkloadId, keep: Option<&Record>) -> Result<(), DispatchError> {
        self.images.settle(workload, keep).await
    }

    fn rollback(&self) -> Option<&dyn RollbackCapable> {
        Some(self)
    }
}

#[async_trait]
impl RollbackCapable for GitPlugin {
    async fn preflight(&self, target: &Record) -> Result<(), RollbackRefusal> {
        let pinned = target.pinned.as_ref().ok_or(RollbackRefusal::NotPinned)?;
        match self.is_here(&pinned.pin).await {
            Ok(true) => Ok(()),
            Ok(false) => self.can_be_built(target, pinned).await,
            Err(_) => Err(RollbackRefusal::EngineUnavailable),
        }
    }

    async fn obtain(&self, job: &Job, pinned: &Pinned) -> Result<Pinned, DispatchError> {
        if self.is_here(&pinned.pin).await? {
            return Ok(pinned.clone());
        }
        self.build_again(job, pinned).await
    }
}

/// What a row tells of how it was built: the recipe, the repository and the commit.
fn recorded(pinned: &Pinned) -> Option<(Recipe, RepositoryUrl, Commit)> {
    let recipe = Recipe::of(pinned.plan.as_ref()?)?;
    let url = RepositoryUrl::parse(&recipe.repository).ok()?;
    let commit = pinned.pin.reference.digest().strip_prefix("git:")?.parse().ok()?;
    Some((recipe, url, commit))
}

fn pin_reference(url: &RepositoryUrl, commit: &Commit) -> Result<PinnedReference, DispatchError> {
    let unfit = || DispatchError::new(FailureMarker::Internal, "the repository cannot be named in a pin");
    url.pin(commit).ok_or_else(unfit)
}

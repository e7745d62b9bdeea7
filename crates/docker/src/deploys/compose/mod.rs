//! Deploys of Compose files.

mod containers;
mod file;
mod paths;
mod plan;
mod project;
mod renewed;
mod replace;
mod replaced;
mod resolve;
mod rules;
mod said;
mod settle;
mod source;
mod spec;
mod tool;
mod variables;
mod watch;

use std::ffi::OsString;
use std::path::PathBuf;

use async_trait::async_trait;
use shipslog_core::deploys::{
    DispatchError, DispatchPlugin, FailureMarker, Job, Pin, Pinned, Readiness, Record, RollbackCapable,
    RollbackRefusal, Running, Strategy,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::workloads::{FieldError, Spec};

use super::image::ImagePlugin;
use super::repository::Repositories;
use crate::DockerEngine;
use containers::Container;
use plan::ComposePlan;
use source::Location;
use tool::{Tool, Toolbox};

const COMPOSE: &str = "compose";
/// What a service's container was made from, as a digest: what does not differ in it need not be made anew.
const DEFINITION: &str = "shipslog.definition";

/// The source kind `compose`: runs the services of a Compose file, with the engine's own Compose.
///
/// The reference is `inline`, for a file that stands in the option `file`, the absolute path of a file or folder on this host, or a file or
/// folder in a Git repository: `https://host/repository.git#branch:path`, where what follows the address may be left out. In a folder it is the
/// file that Compose would take, alone: one that overrides it is refused rather than left out. Variables of the file have their values from the
/// spec's `env`, where secrets are references, and from nowhere else, no `.env` file either.
///
/// A deploy finds out what each service's image stands for and pins it, in a copy of the file in which variables are still variables. Service
/// after service, each after those that it depends on, is then made what the copy says, and has to work before the next one is touched: its
/// healthcheck says so, or it runs for `min_healthy_s`, or, if nobody starts it again and it publishes no port, it ends with status 0. What did
/// not change is not restarted. The first service that fails ends the deploy, and those that were replaced are put back.
///
/// A rollback runs the copy again. What else the file refers to on the host, bind mounts and `env_file`, is not part of the copy, nor is what is
/// in volumes; volumes are never removed. A file of a repository is pinned by its commit. A rollback needs the repository only where an
/// `env_file` or `label_file` is beside the file, and then takes it from that very commit. Such files, and what images are built from, must be in
/// the repository; it is gone from the host once the services run, so they cannot mount from it. Containers of one service are replaced
/// together.
///
/// A Compose file may mount the host's files and run privileged containers: whoever may deploy one is an administrator of the host.
///
/// Containers, networks and volumes carry the labels `shipslog.workload` and `shipslog.kind`; the project's name comes from the name that
/// the workload had first. While the tool runs, its files are in a folder of the project that nobody else can read, without values of `env`.
///
/// Clones share their state.
#[derive(Debug, Clone)]
pub struct ComposePlugin {
    image: ImagePlugin,
    toolbox: Toolbox,
    folder: PathBuf,
    repositories: Repositories,
}

impl ComposePlugin {
    /// A plugin for this engine, that keeps what it needs while it works in `folder`. Compose is looked for in `PATH`: the plugin of
    /// the Docker client, else `docker-compose`. Registry credentials come from where [`ImagePlugin::new`] has them from.
    pub fn new(engine: DockerEngine, folder: impl Into<PathBuf>) -> Self {
        let folder: PathBuf = folder.into();
        // The tool does not run where this process does.
        let folder = std::path::absolute(&folder).unwrap_or(folder);
        Self {
            image: ImagePlugin::new(engine),
            toolbox: Toolbox::default(),
            repositories: Repositories::new(folder.join("git")),
            folder,
        }
    }

    /// Reads `config.json` in this folder instead, and has the Docker client look there for its plugins.
    #[must_use]
    pub fn with_docker_config(mut self, folder: impl Into<PathBuf>) -> Self {
        let folder: PathBuf = folder.into();
        self.toolbox = self.toolbox.with_docker_config(folder.clone());
        self.image = self.image.with_docker_config(folder);
        self
    }

    /// Runs this program instead of the `git` that is found on the `PATH`.
    #[must_use]
    pub fn with_git(mut self, program: impl Into<PathBuf>) -> Self {
        self.repositories = self.repositories.with_program(program);
        self
    }

    /// How many bytes a repository may send as one pack, and the files of a commit with its submodules may have together, 4 GiB by default. What
    /// is fetched at a time is one pack, but from servers that give out plain files.
    #[must_use]
    pub fn with_source_limit(mut self, bytes: u64) -> Self {
        self.repositories = self.repositories.with_size_limit(bytes);
        self
    }

    /// Looks for Compose, and has it look for its helpers, in these folders instead; they are written as in `PATH`.
    #[must_use]
    pub fn with_path(mut self, path: impl Into<OsString>) -> Self {
        self.toolbox = self.toolbox.in_path(path.into());
        self
    }

    fn engine(&self) -> &DockerEngine {
        &self.image.engine
    }

    /// The newest version of its API that the engine knows; `None` while it does not answer.
    async fn engine_api(&self) -> Option<String> {
        self.engine().version_info().await.ok()?.api_version
    }

    /// Where the tool's files of a workload are.
    fn folder_of(&self, workload: &WorkloadId) -> PathBuf {
        self.folder.join(format!("project-{workload}"))
    }
}

#[async_trait]
impl DispatchPlugin for ComposePlugin {
    fn kind(&self) -> &str {
        COMPOSE
    }

    fn check(&self, spec: &Spec) -> Result<(), FieldError> {
        spec::check(spec)
    }

    fn strategy(&self, _: &Spec) -> Option<Strategy> {
        Some(Strategy::Recreate)
    }

    async fn readiness(&self) -> Readiness {
        let tool = self.toolbox.tool().await;
        let missing = match &tool {
            Some(tool) => tool.lack(self.engine_api().await.as_deref()),
            None => Some(MISSING),
        };
        // Most files are in no repository: the kind works without Git.
        let git = self.repositories.readiness().await;
        Readiness {
            uses: tool.iter().map(Tool::name).chain(git.uses).collect(),
            missing: missing.into_iter().map(str::to_owned).collect(),
        }
    }

    async fn missing_for(&self, reference: &str) -> Vec<String> {
        let mut missing = self.readiness().await.missing;
        if let Ok(Location::Repository(_)) = Location::parse(reference) {
            missing.extend(self.repositories.readiness().await.missing);
        }
        missing
    }

    async fn resolve(&self, job: &Job) -> Result<Pinned, DispatchError> {
        self.resolve_file(job).await
    }

    async fn run(&self, job: &Job, pinned: &Pinned) -> Result<(), DispatchError> {
        self.replace(job, &ComposePlan::required(pinned)?).await
    }

    async fn running(&self, workload: &WorkloadId) -> Result<Vec<Running>, DispatchError> {
        let working = self.working(self.containers(workload).await?).await?;
        Ok(working.iter().filter_map(Container::running).collect())
    }

    async fn falter(&self, workload: &WorkloadId, _: &DeployId) -> Result<FailureMarker, DispatchError> {
        self.until_one_falters(workload).await
    }

    async fn settle(&self, workload: &WorkloadId, keep: Option<&Record>) -> Result<(), DispatchError> {
        let (plugin, workload, keep) = (self.clone(), workload.clone(), keep.cloned());
        // Goes on when whoever waits has no more time: services are put back one after another, and a tool that is killed leaves one half-way.
        let task = tokio::spawn(async move { plugin.put_in_order(&workload, keep.as_ref()).await });
        task.await.unwrap_or_else(|_| {
            Err(DispatchError::new(
                FailureMarker::Internal,
                "putting back was broken off",
            ))
        })
    }

    fn rollback(&self) -> Option<&dyn RollbackCapable> {
        Some(self)
    }
}

const MISSING: &str = "Neither docker compose nor docker-compose was found: install the package docker-compose or docker-compose-v2 of the \
                       distribution, or the Compose plugin from docs.docker.com/compose/install.";

#[async_trait]
impl RollbackCapable for ComposePlugin {
    async fn preflight(&self, target: &Record) -> Result<(), RollbackRefusal> {
        let pinned = target.pinned.as_ref().ok_or(RollbackRefusal::NotPinned)?;
        let plan = ComposePlan::of(pinned).ok_or(RollbackRefusal::PlanMissing)?;
        self.has_folder(&plan, target).await?;
        for pin in plan.images.into_values() {
            self.image
                .can_be_had(&Pin::new(pin.reference, pin.content))
                .await?;
        }
        Ok(())
    }

    async fn obtain(&self, job: &Job, pinned: &Pinned) -> Result<Pinned, DispatchError> {
        let plan = ComposePlan::required(pinned)?;
        self.fetch_images(&plan, &job.progress).await?;
        Ok(pinned.clone())
    }
}

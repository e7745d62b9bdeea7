//! One Compose project at work: its folder, its lock, and what the tool is asked to do.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use shipslog_core::deploys::{DispatchError, FailureMarker, PartName, PartPin, Progress};
use shipslog_core::id::WorkloadId;
use shipslog_core::secret::Secret;
use shipslog_core::workloads::EnvVar;
use tokio::process::Command;

use super::super::child::{self, Limit, Output, Unended};
use super::super::classify::BUILD_ATTEMPTS;
use super::super::repository::Checkout;
use super::file::{ComposeFile, FileError, PROJECT_NAME, limits};
use super::plan::{ComposePlan, unusable};
use super::rules::Place;
use super::said::{BuildSteps, Doing, failed, has_lost_a_step};
use super::tool::{Tool, Toolbox};
use super::{COMPOSE, DEFINITION};
use crate::{DockerEngine, labels};

/// How long the tool may take to read a file.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// How long it may take to replace a service: the one before may take long to stop.
const UP_LIMIT: Duration = Duration::from_secs(900);
/// How long it may take to build an image.
const BUILD_LIMIT: Duration = Duration::from_secs(3600);
/// The longest that a file may be with everything filled in.
const MAX_CONFIG: usize = 8 * 1024 * 1024;
/// How long another process may be at work in the same project.
const LOCK_LIMIT: Duration = Duration::from_secs(100);
/// How often a lock is tried that another process has.
const LOCK_EVERY: Duration = Duration::from_millis(100);

/// A project, and all that the tool has to be told of it.
#[derive(Debug, Clone)]
pub(super) struct Project {
    pub(super) tool: Tool,
    pub(super) toolbox: Toolbox,
    pub(super) engine: DockerEngine,
    /// Its folder: for the time that the tool runs, its files are here.
    pub(super) folder: PathBuf,
    pub(super) name: String,
    pub(super) text: Arc<str>,
    /// What paths in the file are relative to; `None` for the project's own folder.
    pub(super) base: Option<PathBuf>,
    /// The files of a repository, and where among them the file is.
    pub(super) tree: Option<(Arc<Checkout>, PathBuf)>,
    /// What is laid over the file.
    pub(super) overlay: Value,
    pub(super) env: Vec<(String, Secret<String>)>,
}

/// What is to be laid over a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layer<'a> {
    pub(super) file: &'a ComposeFile,
    pub(super) workload: &'a WorkloadId,
    pub(super) variables: &'a [EnvVar],
    pub(super) tool: &'a Tool,
}

impl Layer<'_> {
    /// Whose it is, and what each service runs.
    pub(super) fn with_images(&self, images: &BTreeMap<PartName, String>) -> Value {
        let own = json!({labels::WORKLOAD: self.workload.as_str(), labels::KIND: COMPOSE});
        let mut services = Map::new();
        for name in self.file.services.keys() {
            let mut of_service = own.clone();
            of_service[DEFINITION] = self.file.definition(name, self.variables).into();
            let mut service = json!({"labels": of_service});
            if let Some(image) = images.get(name) {
                service["image"] = image.as_str().into();
            }
            services.insert(name.to_string(), service);
        }
        let mut overlay = json!({
            "services": services,
            "networks": self.labelled("networks", &own),
            "volumes": self.labelled("volumes", &own),
        });
        if let Some(version) = self.file.version() {
            overlay["version"] = version.into();
        }
        overlay
    }

    /// The same for what was pinned. Nothing is built any more, and what was built from may be gone; the tool wants a folder to be there all
    /// the same, for which its own will do.
    pub(super) fn with_pins(&self, plan: &ComposePlan, folder: &Path) -> Value {
        let mut overlay = self.with_images(&pinned_images(&plan.images));
        for (name, service) in self.file.all_services() {
            if self.file.is_built(service) {
                overlay["services"][name]["build"] = json!({"context": folder});
            }
        }
        overlay
    }

    /// The first generation takes the last entry of a name for all of it, so that it is said again; the second puts entries together.
    fn labelled(&self, section: &str, labels: &Value) -> Map<String, Value> {
        let mut labelled = Map::new();
        for name in self.file.own(section) {
            let mut entry = match self.tool.is_first_generation() {
                true => self.file.entry(section, name),
                false => Map::new(),
            };
            let together = put_together(entry.remove("labels"), labels);
            entry.insert("labels".to_owned(), together);
            labelled.insert(name.to_owned(), Value::Object(entry));
        }
        labelled
    }
}

/// Labels as the file has them, a list or a mapping, with more of them.
fn put_together(said: Option<Value>, more: &Value) -> Value {
    let pairs = || more.as_object().into_iter().flatten();
    match said {
        Some(Value::Array(mut listed)) => {
            let pair =
                |(key, value): (&String, &Value)| format!("{key}={}", value.as_str().unwrap_or_default());
            listed.extend(pairs().map(pair).map(Value::from));
            Value::Array(listed)
        }
        Some(Value::Object(mut mapped)) => {
            mapped.extend(pairs().map(|(key, value)| (key.clone(), value.clone())));
            Value::Object(mapped)
        }
        _ => more.clone(),
    }
}

/// The images of a plan, by their ids.
fn pinned_images(images: &BTreeMap<PartName, PartPin>) -> BTreeMap<PartName, String> {
    let by_id = |(name, pin): (&PartName, &PartPin)| (name.clone(), pin.content.as_str().to_owned());
    images.iter().map(by_id).collect()
}

/// What the tool makes of a file, as far as it matters here.
#[derive(Debug, Deserialize)]
struct Resolved {
    services: BTreeMap<String, ResolvedService>,
    #[serde(default)]
    secrets: Option<BTreeMap<String, Value>>,
    #[serde(default)]
    configs: Option<BTreeMap<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct ResolvedService {
    image: Option<String>,
    #[serde(default)]
    volumes: Vec<Value>,
}

impl Resolved {
    /// Whether something that is here for the tool alone is mounted.
    fn mounts_from(&self, folder: &Path) -> Option<FileError> {
        let is_inside = |path: &str| Path::new(path).starts_with(folder);
        for (name, service) in &self.services {
            if service.volumes.iter().filter_map(source).any(is_inside) {
                return Some(
                    Place::root("services")
                        .field(name)
                        .field("volumes")
                        .error(NOT_LASTING),
                );
            }
        }
        for (section, entries) in [("secrets", &self.secrets), ("configs", &self.configs)] {
            for (name, entry) in entries.iter().flatten() {
                if entry.get("file").and_then(Value::as_str).is_some_and(is_inside) {
                    return Some(Place::root(section).field(name).error(NOT_LASTING));
                }
            }
        }
        None
    }
}

const NOT_LASTING: &str = "mounts what is beside the file, which is there only while it is deployed";

/// `/source:/target:mode`, or the long form.
fn source(volume: &Value) -> Option<&str> {
    match volume {
        Value::String(text) => text.split(':').next(),
        other => other.get("source")?.as_str(),
    }
}

impl Project {
    /// Has the tool check the file, and answers the image of each service with all variables filled in.
    pub(super) async fn images(&self) -> Result<BTreeMap<String, String>, DispatchError> {
        let output = self.run(&["config"], Doing::Reading, READ_LIMIT, |_| {}).await?;
        let text = String::from_utf8_lossy(&output);
        // What the reader would say of it quotes values.
        let odd = |_| {
            DispatchError::new(
                FailureMarker::SourceInvalid,
                "the tool's own output cannot be read",
            )
        };
        let resolved: Resolved = serde_saphyr::from_str_with_options(&text, limits()).map_err(odd)?;
        if let Some(error) = resolved.mounts_from(self.folder.parent().unwrap_or(&self.folder)) {
            return Err(unusable(&error));
        }
        let named = |(name, service): (String, ResolvedService)| Some((name, service.image?));
        Ok(resolved.services.into_iter().filter_map(named).collect())
    }

    /// Builds the image of a service.
    pub(super) async fn build(&self, service: &PartName, progress: &Progress) -> Result<(), DispatchError> {
        let arguments = ["build", service.as_str()];
        let mut attempt = 1;
        loop {
            let (mut steps, mut has_lost) = (BuildSteps::new(progress), false);
            let told = |line: &str| {
                steps.note(line);
                has_lost |= has_lost_a_step(line);
            };
            let built = self.run(&arguments, Doing::Building, BUILD_LIMIT, told).await;
            if built.is_ok() || !has_lost || attempt == BUILD_ATTEMPTS {
                return built.map(drop);
            }
            attempt += 1;
        }
    }

    /// By service, the hash of what the tool would make, which its containers carry as a label: the first generation leaves those alone that run
    /// and carry it. The newer one also looks at their networks and volumes, so that its hashes alone say nothing: there are none of it here.
    pub(super) async fn hashes(&self) -> Result<BTreeMap<String, String>, DispatchError> {
        if !self.tool.is_first_generation() {
            return Ok(BTreeMap::new());
        }
        let arguments = ["config", "--hash=*"];
        let output = self.run(&arguments, Doing::Reading, READ_LIMIT, |_| {}).await?;
        let text = String::from_utf8_lossy(&output);
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs
            .map(|(name, hash)| (name.to_owned(), hash.trim().to_owned()))
            .collect())
    }

    /// Makes a service what the file and the pins say, and starts it. One that is so already is left alone, unless it is `anew`.
    pub(super) async fn up(
        &self,
        service: &PartName,
        anew: bool,
        grace_s: Option<u32>,
    ) -> Result<(), DispatchError> {
        let grace = grace_s.map(|seconds| seconds.to_string());
        let mut arguments = vec!["up", "--detach", "--no-deps", "--no-build"];
        if !self.tool.is_first_generation() {
            arguments.extend(["--pull", "never"]);
        }
        arguments.extend(anew.then_some("--force-recreate"));
        if let Some(grace) = &grace {
            arguments.extend(["--timeout", grace]);
        }
        // A name begins with a letter or digit, so it is no option; the first generation takes `--` for a service.
        arguments.push(service.as_str());
        self.run(&arguments, Doing::Replacing, UP_LIMIT, |_| {})
            .await
            .map(drop)
    }

    async fn run(
        &self,
        arguments: &[&str],
        doing: Doing,
        limit: Duration,
        told: impl FnMut(&str) + Send,
    ) -> Result<Vec<u8>, DispatchError> {
        let done = self.run_visibly(arguments, doing, limit, told).await;
        // What a tool says may hold what it was told.
        let hide = |error: DispatchError| {
            self.env
                .iter()
                .fold(error, |error, (_, value)| error.hiding(value))
        };
        done.map_err(hide)
    }

    async fn run_visibly(
        &self,
        arguments: &[&str],
        doing: Doing,
        limit: Duration,
        told: impl FnMut(&str) + Send,
    ) -> Result<Vec<u8>, DispatchError> {
        let files = self.lay_out().await?;
        let command = self.command(&files, arguments)?;
        let output = match doing {
            Doing::Reading => Output::Kept(MAX_CONFIG),
            _ => Output::Said,
        };
        let ended = child::run(command, Limit::Total(limit), output, told).await;
        drop(files);
        match ended {
            Ok(ended) if ended.status.success() => Ok(ended.output),
            Ok(ended) if self.engine.version_info().await.is_err() => {
                Err(DispatchError::new(FailureMarker::EngineUnavailable, ended.said))
            }
            Ok(ended) => Err(failed(doing, &ended.said)),
            Err(unended) => {
                let marker = match unended {
                    Unended::TimedOut => FailureMarker::TimedOut,
                    _ => FailureMarker::Internal,
                };
                Err(DispatchError::new(marker, unended.to_string()))
            }
        }
    }

    fn command(&self, files: &Files, arguments: &[&str]) -> Result<Command, DispatchError> {
        let mut command = self.toolbox.command(&self.tool);
        let address = self.engine.docker_host();
        let address =
            address.map_err(|fault| DispatchError::new(FailureMarker::EngineUnavailable, fault.detail()))?;
        command.env("DOCKER_HOST", address);
        command.envs([
            ("COMPOSE_IGNORE_ORPHANS", "true"),
            ("COMPOSE_HTTP_TIMEOUT", "600"),
            (PROJECT_NAME, &self.name),
        ]);
        if self.tool.is_first_generation() {
            // Its own builder: the other one is a program that may not be there.
            command.env("COMPOSE_DOCKER_CLI_BUILD", "0");
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value.expose())));
        command.args(["--ansi", "never", "--project-name", &self.name]);
        command.arg("--project-directory").arg(self.base());
        // Or it would take variables from a file in the folder that nobody recorded.
        command.arg("--env-file").arg(self.folder.join(NO_VARIABLES));
        command.arg("--file").arg(self.folder.join(FILE));
        command.arg("--file").arg(self.folder.join(OVERLAY));
        command.args(arguments).current_dir(&self.folder);
        // The lock is the tool's as well: should this process die, the next one waits until the tool is done.
        let lock = files.lock.try_clone().map_err(|error| no_folder(&error))?;
        command.stdin(Stdio::from(lock));
        Ok(command)
    }

    /// What paths in the file are relative to. A path that a service is made with must be the same the next time, or it would be made anew: so the
    /// files of a repository are found through a link.
    fn base(&self) -> PathBuf {
        match (&self.tree, &self.base) {
            (Some((_, folder)), _) => self.folder.join(TREE).join(folder),
            (None, Some(folder)) => folder.clone(),
            (None, None) => self.folder.clone(),
        }
    }

    /// Writes the files, once nobody else is at work in the folder.
    async fn lay_out(&self) -> Result<Files, DispatchError> {
        let lock = take_lock(&self.folder).await?;
        clear(&self.folder);
        let files = Files {
            folder: self.folder.clone(),
            lock,
        };
        if let Some((tree, _)) = &self.tree {
            link(tree.root(), &self.folder.join(TREE)).map_err(|error| no_folder(&error))?;
        }
        let overlay = self.overlay.to_string();
        for (name, text) in [(FILE, &*self.text), (OVERLAY, &overlay), (NO_VARIABLES, "")] {
            write(&self.folder.join(name), text).map_err(|error| no_folder(&error))?;
        }
        Ok(files)
    }
}

const FILE: &str = "compose.yaml";
const OVERLAY: &str = "pins.json";
const NO_VARIABLES: &str = "no.env";
const TREE: &str = "tree";
const LOCK: &str = "lock";

/// The files of a project for as long as the tool needs them, and its lock.
#[derive(Debug)]
struct Files {
    folder: PathBuf,
    lock: File,
}

impl Drop for Files {
    fn drop(&mut self) {
        clear(&self.folder);
    }
}

/// The engine makes a folder where a mount begins and nothing is: what is in it may be somebody's data.
fn link(to: &Path, from: &Path) -> io::Result<()> {
    if from.is_dir() {
        let since = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        fs::rename(from, from.with_extension(format!("kept-{}", since.as_millis())))?;
    }
    symlink(to, from)
}

/// Removes what is in the folder of a project, and the folder unless somebody else put something there.
pub(super) fn remove_folder(folder: &Path) {
    clear(folder);
    let _ = fs::remove_file(folder.join(LOCK));
    // It is not there, or it is not empty.
    let _ = fs::remove_dir(folder);
}

fn clear(folder: &Path) {
    for name in [FILE, OVERLAY, NO_VARIABLES, TREE] {
        // What is left is removed the next time.
        let _ = fs::remove_file(folder.join(name));
    }
}

/// Waits until a tool is done that an earlier process started, and that outlived it.
pub(super) async fn wait_for_others(folder: &Path) -> Result<(), DispatchError> {
    match folder.join(LOCK).exists() {
        true => take_lock(folder).await.map(drop),
        false => Ok(()),
    }
}

async fn take_lock(folder: &Path) -> Result<File, DispatchError> {
    let lock = open_lock(folder).map_err(|error| no_folder(&error))?;
    let until = Instant::now() + LOCK_LIMIT;
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(lock),
            Err(TryLockError::WouldBlock) if Instant::now() < until => tokio::time::sleep(LOCK_EVERY).await,
            Err(TryLockError::WouldBlock) => {
                let detail = "another process is at work in the project";
                return Err(DispatchError::new(FailureMarker::TimedOut, detail));
            }
            Err(TryLockError::Error(error)) => return Err(no_folder(&error)),
        }
    }
}

/// Makes the folder of a project, which nobody else can read.
pub(super) fn make_folder(folder: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn open_lock(folder: &Path) -> io::Result<File> {
    make_folder(folder)?;
    let mut options = File::options();
    options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600);
    options.open(folder.join(LOCK))
}

pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut options = File::options();
    options.write(true).create(true).truncate(true).mode(0o600);
    io::Write::write_all(&mut options.open(path)?, text.as_bytes())
}

pub(super) fn no_folder(error: &io::Error) -> DispatchError {
    let detail = format!("the folder of the project: {}", error.kind());
    DispatchError::new(FailureMarker::Internal, detail)
}

//! One workload on a real engine, and a dispatcher in small: it keeps the order of calls that the real one
//! promises.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use shipslog_core::deploys::{
    DispatchError, DispatchPlugin as _, FailureMarker, Job, Pin, Record, RollbackCapable as _,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::Spec;
use shipslog_docker::{DockerEngine, EngineOptions, ImagePlugin};
use shipslog_test_support::{
    Cleanup, Engine, Health, Image, ImageSpec, Registry, free_port, try_http_get, unique, wait_until,
};

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) plugin: ImagePlugin,
    pub(crate) name: String,
    pub(crate) workload: WorkloadId,
    pub(crate) port: u16,
    pub(crate) current: Option<DeployId>,
    /// What the current deploy was made from.
    spec_of_current: Option<Spec>,
    _cleanup: Cleanup,
}

/// The real engine; `None`, after a word on stderr, where there is none.
pub(crate) fn bench() -> Option<Bench> {
    Some(Bench::new(shipslog_test_support::engine()?))
}

pub(crate) fn at(host: &str) -> DockerEngine {
    DockerEngine::new(
        EngineOptions::default()
            .with_host(host)
            .with_timeout(Duration::from_secs(10)),
    )
}

pub(crate) fn new_deploy() -> DeployId {
    DeployId::generate(Timestamp::now())
}

impl Bench {
    fn new(engine: Engine) -> Self {
        let name = unique("dk");
        Self {
            plugin: ImagePlugin::new(at(engine.host())),
            workload: name.parse().expect("unique names are ids"),
            port: free_port(),
            current: None,
            spec_of_current: None,
            _cleanup: Cleanup::new(&engine).prefix(&name),
            engine,
            name,
        }
    }

    /// The same workload through an engine at another address.
    pub(crate) fn through(&self, host: &str) -> ImagePlugin {
        ImagePlugin::new(at(host))
    }

    pub(crate) fn log_in(&mut self, folder: &Path) {
        self.plugin = self.plugin.clone().with_docker_config(folder);
    }

    /// A spec with a published port, and quick in all that can be.
    pub(crate) fn spec(&self, reference: &str) -> Spec {
        self.spec_with(
            reference,
            &json!({"ports": [{"host": self.port, "container": 80, "host_ip": "127.0.0.1"}]}),
        )
    }

    pub(crate) fn spec_with(&self, reference: &str, more: &Value) -> Spec {
        let mut spec = json!({
            "name": self.name, "source": {"kind": "image", "reference": reference},
            "rollout": {"min_healthy_s": 1, "stop_timeout_s": 2, "health_timeout_s": 120},
        });
        let more = more.as_object().expect("an object").clone();
        spec.as_object_mut().expect("an object").extend(more);
        let spec: Spec = serde_json::from_value(spec).expect("a spec");
        spec.validate().expect("a valid spec");
        spec
    }

    pub(crate) fn job(&self, spec: Spec) -> Job {
        let mut job = Job::new(self.workload.clone(), new_deploy(), spec);
        job.previous = self.current.clone();
        job
    }

    /// The row that is current, as the dispatcher hands it to `settle`.
    pub(crate) fn kept(&self) -> Option<Record> {
        let deploy = self.current.clone()?;
        let spec = self.spec_of_current.clone()?;
        Some(Record::new(self.workload.clone(), deploy, spec))
    }

    /// A row that was pinned so.
    pub(crate) fn record(&self, pin: &Pin) -> Record {
        let mut record = Record::new(self.workload.clone(), new_deploy(), self.spec("recorded:1"));
        record.pinned = Some(pin.clone().into());
        record
    }

    /// Deploys, and puts back what ran before if that fails.
    pub(crate) async fn deploy(&mut self, spec: Spec) -> Result<Pin, FailureMarker> {
        let job = self.job(spec);
        self.dispatch(&job).await
    }

    pub(crate) async fn dispatch(&mut self, job: &Job) -> Result<Pin, FailureMarker> {
        let done = self.attempt(job, None).await;
        self.conclude(job, done).await
    }

    /// Rolls back to `pin` with today's spec.
    pub(crate) async fn roll_back(&mut self, spec: Spec, pin: &Pin) -> Result<Pin, FailureMarker> {
        let job = self.job(spec);
        self.plugin
            .preflight(&self.record(pin))
            .await
            .expect("the pin can be had");
        let done = self.attempt(&job, Some(pin)).await;
        self.conclude(&job, done).await
    }

    async fn attempt(&self, job: &Job, pin: Option<&Pin>) -> Result<Pin, DispatchError> {
        let pinned = match pin {
            Some(pin) => self.plugin.obtain(job, &pin.clone().into()).await?,
            None => self.plugin.resolve(job).await?,
        };
        self.plugin.run(job, &pinned).await?;
        let running = self.plugin.running(&job.workload).await?;
        assert!(!running.is_empty(), "nothing runs after a deploy that succeeded");
        for part in running {
            assert_eq!(part.deploy.as_ref(), Some(&job.deploy));
            assert!(pinned.pin.is(&part), "{part:?}");
        }
        Ok(pinned.pin)
    }

    async fn conclude(&mut self, job: &Job, done: Result<Pin, DispatchError>) -> Result<Pin, FailureMarker> {
        if done.is_ok() {
            self.current = Some(job.deploy.clone());
            self.spec_of_current = Some(job.spec.clone());
        }
        self.plugin
            .settle(&self.workload, self.kept().as_ref())
            .await
            .expect("it can be put in order");
        done.map_err(|error| error.marker())
    }

    /// Builds a page server under this bench's name, on the engine alone.
    pub(crate) fn web(&self, version: &str) -> Image {
        self.build(&ImageSpec::web(version).health(Health::Always), version)
    }

    pub(crate) fn build(&self, image: &ImageSpec, tag: &str) -> Image {
        image.build(&self.engine, &format!("{}:{tag}", self.name))
    }

    /// `<name>:<tag>` as the shared registry is to know it.
    pub(crate) fn pushed_as(&self, tag: &str) -> String {
        format!("{}:{tag}", self.name)
    }

    /// Deploys a healthy v1 that exists on the engine alone.
    pub(crate) async fn deploy_v1(&mut self) -> Pin {
        let image = self.web("v1");
        let spec = self.spec(image.tag());
        self.deploy(spec).await.expect("v1 can be deployed")
    }

    /// What the published port serves. A container that was put back may have been started a moment ago and not listen
    /// yet.
    #[track_caller]
    pub(crate) fn page(&self) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        let mut page = None;
        let listens = wait_until(Duration::from_secs(60), || {
            page = try_http_get(&address, "/").ok();
            page.is_some()
        });
        assert!(listens, "nobody listens at {address}");
        page.map(|(_, body)| body.trim().to_owned()).unwrap_or_default()
    }

    /// Names of the workload's containers, those that run only or all of them, sorted.
    pub(crate) fn containers(&self, all: bool) -> Vec<String> {
        let filter = format!("label=shipslog.workload={}", self.workload);
        let mut arguments = vec!["ps", "--filter", &filter, "--format", "{{.Names}}"];
        arguments.extend(all.then_some("--all"));
        let mut names: Vec<String> = self
            .engine
            .docker(&arguments)
            .lines()
            .map(str::to_owned)
            .collect();
        names.sort();
        names
    }

    /// One field of what the engine says of a container.
    pub(crate) fn inspect(&self, container: &str, format: &str) -> String {
        self.engine.docker(&["inspect", "--format", format, container])
    }

    /// When the one container of the workload that runs was started. The same value later means that it was
    /// not touched.
    #[track_caller]
    pub(crate) fn started_at(&self) -> String {
        let [only] = &self.containers(false)[..] else {
            panic!("one container should run")
        };
        self.inspect(only, "{{.State.StartedAt}}")
    }
}

/// The registry of this test run, where the bench is logged in afterwards.
pub(crate) fn registry_for(bench: &mut Bench) -> Registry {
    let registry = Registry::shared();
    bench.log_in(registry.docker_config());
    registry
}

/// Everything below a folder, names included. What vanishes meanwhile is left out.
pub(crate) fn read_all(folder: &Path) -> Vec<u8> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        found.extend(path.to_string_lossy().as_bytes());
        found.extend(match path.is_dir() && !path.is_symlink() {
            true => read_all(&path),
            false => std::fs::read(&path).unwrap_or_default(),
        });
    }
    found
}

/// Writes a program that can be run at once. It is another process that makes the file: one of this process may be held open for writing by
/// whatever another test is just about to start, and then it could not be run.
pub(crate) fn program(path: &Path, text: &str) {
    let written = path.with_extension("text");
    std::fs::write(&written, text).unwrap();
    let install = Command::new("install")
        .args(["-m", "755"])
        .args([written.as_path(), path])
        .status();
    assert!(install.is_ok_and(|status| status.success()));
    std::fs::remove_file(written).unwrap();
}

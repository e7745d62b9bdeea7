//! One workload on a real swarm, and a dispatcher in small: it keeps the order of calls that the real one
//! promises.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use shipslog_core::deploys::{
    DispatchError, DispatchPlugin as _, FailureMarker, Job, Pin, Record, RollbackCapable as _,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::Spec;
use shipslog_docker::{DockerEngine, EngineOptions, SwarmPlugin};
use shipslog_test_support::{
    Cleanup, Engine, Health, Image, ImageSpec, Registry, free_port, try_http_get, unique, wait_until,
};

use crate::node::Node;

/// How long anything may take that is to come about, on a machine that is busy with other things.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) plugin: SwarmPlugin,
    pub(crate) name: String,
    pub(crate) workload: WorkloadId,
    pub(crate) port: u16,
    pub(crate) current: Option<Record>,
    // In this order: services before images, and the swarm last.
    _services: Services,
    _cleanup: Cleanup,
    _node: Option<Node>,
}

/// Removes the services whose name begins so.
struct Services(Engine, String);

impl Drop for Services {
    fn drop(&mut self) {
        let filter = format!("name={}", self.1);
        let listed = self
            .0
            .try_docker(&["service", "ls", "--quiet", "--filter", &filter]);
        let Ok(ids) = listed else { return };
        for id in ids.lines() {
            let _ = self.0.try_docker(&["service", "rm", id]);
        }
        let name = format!("name={}", self.1);
        let gone = || {
            let left = self.0.try_docker(&["ps", "--all", "--quiet", "--filter", &name]);
            left.is_ok_and(|left| left.is_empty())
        };
        if !wait_until(PATIENCE, gone) {
            eprintln!("containers of {} are left", self.1);
        }
    }
}

/// The real engine in a swarm; `None`, after a word on stderr, where there is no engine.
pub(crate) fn bench() -> Option<Bench> {
    let engine = shipslog_test_support::engine()?;
    let node = Node::in_swarm(&engine);
    Some(Bench::on(engine, Some(node)))
}

/// A plugin of its own, as a process that was just started has it.
pub(crate) fn at(host: &str) -> SwarmPlugin {
    SwarmPlugin::new(DockerEngine::new(EngineOptions::default().with_host(host)))
}

impl Bench {
    /// One on an engine that manages a swarm for as long as `node` is kept.
    pub(crate) fn on(engine: Engine, node: Option<Node>) -> Self {
        let name = unique("sw");
        Self {
            plugin: at(engine.host()),
            workload: name.parse().expect("unique names are ids"),
            port: free_port(),
            current: None,
            _services: Services(engine.clone(), name.clone()),
            _cleanup: Cleanup::new(&engine).prefix(&name),
            _node: node,
            engine,
            name,
        }
    }

    pub(crate) fn log_in(&mut self, folder: &Path) {
        self.plugin = self.plugin.clone().with_docker_config(folder);
    }

    /// A spec with a port of the node, which works without the kernel's load balancing, and quick in all that can be.
    pub(crate) fn spec(&self, reference: &str) -> Spec {
        let ports = json!([{"host": self.port, "container": 80}]);
        let mut spec = self.spec_with(reference, &json!({ "ports": ports }));
        let options = json!({"publish": "host"});
        spec.source.options = serde_json::from_value(options).expect("options");
        spec
    }

    pub(crate) fn spec_with(&self, reference: &str, more: &Value) -> Spec {
        let mut spec = json!({
            "name": self.name, "source": {"kind": "swarm", "reference": reference},
            "rollout": {"min_healthy_s": 1, "stop_timeout_s": 2, "health_timeout_s": 120},
        });
        let more = more.as_object().expect("an object").clone();
        spec.as_object_mut().expect("an object").extend(more);
        serde_json::from_value(spec).expect("a spec")
    }

    pub(crate) fn job(&self, spec: Spec) -> Job {
        spec.validate().expect("a valid spec");
        self.plugin.check(&spec).expect("a spec of a service");
        let deploy = DeployId::generate(Timestamp::now());
        let mut job = Job::new(self.workload.clone(), deploy, spec);
        job.previous = self.current.as_ref().map(|record| record.deploy.clone());
        job
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

    /// Rolls back to `pin` with this spec.
    pub(crate) async fn roll_back(&mut self, spec: Spec, pin: &Pin) -> Result<Pin, FailureMarker> {
        let job = self.job(spec);
        let record = record(&job, pin);
        self.plugin.preflight(&record).await.expect("the pin can be had");
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
        assert_eq!(running.len(), job.spec.replicas as usize, "{running:?}");
        for task in running {
            assert_eq!(task.deploy.as_ref(), Some(&job.deploy));
            assert!(pinned.pin.is(&task), "{task:?} is not {:?}", pinned.pin);
        }
        Ok(pinned.pin)
    }

    async fn conclude(&mut self, job: &Job, done: Result<Pin, DispatchError>) -> Result<Pin, FailureMarker> {
        if let Ok(pin) = &done {
            self.current = Some(record(job, pin));
        }
        self.settle().await;
        done.map_err(|error| error.marker())
    }

    pub(crate) async fn settle(&self) {
        self.plugin
            .settle(&self.workload, self.current.as_ref())
            .await
            .expect("it can be put in order");
    }

    pub(crate) fn web(&self, version: &str) -> Image {
        self.build(&ImageSpec::web(version).health(Health::Always), version)
    }

    pub(crate) fn build(&self, image: &ImageSpec, tag: &str) -> Image {
        image.build(&self.engine, &format!("{}:{tag}", self.name))
    }

    /// Deploys a healthy v1 that exists on the engine alone.
    pub(crate) async fn deploy_v1(&mut self) -> Pin {
        let image = self.web("v1");
        let spec = self.spec(image.tag());
        self.deploy(spec).await.expect("v1 can be deployed")
    }

    /// What the published port serves. A container may have been started a moment ago and not listen yet.
    #[track_caller]
    pub(crate) fn page(&self) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        let mut page = None;
        let listens = wait_until(PATIENCE, || {
            page = try_http_get(&address, "/").ok();
            page.is_some()
        });
        assert!(listens, "nobody listens at {address}");
        page.map(|(_, body)| body.trim().to_owned()).unwrap_or_default()
    }

    /// `<id> <created>` of the workload's containers that run, sorted: the same later means that none was touched.
    pub(crate) fn containers(&self) -> Vec<String> {
        let filter = format!("label=shipslog.workload={}", self.workload);
        let format = "{{.ID}} {{.CreatedAt}}";
        let listed = self
            .engine
            .docker(&["ps", "--filter", &filter, "--format", format]);
        let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }

    /// Names of the workload's services.
    pub(crate) fn services(&self) -> Vec<String> {
        let filter = format!("label=shipslog.workload={}", self.workload);
        let format = "{{.Name}}";
        let listed = self
            .engine
            .docker(&["service", "ls", "--filter", &filter, "--format", format]);
        listed.lines().map(str::to_owned).collect()
    }

    pub(crate) fn inspect_service(&self, format: &str) -> String {
        self.engine
            .docker(&["service", "inspect", "--format", format, &self.name])
    }
}

pub(crate) fn record(job: &Job, pin: &Pin) -> Record {
    let mut record = Record::new(job.workload.clone(), job.deploy.clone(), job.spec.clone());
    record.pinned = Some(pin.clone().into());
    record
}

/// The registry of this test run, where the bench is logged in afterwards.
pub(crate) fn registry_for(bench: &mut Bench) -> Registry {
    let registry = Registry::shared();
    bench.log_in(registry.docker_config());
    registry
}

//! A workload of three services behind a dispatcher.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use shipslog_core::deploys::{
    Deploy, DispatchRefusal, DispatchRequest, Dispatcher, DispatcherOptions, Outcome, Pinned, Reason, Record,
    RollbackConfig, RollbackRequest,
};
use shipslog_core::deploys::{DeployStore as _, DispatchPlugin, FailureMarker};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::testing::{FakeSecrets, ManualClock};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{NewWorkload, Spec, WorkloadKind, WorkloadStore as _};
use shipslog_docker::ComposePlugin;
use shipslog_store::SqliteStore;
use shipslog_test_support::{
    Cleanup, Engine, Health, Image, ImageSpec, Pushed, Registry, free_port, http_get, try_http_get, unique,
    wait_until,
};
use tempfile::TempDir;

use crate::bench::at;

/// The workload, its ledger and its engine.
pub(crate) struct Shop {
    pub(crate) engine: Engine,
    pub(crate) registry: Registry,
    pub(crate) store: Arc<SqliteStore>,
    pub(crate) folder: TempDir,
    pub(crate) name: String,
    pub(crate) port: u16,
    pub(crate) workload: WorkloadId,
    secrets: Vec<(String, String)>,
    pub(crate) dispatcher: Dispatcher,
    _cleanup: Cleanup,
}

/// The services, in the order in which they depend on each other.
pub(crate) const SERVICES: [&str; 3] = ["db", "api", "web"];

/// A workload that has no spec yet; `None`, after a word on stderr, where there is no engine.
pub(crate) fn shop() -> Option<Shop> {
    let engine = shipslog_test_support::engine()?;
    let (name, registry) = (unique("sh"), Registry::shared());
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let plugin = plugin(&engine, &registry, &folder);
    Some(Shop {
        dispatcher: dispatcher(&store, plugin, &[]),
        workload: WorkloadId::generate(Timestamp::now()),
        _cleanup: Cleanup::new(&engine).prefix(&name),
        port: free_port(),
        secrets: Vec::new(),
        engine,
        registry,
        store,
        folder,
        name,
    })
}

fn plugin(engine: &Engine, registry: &Registry, folder: &TempDir) -> ComposePlugin {
    ComposePlugin::new(at(engine.host()), folder.path()).with_docker_config(registry.docker_config())
}

fn dispatcher(store: &Arc<SqliteStore>, plugin: ComposePlugin, secrets: &[(String, String)]) -> Dispatcher {
    let add = |known: FakeSecrets, (reference, value): &(String, String)| known.with(reference, value);
    let secrets = secrets.iter().fold(FakeSecrets::default(), add);
    let clock = Arc::new(ManualClock::new(Timestamp::now()));
    let store = Arc::clone(store);
    Dispatcher::new(store, Arc::new(secrets), clock, DispatcherOptions::default())
        .with_plugin(Arc::new(plugin) as Arc<dyn DispatchPlugin>)
}

impl Shop {
    pub(crate) fn plugin(&self) -> ComposePlugin {
        plugin(&self.engine, &self.registry, &self.folder)
    }

    pub(crate) fn with_secret(mut self, reference: &str, value: &str) -> Self {
        self.secrets.push((reference.to_owned(), value.to_owned()));
        self.restart();
        self
    }

    /// Deploys with this plugin from now on.
    pub(crate) fn with_plugin(mut self, plugin: ComposePlugin) -> Self {
        self.dispatcher = dispatcher(&self.store, plugin, &self.secrets);
        self
    }

    /// What a new process of the control plane begins with.
    pub(crate) fn restart(&mut self) {
        self.dispatcher = dispatcher(&self.store, self.plugin(), &self.secrets);
    }

    /// The reference of a service's image.
    pub(crate) fn tag(&self, service: &str) -> String {
        format!("{}/{}-{service}:live", self.registry.host(), self.name)
    }

    /// A file of all three, in which `web` publishes the port; `more` is added to the services of that name.
    pub(crate) fn file(&self, more: &[(&str, &Value)]) -> String {
        let mut file = json!({"version": "3.8", "services": {}, "volumes": {"data": null}});
        let services = &mut file["services"];
        for (i, service) in SERVICES.iter().enumerate() {
            services[service] = json!({"image": self.tag(service), "depends_on": SERVICES[..i]});
        }
        services["db"]["volumes"] = json!(["data:/data"]);
        services["web"]["ports"] = json!([format!("127.0.0.1:{}:80", self.port)]);
        for (service, more) in more {
            for (key, value) in more.as_object().unwrap() {
                services[service][key] = value.clone();
            }
        }
        file.to_string()
    }

    pub(crate) fn spec(&self, file: &str, env: &Value) -> Spec {
        self.spec_of("inline", &json!({"file": file}), env)
    }

    pub(crate) fn spec_of(&self, reference: &str, options: &Value, env: &Value) -> Spec {
        let spec = json!({
            "name": self.name, "source": {"kind": "compose", "reference": reference, "options": options}, "env": env,
            "rollout": {"min_healthy_s": 1, "stop_timeout_s": 1, "health_timeout_s": 120},
        });
        serde_json::from_value(spec).unwrap()
    }

    /// Builds and pushes, so that the tag of the service stands for it from now on.
    pub(crate) fn publish(&self, service: &str, image: &ImageSpec) -> (Image, Pushed) {
        let image = image.build(&self.engine, &format!("{}-made:{service}", self.name));
        let pushed = image.push(&self.registry, &format!("{}-{service}:live", self.name));
        (image, pushed)
    }

    /// A first version of each.
    pub(crate) fn publish_all(&self) -> Vec<(Image, Pushed)> {
        let web = self.publish("web", &ImageSpec::web("1").health(Health::Always));
        let others = ["db", "api"].map(|service| self.publish(service, &ImageSpec::sleeper()));
        others.into_iter().chain([web]).collect()
    }

    /// Gives the workload this spec.
    pub(crate) async fn revise(&self, spec: Spec) {
        self.dispatcher.check(&spec).unwrap();
        let known = self.store.workload(&self.workload).await;
        match known {
            Ok(known) => {
                let WorkloadKind::Managed { revision, .. } = known.kind else {
                    panic!("it is managed")
                };
                self.store
                    .revise_workload(&self.workload, revision, spec)
                    .await
                    .unwrap();
            }
            Err(_) => {
                let new = NewWorkload {
                    id: self.workload.clone(),
                    spec,
                    created_at: Timestamp::now(),
                };
                self.store.create_workload(new).await.unwrap();
            }
        }
    }

    /// Begins a deploy of the spec as it is.
    pub(crate) async fn start(&self) -> Deploy {
        self.try_start().await.unwrap()
    }

    pub(crate) async fn try_start(&self) -> Result<Deploy, DispatchRefusal> {
        let request = DispatchRequest {
            workload: self.workload.clone(),
            reference: None,
            reason: Reason::Manual,
            triggered_by: "test".to_owned(),
            note: None,
            idempotency_key: None,
            force: false,
        };
        self.dispatcher.dispatch(request).await
    }

    pub(crate) async fn deploy(&self) -> Deploy {
        let row = self.start().await;
        self.dispatcher.wait(&row.id).await.unwrap()
    }

    /// Deploys this file, which has to work.
    pub(crate) async fn deploy_file(&self, file: &str) -> Deploy {
        self.revise(self.spec(file, &json!([]))).await;
        self.deploy_well().await
    }

    pub(crate) async fn deploy_well(&self) -> Deploy {
        let row = self.deploy().await;
        assert_eq!(row.outcome, Outcome::Succeeded, "{row:?}");
        row
    }

    pub(crate) async fn start_rollback(&self, target: &DeployId) -> Result<Deploy, DispatchRefusal> {
        let request = RollbackRequest {
            workload: self.workload.clone(),
            target: target.clone(),
            config: RollbackConfig::Recorded,
            triggered_by: "test".to_owned(),
            note: None,
            idempotency_key: None,
        };
        self.dispatcher.roll_back(request).await
    }

    pub(crate) async fn roll_back(&self, target: &DeployId) -> Deploy {
        let row = self.start_rollback(target).await.unwrap();
        self.dispatcher.wait(&row.id).await.unwrap()
    }

    /// The current row, as the dispatcher hands it to `settle`.
    pub(crate) async fn store_current(&self) -> Record {
        let row = self.store.current_deploy(&self.workload).await.unwrap().unwrap();
        let spec = self
            .store
            .spec_revision(&self.workload, row.spec_revision)
            .await
            .unwrap();
        let mut record = Record::new(self.workload.clone(), row.id.clone(), spec);
        let plan = self.store.deploy_plan(&row.id).await.unwrap();
        record.pinned = row.pin.map(|pin| Pinned { pin, plan });
        record
    }

    pub(crate) async fn plan_of(&self, row: &Deploy) -> String {
        let plan = self.store.deploy_plan(&row.id).await.unwrap();
        plan.unwrap().as_str().to_owned()
    }

    /// Names of a service's containers, whether they run or not.
    pub(crate) fn containers(&self, service: &str) -> Vec<String> {
        let workload = format!("label=shipslog.workload={}", self.workload);
        let service = format!("label=com.docker.compose.service={service}");
        let arguments = [
            "ps",
            "--all",
            "--filter",
            &workload,
            "--filter",
            &service,
            "--format",
            "{{.Names}}",
        ];
        self.engine
            .docker(&arguments)
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Ids of those of them that run.
    pub(crate) fn running(&self, service: &str) -> Vec<String> {
        let workload = format!("label=shipslog.workload={}", self.workload);
        let service = format!("label=com.docker.compose.service={service}");
        let arguments = ["ps", "--quiet", "--filter", &workload, "--filter", &service];
        let listed = self.engine.docker(&arguments);
        listed.lines().map(str::to_owned).collect()
    }

    /// The only container of a service.
    #[track_caller]
    pub(crate) fn container(&self, service: &str) -> String {
        let containers = self.containers(service);
        assert_eq!(containers.len(), 1, "{service}: {containers:?}");
        containers[0].clone()
    }

    pub(crate) fn inspect(&self, service: &str, format: &str) -> String {
        self.engine
            .docker(&["inspect", "--format", format, &self.container(service)])
    }

    /// Container and start of each service: what is the same later was not touched.
    pub(crate) fn lives(&self) -> [String; 3] {
        SERVICES.map(|service| self.inspect(service, "{{.Id}} {{.State.Running}} {{.State.StartedAt}}"))
    }

    /// The image that each service runs.
    pub(crate) fn images(&self) -> [String; 3] {
        SERVICES.map(|service| self.inspect(service, "{{.Image}}"))
    }

    /// What the published port serves.
    #[track_caller]
    pub(crate) fn page(&self) -> String {
        let address = format!("127.0.0.1:{}", self.port);
        let listens = wait_until(std::time::Duration::from_secs(120), || {
            try_http_get(&address, "/").is_ok()
        });
        assert!(listens, "nobody listens at {address}");
        http_get(&address, "/").1.trim().to_owned()
    }

    /// All that is in the plugin's folder.
    pub(crate) fn left_in_folder(&self) -> Vec<PathBuf> {
        let mut files = Vec::new();
        for project in std::fs::read_dir(self.folder.path()).unwrap().flatten() {
            files.extend(
                std::fs::read_dir(project.path())
                    .unwrap()
                    .flatten()
                    .map(|entry| entry.path()),
            );
        }
        files
    }
}

/// What a failed row says: the marker and the service.
pub(crate) fn failure(row: &Deploy) -> (Option<FailureMarker>, Option<&str>) {
    (
        row.outcome.marker(),
        row.failed_part.as_ref().map(|part| part.as_str()),
    )
}

//! Deploys from real repositories, built by a real engine.

mod builds;
mod cache;
mod conformance;
mod rollbacks;
mod secrecy;
mod sources;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use shipslog_core::deploys::{
    Deploy, DispatchRefusal, DispatchRequest, Dispatcher, DispatcherOptions, FailureMarker, Outcome, Pin,
    Reason, RollbackConfig, RollbackRefusal, RollbackRequest,
};
use shipslog_core::id::WorkloadId;
use shipslog_core::testing::{FakeSecrets, ManualClock};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{FieldError, NewWorkload, Spec, WorkloadStore as _};
use shipslog_docker::GitPlugin;
use shipslog_store::SqliteStore;
use shipslog_test_support::{Cleanup, Engine, GitRepository, GitServer, unique};
use tempfile::TempDir;

use crate::bench::at;

/// Needs nothing of a base image but a static busybox.
const SLEEPS: &str = "FROM scratch\nCOPY busybox version /\n\
    CMD [\"/busybox\", \"sh\", \"-c\", \"trap 'exit 0' TERM; /busybox sleep 3600 & wait\"]\n";

/// A repository on a server, a cache, an engine, and one workload in an empty ledger.
struct Yard {
    engine: Engine,
    server: GitServer,
    repository: GitRepository,
    cache: TempDir,
    name: String,
    workload: WorkloadId,
    store: Arc<SqliteStore>,
    dispatcher: Dispatcher,
    _cleanup: Cleanup,
}

/// The real engine; `None`, after a word on stderr, where there is none.
async fn yard() -> Option<Yard> {
    Yard::with(json!({}), FakeSecrets::default(), |plugin| plugin).await
}

impl Yard {
    async fn with(
        options: Value,
        secrets: FakeSecrets,
        configured: impl FnOnce(GitPlugin) -> GitPlugin,
    ) -> Option<Self> {
        let engine = shipslog_test_support::engine()?;
        let (name, server, cache) = (unique("gt"), GitServer::start(), TempDir::new().unwrap());
        let repository = server.repository("team/app");
        let plugin = configured(GitPlugin::new(at(engine.host()), cache.path()));
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        let clock = Arc::new(ManualClock::new(Timestamp::now()));
        let (ledger, settings) = (Arc::clone(&store), DispatcherOptions::default());
        let dispatcher =
            Dispatcher::new(ledger, Arc::new(secrets), clock, settings).with_plugin(Arc::new(plugin));
        let spec = spec(&name, &format!("{}#main", repository.url()), options);
        dispatcher.check(&spec).unwrap();
        let workload = WorkloadId::generate(Timestamp::now());
        let new = NewWorkload {
            id: workload.clone(),
            spec,
            created_at: Timestamp::now(),
        };
        store.create_workload(new).await.unwrap();
        Some(Self {
            _cleanup: Cleanup::new(&engine).prefix(&name),
            engine,
            server,
            repository,
            cache,
            name,
            workload,
            store,
            dispatcher,
        })
    }

    /// Commits something that works, and answers the commit.
    fn publish(&self, version: &str) -> String {
        self.publish_with(version, SLEEPS)
    }

    /// No other test can build the same at the same time: the engine would then take steps of either for both.
    fn publish_with(&self, version: &str, dockerfile: &str) -> String {
        let own = format!("FROM scratch\nLABEL yard={}\n", self.name);
        let dockerfile = dockerfile.replacen("FROM scratch\n", &own, 1);
        self.repository.copy("busybox", "/bin/busybox");
        self.repository
            .write("version", version)
            .write("Dockerfile", dockerfile);
        self.repository.commit(version)
    }

    /// Deploys what stands behind `#` in the repository's reference.
    async fn deploy(&self, version: &str) -> Deploy {
        self.deploy_reference(&format!("{}#{version}", self.repository.url()))
            .await
    }

    async fn deploy_reference(&self, reference: &str) -> Deploy {
        let row = self.begin(&self.workload, reference).await;
        self.dispatcher.wait(&row.id).await.unwrap()
    }

    /// The row that is under way.
    async fn begin(&self, workload: &WorkloadId, reference: &str) -> Deploy {
        let request = DispatchRequest {
            workload: workload.clone(),
            reference: Some(reference.to_owned()),
            reason: Reason::Manual,
            triggered_by: "test".to_owned(),
            note: None,
            idempotency_key: None,
            force: false,
        };
        self.dispatcher.dispatch(request).await.unwrap()
    }

    /// Deploys, and says what was pinned and which version then runs.
    async fn runs(&self, version: &str) -> (Pin, String) {
        let row = self.deploy(version).await;
        assert_eq!(row.outcome, Outcome::Succeeded, "{version}");
        (row.pin.unwrap(), self.version())
    }

    async fn fails(&self, version: &str) -> FailureMarker {
        self.deploy(version).await.outcome.marker().expect("it fails")
    }

    async fn roll_back(&self, target: &Deploy) -> Result<Deploy, RollbackRefusal> {
        self.roll_back_with(target, RollbackConfig::Recorded).await
    }

    async fn roll_back_with(
        &self,
        target: &Deploy,
        config: RollbackConfig,
    ) -> Result<Deploy, RollbackRefusal> {
        let row = self.begin_rollback(target, config).await?;
        Ok(self.dispatcher.wait(&row.id).await.unwrap())
    }

    /// The row that is under way.
    async fn begin_rollback(
        &self,
        target: &Deploy,
        config: RollbackConfig,
    ) -> Result<Deploy, RollbackRefusal> {
        let request = RollbackRequest {
            workload: self.workload.clone(),
            target: target.id.clone(),
            config,
            triggered_by: "test".to_owned(),
            note: None,
            idempotency_key: None,
        };
        match self.dispatcher.roll_back(request).await {
            Ok(row) => Ok(row),
            Err(DispatchRefusal::Rollback(refusal)) => Err(refusal),
            Err(other) => panic!("{other}"),
        }
    }

    /// Another workload of the same repository.
    async fn second_workload(&self) -> WorkloadId {
        let reference = format!("{}#main", self.repository.url());
        let new = NewWorkload {
            id: WorkloadId::generate(Timestamp::now()),
            spec: spec(&format!("{}-second", self.name), &reference, json!({})),
            created_at: Timestamp::now(),
        };
        self.store.create_workload(new).await.unwrap().id
    }

    /// What is in the file `version` of the container that runs.
    fn version(&self) -> String {
        self.file("/version")
    }

    fn file(&self, path: &str) -> String {
        let container = self.container();
        self.engine.docker(&["exec", &container, "/busybox", "cat", path])
    }

    fn container(&self) -> String {
        let own = format!("label=shipslog.workload={}", self.workload);
        self.engine
            .docker(&["ps", "--filter", &own, "--format", "{{.Names}}"])
    }

    /// Removes an image and whatever the engine could build it from again without its files.
    fn forget_image(&self, row: &Deploy) {
        let image = content(row);
        self.engine.docker(&["rmi", "--force", &image]);
        assert!(self.engine.try_docker(&["image", "inspect", &image]).is_err());
    }

    /// The only repository in the cache.
    fn cached(&self) -> PathBuf {
        let cached = std::fs::read_dir(self.cache.path().join("repositories")).unwrap();
        let mut folders = cached
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.is_dir());
        let only = folders.next().unwrap();
        assert_eq!(folders.next(), None);
        only
    }

    fn forget_cache(&self) {
        std::fs::remove_dir_all(self.cache.path().join("repositories")).unwrap();
    }

    /// What a spec with this reference and these options is refused for.
    fn refused(&self, reference: &str, options: Value) -> Option<FieldError> {
        self.dispatcher.check(&spec(&self.name, reference, options)).err()
    }
}

fn spec(name: &str, reference: &str, options: Value) -> Spec {
    serde_json::from_value(json!({
        "name": name, "source": {"kind": "git", "reference": reference, "options": options},
        "rollout": {"min_healthy_s": 1, "stop_timeout_s": 2, "health_timeout_s": 20},
    }))
    .unwrap()
}

fn content(row: &Deploy) -> String {
    row.pin.as_ref().unwrap().content.as_str().to_owned()
}

fn commit_of(pin: &Pin) -> &str {
    pin.reference.digest().strip_prefix("git:").unwrap()
}

/// Without keeping others from their work.
async fn soon(is_so: impl Fn() -> bool) -> bool {
    for _ in 0..1_200 {
        if is_so() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

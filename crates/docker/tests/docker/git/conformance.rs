//! The contract of a source kind, kept with a real repository.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use shipslog_core::deploys::DispatchPlugin;
use shipslog_core::secret::SecretRef;
use shipslog_core::store::Store;
use shipslog_core::testing::{PluginRig, Version};
use shipslog_core::workloads::Spec;
use shipslog_docker::GitPlugin;
use shipslog_store::SqliteStore;
use shipslog_test_support::{Cleanup, Engine, GitRepository, GitServer, free_port, unique};
use tempfile::TempDir;

use crate::bench::{at, read_all};
use crate::conformance::shown_at;

struct Sources {
    engine: Engine,
    _server: GitServer,
    repository: GitRepository,
    cache: TempDir,
    store: Arc<SqliteStore>,
    name: String,
    port: u16,
    _cleanup: Cleanup,
}

async fn sources() -> Option<Sources> {
    let engine = shipslog_test_support::engine()?;
    let (name, server) = (unique("cg"), GitServer::start());
    Some(Sources {
        repository: server.repository("app"),
        _server: server,
        cache: TempDir::new().expect("a temporary folder"),
        store: Arc::new(SqliteStore::in_memory().expect("a ledger in memory")),
        port: free_port(),
        _cleanup: Cleanup::new(&engine).prefix(&name),
        engine,
        name,
    })
}

/// Shows its version at `/`, or does not work in the way of its version. No other case builds the same: the engine would take steps of either
/// for both, and lose them when one of them tidies up.
fn dockerfile(name: &str, version: Version) -> String {
    let health = match version {
        Version::One | Version::Two => {
            "--interval=500ms --retries=20 CMD [\"/bin/busybox\", \"wget\", \"-q\", \"-O\", \"/dev/null\", \"http://127.0.0.1/\"]"
        }
        Version::Broken => "--interval=500ms --retries=2 CMD [\"/bin/busybox\", \"false\"]",
        Version::Slow => {
            "--interval=500ms --start-period=3600s --retries=20 CMD [\"/bin/busybox\", \"false\"]"
        }
    };
    format!(
        "FROM scratch\nLABEL rig={name}\nARG CONFORMANCE\nCOPY busybox /bin/busybox\nCOPY www /www\nHEALTHCHECK {health}\n\
         CMD [\"/bin/busybox\", \"sh\", \"-c\", \"trap 'exit 0' TERM; /bin/busybox httpd -f -p 80 -h /www & wait\"]\n"
    )
}

#[async_trait]
impl PluginRig for Sources {
    fn plugin(&self) -> Arc<dyn DispatchPlugin> {
        Arc::new(GitPlugin::new(at(self.engine.host()), self.cache.path()))
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn spec(&self) -> Spec {
        serde_json::from_value(json!({
            "name": self.name, "source": {"kind": "git", "reference": format!("{}#main", self.repository.url())},
            "ports": [{"host": self.port, "container": 80, "host_ip": "127.0.0.1"}],
            "rollout": {"min_healthy_s": 1, "stop_timeout_s": 2, "health_timeout_s": 120},
        }))
        .expect("a spec")
    }

    fn spec_with_secret(&self, secret: &SecretRef) -> Spec {
        let mut spec = serde_json::to_value(self.spec()).expect("JSON");
        let secret = String::from(secret.clone());
        spec["env"] = json!([{"name": "CONFORMANCE", "secret": secret}]);
        spec["source"]["options"] =
            json!({"token": secret, "build_args": [{"name": "CONFORMANCE", "secret": secret}]});
        serde_json::from_value(spec).expect("a spec")
    }

    async fn publish(&self, version: Version) {
        self.repository.copy("busybox", "/bin/busybox");
        self.repository.write("www/index.html", format!("{version:?}"));
        self.repository
            .write("Dockerfile", dockerfile(&self.name, version));
        self.repository.commit("a version");
    }

    async fn serves(&self) -> Option<Version> {
        shown_at(self.port)
    }

    async fn break_down(&self) {
        let own = format!("name={}", self.name);
        let ids = self.engine.docker(&["ps", "--quiet", "--filter", &own]);
        for id in ids.lines() {
            self.engine.docker(&["stop", "--time", "0", id]);
        }
    }

    fn kept_on_disk(&self) -> Vec<u8> {
        let kept = read_all(self.cache.path());
        assert!(!kept.is_empty(), "nothing is cached");
        kept
    }
}

shipslog_core::plugin_conformance!(sources());

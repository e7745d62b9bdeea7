//! The contract of a source kind, kept with a Compose file. What several services do to each other is told elsewhere.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use shipslog_core::deploys::DispatchPlugin;
use shipslog_core::store::Store;
use shipslog_core::testing::{PluginRig, Version};
use shipslog_core::workloads::Spec;
use shipslog_docker::ComposePlugin;
use shipslog_store::SqliteStore;
use shipslog_test_support::{Cleanup, Engine, Registry, free_port, unique};
use tempfile::TempDir;

use crate::bench::{at, read_all};
use crate::conformance::{page, shown_at};

struct Services {
    engine: Engine,
    registry: Registry,
    store: Arc<SqliteStore>,
    folder: TempDir,
    name: String,
    port: u16,
    _cleanup: Cleanup,
}

async fn services() -> Option<Services> {
    let engine = shipslog_test_support::engine()?;
    let name = unique("cc");
    Some(Services {
        registry: Registry::shared(),
        store: Arc::new(SqliteStore::in_memory().expect("a ledger in memory")),
        folder: tempfile::tempdir().expect("a temporary folder"),
        port: free_port(),
        _cleanup: Cleanup::new(&engine).prefix(&name),
        engine,
        name,
    })
}

impl Services {
    fn file(&self) -> String {
        let (host, name, port) = (self.registry.host(), &self.name, self.port);
        format!(
            "services:\n  web:\n    image: {host}/{name}:live\n    ports: ['127.0.0.1:{port}:80']\n    \
             environment:\n      KEY: ${{CONFORMANCE:-none}}\n    volumes: ['data:/data']\nvolumes:\n  data:\n"
        )
    }
}

#[async_trait]
impl PluginRig for Services {
    fn plugin(&self) -> Arc<dyn DispatchPlugin> {
        let plugin = ComposePlugin::new(at(self.engine.host()), self.folder.path());
        Arc::new(plugin.with_docker_config(self.registry.docker_config()))
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn spec(&self) -> Spec {
        serde_json::from_value(json!({
            "name": self.name, "source": {"kind": "compose", "reference": "inline", "options": {"file": self.file()}},
            "rollout": {"min_healthy_s": 1, "stop_timeout_s": 1, "health_timeout_s": 120},
        }))
        .expect("a spec")
    }

    async fn publish(&self, version: Version) {
        let image = page(version).build(&self.engine, &format!("{}:made", self.name));
        image.push(&self.registry, &format!("{}:live", self.name));
    }

    async fn serves(&self) -> Option<Version> {
        shown_at(self.port)
    }

    async fn break_down(&self) {
        let own = format!("name={}.*web", self.name);
        let ids = self.engine.docker(&["ps", "--quiet", "--filter", &own]);
        for id in ids.lines() {
            self.engine.docker(&["stop", "--time", "0", id]);
        }
    }

    fn kept_on_disk(&self) -> Vec<u8> {
        read_all(self.folder.path())
    }
}

shipslog_core::plugin_conformance!(services());

//! The contract of a source kind, kept on a real engine and a real registry.

use std::sync::Arc;

use async_trait::async_trait;
use serde_json::json;
use shipslog_core::deploys::DispatchPlugin;
use shipslog_core::store::Store;
use shipslog_core::testing::{PluginRig, Version};
use shipslog_core::workloads::Spec;
use shipslog_docker::ImagePlugin;
use shipslog_store::SqliteStore;
use shipslog_test_support::{Cleanup, Engine, Registry, free_port, unique};

use crate::bench::at;
pub(crate) use crate::pages::{page, shown_at};

struct Images {
    engine: Engine,
    registry: Registry,
    store: Arc<SqliteStore>,
    name: String,
    port: u16,
    _cleanup: Cleanup,
}

async fn images() -> Option<Images> {
    let engine = shipslog_test_support::engine()?;
    let name = unique("cf");
    Some(Images {
        registry: Registry::shared(),
        store: Arc::new(SqliteStore::in_memory().expect("a ledger in memory")),
        port: free_port(),
        _cleanup: Cleanup::new(&engine).prefix(&name),
        engine,
        name,
    })
}

#[async_trait]
impl PluginRig for Images {
    fn plugin(&self) -> Arc<dyn DispatchPlugin> {
        let plugin = ImagePlugin::new(at(self.engine.host()));
        Arc::new(plugin.with_docker_config(self.registry.docker_config()))
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn spec(&self) -> Spec {
        let reference = format!("{}/{}:live", self.registry.host(), self.name);
        serde_json::from_value(json!({
            "name": self.name, "source": {"kind": "image", "reference": reference},
            "ports": [{"host": self.port, "container": 80, "host_ip": "127.0.0.1"}],
            "rollout": {"min_healthy_s": 1, "stop_timeout_s": 2, "health_timeout_s": 120},
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
        let own = format!("name={}", self.name);
        let ids = self.engine.docker(&["ps", "--quiet", "--filter", &own]);
        for id in ids.lines() {
            self.engine.docker(&["stop", "--time", "0", id]);
        }
    }
}

shipslog_core::plugin_conformance!(images());

//! The contract of a source kind, kept on a real swarm and a real registry.

use std::sync::Arc;

use async_trait::async_trait;
use shipslog_core::deploys::DispatchPlugin;
use shipslog_core::store::Store;
use shipslog_core::testing::{PluginRig, Version};
use shipslog_core::workloads::Spec;
use shipslog_store::SqliteStore;
use shipslog_test_support::Registry;

use crate::bench::{Bench, at, bench};
use crate::pages::{page, shown_at};

struct Services {
    bench: Bench,
    registry: Registry,
    store: Arc<SqliteStore>,
}

async fn services() -> Option<Services> {
    Some(Services {
        bench: bench()?,
        registry: Registry::shared(),
        store: Arc::new(SqliteStore::in_memory().expect("a ledger in memory")),
    })
}

#[async_trait]
impl PluginRig for Services {
    fn plugin(&self) -> Arc<dyn DispatchPlugin> {
        let plugin = at(self.bench.engine.host());
        Arc::new(plugin.with_docker_config(self.registry.docker_config()))
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn spec(&self) -> Spec {
        let reference = format!("{}/{}:live", self.registry.host(), self.bench.name);
        let mut spec = self.bench.spec(&reference);
        spec.rollout.health_timeout_s = Some(120);
        spec
    }

    async fn publish(&self, version: Version) {
        let image = self.bench.build(&page(version), "made");
        image.push(&self.registry, &format!("{}:live", self.bench.name));
    }

    async fn serves(&self) -> Option<Version> {
        shown_at(self.bench.port)
    }

    async fn break_down(&self) {
        let own = format!("name={}", self.bench.name);
        let ids = self.bench.engine.docker(&["ps", "--quiet", "--filter", &own]);
        for id in ids.lines() {
            self.bench.engine.docker(&["stop", "--time", "0", id]);
        }
    }
}

shipslog_core::plugin_conformance!(services());

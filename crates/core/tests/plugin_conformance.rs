//! The contract of a source kind, kept by the one of make-believe.

use std::sync::Arc;

use async_trait::async_trait;
use shipslog_core::deploys::{DispatchPlugin, FailureMarker};
use shipslog_core::store::Store;
use shipslog_core::testing::{Behaviour, FakePlugin, PluginRig, Version, fake_pin};
use shipslog_core::workloads::Spec;
use shipslog_store::SqliteStore;

struct Fake {
    plugin: FakePlugin,
    store: Arc<SqliteStore>,
}

async fn fake() -> Option<Fake> {
    let store = SqliteStore::in_memory().ok()?;
    Some(Fake {
        plugin: FakePlugin::new(),
        store: Arc::new(store),
    })
}

fn number(version: Version) -> u8 {
    version as u8 + 1
}

#[async_trait]
impl PluginRig for Fake {
    fn plugin(&self) -> Arc<dyn DispatchPlugin> {
        Arc::new(self.plugin.clone())
    }

    fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store) as Arc<dyn Store>
    }

    fn spec(&self) -> Spec {
        let spec = serde_json::json!({"name": "web", "source": {"kind": "fake", "reference": "app:1"}});
        serde_json::from_value(spec).unwrap_or_else(|error| panic!("{error}"))
    }

    async fn publish(&self, version: Version) {
        self.plugin.publish(number(version));
        self.plugin.behave(match version {
            Version::One | Version::Two => Behaviour::Succeed,
            Version::Broken => Behaviour::Fail(FailureMarker::Unhealthy),
            Version::Slow => Behaviour::Hang,
        });
    }

    async fn serves(&self) -> Option<Version> {
        let up = self.plugin.parts().into_iter().find(|part| part.up)?;
        [Version::One, Version::Two]
            .into_iter()
            .find(|version| fake_pin(number(*version)).content == up.content)
    }

    async fn break_down(&self) {
        for part in self.plugin.parts() {
            self.plugin.falter(&part.deploy, FailureMarker::ExitedAtOnce);
        }
    }
}

shipslog_core::plugin_conformance!(fake());

//! A workload on an engine of make-believe.

use std::sync::Arc;
use std::time::Duration;

use shipslog_core::deploys::{
    Deploy, DispatchRequest, Dispatcher, DispatcherOptions, Page, Reason, RollbackConfig, RollbackRequest,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::store::Store;
use shipslog_core::testing::{FakePlugin, FakeSecrets, ManualClock};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{NewWorkload, Spec};
use shipslog_store::SqliteStore;

pub(crate) struct Yard {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) plugin: FakePlugin,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) web: WorkloadId,
}

pub(crate) fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

pub(crate) fn spec(name: &str) -> Spec {
    let json = serde_json::json!({"name": name, "source": {"kind": "fake", "reference": "app:1"}});
    serde_json::from_value(json).unwrap()
}

pub(crate) fn dispatcher(
    store: &Arc<dyn Store>,
    plugin: &FakePlugin,
    options: DispatcherOptions,
) -> Dispatcher {
    let clock = Arc::new(ManualClock::new(now()));
    Dispatcher::new(
        Arc::clone(store),
        Arc::new(FakeSecrets::default()),
        clock,
        options,
    )
    .with_plugin(Arc::new(plugin.clone()))
}

pub(crate) async fn workload(store: &Arc<dyn Store>, spec: Spec) -> WorkloadId {
    let new = NewWorkload {
        id: WorkloadId::generate(now()),
        spec,
        created_at: now(),
    };
    store.create_workload(new).await.unwrap().id
}

pub(crate) async fn yard_with(plugin: FakePlugin, options: DispatcherOptions) -> Yard {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let web = workload(&store, spec("web")).await;
    let dispatcher = dispatcher(&store, &plugin, options);
    Yard {
        store,
        plugin,
        dispatcher,
        web,
    }
}

pub(crate) async fn yard() -> Yard {
    yard_with(FakePlugin::new(), DispatcherOptions::default()).await
}

pub(crate) fn request(workload: &WorkloadId) -> DispatchRequest {
    DispatchRequest {
        workload: workload.clone(),
        reference: None,
        reason: Reason::Manual,
        triggered_by: "admin".to_owned(),
        note: None,
        idempotency_key: None,
        force: false,
    }
}

pub(crate) fn rollback_to(workload: &WorkloadId, target: &DeployId) -> RollbackRequest {
    RollbackRequest {
        workload: workload.clone(),
        target: target.clone(),
        config: RollbackConfig::Recorded,
        triggered_by: "admin".to_owned(),
        note: None,
        idempotency_key: None,
    }
}

impl Yard {
    pub(crate) async fn deploy(&self) -> Deploy {
        let row = self.dispatcher.dispatch(request(&self.web)).await.unwrap();
        self.dispatcher.wait(&row.id).await.unwrap()
    }

    pub(crate) async fn deploy_version(&self, version: u8) -> Deploy {
        self.plugin.publish(version);
        self.deploy().await
    }

    pub(crate) async fn ledger(&self) -> Vec<Deploy> {
        self.store
            .deploys(
                &self.web,
                &Page {
                    limit: 500,
                    before: None,
                },
            )
            .await
            .unwrap()
    }

    pub(crate) async fn current(&self) -> Option<DeployId> {
        self.store
            .current_deploy(&self.web)
            .await
            .unwrap()
            .map(|row| row.id)
    }

    /// Until the clean-up after the newest dispatch is over.
    pub(crate) async fn quiet(&self) {
        self.dispatcher.shutdown(Duration::from_secs(10)).await;
    }
}

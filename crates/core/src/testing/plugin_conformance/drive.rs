//! A rig behind a dispatcher.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use super::{PluginRig, Version};
use crate::deploys::{
    Deploy, DeployEvents, DeployStep, DispatchEvent, DispatchRequest, Dispatcher, DispatcherOptions, Outcome,
    PartStep, Reason, RollbackConfig, RollbackRequest, Running,
};
use crate::id::{DeployId, WorkloadId};
use crate::testing::{FakeSecrets, ManualClock};
use crate::time::Timestamp;
use crate::workloads::{NewWorkload, Spec};

/// How long a service may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);
/// How long a dispatch may take to get to where it is waited for.
const UNDER_WAY_WITHIN: Duration = Duration::from_secs(120);
/// What stands behind a reference of [`Drive::with_secret`].
pub(super) const SECRET: &str = "env:CONFORMANCE_SECRET";

pub(super) struct Drive {
    pub(super) rig: Arc<dyn PluginRig>,
    pub(super) dispatcher: Dispatcher,
    pub(super) workload: WorkloadId,
}

impl Drive {
    /// A workload of the rig's spec.
    pub(super) async fn begin(rig: Arc<impl PluginRig>) -> Self {
        let spec = rig.spec();
        Self::with(rig, spec, FakeSecrets::default()).await
    }

    /// The same, with this value in the place of each secret.
    pub(super) async fn with_secret(rig: Arc<impl PluginRig>, value: &str) -> Self {
        let reference = SECRET.to_owned().try_into().unwrap();
        let spec = rig.spec_with_secret(&reference);
        Self::with(rig, spec, FakeSecrets::default().with(SECRET, value)).await
    }

    async fn with(rig: Arc<impl PluginRig>, spec: Spec, secrets: FakeSecrets) -> Self {
        let rig: Arc<dyn PluginRig> = rig;
        let dispatcher = dispatcher(rig.as_ref(), secrets);
        dispatcher.check(&spec).unwrap();
        let new = NewWorkload {
            id: WorkloadId::generate(now()),
            spec,
            created_at: now(),
        };
        let workload = rig.store().create_workload(new).await.unwrap().id;
        Self {
            rig,
            dispatcher,
            workload,
        }
    }

    /// What a new process does with what the one before it left.
    pub(super) async fn recover(&mut self) {
        self.dispatcher = dispatcher(self.rig.as_ref(), FakeSecrets::default());
        self.dispatcher.recover().await.unwrap();
    }

    pub(super) async fn start(&self) -> Deploy {
        let request = DispatchRequest {
            workload: self.workload.clone(),
            reference: None,
            reason: Reason::Manual,
            triggered_by: "conformance".to_owned(),
            note: None,
            idempotency_key: None,
            force: false,
        };
        self.dispatcher.dispatch(request).await.unwrap()
    }

    pub(super) async fn start_rollback(&self, target: &DeployId) -> Deploy {
        let request = RollbackRequest {
            workload: self.workload.clone(),
            target: target.clone(),
            config: RollbackConfig::Recorded,
            triggered_by: "conformance".to_owned(),
            note: None,
            idempotency_key: None,
        };
        self.dispatcher.roll_back(request).await.unwrap()
    }

    /// Publishes, deploys, and answers the closed row.
    pub(super) async fn deploy(&self, version: Version) -> Deploy {
        self.rig.publish(version).await;
        let row = self.start().await;
        self.dispatcher.wait(&row.id).await.unwrap()
    }

    /// Deploys a version that works: the row says so, and it serves.
    pub(super) async fn deploy_well(&self, version: Version) -> Deploy {
        let row = self.deploy(version).await;
        assert_eq!(row.outcome, Outcome::Succeeded, "deploying {version:?}: {row:?}");
        self.assert_runs(&row, version).await;
        row
    }

    pub(super) async fn roll_back(&self, target: &DeployId) -> Deploy {
        let row = self.start_rollback(target).await;
        self.dispatcher.wait(&row.id).await.unwrap()
    }

    /// The row is current, everything that runs is what it was pinned to, and the version serves.
    pub(super) async fn assert_runs(&self, row: &Deploy, version: Version) {
        let current = self.current().await.unwrap();
        assert_eq!(current.id, row.id, "another row is current");
        let pin = current.pin.unwrap();
        let running = self.running().await;
        assert!(!running.is_empty(), "nothing runs");
        for part in &running {
            assert!(pin.is(part), "{part:?} is not what was pinned: {pin:?}");
        }
        self.assert_serves(version).await;
    }

    pub(super) async fn assert_serves(&self, version: Version) {
        let until = Instant::now() + LISTENS_WITHIN;
        while self.rig.serves().await != Some(version) {
            assert!(Instant::now() < until, "{version:?} does not serve");
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn assert_nothing_runs(&self) {
        assert_eq!(self.running().await, []);
        assert_eq!(self.rig.serves().await, None);
    }

    pub(super) async fn running(&self) -> Vec<Running> {
        self.rig.plugin().running(&self.workload).await.unwrap()
    }

    pub(super) async fn current(&self) -> Option<Deploy> {
        self.rig.store().current_deploy(&self.workload).await.unwrap()
    }

    /// Waits until a new version has been started and is waited for.
    pub(super) async fn until_it_waits(&self, row: &Deploy) {
        let events = self.dispatcher.events(&row.id).await.unwrap();
        let waits = timeout(UNDER_WAY_WITHIN, waits_for_health(events)).await;
        assert_eq!(waits, Ok(true), "the dispatch never waited for its new version");
    }
}

async fn waits_for_health(mut events: DeployEvents) -> bool {
    while let Some(event) = events.next().await {
        let DispatchEvent::Step { step, .. } = event else {
            continue;
        };
        let of_part = PartStep::WaitingForHealth;
        match step {
            DeployStep::WaitingForHealth | DeployStep::Rolling { .. } => return true,
            DeployStep::Part { doing, .. } if doing == of_part => return true,
            _ => {}
        }
    }
    false
}

fn now() -> Timestamp {
    Timestamp::now()
}

fn dispatcher(rig: &dyn PluginRig, secrets: FakeSecrets) -> Dispatcher {
    let clock = Arc::new(ManualClock::new(now()));
    Dispatcher::new(
        rig.store(),
        Arc::new(secrets),
        clock,
        DispatcherOptions::default(),
    )
    .with_plugin(rig.plugin())
}

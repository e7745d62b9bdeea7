//! A dispatch that has been checked and not begun.

use std::sync::Arc;

use super::{
    Deploy, DispatchPlugin, DispatchRequest, NewDeploy, Reason, Record, RollbackRefusal, RollbackRequest,
};
use crate::id::{DeployId, WorkloadId};
use crate::time::Timestamp;
use crate::workloads::Spec;

#[derive(Debug)]
pub(super) struct Order {
    pub(super) workload: WorkloadId,
    pub(super) plugin: Arc<dyn DispatchPlugin>,
    pub(super) spec: Spec,
    pub(super) revision: u32,
    pub(super) requested: String,
    /// What a rollback replays.
    pub(super) target: Option<Record>,
    pub(super) key: Option<String>,
    pub(super) reason: Reason,
    /// Whether it may run what was just rolled back from.
    pub(super) force: bool,
    rollback_of: Option<DeployId>,
    /// Whether the caller named the reference, or left it to the spec.
    explicit: bool,
    triggered_by: String,
    note: Option<String>,
}

impl Order {
    pub(super) fn deploy(
        workload: WorkloadId,
        plugin: Arc<dyn DispatchPlugin>,
        spec: Spec,
        revision: u32,
        request: &DispatchRequest,
    ) -> Self {
        Self {
            workload,
            plugin,
            requested: request
                .reference
                .as_ref()
                .unwrap_or(&spec.source.reference)
                .clone(),
            spec,
            revision,
            target: None,
            key: request.idempotency_key.clone(),
            reason: request.reason,
            force: request.force,
            rollback_of: None,
            explicit: request.reference.is_some(),
            triggered_by: request.triggered_by.clone(),
            note: request.note.clone(),
        }
    }

    pub(super) fn replay(
        plugin: Arc<dyn DispatchPlugin>,
        target: &Deploy,
        record: Record,
        reason: Reason,
        request: &RollbackRequest,
    ) -> Self {
        Self {
            workload: target.workload_id.clone(),
            plugin,
            requested: target.requested.clone(),
            spec: record.spec.clone(),
            revision: record.spec_revision,
            target: Some(record),
            key: request.idempotency_key.clone(),
            reason,
            force: true,
            rollback_of: Some(target.id.clone()),
            explicit: false,
            triggered_by: request.triggered_by.clone(),
            note: request.note.clone(),
        }
    }

    /// Asks whether what is to be replayed can still be had.
    pub(super) async fn preflight(&self) -> Result<(), RollbackRefusal> {
        let capable = self
            .plugin
            .rollback()
            .ok_or(RollbackRefusal::KindCannotRollBack)?;
        let target = self.target.as_ref().ok_or(RollbackRefusal::NotPinned)?;
        capable.preflight(target).await
    }

    /// Whether `row` was opened by the same request.
    pub(super) fn matches(&self, row: &Deploy) -> bool {
        self.rollback_of == row.rollback_of && (!self.explicit || self.requested == row.requested)
    }

    pub(super) fn row(&self, now: Timestamp) -> NewDeploy {
        NewDeploy {
            id: DeployId::generate(now),
            workload_id: self.workload.clone(),
            source_kind: self.plugin.kind().to_owned(),
            reason: self.reason,
            requested: self.requested.clone(),
            pinned: self.target.as_ref().and_then(|target| target.pinned.clone()),
            spec_revision: self.revision,
            triggered_by: self.triggered_by.clone(),
            note: self.note.clone(),
            rollback_of: self.rollback_of.clone(),
            strategy: self.plugin.strategy(&self.spec),
            idempotency_key: self.key.clone(),
            started_at: now,
        }
    }
}

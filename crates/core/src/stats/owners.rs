//! Whose the containers are.

use std::collections::{HashMap, HashSet};

use crate::id::WorkloadId;
use crate::store::StoreError;
use crate::time::Timestamp;
use crate::workloads::{Container, Owner, Workload, WorkloadKind, WorkloadStore};

/// The workload of each container, in the order of `containers`. Observed workloads that are new are created.
pub(super) async fn owners(
    containers: &[Container],
    store: &dyn WorkloadStore,
    now: Timestamp,
) -> Result<Vec<WorkloadId>, StoreError> {
    let mut known = Known::new(store.workloads().await?);
    let mut owners = Vec::with_capacity(containers.len());
    for container in containers {
        owners.push(known.owner(container, store, now).await?);
    }
    Ok(owners)
}

/// The workloads that the store has. They are read at each tick, so that one that was deleted, or created for containers
/// that were there before it, is seen at once.
struct Known {
    managed: HashSet<WorkloadId>,
    observed: HashMap<String, WorkloadId>,
}

impl Known {
    fn new(workloads: Vec<Workload>) -> Self {
        let (managed, observed): (Vec<_>, Vec<_>) = workloads
            .into_iter()
            .partition(|workload| matches!(workload.kind, WorkloadKind::Managed { .. }));
        Self {
            managed: managed.into_iter().map(|workload| workload.id).collect(),
            observed: observed
                .into_iter()
                .map(|workload| (workload.name, workload.id))
                .collect(),
        }
    }

    async fn owner(
        &mut self,
        container: &Container,
        store: &dyn WorkloadStore,
        now: Timestamp,
    ) -> Result<WorkloadId, StoreError> {
        let name = match container.owner(|id| self.managed.contains(id)) {
            Owner::Managed(id) => return Ok(id),
            Owner::Observed(name) => name,
        };
        if let Some(id) = self.observed.get(&name) {
            return Ok(id.clone());
        }
        let id = store.observe_workload(&name, now).await?.id;
        self.observed.insert(name, id.clone());
        Ok(id)
    }
}

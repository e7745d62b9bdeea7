//! Whose network, processes or volumes are others than before.

use std::collections::{BTreeSet, HashMap};

use bollard::models::ContainerInspectResponse;
use shipslog_core::deploys::{DispatchError, PartName};
use shipslog_core::id::WorkloadId;
use shipslog_core::time::Timestamp;

use super::ComposePlugin;
use super::containers::Container;
use super::file::Service;

/// The services that were made anew so far.
#[derive(Debug, Default)]
pub(super) struct Renewed(BTreeSet<PartName>);

impl Renewed {
    /// Notes what became of a service's containers. One that was made before and never started counts as new.
    pub(super) fn note(&mut self, service: &PartName, before: &[Container], after: &[Container]) {
        let is_old = |new: &Container| before.iter().any(|old| old.id == new.id && !old.is_fresh());
        if !after.iter().all(is_old) {
            self.note_made(service);
        }
    }

    /// Notes that a service has other containers.
    pub(super) fn note_made(&mut self, service: &PartName) {
        self.0.insert(service.clone());
    }

    /// Whether containers of `sharer` that are there hold on to what is gone.
    pub(super) fn concerns(&self, sharer: &Service) -> bool {
        let is_renewed = |service: &PartName| self.0.contains(service);
        sharer
            .joins
            .iter()
            .chain(&sharer.takes_volumes_of)
            .any(is_renewed)
    }
}

impl ComposePlugin {
    /// Whether one of the containers has the network or the processes of a container of the workload that is gone, or was started again since, by
    /// whomever. What runs so reaches nobody.
    pub(super) async fn is_cut_off(
        &self,
        workload: &WorkloadId,
        sharer: &Service,
        containers: &[Container],
    ) -> Result<bool, DispatchError> {
        if sharer.joins.is_empty() {
            return Ok(false);
        }
        let mut owners = HashMap::new();
        for owner in self.containers(workload).await? {
            if sharer.joins.contains(&owner.service) {
                let began = started_at(&self.inspect(&owner).await?);
                owners.insert(owner.id, began);
            }
        }
        for container in containers {
            let inspected = self.inspect(container).await?;
            let began = started_at(&inspected);
            let is_gone = |owner: &String| match owners.get(owner) {
                Some(owner) => container.runs() && *owner > began,
                None => true,
            };
            if joined(&inspected).iter().any(is_gone) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// `None`, the earliest, where the engine does not say.
fn started_at(container: &ContainerInspectResponse) -> Option<Timestamp> {
    container.state.as_ref()?.started_at.as_ref()?.parse().ok()
}

/// The ids of the containers whose network or processes it has. What is named otherwise is none of the tool's.
fn joined(container: &ContainerInspectResponse) -> Vec<String> {
    let modes = container.host_config.as_ref().map(|host| {
        let modes = [&host.network_mode, &host.ipc_mode, &host.pid_mode];
        modes.map(|mode| mode.as_ref()?.strip_prefix("container:"))
    });
    let owners = modes.into_iter().flatten().flatten();
    owners
        .filter(|owner| owner.len() == 64)
        .map(str::to_owned)
        .collect()
}

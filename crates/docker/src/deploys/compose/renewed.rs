//! Whose network, processes or volumes are others than before.

use std::collections::BTreeSet;

use shipslog_core::deploys::PartName;

use super::containers::Container;
use super::file::Service;

/// The services that were made anew or started again so far.
#[derive(Debug, Default)]
pub(super) struct Renewed {
    made: BTreeSet<PartName>,
    started: BTreeSet<PartName>,
}

impl Renewed {
    /// Notes what became of a service's containers.
    pub(super) fn note(&mut self, service: &PartName, before: &[Container], after: &[Container]) {
        let old = |container: &Container| before.iter().find(|old| old.id == container.id);
        if after.iter().any(|container| old(container).is_none()) {
            self.note_made(service);
        }
        if after
            .iter()
            .any(|container| old(container).is_some_and(|old| !old.runs()))
        {
            self.note_started(service);
        }
    }

    /// Notes that a service has other containers.
    pub(super) fn note_made(&mut self, service: &PartName) {
        self.made.insert(service.clone());
    }

    /// Notes that containers of a service were started again: they have a new network, and the volumes from before.
    pub(super) fn note_started(&mut self, service: &PartName) {
        self.started.insert(service.clone());
    }

    /// Whether containers of `sharer` that are there hold on to what is gone.
    pub(super) fn concerns(&self, sharer: &Service) -> bool {
        let joined = self.made.union(&self.started);
        joined.into_iter().any(|service| sharer.joins.contains(service))
            || !sharer.takes_volumes_of.is_disjoint(&self.made)
    }
}

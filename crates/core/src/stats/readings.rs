//! What was read of each container at the tick before.

use std::collections::HashMap;
use std::error::Error;
use std::mem;

use crate::id::ContainerId;
use crate::stats::{CollectError, Collector, Counters, Sample, rates};
use crate::workloads::{Container, ContainerState};

/// The newest counters of each container.
#[derive(Debug, Default)]
pub(super) struct Readings {
    previous: HashMap<ContainerId, Counters>,
}

impl Readings {
    /// Reads those containers that have a process, and gives a sample for each of all, `None` where nothing was read.
    pub(super) async fn sample(
        &mut self,
        containers: &[Container],
        collector: &dyn Collector,
    ) -> Vec<Option<Sample>> {
        let alive = containers.iter().filter(|container| has_process(container));
        let ids: Vec<ContainerId> = alive.map(|container| container.id.clone()).collect();
        let readings = collector.collect(&ids).await;
        self.keep(&ids);
        let mut samples = self.take(ids, readings);
        containers
            .iter()
            .map(|container| samples.remove(&container.id))
            .collect()
    }

    /// Forgets all containers but these. What was kept of containers that are gone, or have ended, is dropped: whatever is
    /// read of them next is a first reading.
    pub(super) fn keep(&mut self, ids: &[ContainerId]) {
        let mut before = mem::take(&mut self.previous);
        let kept = ids.iter().filter_map(|id| before.remove_entry(id));
        self.previous.extend(kept);
    }

    /// Whether the container was read before.
    pub(super) fn knows(&self, id: &ContainerId) -> bool {
        self.previous.contains_key(id)
    }

    /// Takes the readings in the place of those before, and gives the samples between.
    pub(super) fn take(
        &mut self,
        ids: Vec<ContainerId>,
        readings: Vec<Result<Counters, CollectError>>,
    ) -> HashMap<ContainerId, Sample> {
        let mut samples = HashMap::with_capacity(ids.len());
        for (id, reading) in ids.into_iter().zip(readings) {
            let previous = self.previous.remove(&id);
            match reading {
                Ok(now) => {
                    samples.insert(id.clone(), rates(previous.as_ref(), &now));
                    self.previous.insert(id, now);
                }
                Err(CollectError::NotRunning) => {}
                // No answer says nothing of the counters: the next one is compared with the last that came.
                Err(failure) => {
                    tracing::debug!(container = %id, error = &failure as &dyn Error, "a container was not read");
                    self.previous.extend(previous.map(|previous| (id, previous)));
                }
            }
        }
        samples
    }
}

/// A paused container runs nothing and holds its memory all the same.
pub(super) fn has_process(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running | ContainerState::Paused)
}

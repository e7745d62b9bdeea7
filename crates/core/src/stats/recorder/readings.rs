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
        let mut samples = self.replace(ids, readings);
        containers
            .iter()
            .map(|container| samples.remove(&container.id))
            .collect()
    }

    /// Takes the readings in the place of those before. What was kept of containers that are gone, or have ended, is
    /// dropped: whatever is read of them next is a first reading.
    fn replace(
        &mut self,
        ids: Vec<ContainerId>,
        readings: Vec<Result<Counters, CollectError>>,
    ) -> HashMap<ContainerId, Sample> {
        let mut before = mem::take(&mut self.previous);
        let mut samples = HashMap::with_capacity(ids.len());
        for (id, reading) in ids.into_iter().zip(readings) {
            let previous = before.remove(&id);
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
fn has_process(container: &Container) -> bool {
    matches!(container.state, ContainerState::Running | ContainerState::Paused)
}

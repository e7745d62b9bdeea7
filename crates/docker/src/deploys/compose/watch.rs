//! Watching over services that were deployed.

use std::time::Duration;

use shipslog_core::deploys::{DispatchError, FailureMarker};
use shipslog_core::id::WorkloadId;

use super::super::classify::{Phase, failed};
use super::super::image::watch::fault_since;
use super::ComposePlugin;
use super::containers::did_its_work;
use crate::engine::Fault;

/// How often a container is looked at while it is watched.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// A container, with the restarts that it had when the watch began: what a deploy left alone may have some.
#[derive(Debug)]
struct Watched {
    id: String,
    restarts: Option<i64>,
}

impl ComposePlugin {
    /// Looks at the services' containers until one of them does not work.
    pub(super) async fn until_one_falters(
        &self,
        workload: &WorkloadId,
    ) -> Result<FailureMarker, DispatchError> {
        let containers = self.containers(workload).await?.into_iter();
        let mut watched: Vec<Watched> = containers
            .map(|container| Watched {
                id: container.id,
                restarts: None,
            })
            .collect();
        if watched.is_empty() {
            return Ok(FailureMarker::ExitedAtOnce);
        }
        loop {
            for one in &mut watched {
                if let Some(marker) = self.look_at(one).await? {
                    return Ok(marker);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look_at(&self, watched: &mut Watched) -> Result<Option<FailureMarker>, DispatchError> {
        match self.image.inspect(&watched.id).await {
            Ok(container) if did_its_work(&container) => Ok(None),
            Ok(container) => {
                let now = container.restart_count.unwrap_or(0);
                Ok(fault_since(*watched.restarts.get_or_insert(now), &container))
            }
            Err(Fault::Answer { status: 404, .. }) => Ok(Some(FailureMarker::ExitedAtOnce)),
            Err(fault) => Err(failed(Phase::Manage, &fault)),
        }
    }
}

//! Watching over containers that were deployed.

use std::time::Duration;

use bollard::models::{ContainerInspectResponse, HealthStatusEnum as Health};
use shipslog_core::deploys::{DispatchError, FailureMarker};
use shipslog_core::id::{DeployId, WorkloadId};

use super::ImagePlugin;
use crate::deploys::classify::{Phase, failed};
use crate::engine::Fault;

/// How often a container is looked at while it is watched.
const LOOK_EVERY: Duration = Duration::from_secs(1);

impl ImagePlugin {
    /// Looks at a deploy's containers until one of them does not work.
    pub(super) async fn until_it_falters(
        &self,
        workload: &WorkloadId,
        deploy: &DeployId,
    ) -> Result<FailureMarker, DispatchError> {
        let parts = self.parts(workload).await?;
        let own = parts.into_iter().filter(|part| part.is_service_of(deploy));
        let ids: Vec<String> = own.map(|part| part.id).collect();
        if ids.is_empty() {
            return Ok(FailureMarker::ExitedAtOnce);
        }
        loop {
            for id in &ids {
                if let Some(marker) = self.look_at(id).await? {
                    return Ok(marker);
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    async fn look_at(&self, id: &str) -> Result<Option<FailureMarker>, DispatchError> {
        match self.inspect(id).await {
            Ok(container) => Ok(fault(&container)),
            Err(Fault::Answer { status: 404, .. }) => Ok(Some(FailureMarker::ExitedAtOnce)),
            Err(fault) => Err(failed(Phase::Manage, &fault)),
        }
    }
}

/// What is wrong with a container that worked. One that somebody restarted is well; the engine counts the restarts of its own.
fn fault(container: &ContainerInspectResponse) -> Option<FailureMarker> {
    fault_since(0, container)
}

/// The same for one that the engine had restarted so often before.
pub(in crate::deploys) fn fault_since(
    restarts: i64,
    container: &ContainerInspectResponse,
) -> Option<FailureMarker> {
    let state = container.state.clone().unwrap_or_default();
    let restarted = container.restart_count.unwrap_or(0) > restarts || state.restarting == Some(true);
    if restarted || state.running != Some(true) {
        return Some(FailureMarker::ExitedAtOnce);
    }
    let health = state.health.and_then(|health| health.status);
    (health == Some(Health::UNHEALTHY)).then_some(FailureMarker::Unhealthy)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_runs_and_is_not_unhealthy_is_well() {
        let of = |restarts: u32, state: Value| {
            fault(&serde_json::from_value(json!({"RestartCount": restarts, "State": state})).unwrap())
        };
        let with_health = |status: &str| json!({"Running": true, "Health": {"Status": status}});
        for well in [
            json!({"Running": true}),
            json!({"Running": true, "Paused": true}),
            with_health("healthy"),
            with_health("starting"),
            with_health("none"),
        ] {
            assert_eq!(of(0, well.clone()), None, "{well}");
        }
        assert_eq!(of(0, with_health("unhealthy")), Some(FailureMarker::Unhealthy));
        for ended in [
            json!({"Running": false}),
            json!({"Running": true, "Restarting": true}),
            json!({}),
        ] {
            assert_eq!(of(0, ended.clone()), Some(FailureMarker::ExitedAtOnce), "{ended}");
        }
        assert_eq!(of(1, json!({"Running": true})), Some(FailureMarker::ExitedAtOnce));
    }
}

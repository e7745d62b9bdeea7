//! Watching over a service that was deployed.

use std::time::{Duration, Instant};

use shipslog_core::deploys::{DispatchError, FailureMarker};
use shipslog_core::id::{DeployId, WorkloadId};

use super::SwarmPlugin;
use super::services::Managed;
use super::tasks::ServiceTask;

/// How often tasks are looked at while they are watched.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a task may be missing that did not fail: one that is moved to another node is.
const MISSING_LIMIT: Duration = Duration::from_secs(30);

impl SwarmPlugin {
    /// Looks at a deploy's tasks until one of them fails, or too few run for too long.
    pub(super) async fn until_it_falters(
        &self,
        workload: &WorkloadId,
        deploy: &DeployId,
    ) -> Result<FailureMarker, DispatchError> {
        let mut whole_at = Instant::now();
        loop {
            let services = self.services(workload).await?.unwrap_or_default();
            let is_watched =
                |service: &&Managed| !service.is_trial && service.deploy.as_ref() == Some(deploy);
            let Some(service) = services.iter().find(is_watched) else {
                return Ok(FailureMarker::ExitedAtOnce);
            };
            let tasks = self.tasks(&service.id).await?;
            let own = || tasks.iter().filter(|task| task.is_of(deploy));
            if let Some(over) = own().find(|task| task.is_over()) {
                return Ok(self.why_over(over).await.marker());
            }
            let working = own().filter(|task| ServiceTask::works(task)).count();
            if working >= service.replicas as usize {
                whole_at = Instant::now();
            }
            if whole_at.elapsed() >= MISSING_LIMIT {
                return Ok(FailureMarker::ExitedAtOnce);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

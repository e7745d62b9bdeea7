//! Tasks of a service, and what they run.

use std::collections::HashMap;

use bollard::models::{ContainerInspectResponse, ContainerSummary, Task, TaskState};
use bollard::query_parameters::ListTasksOptionsBuilder;
use shipslog_core::deploys::{DispatchError, FailureMarker, PinnedReference, Running};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::time::Timestamp;

use super::classify::marker_of_task;
use super::{SWARM, SwarmPlugin};
use crate::deploys::classify::{Phase, failed};
use crate::deploys::image::gate::in_force;
use crate::engine::Fault;
use crate::labels;

/// What a task is said to run whose image names no digest: nothing that could ever be pinned.
const UNKNOWN: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

/// One task, as a manager lists it.
#[derive(Debug, Clone)]
pub(super) struct ServiceTask {
    pub(super) id: String,
    pub(super) deploy: Option<DeployId>,
    pub(super) state: TaskState,
    /// What the manager says of why it is in that state. It may quote programs and specs.
    pub(super) why: String,
    exit: Option<i64>,
    image: String,
    container: Option<String>,
    is_wanted: bool,
    made_at: Option<Timestamp>,
}

impl ServiceTask {
    fn of(task: Task) -> Self {
        let container = task.spec.and_then(|spec| spec.container_spec).unwrap_or_default();
        let labels = container.labels.unwrap_or_default();
        let status = task.status.unwrap_or_default();
        let run = status.container_status.unwrap_or_default();
        Self {
            id: task.id.unwrap_or_default(),
            deploy: labels.get(labels::DEPLOY).and_then(|id| id.parse().ok()),
            state: status.state.unwrap_or(TaskState::NEW),
            why: status.err.unwrap_or_default(),
            exit: run.exit_code,
            image: container.image.unwrap_or_default(),
            container: run.container_id.filter(|id| !id.is_empty()),
            is_wanted: task.desired_state == Some(TaskState::RUNNING),
            made_at: task.created_at.and_then(|at| at.parse().ok()),
        }
    }

    pub(super) fn is_of(&self, deploy: &DeployId) -> bool {
        self.deploy.as_ref() == Some(deploy)
    }

    /// Whether it ran and is to go on running.
    pub(super) fn works(&self) -> bool {
        self.is_wanted && self.state == TaskState::RUNNING
    }

    /// Whether the manager wants it to run, be it that it does not yet.
    pub(super) fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// Whether it ended of itself, or could not begin. One that the manager stopped did neither.
    pub(super) fn is_over(&self) -> bool {
        use TaskState::{COMPLETE, FAILED, REJECTED};
        matches!(self.state, COMPLETE | FAILED | REJECTED)
    }

    /// Whether it has a process.
    pub(super) fn is_active(&self) -> bool {
        matches!(self.state, TaskState::STARTING | TaskState::RUNNING)
    }

    fn digest(&self) -> Option<PinnedReference> {
        let image: PinnedReference = self.image.parse().ok()?;
        image.digest().parse().ok()
    }

    /// For the log, and that redacted.
    pub(super) fn describe(&self) -> String {
        let exit = self.exit.unwrap_or(0);
        format!(
            "task {} is {}, exit status {exit}: {}",
            self.id, self.state, self.why
        )
    }
}

impl SwarmPlugin {
    /// Every task of a service that the manager still knows of, the oldest first: of several that failed it is the first that
    /// tells why, those after it may be in each other's way. None when the service is gone.
    pub(super) async fn tasks(&self, service: &str) -> Result<Vec<ServiceTask>, DispatchError> {
        let options = ListTasksOptionsBuilder::default()
            .filters(&HashMap::from([("service", vec![service])]))
            .build();
        let listed = self
            .engine()
            .ask(async |docker| docker.list_tasks(Some(options)).await)
            .await;
        match listed {
            Ok(listed) => Ok(oldest_first(listed)),
            Err(Fault::Answer { status: 404, .. }) => Ok(Vec::new()),
            Err(fault) => Err(failed(Phase::Manage, &fault)),
        }
    }

    /// Every task that works, with the digest of its image; of tasks on this node the container is looked at as well.
    pub(super) async fn what_runs(&self, workload: &WorkloadId) -> Result<Vec<Running>, DispatchError> {
        let services = self.services(workload).await?.unwrap_or_default();
        if services.is_empty() {
            return Ok(Vec::new());
        }
        let here = self.images_here(workload).await?;
        let mut running = Vec::new();
        for service in services.iter().filter(|service| !service.is_trial) {
            let tasks = self.tasks(&service.id).await?;
            for task in tasks.iter().filter(|task| task.works()) {
                running.extend(self.what_task_runs(task, &here).await?);
            }
        }
        Ok(running)
    }

    async fn what_task_runs(
        &self,
        task: &ServiceTask,
        here: &HashMap<String, String>,
    ) -> Result<Option<Running>, DispatchError> {
        let Some(deploy) = task.deploy.clone() else {
            return Ok(None);
        };
        let claimed = task.digest();
        let content = match here.get(&task.id) {
            Some(image) if !self.is_of_digest(task, image).await? => image.parse().ok(),
            _ => claimed,
        };
        let content = content.or_else(|| UNKNOWN.parse().ok());
        Ok(content.map(|content| Running::new(deploy, content)))
    }

    /// Whether `image` is what this engine has under the reference that the task names. An engine that no longer
    /// knows the reference cannot tell: then the task's word stands.
    async fn is_of_digest(&self, task: &ServiceTask, image: &str) -> Result<bool, DispatchError> {
        let known = self.images.image(&task.image).await?;
        Ok(known.is_none_or(|known| known.id.as_deref() == Some(image)))
    }

    /// Tasks that have a container on this node, with the id of the image that it is made of.
    async fn images_here(&self, workload: &WorkloadId) -> Result<HashMap<String, String>, DispatchError> {
        let own = vec![
            format!("{}={workload}", labels::WORKLOAD),
            format!("{}={SWARM}", labels::KIND),
        ];
        let image = |entry: ContainerSummary| {
            let task = entry.labels?.remove(labels::SWARM_TASK)?;
            Some((task, entry.image_id?))
        };
        Ok(self
            .containers(own)
            .await?
            .into_iter()
            .filter_map(image)
            .collect())
    }

    /// Why a task is over. A program may end with status 0 when the engine stops it as unhealthy, and the task then says nothing; its
    /// container does, if it is on this node.
    pub(super) async fn why_over(&self, task: &ServiceTask) -> DispatchError {
        let marker = match marker_of_task(task) {
            FailureMarker::ExitedAtOnce if self.was_unhealthy(task).await => FailureMarker::Unhealthy,
            marker => marker,
        };
        DispatchError::new(marker, task.describe())
    }

    async fn was_unhealthy(&self, task: &ServiceTask) -> bool {
        let Some(container) = &task.container else {
            return false;
        };
        self.images
            .inspect(container)
            .await
            .is_ok_and(|container| is_unhealthy(&container))
    }
}

fn oldest_first(listed: Vec<Task>) -> Vec<ServiceTask> {
    let mut tasks: Vec<ServiceTask> = listed.into_iter().map(ServiceTask::of).collect();
    tasks.sort_by_key(|task| task.made_at);
    tasks
}

/// The status says `unhealthy` of every container that has stopped, so the failed probes are counted.
fn is_unhealthy(container: &ContainerInspectResponse) -> bool {
    let check = container
        .config
        .as_ref()
        .and_then(|config| config.healthcheck.as_ref());
    let Some(check) = check.and_then(in_force) else {
        return false;
    };
    let state = container.state.as_ref();
    let failed = state.and_then(|state| state.health.as_ref()?.failing_streak);
    failed.is_some_and(|failed| failed >= i64::from(check.retries))
}

/// A task as a manager tells of it.
#[cfg(test)]
pub(super) fn task(json: serde_json::Value) -> ServiceTask {
    ServiceTask::of(serde_json::from_value(json).expect("a task"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_task_runs_is_the_digest_of_its_image() {
        let of = |image: &str| task(json!({"Spec": {"ContainerSpec": {"Image": image}}})).digest();
        let digest = format!("sha256:{}", "ab".repeat(32));
        for image in [
            digest.clone(),
            format!("r.io/app@{digest}"),
            format!("alpine@{digest}"),
        ] {
            assert_eq!(of(&image).unwrap().as_str(), digest, "{image}");
        }
        assert_eq!(of("r.io/app:1"), None);
        assert!(UNKNOWN.parse::<PinnedReference>().is_ok());
    }

    #[test]
    fn tasks_are_in_the_order_in_which_they_were_made() {
        let made = |id: &str, at: &str| serde_json::from_value(json!({"ID": id, "CreatedAt": at})).unwrap();
        let listed = vec![
            made("c", "2026-11-21T16:00:05.5Z"),
            made("a", "2026-11-21T16:00:00.123456789Z"),
            made("b", "2026-11-21T16:00:05.25Z"),
        ];
        let ids: Vec<String> = oldest_first(listed).into_iter().map(|task| task.id).collect();
        assert_eq!(ids, ["a", "b", "c"]);
    }

    #[test]
    fn a_container_that_was_stopped_is_unhealthy_only_if_its_probes_failed() {
        let of = |streak: u32, check: serde_json::Value| {
            let health = json!({"Status": "unhealthy", "FailingStreak": streak});
            let inspected = json!({"State": {"Health": health}, "Config": {"Healthcheck": check}});
            is_unhealthy(&serde_json::from_value(inspected).unwrap())
        };
        let check = json!({"Test": ["CMD", "true"], "Retries": 2});
        assert!(of(2, check.clone()));
        assert!(!of(1, check));
        assert!(of(3, json!({"Test": ["CMD", "true"]})));
        assert!(!of(3, json!(null)));
    }

    #[test]
    fn only_what_is_to_go_on_running_works() {
        let of =
            |state: &str, desired: &str| task(json!({"DesiredState": desired, "Status": {"State": state}}));
        assert!(of("running", "running").works());
        assert!(!of("running", "shutdown").works());
        assert!(!of("starting", "running").works());
        for over in ["failed", "rejected", "complete"] {
            assert!(of(over, "shutdown").is_over(), "{over}");
        }
        for stopped in ["shutdown", "orphaned", "remove"] {
            assert!(!of(stopped, "shutdown").is_over(), "{stopped}");
        }
    }
}

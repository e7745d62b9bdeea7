//! Containers as the engine lists them.

mod events;

use async_trait::async_trait;
use bollard::models::{ContainerInspectResponse, ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::ListContainersOptionsBuilder;
use shipslog_core::id::ContainerId;
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{
    Container, ContainerState, EngineInfo, EngineUnavailable, Health, Inventory, Life,
};

use crate::DockerEngine;
use crate::labels;
use crate::stats::side_by_side;

/// Containers that are inspected at the same time.
const ASKED_AT_ONCE: usize = 8;

#[async_trait]
impl Inventory for DockerEngine {
    async fn containers(&self) -> Result<Vec<Container>, EngineUnavailable> {
        let all = ListContainersOptionsBuilder::default().all(true).build();
        let listed = self
            .ask(|docker| async move { docker.list_containers(Some(all)).await })
            .await?;
        Ok(listed.into_iter().filter_map(container).collect())
    }

    async fn lives(&self, ids: &[ContainerId]) -> Vec<Option<Life>> {
        side_by_side(ids.iter().map(|id| self.life(id)), ASKED_AT_ONCE).await
    }

    async fn engine(&self) -> Result<EngineInfo, EngineUnavailable> {
        let version = self.version_info().await?.version;
        Ok(EngineInfo {
            version: version.unwrap_or_else(|| "unknown".to_owned()),
        })
    }
}

impl DockerEngine {
    async fn life(&self, id: &ContainerId) -> Option<Life> {
        let inspected = self
            .ask(|docker| async move { docker.inspect_container(id.as_str(), None).await })
            .await;
        life(inspected.ok()?)
    }
}

/// `None` for a container that was never started: the engine gives the year 1 as its start.
fn life(container: ContainerInspectResponse) -> Option<Life> {
    let started_at: Timestamp = container.state?.started_at?.parse().ok()?;
    (started_at > Timestamp::UNIX_EPOCH).then(|| Life {
        started_at,
        restarts: container
            .restart_count
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or(0),
    })
}

/// `None` for an entry without a usable id, which no engine gives.
fn container(entry: ContainerSummary) -> Option<Container> {
    let state = state(entry.state);
    let name = entry
        .names
        .as_deref()
        .and_then(|names| own_name(names))
        .unwrap_or_default()
        .to_owned();
    let entry_labels = entry.labels.unwrap_or_default();
    let label = |key: &str| entry_labels.get(key).cloned();
    Some(Container {
        id: entry.id?.parse().ok()?,
        name,
        image: entry.image.unwrap_or_default(),
        state,
        health: health(state, entry.status.as_deref().unwrap_or_default()),
        created_at: Timestamp::from_second(entry.created.unwrap_or(0)).unwrap_or_default(),
        image_id: entry.image_id.filter(|id| !id.is_empty()),
        life: None,
        workload: label(labels::WORKLOAD).and_then(|id| id.parse().ok()),
        deploy: label(labels::DEPLOY).and_then(|id| id.parse().ok()),
        project: label(labels::COMPOSE_PROJECT).filter(|project| !project.is_empty()),
    })
}

/// The container's own name: names with a second slash are those that links of other containers give it.
fn own_name(names: &[String]) -> Option<&str> {
    let mut plain = names.iter().map(|name| name.strip_prefix('/').unwrap_or(name));
    plain
        .clone()
        .find(|name| !name.contains('/'))
        .or_else(|| plain.next())
}

fn state(state: Option<ContainerSummaryStateEnum>) -> ContainerState {
    use ContainerSummaryStateEnum as Listed;
    match state {
        Some(Listed::CREATED) => ContainerState::Created,
        Some(Listed::RUNNING | Listed::STOPPING) => ContainerState::Running,
        Some(Listed::PAUSED) => ContainerState::Paused,
        Some(Listed::RESTARTING) => ContainerState::Restarting,
        Some(Listed::EXITED) => ContainerState::Exited,
        Some(Listed::REMOVING) => ContainerState::Removing,
        Some(Listed::DEAD) => ContainerState::Dead,
        Some(Listed::EMPTY) | None => ContainerState::Unknown,
    }
}

/// The list has no field for it before API 1.52: it is the last word of `Up 5 minutes (healthy)`.
fn health(state: ContainerState, status: &str) -> Option<Health> {
    if !matches!(state, ContainerState::Running | ContainerState::Paused) {
        return None;
    }
    [
        ("(healthy)", Health::Healthy),
        ("(unhealthy)", Health::Unhealthy),
        ("(health: starting)", Health::Starting),
    ]
    .into_iter()
    .find_map(|(word, health)| status.contains(word).then_some(health))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listed(entry: serde_json::Value) -> Container {
        container(serde_json::from_value(entry).unwrap()).unwrap()
    }

    #[test]
    fn an_entry_of_the_list_becomes_a_container() {
        let entry = json!({
            "Id": "4fa6e0f0c678", "Names": ["/other/alias", "/web-1"], "Image": "127.0.0.1:5000/web:1", "ImageID": "sha256:ab",
            "Command": "mysql -pSECRET", "Created": 1_700_000_000, "Ports": [], "State": "running", "Status": "Up 2 hours (unhealthy)",
            "Labels": {"shipslog.workload": "w1", "shipslog.deploy": "d1", "com.docker.compose.project": "shop"},
        });
        let container = listed(entry);
        assert_eq!(
            (container.name.as_str(), container.image.as_str()),
            ("web-1", "127.0.0.1:5000/web:1")
        );
        assert_eq!(
            (container.state, container.health),
            (ContainerState::Running, Some(Health::Unhealthy))
        );
        assert_eq!(container.image_id.as_deref(), Some("sha256:ab"));
        assert_eq!(container.created_at.as_second(), 1_700_000_000);
        assert_eq!(container.workload.unwrap().as_str(), "w1");
        assert_eq!(container.deploy.unwrap().as_str(), "d1");
        assert_eq!(container.project.as_deref(), Some("shop"));
    }

    #[test]
    fn a_bare_entry_is_a_container_of_which_little_is_known() {
        let container = listed(
            json!({"Id": "a", "Names": null, "Labels": {"shipslog.workload": "not an id"}, "Status": "Created"}),
        );
        assert_eq!(
            (container.state, container.health, container.workload),
            (ContainerState::Unknown, None, None)
        );
    }

    #[test]
    fn a_life_begins_with_a_start() {
        let of = |state: serde_json::Value| {
            life(serde_json::from_value(json!({"State": state, "RestartCount": 3})).unwrap())
        };
        let started = of(json!({"StartedAt": "2026-01-02T03:04:05.678901234Z"})).unwrap();
        assert_eq!(
            (started.started_at.to_string().as_str(), started.restarts),
            ("2026-01-02T03:04:05.678901234Z", 3)
        );
        for never in [
            json!({"StartedAt": "0001-01-01T00:00:00Z"}),
            json!({"StartedAt": ""}),
            json!({}),
        ] {
            assert_eq!(of(never), None);
        }
    }

    #[test]
    fn health_is_read_of_what_runs_alone() {
        let of =
            |state: &str, status: &str| listed(json!({"Id": "a", "State": state, "Status": status})).health;
        assert_eq!(
            of("running", "Up 1 second (health: starting)"),
            Some(Health::Starting)
        );
        assert_eq!(of("running", "Up 3 days (healthy)"), Some(Health::Healthy));
        assert_eq!(
            of("paused", "Up 3 days (healthy) (Paused)"),
            Some(Health::Healthy)
        );
        assert_eq!(of("running", "Up 3 days"), None);
        assert_eq!(of("exited", "Exited (1) 5 minutes ago (unhealthy)"), None);
    }
}

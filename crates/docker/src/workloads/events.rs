//! What happens to containers, as the engine tells it.

use std::collections::HashMap;

use async_trait::async_trait;
use bollard::models::EventMessage;
use bollard::query_parameters::EventsOptionsBuilder;
use futures_util::StreamExt as _;
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{ContainerChange, ContainerEvent, EngineEvents, EngineUnavailable};
use tokio::sync::mpsc;

use crate::DockerEngine;

/// The events that change what a list would say. All others, such as each probe of a healthcheck, stay in the engine.
const WATCHED: [&str; 8] = [
    "create", "start", "die", "pause", "unpause", "destroy", "rename", "restart",
];

#[async_trait]
impl EngineEvents for DockerEngine {
    async fn follow(&self, events: mpsc::Sender<ContainerEvent>) -> Result<(), EngineUnavailable> {
        let filters = HashMap::from([
            ("type", vec!["container".to_owned()]),
            ("event", WATCHED.map(str::to_owned).to_vec()),
        ]);
        let options = EventsOptionsBuilder::default()
            .filters(&filters)
            .since(&now())
            .build();
        let docker = self.client().await?;
        let mut told = std::pin::pin!(docker.events(Some(options)));
        while let Some(message) = told.next().await {
            let Some(event) = event(self.explain(message)?) else {
                continue;
            };
            if events.send(event).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

/// Events since the question was asked are told, although the connection takes a moment.
fn now() -> String {
    let now = Timestamp::now();
    format!("{}.{:09}", now.as_second(), now.subsec_nanosecond())
}

/// `None` for an event without a usable id, which no engine gives.
fn event(message: EventMessage) -> Option<ContainerEvent> {
    let change = match message.action.as_deref() {
        Some("start") => ContainerChange::Started,
        Some("die") => ContainerChange::Stopped,
        Some("pause") => ContainerChange::Paused,
        Some("unpause") => ContainerChange::Unpaused,
        Some("destroy") => ContainerChange::Removed,
        _ => ContainerChange::Other,
    };
    let id = message.actor?.id?.parse().ok()?;
    Some(ContainerEvent { id, change })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_message_becomes_an_event() {
        let of = |action: &str| {
            let message = json!({"Type": "container", "Action": action, "Actor": {"ID": "c1", "Attributes": {"SECRET": "x"}}});
            event(serde_json::from_value(message).unwrap()).unwrap()
        };
        let id = || "c1".parse().unwrap();
        for (action, change) in [
            ("start", ContainerChange::Started),
            ("die", ContainerChange::Stopped),
            ("pause", ContainerChange::Paused),
            ("unpause", ContainerChange::Unpaused),
            ("destroy", ContainerChange::Removed),
            ("create", ContainerChange::Other),
            ("exec_start: sh -c SECRET", ContainerChange::Other),
        ] {
            assert_eq!(of(action), ContainerEvent { id: id(), change }, "{action}");
        }
        assert_eq!(event(serde_json::from_value(json!({})).unwrap()), None);
    }
}

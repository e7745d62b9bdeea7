//! Whether there is a swarm to run services on.

use bollard::models::{LocalNodeState as State, SwarmInfo};
use shipslog_core::deploys::Readiness;

use super::SwarmPlugin;

const INACTIVE: &str = "This engine is not part of a swarm: run docker swarm init on this host.";
const WORKER: &str = "This engine is not a manager of its swarm: run docker node promote for this node on a manager, or use an engine that is one.";
const LOCKED: &str = "This engine's swarm is locked: run docker swarm unlock on this host.";
const UNSETTLED: &str = "This engine cannot take part in its swarm now: see docker info on this host.";

impl SwarmPlugin {
    /// An engine that is away lacks nothing that could be said of it.
    pub(super) async fn look_for_swarm(&self) -> Readiness {
        let info = self.engine().ask(async |docker| docker.info().await).await;
        match info {
            Ok(info) => readiness(&info.swarm.unwrap_or_default()),
            Err(_) => Readiness::default(),
        }
    }
}

fn readiness(swarm: &SwarmInfo) -> Readiness {
    let lacking = match swarm.local_node_state {
        Some(State::ACTIVE) if swarm.control_available == Some(true) => return found(swarm.nodes),
        Some(State::ACTIVE) => WORKER,
        Some(State::LOCKED) => LOCKED,
        Some(State::PENDING | State::ERROR) => UNSETTLED,
        _ => INACTIVE,
    };
    Readiness {
        uses: Vec::new(),
        missing: vec![lacking.to_owned()],
    }
}

fn found(nodes: Option<i64>) -> Readiness {
    let swarm = match nodes.unwrap_or(1) {
        1 => "swarm (1 node)".to_owned(),
        nodes => format!("swarm ({nodes} nodes)"),
    };
    Readiness {
        uses: vec![swarm],
        missing: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn what_lacks_is_said_with_how_to_get_it() {
        let of = |swarm: Value| readiness(&serde_json::from_value(swarm).unwrap());
        for (swarm, expected) in [
            (json!({"LocalNodeState": "inactive"}), INACTIVE),
            (json!({}), INACTIVE),
            (
                json!({"LocalNodeState": "active", "ControlAvailable": false}),
                WORKER,
            ),
            (json!({"LocalNodeState": "locked"}), LOCKED),
            (json!({"LocalNodeState": "error", "Error": "SECRET"}), UNSETTLED),
        ] {
            assert_eq!(of(swarm).missing, [expected]);
        }
        let of_nodes =
            |nodes: u32| of(json!({"LocalNodeState": "active", "ControlAvailable": true, "Nodes": nodes}));
        assert_eq!(of_nodes(1).uses, ["swarm (1 node)"]);
        assert_eq!(of_nodes(3).uses, ["swarm (3 nodes)"]);
        assert!(of_nodes(3).missing.is_empty());
    }
}

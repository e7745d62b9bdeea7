//! What a spec may say of a service.

use serde::Deserialize;
use shipslog_core::workloads::{FieldError, Spec, StrategyChoice};

/// The options of the source.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Options {
    /// Tasks that are replaced at a time.
    pub(super) parallelism: u32,
    /// Seconds between one such batch and the next.
    pub(super) delay_s: u32,
    pub(super) publish: Publish,
}

/// Where a published port is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Publish {
    /// On every node, whichever runs the tasks.
    #[default]
    Ingress,
    /// On the node that runs the task.
    Host,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            parallelism: 1,
            delay_s: 0,
            publish: Publish::default(),
        }
    }
}

impl Options {
    pub(super) fn of(spec: &Spec) -> Result<Self, FieldError> {
        spec.source.options.read()
    }

    /// Whether ports are those of the nodes, which one task at a time can have.
    pub(super) fn holds_host_ports(&self, spec: &Spec) -> bool {
        self.publish == Publish::Host && !spec.ports.is_empty()
    }
}

/// Checks what depends on its being a service.
pub(super) fn check(spec: &Spec) -> Result<(), FieldError> {
    let options = Options::of(spec)?;
    let in_range = |value: u32, low: u32, high: u32, field: &str| match (low..=high).contains(&value) {
        true => Ok(()),
        false => Err(FieldError::new(field, format!("must be {low} to {high}"))),
    };
    in_range(options.parallelism, 1, 100, "source.options.parallelism")?;
    in_range(options.delay_s, 0, 3600, "source.options.delay_s")?;
    check_name(&spec.name)?;
    if let Some(i) = spec.ports.iter().position(|port| port.host_ip.is_some()) {
        let message = "cannot be had with a service, which answers on every address";
        return Err(FieldError::new(format!("ports[{i}].host_ip"), message));
    }
    if options.holds_host_ports(spec) && spec.rollout.strategy == StrategyChoice::StartThenStop {
        let message = "start_then_stop cannot be used with the option publish: host";
        return Err(FieldError::new("rollout.strategy", message));
    }
    Ok(())
}

/// A service's name is a component of a name in DNS.
fn check_name(name: &str) -> Result<(), FieldError> {
    let plain = name
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    let ends = name.ends_with(|c: char| c.is_ascii_alphanumeric());
    if plain && ends {
        return Ok(());
    }
    let message = "must have no dots and end with a letter or digit, to be the name of a service";
    Err(FieldError::new("name", message))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn refused(change: Value) -> Option<String> {
        let mut spec = json!({"name": "web", "source": {"kind": "swarm", "reference": "r/a:1"}, "ports": [{"host": 80, "container": 80}]});
        let more = change.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(more);
        let spec: Spec = serde_json::from_value(spec).unwrap();
        spec.validate().unwrap();
        check(&spec).err().map(|error| error.field)
    }

    fn with(options: Value) -> Value {
        json!({"source": {"kind": "swarm", "reference": "r/a:1", "options": options}})
    }

    #[test]
    fn what_a_service_cannot_have_is_refused_by_name() {
        let host_ip =
            json!([{"host": 80, "container": 80}, {"host": 81, "container": 80, "host_ip": "127.0.0.1"}]);
        let on_hosts = with(json!({"publish": "host"}));
        let mut overlapping = on_hosts.clone();
        overlapping["rollout"] = json!({"strategy": "start_then_stop"});
        for (field, change) in [
            ("name", json!({"name": "web.shop"})),
            ("name", json!({"name": "web-"})),
            ("ports[1].host_ip", json!({ "ports": host_ip })),
            ("rollout.strategy", overlapping),
            ("source.options.parallelism", with(json!({"parallelism": 0}))),
            ("source.options.parallelism", with(json!({"parallelism": 101}))),
            ("source.options.delay_s", with(json!({"delay_s": 3601}))),
            ("source.options.publish", with(json!({"publish": "everywhere"}))),
            ("source.options.order", with(json!({"order": "start-first"}))),
        ] {
            assert_eq!(refused(change.clone()).as_deref(), Some(field), "{change}");
        }
    }

    #[test]
    fn several_tasks_may_stand_behind_one_port() {
        for good in [
            json!({}),
            json!({"replicas": 3}),
            json!({"rollout": {"strategy": "start_then_stop"}}),
            with(json!({"publish": "host", "parallelism": 2, "delay_s": 1})),
        ] {
            assert_eq!(refused(good.clone()), None, "{good}");
        }
    }
}

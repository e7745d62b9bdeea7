//! The rules of a spec that its types do not carry.

use std::collections::HashSet;
use std::hash::Hash;

use super::spec::{EnvVar, Healthcheck, Mount, Port, Rollout, Spec, StrategyChoice};

/// The smallest memory limit that the engine takes.
const MIN_MEMORY: u64 = 6 * 1024 * 1024;

/// A field that breaks a rule: where it is, and what is expected. Never quotes the value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct FieldError {
    /// Path of the field, such as `ports[1].host`.
    pub field: String,
    /// What is expected there.
    pub message: String,
}

impl FieldError {
    /// An error at `field`.
    pub fn new(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            message: message.into(),
        }
    }
}

fn require(ok: bool, field: impl Into<String>, message: &str) -> Result<(), FieldError> {
    if ok {
        Ok(())
    } else {
        Err(FieldError::new(field, message))
    }
}

fn in_range(value: u32, low: u32, high: u32, field: &str) -> Result<(), FieldError> {
    let ok = (low..=high).contains(&value);
    require(ok, field, &format!("must be {low} to {high}"))
}

impl Spec {
    /// Checks every rule that does not depend on the source kind.
    ///
    /// # Errors
    /// The first field, in the order of the struct, that breaks a rule.
    pub fn validate(&self) -> Result<(), FieldError> {
        require(is_name(&self.name), "name", NAME_RULE)?;
        self.validate_source()?;
        require(
            !has_nul(&self.command),
            "command",
            "must not contain a NUL character",
        )?;
        validate_env(&self.env)?;
        self.validate_ports()?;
        validate_mounts(&self.mounts)?;
        self.validate_networks()?;
        self.validate_labels()?;
        self.validate_limits()?;
        self.healthcheck.as_ref().map_or(Ok(()), validate_healthcheck)?;
        validate_rollout(&self.rollout)
    }

    fn validate_source(&self) -> Result<(), FieldError> {
        require(!self.source.kind.is_empty(), "source.kind", "must not be empty")?;
        check_reference(&self.source.reference)
            .map_err(|message| FieldError::new("source.reference", message))
    }

    fn validate_ports(&self) -> Result<(), FieldError> {
        for (i, port) in self.ports.iter().enumerate() {
            require(port.host != 0, format!("ports[{i}].host"), "must be 1 to 65535")?;
            require(
                port.container != 0,
                format!("ports[{i}].container"),
                "must be 1 to 65535",
            )?;
            let clash = self.ports[..i].iter().any(|other| same_host_port(port, other));
            require(
                !clash,
                format!("ports[{i}].host"),
                "is published twice on the same address",
            )?;
        }
        Ok(())
    }

    /// The rules for source kinds whose containers hold the published host ports themselves, so that only one of them can at a time.
    /// Such a kind calls this in its [`check`](crate::deploys::DispatchPlugin::check).
    ///
    /// # Errors
    /// The field that cannot be had together with `ports`.
    pub fn check_host_ports(&self) -> Result<(), FieldError> {
        let overlaps = self.rollout.strategy == StrategyChoice::StartThenStop && !self.ports.is_empty();
        require(
            !overlaps,
            "rollout.strategy",
            "start_then_stop cannot be used with a published host port",
        )?;
        let spread = self.replicas > 1 && !self.ports.is_empty();
        require(!spread, "replicas", "must be 1 when a host port is published")
    }

    fn validate_networks(&self) -> Result<(), FieldError> {
        for (i, network) in self.networks.iter().enumerate() {
            require(
                is_engine_name(network),
                format!("networks[{i}]"),
                "must be the name of a network",
            )?;
            require(
                !self.networks[..i].contains(network),
                format!("networks[{i}]"),
                "is named twice",
            )?;
            let alone = !matches!(network.as_str(), "host" | "none");
            require(
                alone || self.networks.len() == 1,
                format!("networks[{i}]"),
                "must be the only network",
            )?;
            require(
                alone || self.ports.is_empty(),
                format!("networks[{i}]"),
                "cannot be used with published ports",
            )?;
        }
        Ok(())
    }

    fn validate_labels(&self) -> Result<(), FieldError> {
        for key in self.labels.keys() {
            require(!key.trim().is_empty(), "labels", "must not have an empty key")?;
            require(
                !key.starts_with("shipslog."),
                format!("labels.{key}"),
                "keys that begin with shipslog. are taken",
            )?;
        }
        Ok(())
    }

    fn validate_limits(&self) -> Result<(), FieldError> {
        in_range(self.replicas, 1, 100, "replicas")?;
        let memory_ok = self
            .memory_limit
            .is_none_or(|bytes| (MIN_MEMORY..=i64::MAX as u64).contains(&bytes));
        require(
            memory_ok,
            "memory_limit",
            "must be at least 6291456 bytes (6 MiB)",
        )?;
        let cpus_ok = self.cpus.is_none_or(|cpus| (0.01..=4096.0).contains(&cpus));
        require(cpus_ok, "cpus", "must be 0.01 to 4096 cores")
    }
}

const NAME_RULE: &str = "must be 1 to 63 characters: letters, digits, _ . - and the first a letter or digit";

fn is_name(name: &str) -> bool {
    name.len() <= 63 && is_engine_name(name)
}

/// The engine's own rule for names of containers, volumes and networks.
fn is_engine_name(name: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    name.len() <= 255 && name.bytes().all(plain) && name.starts_with(|c: char| c.is_ascii_alphanumeric())
}

/// The rule for what is asked for, whatever the source kind: printable, without spaces, and without credentials.
///
/// # Errors
/// What is expected instead; the reference is not quoted.
pub(crate) fn check_reference(reference: &str) -> Result<(), &'static str> {
    if reference.is_empty() || reference.len() > 512 {
        return Err("must be 1 to 512 characters");
    }
    if !reference.bytes().all(|b| b.is_ascii_graphic()) {
        return Err("must be printable ASCII without spaces");
    }
    if has_userinfo(reference) {
        return Err("must not contain credentials");
    }
    Ok(())
}

/// Whether there is something before an `@` that could be a user or password: any `@` but the one of `name@algorithm:hex`, and in an address
/// those in its fragment, as in that of a branch.
fn has_userinfo(reference: &str) -> bool {
    if reference.contains("://") {
        let address = reference
            .split_once('#')
            .map_or(reference, |(address, _)| address);
        return address.contains('@');
    }
    let Some((_, after)) = reference.split_once('@') else {
        return false;
    };
    let digest = after.split_once(':').is_some_and(|(algorithm, hex)| {
        algorithm.bytes().all(|b| b.is_ascii_alphanumeric()) && hex.bytes().all(|b| b.is_ascii_hexdigit())
    });
    !digest
}

fn has_nul(arguments: &[crate::secret::Literal]) -> bool {
    arguments.iter().any(|argument| argument.as_str().contains('\0'))
}

fn first_repeat<'a, T: Hash + Eq + 'a>(items: impl Iterator<Item = T>) -> Option<usize> {
    let mut seen = HashSet::new();
    items.into_iter().position(|item| !seen.insert(item))
}

fn validate_env(env: &[EnvVar]) -> Result<(), FieldError> {
    for (i, var) in env.iter().enumerate() {
        let named = !var.name.is_empty() && !var.name.contains(['=', '\0']);
        require(
            named,
            format!("env[{i}].name"),
            "must not be empty or contain = or NUL",
        )?;
        let one_of = var.value.is_some() != var.secret.is_some();
        require(one_of, format!("env[{i}]"), "must have either value or secret")?;
        let nul = var
            .value
            .as_ref()
            .is_some_and(|value| value.as_str().contains('\0'));
        require(
            !nul,
            format!("env[{i}].value"),
            "must not contain a NUL character",
        )?;
    }
    match first_repeat(env.iter().map(|var| &var.name)) {
        Some(i) => Err(FieldError::new(format!("env[{i}].name"), "is set twice")),
        None => Ok(()),
    }
}

/// An absent or unspecified address overlaps every other one.
fn same_host_port(a: &Port, b: &Port) -> bool {
    let any = |port: &Port| port.host_ip.is_none_or(|ip| ip.is_unspecified());
    let overlap = any(a) || any(b) || a.host_ip == b.host_ip;
    a.host == b.host && a.protocol == b.protocol && overlap
}

fn validate_mounts(mounts: &[Mount]) -> Result<(), FieldError> {
    for (i, mount) in mounts.iter().enumerate() {
        let source = mount.source.starts_with('/') || is_engine_name(&mount.source);
        let message = "must be a volume name or an absolute path without a colon";
        require(
            source && !mount.source.contains([':', '\0']),
            format!("mounts[{i}].source"),
            message,
        )?;
        let target =
            mount.target.starts_with('/') && mount.target.len() > 1 && !mount.target.contains([':', '\0']);
        require(
            target,
            format!("mounts[{i}].target"),
            "must be an absolute path other than / and without a colon",
        )?;
    }
    match first_repeat(mounts.iter().map(|mount| &mount.target)) {
        Some(i) => Err(FieldError::new(format!("mounts[{i}].target"), "is mounted twice")),
        None => Ok(()),
    }
}

fn validate_healthcheck(check: &Healthcheck) -> Result<(), FieldError> {
    require(
        !check.command.is_empty(),
        "healthcheck.command",
        "must not be empty",
    )?;
    require(
        !has_nul(&check.command),
        "healthcheck.command",
        "must not contain a NUL character",
    )?;
    in_range(check.interval_s, 1, 3600, "healthcheck.interval_s")?;
    in_range(check.timeout_s, 1, 3600, "healthcheck.timeout_s")?;
    in_range(check.retries, 1, 100, "healthcheck.retries")?;
    in_range(check.start_period_s, 0, 3600, "healthcheck.start_period_s")
}

fn validate_rollout(rollout: &Rollout) -> Result<(), FieldError> {
    rollout
        .health_timeout_s
        .map_or(Ok(()), |s| in_range(s, 1, 3600, "rollout.health_timeout_s"))?;
    in_range(rollout.min_healthy_s, 0, 3600, "rollout.min_healthy_s")?;
    in_range(rollout.stop_timeout_s, 0, 3600, "rollout.stop_timeout_s")?;
    in_range(rollout.watch_s, 0, 86_400, "rollout.watch_s")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn field_of(change: Value) -> String {
        let mut spec = json!({"name": "web", "source": {"kind": "image", "reference": "r/app:1"}});
        let (into, from) = (spec.as_object_mut().unwrap(), change.as_object().unwrap());
        into.extend(from.clone());
        let spec: Spec = serde_json::from_value(spec).unwrap();
        spec.validate().err().map(|e| e.field).unwrap_or_default()
    }

    #[test]
    fn one_host_port_is_held_by_one_container_at_a_time() {
        let refused = |change: Value| {
            let mut spec = json!({"name": "web", "source": {"kind": "image", "reference": "r/app:1"}, "ports": [{"host": 80, "container": 80}]});
            spec.as_object_mut()
                .unwrap()
                .extend(change.as_object().unwrap().clone());
            let spec: Spec = serde_json::from_value(spec).unwrap();
            spec.validate().unwrap();
            spec.check_host_ports().err().map(|error| error.field)
        };
        assert_eq!(refused(json!({})), None);
        assert_eq!(refused(json!({"replicas": 2})).as_deref(), Some("replicas"));
        let strategy = json!({"rollout": {"strategy": "start_then_stop"}});
        assert_eq!(refused(strategy).as_deref(), Some("rollout.strategy"));
        assert_eq!(refused(json!({"replicas": 2, "ports": []})), None);
    }

    #[test]
    fn every_broken_rule_names_its_field() {
        let long = "x".repeat(300);
        let cases = [
            ("name", json!({"name": ""})),
            ("name", json!({"name": "a/b"})),
            ("name", json!({ "name": long })),
            (
                "source.reference",
                json!({"source": {"kind": "image", "reference": "user:pass@host/app:1"}}),
            ),
            (
                "source.reference",
                json!({"source": {"kind": "git", "reference": "https://u:p@host/app.git"}}),
            ),
            (
                "source.reference",
                json!({"source": {"kind": "git", "reference": "https://u:p@host/app.git#a@b"}}),
            ),
            (
                "source.reference",
                json!({"source": {"kind": "image", "reference": "a b"}}),
            ),
            ("env[0].name", json!({"env": [{"name": "", "value": "x"}]})),
            ("env[0]", json!({"env": [{"name": "A"}]})),
            (
                "env[1].name",
                json!({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}),
            ),
            ("ports[0].host", json!({"ports": [{"host": 0, "container": 80}]})),
            (
                "ports[1].host",
                json!({"ports": [{"host": 80, "container": 80}, {"host": 80, "container": 81}]}),
            ),
            ("replicas", json!({"replicas": 0})),
            (
                "mounts[0].target",
                json!({"mounts": [{"source": "v", "target": "data"}]}),
            ),
            ("networks[0]", json!({"networks": ["host", "b"]})),
            (
                "labels.shipslog.deploy",
                json!({"labels": {"shipslog.deploy": "x"}}),
            ),
            ("memory_limit", json!({"memory_limit": 1})),
            ("cpus", json!({"cpus": 0})),
            ("healthcheck.command", json!({"healthcheck": {"command": []}})),
            (
                "healthcheck.retries",
                json!({"healthcheck": {"command": ["x"], "retries": 0}}),
            ),
            ("rollout.watch_s", json!({"rollout": {"watch_s": 86_401}})),
        ];
        for (field, change) in cases {
            assert_eq!(field_of(change.clone()), field, "{change}");
        }
    }

    #[test]
    fn what_is_allowed_passes() {
        let digest = format!("r/app@sha256:{}", "a".repeat(64));
        for good in [
            json!({"source": {"kind": "image", "reference": digest}}),
            json!({"source": {"kind": "git", "reference": "https://host/a.git#renovate/@types/node"}}),
            json!({"ports": [{"host": 53, "container": 53}, {"host": 53, "container": 53, "protocol": "udp"}]}),
            json!({"ports": [{"host": 80, "container": 80, "host_ip": "127.0.0.1"}, {"host": 80, "container": 80, "host_ip": "127.0.0.2"}]}),
            json!({"networks": ["backend", "front"], "mounts": [{"source": "/srv", "target": "/data"}]}),
        ] {
            assert_eq!(field_of(good.clone()), "", "{good}");
        }
    }
}

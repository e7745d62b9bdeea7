//! The spec of a managed workload, as it is posted and stored.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::SourceOptions;
use crate::deploys::Strategy;
use crate::secret::{Literal, SecretRef};

/// What a managed workload should be. Only `name` and `source` are required; an unknown field is refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Spec {
    /// 1 to 63 characters: letters, digits, `_`, `.` and `-`, the first a letter or digit. Unique among managed workloads.
    pub name: String,
    /// What is to run.
    pub source: Source,
    /// Arguments that replace the image's own command; empty keeps it.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub command: Vec<Literal>,
    /// Environment variables, each name once.
    #[serde(default)]
    pub env: Vec<EnvVar>,
    /// Published ports, each host port once.
    #[serde(default)]
    pub ports: Vec<Port>,
    /// Volumes and bind mounts, each target once.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Networks to join, in order; the workload's name is an alias in each. Empty means the engine's default network.
    #[serde(default)]
    pub networks: Vec<String>,
    /// Container labels. Keys that begin with `shipslog.` are taken.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How many containers run side by side, 1 to 100; more than one cannot publish a host port.
    #[serde(default = "one")]
    pub replicas: u32,
    /// Memory limit of each container in bytes, at least 6 MiB; absent means unlimited.
    #[serde(default)]
    pub memory_limit: Option<u64>,
    /// CPU limit of each container in cores, above zero; absent means unlimited.
    #[serde(default)]
    pub cpus: Option<f64>,
    /// What the engine does when a container's process ends.
    #[serde(default)]
    pub restart: RestartPolicy,
    /// Replaces the image's own healthcheck; absent keeps it.
    #[serde(default)]
    pub healthcheck: Option<Healthcheck>,
    /// How a deploy proceeds.
    #[serde(default)]
    pub rollout: Rollout,
}

fn one() -> u32 {
    1
}

/// Where the thing that runs comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The source kind, which picks the plugin: `image`, or what a host registered.
    pub kind: String,
    /// What is asked for, in the plugin's own notation: an image reference such as `registry/app:1.4`.
    pub reference: String,
    /// What else the source kind wants to know. Shown to admins only.
    #[serde(default, skip_serializing_if = "SourceOptions::is_empty")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub options: SourceOptions,
}

/// One environment variable: either a literal `value` or a `secret` reference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct EnvVar {
    /// The variable's name.
    pub name: String,
    /// A literal value, stored with the spec and shown to admins only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub value: Option<Literal>,
    /// `file:/absolute/path` or `env:NAME`, read at dispatch and never stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub secret: Option<SecretRef>,
}

/// A container port published on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// Port on the host, 1 to 65535.
    pub host: u16,
    /// Port in the container, 1 to 65535.
    pub container: u16,
    /// Host address to bind; absent means all addresses.
    #[serde(default)]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub host_ip: Option<std::net::IpAddr>,
    /// Transport protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// Transport protocol of a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// `tcp`, `udp` or `sctp`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        }
    }
}

/// A volume or a host directory inside the container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// A volume's name, or an absolute path on the host.
    pub source: String,
    /// An absolute path in the container.
    pub target: String,
    /// Whether the container may only read it.
    #[serde(default)]
    pub read_only: bool,
}

/// What the engine does when a container's process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum RestartPolicy {
    /// Leaves it ended.
    No,
    /// Starts it again, also when the engine starts.
    Always,
    /// Starts it again unless it was stopped on purpose.
    #[default]
    UnlessStopped,
    /// Starts it again when it ended with a status other than 0.
    OnFailure,
}

/// A command that tells whether a container does its work: status 0 means healthy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Healthcheck {
    /// Program and arguments, run in the container without a shell.
    #[cfg_attr(feature = "openapi", schema(value_type = Vec<String>))]
    pub command: Vec<Literal>,
    /// Seconds between two probes, 1 to 3600.
    #[serde(default = "five")]
    pub interval_s: u32,
    /// Seconds after which a probe has failed, 1 to 3600.
    #[serde(default = "three")]
    pub timeout_s: u32,
    /// Failed probes in a row that make it unhealthy, 1 to 100.
    #[serde(default = "three")]
    pub retries: u32,
    /// Seconds after the start in which failures do not count, up to 3600.
    #[serde(default)]
    pub start_period_s: u32,
}

fn five() -> u32 {
    5
}

fn three() -> u32 {
    3
}

/// How a deploy proceeds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct Rollout {
    /// The order of stop and start.
    pub strategy: StrategyChoice,
    /// Seconds to wait for `healthy`, 1 to 3600. Absent: 60, or as long as the healthcheck needs to decide if that is longer.
    pub health_timeout_s: Option<u32>,
    /// Without a healthcheck: seconds that a container must run without a restart, 0 to 3600.
    pub min_healthy_s: u32,
    /// Seconds that a container may take to stop before it is killed, 0 to 3600.
    pub stop_timeout_s: u32,
    /// Seconds to go on watching after a deploy that succeeded, 0 to 86,400. The watch ends early when anything else is dispatched.
    pub watch_s: u32,
    /// What to do when a watched deploy turns unhealthy.
    pub on_unhealthy: OnUnhealthy,
}

impl Default for Rollout {
    fn default() -> Self {
        Self {
            strategy: StrategyChoice::Auto,
            health_timeout_s: None,
            min_healthy_s: 5,
            stop_timeout_s: 10,
            watch_s: 0,
            on_unhealthy: OnUnhealthy::Keep,
        }
    }
}

/// The wished order of stop and start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StrategyChoice {
    /// `verify_then_swap` with a published host port, `start_then_stop` without.
    #[default]
    Auto,
    /// Stop and remove the old containers, then start the new ones.
    Recreate,
    /// Prove the new version on a trial container without host ports, then swap.
    VerifyThenSwap,
    /// Start the new containers beside the old ones, then stop the old ones. Not possible with a published host port.
    StartThenStop,
}

/// What to do when a watched deploy turns unhealthy, ends, or is restarted by the engine. A rollback is watched too, and never
/// rolled back by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OnUnhealthy {
    /// Leave it.
    #[default]
    Keep,
    /// Leave it, and say so in the log as a warning.
    Notify,
    /// Roll back to the newest row before it that succeeded.
    Rollback,
}

impl Spec {
    /// The strategy that a deploy of this spec uses.
    pub fn strategy(&self) -> Strategy {
        match self.rollout.strategy {
            StrategyChoice::Recreate => Strategy::Recreate,
            StrategyChoice::VerifyThenSwap => Strategy::VerifyThenSwap,
            StrategyChoice::StartThenStop => Strategy::StartThenStop,
            StrategyChoice::Auto if self.ports.is_empty() => Strategy::StartThenStop,
            StrategyChoice::Auto => Strategy::VerifyThenSwap,
        }
    }

    /// Seconds to wait for `healthy`, given the healthcheck in force.
    ///
    /// A deadline shorter than `start_period + retries x (interval + timeout)` could pass before the engine is able to
    /// say `unhealthy`, so the default grows with the healthcheck. An explicit `health_timeout_s` is used as it is.
    pub fn health_deadline_s(&self, check: &Healthcheck) -> u32 {
        let verdict = check.start_period_s + check.retries * (check.interval_s + check.timeout_s);
        self.rollout
            .health_timeout_s
            .unwrap_or_else(|| verdict.saturating_add(5).max(60))
    }
}

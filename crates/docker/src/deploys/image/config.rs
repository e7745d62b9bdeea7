//! The one place where a spec becomes a container's configuration, for deploys and rollbacks alike.

use std::collections::HashMap;

use bollard::models::{
    ContainerCreateBody, EndpointSettings, HealthConfig, HostConfig, Mount, MountType, NetworkingConfig,
    PortBinding, PortMap, RestartPolicy, RestartPolicyNameEnum,
};
use shipslog_core::deploys::{Job, Pin};
use shipslog_core::workloads::{self as spec, Healthcheck, Port, Spec};

use crate::labels;

/// What a container is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deploys) enum Role {
    /// To serve.
    Service,
    /// To show that the version works, beside the one that serves: without ports and aliases by which it
    /// could be reached, and not started again by the engine.
    Trial,
}

impl Role {
    /// Value of the role label; the label is absent from what serves.
    pub(in crate::deploys) fn label(self) -> Option<&'static str> {
        match self {
            Self::Service => None,
            Self::Trial => Some("trial"),
        }
    }
}

/// Name of the container: `replica` counts from 0.
pub(super) fn container_name(job: &Job, role: Role, replica: u32) -> String {
    let base = format!("{}-{}", job.spec.name, job.deploy.short());
    match (role, replica) {
        (Role::Trial, _) => format!("{base}-trial"),
        (Role::Service, 0) => base,
        (Role::Service, replica) => format!("{base}-{}", replica + 1),
    }
}

/// Configuration of a container of `job` that runs the image of `pin`, whatever became of its names
/// meanwhile.
pub(super) fn container_config(kind: &str, job: &Job, pin: &Pin, role: Role) -> ContainerCreateBody {
    let spec = &job.spec;
    let ports: &[Port] = if role == Role::Service { &spec.ports } else { &[] };
    ContainerCreateBody {
        image: Some(pin.content.as_str().to_owned()),
        cmd: given(spec.command.iter().map(|argument| argument.as_str().to_owned())),
        env: given(
            job.env
                .iter()
                .map(|(name, value)| format!("{name}={}", value.expose())),
        ),
        labels: Some(container_labels(kind, job, role)),
        healthcheck: spec.healthcheck.as_ref().map(healthcheck),
        stop_timeout: Some(spec.rollout.stop_timeout_s.into()),
        exposed_ports: given(ports.iter().map(container_port)),
        host_config: Some(host_config(spec, ports, role)),
        networking_config: spec
            .networks
            .first()
            .map(|network| first_network(spec, network, role)),
        ..ContainerCreateBody::default()
    }
}

/// What the container is in a network; only what serves is to be found there by the workload's name.
pub(super) fn endpoint(spec: &Spec, network: &str, role: Role) -> EndpointSettings {
    // The engine's own networks have no names.
    let named = role == Role::Service && !matches!(network, "bridge" | "host" | "none" | "default");
    EndpointSettings {
        aliases: named.then(|| vec![spec.name.clone()]),
        ..EndpointSettings::default()
    }
}

pub(in crate::deploys) fn given(items: impl Iterator<Item = String>) -> Option<Vec<String>> {
    let items: Vec<String> = items.collect();
    (!items.is_empty()).then_some(items)
}

fn container_labels(kind: &str, job: &Job, role: Role) -> HashMap<String, String> {
    let own = [
        (labels::WORKLOAD, Some(job.workload.to_string())),
        (labels::DEPLOY, Some(job.deploy.to_string())),
        (labels::SPEC_REVISION, Some(job.spec_revision.to_string())),
        (labels::KIND, Some(kind.to_owned())),
        (labels::ROLE, role.label().map(str::to_owned)),
    ];
    let own = own
        .into_iter()
        .filter_map(|(key, value)| Some((key.to_owned(), value?)));
    // The own ones last: they win.
    job.spec.labels.clone().into_iter().chain(own).collect()
}

fn host_config(spec: &Spec, ports: &[Port], role: Role) -> HostConfig {
    HostConfig {
        port_bindings: (!ports.is_empty()).then(|| port_bindings(ports)),
        mounts: (!spec.mounts.is_empty()).then(|| spec.mounts.iter().map(mount).collect()),
        network_mode: spec.networks.first().cloned(),
        memory: spec
            .memory_limit
            .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
        nano_cpus: spec.cpus.map(nano_cpus),
        restart_policy: (role == Role::Service).then(|| restart_policy(spec.restart)),
        ..HostConfig::default()
    }
}

#[allow(
    clippy::cast_possible_truncation,
    reason = "a valid spec has at most 4096 cores, and a float beyond i64 saturates"
)]
pub(in crate::deploys) fn nano_cpus(cores: f64) -> i64 {
    (cores * 1e9).round() as i64
}

fn container_port(port: &Port) -> String {
    format!("{}/{}", port.container, port.protocol.as_str())
}

/// One container port may be published under several host ports.
fn port_bindings(ports: &[Port]) -> PortMap {
    let mut bindings = PortMap::new();
    for port in ports {
        let of_port = bindings.entry(container_port(port)).or_default();
        of_port.get_or_insert_default().push(PortBinding {
            host_ip: port.host_ip.map(|ip| ip.to_string()),
            host_port: Some(port.host.to_string()),
        });
    }
    bindings
}

pub(in crate::deploys) fn mount(mount: &spec::Mount) -> Mount {
    let kind = if mount.source.starts_with('/') {
        MountType::BIND
    } else {
        MountType::VOLUME
    };
    Mount {
        typ: Some(kind),
        source: Some(mount.source.clone()),
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        ..Mount::default()
    }
}

fn restart_policy(policy: spec::RestartPolicy) -> RestartPolicy {
    let name = match policy {
        spec::RestartPolicy::Always => RestartPolicyNameEnum::ALWAYS,
        spec::RestartPolicy::UnlessStopped => RestartPolicyNameEnum::UNLESS_STOPPED,
        spec::RestartPolicy::OnFailure => RestartPolicyNameEnum::ON_FAILURE,
        _ => RestartPolicyNameEnum::NO,
    };
    RestartPolicy {
        name: Some(name),
        maximum_retry_count: None,
    }
}

pub(in crate::deploys) fn healthcheck(check: &Healthcheck) -> HealthConfig {
    let nanos = |seconds: u32| Some(i64::from(seconds) * 1_000_000_000);
    let command = check.command.iter().map(|argument| argument.as_str().to_owned());
    HealthConfig {
        test: Some(std::iter::once("CMD".to_owned()).chain(command).collect()),
        interval: nanos(check.interval_s),
        timeout: nanos(check.timeout_s),
        retries: Some(check.retries.into()),
        start_period: nanos(check.start_period_s),
        ..HealthConfig::default()
    }
}

/// Further networks are joined after the container was made: engines before API 1.44 take only one at once.
fn first_network(spec: &Spec, network: &str, role: Role) -> NetworkingConfig {
    let endpoints = HashMap::from([(network.to_owned(), endpoint(spec, network, role))]);
    NetworkingConfig {
        endpoints_config: Some(endpoints),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use shipslog_core::secret::Secret;

    use super::*;

    fn job(spec: Value) -> Job {
        let spec: Spec = serde_json::from_value(spec).unwrap();
        let mut job = Job::new(
            "w1".parse().unwrap(),
            "0190f3b2c4d5e6f70123456789abcdef".parse().unwrap(),
            spec,
        );
        job.spec_revision = 3;
        job.env = vec![("TOKEN".to_owned(), Secret::new("a=b".to_owned()))];
        job
    }

    fn whole_spec() -> Value {
        json!({
            "name": "web", "source": {"kind": "image", "reference": "r.io/web:1"}, "command": ["httpd", "-f"],
            "ports": [{"host": 18080, "container": 80, "host_ip": "127.0.0.1"}, {"host": 18081, "container": 80}, {"host": 53, "container": 53, "protocol": "udp"}],
            "mounts": [{"source": "web-data", "target": "/data"}, {"source": "/srv", "target": "/srv", "read_only": true}],
            "networks": ["backend", "front"], "labels": {"team": "a"}, "memory_limit": 268_435_456, "cpus": 1.5, "restart": "on-failure",
            "healthcheck": {"command": ["wget", "-q"], "interval_s": 5, "timeout_s": 3, "retries": 4, "start_period_s": 2},
            "rollout": {"stop_timeout_s": 7}
        })
    }

    fn config(spec: Value, role: Role) -> Value {
        let content: shipslog_core::deploys::PinnedReference =
            format!("sha256:{}", "1d".repeat(32)).parse().unwrap();
        let pin = Pin::new(content.clone(), content);
        serde_json::to_value(container_config("image", &job(spec), &pin, role)).unwrap()
    }

    #[test]
    fn nothing_of_a_spec_gets_lost() {
        let config = config(whole_spec(), Role::Service);
        let host = &config["HostConfig"];
        assert_eq!(config["Image"], format!("sha256:{}", "1d".repeat(32)));
        assert_eq!(
            (&config["Cmd"], &config["Env"]),
            (&json!(["httpd", "-f"]), &json!(["TOKEN=a=b"]))
        );
        let labels = json!({"team": "a", "shipslog.workload": "w1", "shipslog.deploy": "0190f3b2c4d5e6f70123456789abcdef", "shipslog.spec-revision": "3", "shipslog.kind": "image"});
        assert_eq!(config["Labels"], labels);
        let published = json!([{"HostIp": "127.0.0.1", "HostPort": "18080"}, {"HostPort": "18081"}]);
        assert_eq!(
            host["PortBindings"],
            json!({"80/tcp": published, "53/udp": [{"HostPort": "53"}]})
        );
        let volume = json!({"Type": "volume", "Source": "web-data", "Target": "/data", "ReadOnly": false});
        assert_eq!(
            host["Mounts"],
            json!([volume, {"Type": "bind", "Source": "/srv", "Target": "/srv", "ReadOnly": true}])
        );
        assert_eq!(host["NetworkMode"], "backend");
        assert_eq!(
            config["NetworkingConfig"]["EndpointsConfig"],
            json!({"backend": {"Aliases": ["web"]}})
        );
        assert_eq!(
            (&host["Memory"], &host["NanoCpus"]),
            (&json!(268_435_456), &json!(1_500_000_000))
        );
        assert_eq!(
            (&host["RestartPolicy"]["Name"], &config["StopTimeout"]),
            (&json!("on-failure"), &json!(7))
        );
        let second = 1_000_000_000_u64;
        let check = json!({"Test": ["CMD", "wget", "-q"], "Interval": 5 * second, "Timeout": 3 * second, "Retries": 4, "StartPeriod": 2 * second});
        assert_eq!(config["Healthcheck"], check);
    }

    #[test]
    fn a_trial_cannot_be_reached_and_is_not_started_again() {
        let config = config(whole_spec(), Role::Trial);
        assert_eq!(config["Labels"]["shipslog.role"], "trial");
        for absent in ["PortBindings", "RestartPolicy"] {
            assert!(config["HostConfig"].get(absent).is_none(), "{absent}");
        }
        assert!(config.get("ExposedPorts").is_none());
        assert_eq!(
            config["NetworkingConfig"]["EndpointsConfig"],
            json!({"backend": {}})
        );
        assert_eq!(config["HostConfig"]["Mounts"].as_array().map(Vec::len), Some(2));
    }

    #[test]
    fn what_a_spec_leaves_out_is_left_to_image_and_engine() {
        let bare = json!({"name": "web", "source": {"kind": "image", "reference": "r.io/web:1"}});
        let config = config(bare, Role::Service);
        for absent in ["Cmd", "Healthcheck", "ExposedPorts", "NetworkingConfig"] {
            assert!(config.get(absent).is_none(), "{absent}");
        }
        assert_eq!(
            config["HostConfig"],
            json!({"RestartPolicy": {"Name": "unless-stopped"}})
        );
    }

    #[test]
    fn the_engines_own_networks_take_no_names() {
        let mut spec = whole_spec();
        (spec["networks"], spec["ports"]) = (json!(["host"]), json!([]));
        assert_eq!(
            config(spec, Role::Service)["NetworkingConfig"]["EndpointsConfig"],
            json!({"host": {}})
        );
    }

    #[test]
    fn names_tell_replicas_and_trials_apart() {
        let job = job(whole_spec());
        let names = [(Role::Service, 0), (Role::Service, 1), (Role::Trial, 0)]
            .map(|(role, i)| container_name(&job, role, i));
        assert_eq!(names, ["web-89abcdef", "web-89abcdef-2", "web-89abcdef-trial"]);
    }
}

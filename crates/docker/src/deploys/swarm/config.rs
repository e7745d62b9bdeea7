//! The one place where a spec becomes a service, for deploys, rollbacks and what is put back alike.

use std::collections::HashMap;
use std::time::Duration;

use bollard::models::{
    EndpointPortConfig, EndpointPortConfigProtocolEnum as Transport,
    EndpointPortConfigPublishModeEnum as PublishMode, EndpointSpec, EndpointSpecModeEnum, Limit,
    NetworkAttachmentConfig, ServiceSpec, ServiceSpecMode, ServiceSpecModeReplicated,
    ServiceSpecRollbackConfig, ServiceSpecRollbackConfigFailureActionEnum as OnFailedRollback,
    ServiceSpecRollbackConfigOrderEnum as RollbackOrder, ServiceSpecUpdateConfig,
    ServiceSpecUpdateConfigFailureActionEnum as OnFailedUpdate,
    ServiceSpecUpdateConfigOrderEnum as UpdateOrder, TaskSpec, TaskSpecContainerSpec, TaskSpecPlacement,
    TaskSpecResources, TaskSpecRestartPolicy, TaskSpecRestartPolicyConditionEnum as RestartCondition,
};
use shipslog_core::deploys::{DispatchError, FailureMarker, Job, PinnedReference, Record, Strategy};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::secret::Secret;
use shipslog_core::workloads::{Port, Protocol, RestartPolicy, Spec};

use super::SWARM;
use super::options::{Options, Publish};
use crate::deploys::image::config::{Role, given, healthcheck, mount, nano_cpus};
use crate::labels;

/// The longest name that a service may have.
const MAX_NAME: usize = 63;

/// What a service is made of: the same for a dispatch as for a row of the ledger.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) workload: WorkloadId,
    pub(super) deploy: DeployId,
    pub(super) spec: Spec,
    pub(super) options: Options,
    pub(super) reference: PinnedReference,
    revision: u32,
    env: Vec<(String, Secret<String>)>,
    strategy: Strategy,
    /// How long a healthcheck may take to say `healthy`, before which the engine does not count a task as running; `None` without
    /// one.
    pub(super) healthy_within: Option<Duration>,
    /// This node: where an image runs that no other node can pull.
    pub(super) home: Option<String>,
}

impl Wanted {
    pub(super) fn of_job(job: &Job, reference: PinnedReference) -> Result<Self, DispatchError> {
        Ok(Self {
            workload: job.workload.clone(),
            deploy: job.deploy.clone(),
            options: options(&job.spec)?,
            reference,
            revision: job.spec_revision,
            env: job.env.clone(),
            strategy: job.strategy.unwrap_or_else(|| job.spec.strategy()),
            spec: job.spec.clone(),
            healthy_within: None,
            home: None,
        })
    }

    /// # Errors
    /// When it was never pinned, or a secret cannot be read.
    pub(super) async fn of_record(record: &Record) -> Result<Self, DispatchError> {
        let pinned = record.pinned.as_ref();
        let unpinned = || DispatchError::new(FailureMarker::Internal, "a row without a pin");
        Ok(Self {
            workload: record.workload.clone(),
            deploy: record.deploy.clone(),
            options: options(&record.spec)?,
            reference: pinned.ok_or_else(unpinned)?.pin.reference.clone(),
            revision: record.spec_revision,
            env: record.env().await?,
            strategy: record.spec.strategy(),
            spec: record.spec.clone(),
            healthy_within: None,
            home: None,
        })
    }

    /// Whether old tasks have to be stopped before new ones are started.
    pub(super) fn stops_first(&self) -> bool {
        self.strategy == Strategy::Recreate || self.options.holds_host_ports(&self.spec)
    }

    /// Whether a task has to prove itself before any that serves is stopped for it: where the engine would not wait, or
    /// could not.
    pub(super) fn needs_trial(&self) -> bool {
        self.strategy != Strategy::Recreate && (self.healthy_within.is_none() || self.stops_first())
    }

    /// The service; `replaces` is the deploy whose service it updates.
    pub(super) fn service(&self, name: &str, replaces: Option<&DeployId>) -> ServiceSpec {
        ServiceSpec {
            name: Some(name.to_owned()),
            labels: Some(self.labels(Role::Service, replaces)),
            mode: Some(replicated(self.spec.replicas)),
            task_template: Some(self.task(Role::Service)),
            update_config: Some(self.update()),
            rollback_config: Some(self.rollback()),
            endpoint_spec: Some(endpoint(&self.spec.ports, self.options.publish)),
            ..ServiceSpec::default()
        }
    }

    /// A service of one task, to show that the version works: not reachable from outside, and not started again.
    pub(super) fn trial(&self) -> ServiceSpec {
        let end = format!("-{}-trial", self.deploy.short());
        let name: String = self.spec.name.chars().take(MAX_NAME - end.len()).collect();
        ServiceSpec {
            name: Some(format!("{name}{end}")),
            labels: Some(self.labels(Role::Trial, None)),
            mode: Some(replicated(1)),
            task_template: Some(self.task(Role::Trial)),
            ..ServiceSpec::default()
        }
    }

    fn labels(&self, role: Role, replaces: Option<&DeployId>) -> HashMap<String, String> {
        let own = [
            (labels::WORKLOAD, Some(self.workload.to_string())),
            (labels::DEPLOY, Some(self.deploy.to_string())),
            (labels::SPEC_REVISION, Some(self.revision.to_string())),
            (labels::KIND, Some(SWARM.to_owned())),
            (labels::ROLE, role.label().map(str::to_owned)),
            (labels::REPLACES, replaces.map(ToString::to_string)),
        ];
        let own = own.into_iter();
        own.filter_map(|(key, value)| Some((key.to_owned(), value?)))
            .collect()
    }

    fn task(&self, role: Role) -> TaskSpec {
        let networks = self.spec.networks.iter().map(|network| NetworkAttachmentConfig {
            target: Some(network.clone()),
            ..NetworkAttachmentConfig::default()
        });
        let condition = match role {
            Role::Service => restart_condition(self.spec.restart),
            Role::Trial => RestartCondition::NONE,
        };
        TaskSpec {
            container_spec: Some(self.container(role)),
            resources: Some(limits(&self.spec)),
            restart_policy: Some(TaskSpecRestartPolicy {
                condition: Some(condition),
                ..TaskSpecRestartPolicy::default()
            }),
            placement: self.home.as_ref().map(|node| TaskSpecPlacement {
                constraints: Some(vec![format!("node.id=={node}")]),
                ..TaskSpecPlacement::default()
            }),
            networks: Some(networks.collect()),
            ..TaskSpec::default()
        }
    }

    fn container(&self, role: Role) -> TaskSpecContainerSpec {
        let spec = &self.spec;
        let variables = self.env.iter();
        let labels = spec.labels.clone().into_iter();
        TaskSpecContainerSpec {
            image: Some(self.reference.to_string()),
            // The own ones last: they win.
            labels: Some(labels.chain(self.labels(role, None)).collect()),
            args: given(spec.command.iter().map(|argument| argument.as_str().to_owned())),
            env: given(variables.map(|(name, value)| format!("{name}={}", value.expose()))),
            mounts: Some(spec.mounts.iter().map(mount).collect()),
            stop_grace_period: Some(nanos(spec.rollout.stop_timeout_s)),
            health_check: spec.healthcheck.as_ref().map(healthcheck),
            ..TaskSpecContainerSpec::default()
        }
    }

    /// A task without healthcheck counts as running at once, so the engine has to be told to look at it for a while before it
    /// goes on to the next.
    fn update(&self) -> ServiceSpecUpdateConfig {
        let pause = match self.healthy_within {
            Some(_) => self.options.delay_s,
            None => self.options.delay_s.max(self.spec.rollout.min_healthy_s),
        };
        ServiceSpecUpdateConfig {
            parallelism: Some(self.options.parallelism.into()),
            delay: Some(nanos(pause)),
            failure_action: Some(OnFailedUpdate::PAUSE),
            monitor: Some(nanos(self.spec.rollout.min_healthy_s.max(1))),
            max_failure_ratio: Some(0.0),
            order: Some(match self.stops_first() {
                true => UpdateOrder::STOP_FIRST,
                false => UpdateOrder::START_FIRST,
            }),
        }
    }

    /// What worked before is put back everywhere at once, where there is room for both.
    fn rollback(&self) -> ServiceSpecRollbackConfig {
        ServiceSpecRollbackConfig {
            parallelism: Some(0),
            delay: Some(0),
            failure_action: Some(OnFailedRollback::CONTINUE),
            monitor: Some(nanos(1)),
            max_failure_ratio: Some(0.0),
            order: Some(match self.stops_first() {
                true => RollbackOrder::STOP_FIRST,
                false => RollbackOrder::START_FIRST,
            }),
        }
    }
}

fn options(spec: &Spec) -> Result<Options, DispatchError> {
    Options::of(spec).map_err(|error| DispatchError::new(FailureMarker::Internal, error.to_string()))
}

fn nanos(seconds: u32) -> i64 {
    i64::from(seconds) * 1_000_000_000
}

fn replicated(replicas: u32) -> ServiceSpecMode {
    ServiceSpecMode {
        replicated: Some(ServiceSpecModeReplicated {
            replicas: Some(replicas.into()),
        }),
        ..ServiceSpecMode::default()
    }
}

fn limits(spec: &Spec) -> TaskSpecResources {
    let memory = spec.memory_limit;
    TaskSpecResources {
        limits: Some(Limit {
            nano_cpus: spec.cpus.map(nano_cpus),
            memory_bytes: memory.map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX)),
            ..Limit::default()
        }),
        ..TaskSpecResources::default()
    }
}

fn restart_condition(policy: RestartPolicy) -> RestartCondition {
    match policy {
        RestartPolicy::Always | RestartPolicy::UnlessStopped => RestartCondition::ANY,
        RestartPolicy::OnFailure => RestartCondition::ON_FAILURE,
        _ => RestartCondition::NONE,
    }
}

fn endpoint(ports: &[Port], publish: Publish) -> EndpointSpec {
    EndpointSpec {
        mode: Some(EndpointSpecModeEnum::VIP),
        ports: Some(ports.iter().map(|port| published(port, publish)).collect()),
    }
}

fn published(port: &Port, publish: Publish) -> EndpointPortConfig {
    EndpointPortConfig {
        protocol: Some(match port.protocol {
            Protocol::Udp => Transport::UDP,
            Protocol::Sctp => Transport::SCTP,
            _ => Transport::TCP,
        }),
        target_port: Some(port.container.into()),
        published_port: Some(port.host.into()),
        publish_mode: Some(match publish {
            Publish::Ingress => PublishMode::INGRESS,
            Publish::Host => PublishMode::HOST,
        }),
        ..EndpointPortConfig::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn wanted(change: Value) -> Wanted {
        let mut spec = json!({"name": "web", "source": {"kind": "swarm", "reference": "r.io/web:1"}});
        let more = change.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(more);
        let spec: Spec = serde_json::from_value(spec).unwrap();
        let deploy = "0190f3b2c4d5e6f70123456789abcdef".parse().unwrap();
        let mut job = Job::new("w1".parse().unwrap(), deploy, spec);
        job.spec_revision = 3;
        job.env = vec![("TOKEN".to_owned(), Secret::new("a=b".to_owned()))];
        let reference = format!("r.io/web@sha256:{}", "ab".repeat(32)).parse().unwrap();
        Wanted::of_job(&job, reference).unwrap()
    }

    #[test]
    fn a_service_says_what_the_spec_says() {
        let wanted = wanted(json!({
            "command": ["httpd", "-f"], "ports": [{"host": 18080, "container": 80}, {"host": 53, "container": 53, "protocol": "udp"}],
            "mounts": [{"source": "data", "target": "/data"}], "networks": ["backend"], "labels": {"team": "a"}, "replicas": 3,
            "memory_limit": 268_435_456, "cpus": 1.5, "restart": "on-failure", "rollout": {"stop_timeout_s": 7, "min_healthy_s": 4},
            "healthcheck": {"command": ["true"], "interval_s": 5, "timeout_s": 3, "retries": 4}
        }));
        let service = serde_json::to_value(wanted.service("web", Some(&"d0".parse().unwrap()))).unwrap();
        let labels = json!({"shipslog.workload": "w1", "shipslog.deploy": "0190f3b2c4d5e6f70123456789abcdef", "shipslog.spec-revision": "3",
            "shipslog.kind": "swarm", "shipslog.replaces": "d0"});
        assert_eq!(service["Labels"], labels);
        assert_eq!(service["Mode"]["Replicated"]["Replicas"], 3);
        let ports = json!([
            {"Protocol": "tcp", "TargetPort": 80, "PublishedPort": 18080, "PublishMode": "ingress"},
            {"Protocol": "udp", "TargetPort": 53, "PublishedPort": 53, "PublishMode": "ingress"}]);
        assert_eq!(service["EndpointSpec"]["Ports"], ports);
        let task = &service["TaskTemplate"];
        assert_eq!(task["RestartPolicy"]["Condition"], "on-failure");
        assert_eq!(
            task["Resources"]["Limits"],
            json!({"NanoCPUs": 1_500_000_000, "MemoryBytes": 268_435_456})
        );
        assert_eq!(task["Networks"], json!([{"Target": "backend"}]));
        assert_eq!(task["Placement"], Value::Null);
        let container = &task["ContainerSpec"];
        assert_eq!(container["Image"], format!("r.io/web@sha256:{}", "ab".repeat(32)));
        assert_eq!(
            (&container["Args"], &container["Command"]),
            (&json!(["httpd", "-f"]), &Value::Null)
        );
        assert_eq!(container["Env"], json!(["TOKEN=a=b"]));
        assert_eq!(
            (
                &container["Labels"]["team"],
                &container["Labels"]["shipslog.workload"]
            ),
            (&json!("a"), &json!("w1"))
        );
        assert_eq!(
            (
                &container["StopGracePeriod"],
                &container["HealthCheck"]["Retries"]
            ),
            (&json!(7_000_000_000_u64), &json!(4))
        );
        assert_eq!(container["Mounts"][0]["Type"], "volume");
    }

    #[test]
    fn tasks_are_replaced_as_the_options_say_and_the_first_failure_stops_it() {
        let mut wanted = wanted(json!({
            "source": {"kind": "swarm", "reference": "r", "options": {"parallelism": 2, "delay_s": 3}}, "rollout": {"min_healthy_s": 4}
        }));
        let update =
            |wanted: &Wanted| serde_json::to_value(wanted.service("web", None).update_config).unwrap();
        let second = 1_000_000_000_u64;
        assert_eq!(
            update(&wanted),
            json!({"Parallelism": 2, "Delay": 4 * second, "FailureAction": "pause", "Monitor": 4 * second, "MaxFailureRatio": 0.0, "Order": "start-first"})
        );
        wanted.healthy_within = Some(Duration::from_secs(60));
        assert_eq!(update(&wanted)["Delay"], 3 * second);
    }

    #[test]
    fn only_what_cannot_overlap_is_stopped_first() {
        let on_hosts = json!({"kind": "swarm", "reference": "r", "options": {"publish": "host"}});
        let port = json!([{"host": 80, "container": 80}]);
        for (first, change) in [
            (false, json!({})),
            (false, json!({ "ports": port })),
            (false, json!({"source": on_hosts})),
            (true, json!({"source": on_hosts, "ports": port})),
            (true, json!({"rollout": {"strategy": "recreate"}})),
        ] {
            assert_eq!(wanted(change.clone()).stops_first(), first, "{change}");
        }
    }

    #[test]
    fn a_trial_is_needed_where_the_engine_would_stop_the_old_too_early() {
        let checked = |change: Value| Wanted {
            healthy_within: Some(Duration::from_secs(60)),
            ..wanted(change)
        };
        let held = json!({"source": {"kind": "swarm", "reference": "r", "options": {"publish": "host"}}, "ports": [{"host": 80, "container": 80}]});
        assert!(wanted(json!({})).needs_trial());
        assert!(!checked(json!({})).needs_trial());
        assert!(checked(held).needs_trial());
        assert!(!wanted(json!({"rollout": {"strategy": "recreate"}})).needs_trial());
        let trial = serde_json::to_value(
            wanted(json!({"name": "x".repeat(63), "replicas": 3, "ports": [{"host": 80, "container": 80}]}))
                .trial(),
        )
        .unwrap();
        assert_eq!(trial["Name"].as_str().unwrap().len(), 63);
        assert_eq!(
            (&trial["Labels"]["shipslog.role"], &trial["EndpointSpec"]),
            (&json!("trial"), &Value::Null)
        );
        assert_eq!(
            (
                &trial["Mode"]["Replicated"]["Replicas"],
                &trial["TaskTemplate"]["RestartPolicy"]["Condition"]
            ),
            (&json!(1), &json!("none"))
        );
    }
}

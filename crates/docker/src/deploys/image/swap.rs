//! Running the new in place of the old.

use std::time::Duration;

use bollard::models::ContainerInspectResponse;
use futures_util::future::{join_all, try_join_all};
use shipslog_core::deploys::{DeployStep, DispatchError, Job, Pin, Strategy};
use shipslog_core::workloads::Spec;

use super::ImagePlugin;
use super::config::Role;
use super::parts::Part;
use crate::deploys::classify::{Phase, failed};

/// Engines give a container so long to stop unless it was configured otherwise.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);

/// A container that is to be replaced.
#[derive(Debug, Clone)]
struct Old {
    id: String,
    grace: Duration,
    /// Host ports that it holds, each with its protocol: `80/tcp`.
    ports: Vec<String>,
}

impl ImagePlugin {
    /// Runs the pin in place of what ran before, in the order that the row says.
    pub(super) async fn replace(&self, job: &Job, pin: &Pin) -> Result<(), DispatchError> {
        let old = self.old(job).await?;
        match job.strategy.unwrap_or_else(|| job.spec.strategy()) {
            Strategy::Recreate => self.after(job, pin, &old).await,
            Strategy::VerifyThenSwap if share_a_port(&job.spec, &old) => {
                self.try_out(job, pin).await?;
                self.after(job, pin, &old).await
            }
            // With no port in common the new ones can be started, and proven, while the old ones serve.
            _ if job.spec.replicas > 1 && !old.is_empty() => self.roll(job, pin, &old).await,
            _ => self.beside(job, pin, &old).await,
        }
    }

    /// What is to be replaced. What an earlier dispatch left behind when the engine was lost is removed
    /// first.
    async fn old(&self, job: &Job) -> Result<Vec<Old>, DispatchError> {
        let is_ours = |part: &Part| {
            [job.previous.as_ref(), Some(&job.deploy)]
                .into_iter()
                .flatten()
                .any(|id| part.is_service_of(id))
        };
        let (ours, strays): (Vec<Part>, Vec<Part>) =
            self.parts(&job.workload).await?.into_iter().partition(is_ours);
        try_join_all(strays.iter().map(|part| self.remove(part))).await?;
        let active = ours
            .into_iter()
            .filter(|part| part.is_active() && part.deploy.as_ref() != Some(&job.deploy));
        try_join_all(active.map(|part| self.look_at_old(part.id))).await
    }

    async fn look_at_old(&self, id: String) -> Result<Old, DispatchError> {
        let container = self
            .inspect(&id)
            .await
            .map_err(|fault| failed(Phase::Manage, &fault))?;
        Ok(Old {
            id,
            grace: grace(&container),
            ports: host_ports(&container),
        })
    }

    /// Starts the new, then stops the old.
    async fn beside(&self, job: &Job, pin: &Pin, old: &[Old]) -> Result<(), DispatchError> {
        let new = self.create_all(job, pin).await?;
        self.start_all(job, &new).await?;
        self.gate(job, &new).await?;
        if old.is_empty() {
            return Ok(());
        }
        job.progress.step(DeployStep::Swapping);
        self.stop_all(job, old).await
    }

    /// Starts the new one at a time, and stops an old one for each that works, so that never fewer work than should, or
    /// than did. The first that fails is the end, also if it worked before: those after it are never made.
    async fn roll(&self, job: &Job, pin: &Pin, mut old: &[Old]) -> Result<(), DispatchError> {
        let (mut new, total) = (Vec::new(), job.spec.replicas);
        for replica in 0..total {
            job.progress.step(DeployStep::Creating);
            let next = [self.create(job, pin, Role::Service, replica).await?];
            self.start_all(job, &next).await?;
            self.gate(job, &next).await?;
            self.gate_again(job, &new).await?;
            new.extend(next);
            let done = replica + 1;
            job.progress.step(DeployStep::Rolling { done, total });
            let spare = (new.len() + old.len()).saturating_sub(total as usize);
            let (doomed, rest) = old.split_at(spare.min(1).min(old.len()));
            self.stop_all(job, doomed).await?;
            old = rest;
        }
        self.stop_all(job, old).await
    }

    /// Stops the old, then starts the new, which is made before: the less there is to do in between, the
    /// shorter the outage.
    async fn after(&self, job: &Job, pin: &Pin, old: &[Old]) -> Result<(), DispatchError> {
        let new = self.create_all(job, pin).await?;
        job.progress.step(DeployStep::Swapping);
        self.stop_all(job, old).await?;
        self.start_all(job, &new).await?;
        self.gate(job, &new).await
    }

    /// Runs a trial beside what serves, until it works. It is gone before anything else is touched: it may
    /// hold locks on volumes.
    async fn try_out(&self, job: &Job, pin: &Pin) -> Result<(), DispatchError> {
        job.progress.step(DeployStep::Creating);
        let trial = [self.create(job, pin, Role::Trial, 0).await?];
        self.start_all(job, &trial).await?;
        self.gate(job, &trial).await?;
        let parts = self.parts(&job.workload).await?;
        try_join_all(
            parts
                .iter()
                .filter(|part| part.is_trial)
                .map(|part| self.remove(part)),
        )
        .await
        .map(drop)
    }

    async fn create_all(&self, job: &Job, pin: &Pin) -> Result<Vec<String>, DispatchError> {
        job.progress.step(DeployStep::Creating);
        let mut ids = Vec::new();
        for replica in 0..job.spec.replicas {
            ids.push(self.create(job, pin, Role::Service, replica).await?);
        }
        Ok(ids)
    }

    async fn start_all(&self, job: &Job, ids: &[String]) -> Result<(), DispatchError> {
        job.progress.step(DeployStep::Starting);
        for id in ids {
            let id = id.clone();
            self.carry_through(&job.workload, async move |plugin: Self| plugin.start(&id).await)
                .await?;
        }
        Ok(())
    }

    async fn stop_all(&self, job: &Job, old: &[Old]) -> Result<(), DispatchError> {
        let old = old.to_vec();
        let stopping = async move |plugin: Self| {
            let stopped = join_all(old.iter().map(|each| plugin.stop(&each.id, each.grace))).await;
            stopped.into_iter().collect()
        };
        self.carry_through(&job.workload, stopping).await
    }
}

/// How long it may take to stop.
pub(in crate::deploys) fn grace(container: &ContainerInspectResponse) -> Duration {
    let configured = container.config.as_ref().and_then(|config| config.stop_timeout);
    configured
        .and_then(|seconds| u64::try_from(seconds).ok())
        .map_or(DEFAULT_GRACE, Duration::from_secs)
}

fn host_ports(container: &ContainerInspectResponse) -> Vec<String> {
    let bindings = container
        .host_config
        .as_ref()
        .and_then(|config| config.port_bindings.as_ref());
    let mut ports = Vec::new();
    for (container_port, bound) in bindings.into_iter().flatten() {
        let protocol = container_port
            .split_once('/')
            .map_or("tcp", |(_, protocol)| protocol);
        let hosts = bound
            .iter()
            .flatten()
            .filter_map(|binding| binding.host_port.as_ref());
        ports.extend(hosts.map(|port| format!("{port}/{protocol}")));
    }
    ports
}

/// Host addresses are left aside: two that look different may overlap.
fn share_a_port(spec: &Spec, old: &[Old]) -> bool {
    let wanted = |port: &String| {
        spec.ports
            .iter()
            .any(|own| *port == format!("{}/{}", own.host, own.protocol.as_str()))
    };
    old.iter().flat_map(|each| &each.ports).any(wanted)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn old(ports: serde_json::Value) -> Old {
        let inspected = json!({"Config": {"StopTimeout": 3}, "HostConfig": {"PortBindings": ports}});
        let container: ContainerInspectResponse = serde_json::from_value(inspected).unwrap();
        Old {
            id: "a".to_owned(),
            grace: grace(&container),
            ports: host_ports(&container),
        }
    }

    #[test]
    fn ports_are_shared_whatever_their_address() {
        let spec: Spec = serde_json::from_value(json!({
            "name": "web", "source": {"kind": "image", "reference": "r/a"}, "ports": [{"host": 18080, "container": 80, "host_ip": "127.0.0.1"}]
        }))
        .unwrap();
        let same = old(json!({"8080/tcp": [{"HostIp": "0.0.0.0", "HostPort": "18080"}]}));
        let other = old(
            json!({"80/tcp": [{"HostPort": "18081"}], "80/udp": [{"HostPort": "18080"}], "81/tcp": null}),
        );
        assert!(share_a_port(&spec, std::slice::from_ref(&same)));
        assert!(!share_a_port(&spec, std::slice::from_ref(&other)));
        assert!(share_a_port(&spec, &[other, same]));
        assert!(!share_a_port(&spec, &[]));
    }

    #[test]
    fn a_container_may_take_as_long_to_stop_as_it_was_configured() {
        assert_eq!(old(json!({})).grace, Duration::from_secs(3));
        assert_eq!(grace(&ContainerInspectResponse::default()), DEFAULT_GRACE);
    }
}

//! Telling a container that works from one that was merely started.

use std::time::{Duration, Instant};

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, HealthConfig, HealthStatusEnum as Health,
};
use futures_util::future::try_join_all;
use shipslog_core::deploys::{DeployStep, DispatchError, FailureMarker, Job};
use shipslog_core::workloads::{Healthcheck, Spec};

use super::ImagePlugin;
use crate::deploys::classify::{Phase, failed};
use crate::engine::Fault;

/// How often a container is looked at while it is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What has to be seen of a container before it counts as working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rule {
    /// Its healthcheck says `healthy` within this time.
    Healthy { within: Duration },
    /// It has none, and runs for so long without a restart.
    Steady { for_so_long: Duration },
    /// It ran to its end.
    Done,
}

/// What a container may do and still count as working.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::deploys) enum Ending {
    /// It goes on running.
    Never,
    /// It may run to its end, with status 0.
    May,
    /// It has to run to its end, with status 0.
    Must,
}

/// What is waited for.
#[derive(Debug, Clone, Copy)]
pub(in crate::deploys) struct Expected {
    /// What is to become of its process.
    pub(in crate::deploys) ending: Ending,
    /// Whether it ran before and was left alone: then it need not prove itself, nor do restarts of the past count.
    pub(in crate::deploys) is_proven: bool,
}

impl Expected {
    /// A new container that is to serve.
    const SERVICE: Self = Self {
        ending: Ending::Never,
        is_proven: false,
    };
    /// One that worked a moment ago.
    const PROVEN: Self = Self {
        ending: Ending::Never,
        is_proven: true,
    };

    fn rule(self, spec: &Spec, container: &ContainerInspectResponse) -> Rule {
        match rule(spec, container) {
            _ if self.ending == Ending::Must => Rule::Done,
            Rule::Steady { .. } if self.is_proven => Rule::Steady {
                for_so_long: Duration::ZERO,
            },
            rule => rule,
        }
    }

    fn verdict(
        self,
        rule: Rule,
        first: &ContainerInspectResponse,
        now: &ContainerInspectResponse,
        waited: Duration,
    ) -> Verdict {
        match self.ending != Ending::Never && is_done(now) {
            true => Verdict::Works,
            false => verdict(rule, first, now, waited),
        }
    }
}

/// Whether it ran to its end, and that well.
pub(in crate::deploys) fn is_done(container: &ContainerInspectResponse) -> bool {
    let state = container.state.as_ref();
    state.is_some_and(|state| state.status == Some(Status::EXITED) && state.exit_code == Some(0))
}

/// What one look at a container says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Waiting,
    Works,
    Failed(FailureMarker),
}

impl ImagePlugin {
    /// Waits until all of them work.
    pub(super) async fn gate(&self, job: &Job, ids: &[String]) -> Result<(), DispatchError> {
        job.progress.step(DeployStep::WaitingForHealth);
        self.wait_for_all(job, ids, Expected::SERVICE).await
    }

    /// Makes sure that those still work that passed the gate.
    pub(super) async fn gate_again(&self, job: &Job, ids: &[String]) -> Result<(), DispatchError> {
        self.wait_for_all(job, ids, Expected::PROVEN).await
    }

    async fn wait_for_all(&self, job: &Job, ids: &[String], expected: Expected) -> Result<(), DispatchError> {
        let all = ids.iter().map(|id| self.wait_for(&job.spec, id, expected));
        try_join_all(all).await.map(drop)
    }

    /// Waits until it works.
    pub(in crate::deploys) async fn wait_for(
        &self,
        spec: &Spec,
        id: &str,
        expected: Expected,
    ) -> Result<(), DispatchError> {
        let since = Instant::now();
        let mut first = self.look(id).await?;
        let (rule, mut now) = (expected.rule(spec, &first), first.clone());
        if !expected.is_proven {
            first.restart_count = None;
        }
        loop {
            match expected.verdict(rule, &first, &now, since.elapsed()) {
                Verdict::Works => return Ok(()),
                Verdict::Failed(marker) => return Err(DispatchError::new(marker, describe(&now))),
                Verdict::Waiting => tokio::time::sleep(LOOK_EVERY).await,
            }
            now = self.look(id).await?;
        }
    }

    async fn look(&self, id: &str) -> Result<ContainerInspectResponse, DispatchError> {
        self.inspect(id).await.map_err(|fault| match fault {
            Fault::Answer { status: 404, .. } => {
                DispatchError::new(FailureMarker::ExitedAtOnce, "it was removed")
            }
            fault => failed(Phase::Manage, &fault),
        })
    }
}

/// The healthcheck in force is the container's: it may come from the spec or from the image.
fn rule(spec: &Spec, container: &ContainerInspectResponse) -> Rule {
    let check = container
        .config
        .as_ref()
        .and_then(|config| config.healthcheck.as_ref());
    match check.and_then(in_force) {
        Some(check) => Rule::Healthy {
            within: Duration::from_secs(spec.health_deadline_s(&check).into()),
        },
        None => Rule::Steady {
            for_so_long: Duration::from_secs(spec.rollout.min_healthy_s.into()),
        },
    }
}

/// The healthcheck with the engine's defaults filled in; `None` if it was switched off. Images may say
/// anything, so it is kept within what a spec may say.
pub(in crate::deploys) fn in_force(check: &HealthConfig) -> Option<Healthcheck> {
    let test = check.test.as_ref()?.first()?;
    if test == "NONE" {
        return None;
    }
    let seconds = |nanos: Option<i64>, default: u32| {
        let given = nanos.filter(|nanos| *nanos > 0);
        given
            .map_or(default, |nanos| {
                u32::try_from(nanos.unsigned_abs().div_ceil(1_000_000_000)).unwrap_or(u32::MAX)
            })
            .min(3600)
    };
    let retries = check.retries.filter(|retries| *retries > 0);
    Some(Healthcheck {
        command: Vec::new(),
        interval_s: seconds(check.interval, 30),
        timeout_s: seconds(check.timeout, 30),
        retries: retries
            .map_or(3, |retries| u32::try_from(retries).unwrap_or(u32::MAX))
            .min(100),
        start_period_s: seconds(check.start_period, 0),
    })
}

/// A restart shows in the count when the engine did it, and in the time of the start when somebody else did.
fn verdict(
    rule: Rule,
    first: &ContainerInspectResponse,
    now: &ContainerInspectResponse,
    waited: Duration,
) -> Verdict {
    let started = |container: &ContainerInspectResponse| {
        container
            .state
            .as_ref()
            .and_then(|state| state.started_at.clone())
    };
    let restarts = |container: &ContainerInspectResponse| container.restart_count.unwrap_or(0);
    let restarted = restarts(now) > restarts(first) || started(first) != started(now);
    let state = now.state.clone().unwrap_or_default();
    if restarted || state.running != Some(true) || state.restarting == Some(true) {
        return Verdict::Failed(FailureMarker::ExitedAtOnce);
    }
    let health = state.health.and_then(|health| health.status);
    match rule {
        Rule::Steady { for_so_long } if waited >= for_so_long => Verdict::Works,
        Rule::Steady { .. } | Rule::Done => Verdict::Waiting,
        Rule::Healthy { .. } if health == Some(Health::HEALTHY) => Verdict::Works,
        Rule::Healthy { .. } if health == Some(Health::UNHEALTHY) => {
            Verdict::Failed(FailureMarker::Unhealthy)
        }
        Rule::Healthy { within } if waited >= within => Verdict::Failed(FailureMarker::HealthTimeout),
        Rule::Healthy { .. } => Verdict::Waiting,
    }
}

/// For the log: why it may have failed, without what its probe printed.
fn describe(container: &ContainerInspectResponse) -> String {
    let state = container.state.clone().unwrap_or_default();
    let (exit, oom) = (state.exit_code.unwrap_or(0), state.oom_killed.unwrap_or(false));
    let failing = state.health.and_then(|health| health.failing_streak).unwrap_or(0);
    let restarts = container.restart_count.unwrap_or(0);
    format!("exit status {exit}, out of memory {oom}, restarts {restarts}, failed probes {failing}")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HEALTHY: Rule = Rule::Healthy {
        within: Duration::from_secs(10),
    };
    const STEADY: Rule = Rule::Steady {
        for_so_long: Duration::from_secs(5),
    };

    fn container(state: Value) -> ContainerInspectResponse {
        serde_json::from_value(json!({"RestartCount": 0, "State": state})).unwrap()
    }

    fn running() -> ContainerInspectResponse {
        container(json!({"Status": "running", "Running": true, "StartedAt": "t1"}))
    }

    fn with_health(status: &str) -> ContainerInspectResponse {
        container(
            json!({"Status": "running", "Running": true, "StartedAt": "t1", "Health": {"Status": status}}),
        )
    }

    fn after(seconds: u64, rule: Rule, now: &ContainerInspectResponse) -> Verdict {
        verdict(rule, &running(), now, Duration::from_secs(seconds))
    }

    #[test]
    fn only_healthy_is_healthy() {
        assert_eq!(after(1, HEALTHY, &with_health("healthy")), Verdict::Works);
        assert_eq!(after(1, HEALTHY, &with_health("starting")), Verdict::Waiting);
        assert_eq!(after(1, HEALTHY, &running()), Verdict::Waiting);
        assert_eq!(
            after(1, HEALTHY, &with_health("unhealthy")),
            Verdict::Failed(FailureMarker::Unhealthy)
        );
        assert_eq!(
            after(10, HEALTHY, &with_health("starting")),
            Verdict::Failed(FailureMarker::HealthTimeout)
        );
        assert_eq!(after(10, HEALTHY, &with_health("healthy")), Verdict::Works);
    }

    #[test]
    fn without_a_healthcheck_it_has_to_run_for_a_while() {
        assert_eq!(after(4, STEADY, &running()), Verdict::Waiting);
        assert_eq!(after(5, STEADY, &running()), Verdict::Works);
    }

    #[test]
    fn a_restart_is_a_failure_even_if_it_runs_again() {
        let mut restarted = running();
        restarted.restart_count = Some(1);
        let elsewhere = container(json!({"Status": "running", "Running": true, "StartedAt": "t2"}));
        let exited = container(json!({"Status": "exited", "Running": false, "StartedAt": "t1"}));
        let between = container(
            json!({"Status": "restarting", "Running": true, "Restarting": true, "StartedAt": "t1"}),
        );
        for now in [restarted, elsewhere, exited, between] {
            for rule in [HEALTHY, STEADY] {
                assert_eq!(
                    after(60, rule, &now),
                    Verdict::Failed(FailureMarker::ExitedAtOnce)
                );
            }
        }
    }

    #[test]
    fn the_rule_comes_from_the_healthcheck_in_force() {
        let spec: Spec =
            serde_json::from_value(json!({"name": "web", "source": {"kind": "image", "reference": "r/a"}}))
                .unwrap();
        let of = |check: Value| {
            rule(
                &spec,
                &serde_json::from_value(json!({"Config": {"Healthcheck": check}})).unwrap(),
            )
        };
        let second = 1_000_000_000_u64;
        assert_eq!(of(json!(null)), STEADY);
        assert_eq!(of(json!({"Test": ["NONE"]})), STEADY);
        assert_eq!(of(json!({"Test": []})), STEADY);
        // 3 x (30 + 30) seconds until the engine can say unhealthy, and 5 to see it.
        assert_eq!(
            of(json!({"Test": ["CMD", "true"]})),
            Rule::Healthy {
                within: Duration::from_secs(185)
            }
        );
        let quick = json!({"Test": ["CMD", "true"], "Interval": second / 2, "Timeout": second, "Retries": 2});
        assert_eq!(
            of(quick),
            Rule::Healthy {
                within: Duration::from_secs(60)
            }
        );
        let absurd = json!({"Test": ["CMD", "true"], "Interval": i64::MAX, "Timeout": i64::MAX, "Retries": i64::MAX, "StartPeriod": i64::MAX});
        assert_eq!(
            of(absurd),
            Rule::Healthy {
                within: Duration::from_secs(3600 + 100 * 7200 + 5)
            }
        );
    }
}

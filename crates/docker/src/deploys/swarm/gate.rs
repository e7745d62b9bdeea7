//! Rolling a service to a version, task by task, and telling whether it works.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::models::{ServiceUpdateStatusStateEnum as UpdateState, TaskState};
use shipslog_core::deploys::{DeployStep, DispatchError, FailureMarker, Job, Pin};
use shipslog_core::id::DeployId;
use shipslog_core::workloads::Healthcheck;

use super::SwarmPlugin;
use super::classify::marker_of_waiting;
use super::config::Wanted;
use super::services::Managed;
use super::tasks::ServiceTask;
use crate::deploys::classify::{Phase, failed};
use crate::deploys::image::gate::in_force;

/// How often tasks are looked at while they are waited for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a task may be without a node to run on, beyond what the one before it may take to stop.
const PLACE_LIMIT: Duration = Duration::from_secs(30);
/// How long an engine may take to start a container that has no healthcheck.
const START_LIMIT: Duration = Duration::from_secs(120);
/// What a manager may take to notice that a container was stopped.
const STOP_SLACK: Duration = Duration::from_secs(10);

/// What has to be seen of a service.
#[derive(Debug, Clone)]
struct Goal {
    service: String,
    deploy: DeployId,
    replicas: u32,
    /// How long a task may look for a node.
    place_within: Duration,
    /// How long it may take from its start until it is running: healthy, where there is a healthcheck.
    run_within: Duration,
    /// What it means if it is not.
    late: FailureMarker,
    /// How long it has to run then.
    steady_for: Duration,
    /// How long those that it replaces may take to stop.
    stop_within: Duration,
}

impl Goal {
    fn of(wanted: &Wanted, service: String, before: Option<&Managed>) -> Self {
        let stop = before.map_or(Duration::ZERO, |before| before.grace) + STOP_SLACK;
        let seconds = |seconds: u32| Duration::from_secs(seconds.into());
        let steady_for = seconds(wanted.spec.rollout.min_healthy_s);
        let (run_within, late, steady_for) = match wanted.healthy_within {
            Some(within) => (within, FailureMarker::HealthTimeout, Duration::ZERO),
            None => (START_LIMIT, FailureMarker::StartFailed, steady_for),
        };
        Self {
            service,
            deploy: wanted.deploy.clone(),
            replicas: wanted.spec.replicas,
            place_within: PLACE_LIMIT + stop,
            run_within,
            late,
            steady_for,
            stop_within: stop,
        }
    }
}

/// What a task is at, as far as it matters how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It has no node yet, or waits for the one before it to stop.
    Placing,
    /// Its image is fetched, which takes as long as it takes.
    Preparing,
    Starting,
    Running,
    /// It was stopped, or is of no interest any more.
    Left,
}

fn stage(task: &ServiceTask) -> Stage {
    use TaskState::{ACCEPTED, ALLOCATED, ASSIGNED, NEW, PENDING, PREPARING, READY, RUNNING, STARTING};
    match task.state {
        NEW | ALLOCATED | PENDING | ASSIGNED | ACCEPTED | READY => Stage::Placing,
        PREPARING => Stage::Preparing,
        STARTING => Stage::Starting,
        RUNNING => Stage::Running,
        _ => Stage::Left,
    }
}

/// Since when each task is at what it is at, by this machine's clock.
#[derive(Debug, Default)]
struct Seen(HashMap<String, (Stage, Instant)>);

impl Seen {
    /// For how long it has been at that.
    fn note(&mut self, task: &ServiceTask, now: Instant) -> (Stage, Duration) {
        let stage = stage(task);
        let entry = self.0.entry(task.id.clone()).or_insert((stage, now));
        if entry.0 != stage {
            *entry = (stage, now);
        }
        (stage, now.saturating_duration_since(entry.1))
    }
}

/// What one look at all tasks says.
#[derive(Debug, Clone, PartialEq)]
enum Verdict {
    /// So many work.
    Waiting(u32),
    /// All of them work, and none else is to run.
    Works,
    /// A task is over that should run.
    Over(Box<ServiceTask>),
    /// A task takes too long.
    Late(FailureMarker, Box<ServiceTask>),
}

impl PartialEq for ServiceTask {
    fn eq(&self, other: &Self) -> bool {
        (&self.id, self.state) == (&other.id, other.state)
    }
}

fn judge(goal: &Goal, tasks: &[ServiceTask], seen: &mut Seen, now: Instant) -> Verdict {
    let mut working = 0;
    for task in tasks.iter().filter(|task| task.is_of(&goal.deploy)) {
        if task.is_over() {
            return Verdict::Over(Box::new(task.clone()));
        }
        let late = |marker| Verdict::Late(marker, Box::new(task.clone()));
        match seen.note(task, now) {
            (Stage::Placing, waited) if waited >= goal.place_within => return late(marker_of_waiting(task)),
            (Stage::Starting, waited) if waited >= goal.run_within => return late(goal.late),
            (Stage::Running, ran) if task.works() && ran >= goal.steady_for => working += 1,
            _ => {}
        }
    }
    let others = || tasks.iter().filter(|task| !task.is_of(&goal.deploy));
    match working >= goal.replicas && !others().any(ServiceTask::is_wanted) {
        true => Verdict::Works,
        false => Verdict::Waiting(working),
    }
}

impl SwarmPlugin {
    /// Makes the service, or updates it, and waits until all of its tasks are of the pin and work.
    pub(super) async fn roll(&self, job: &Job, pin: &Pin) -> Result<(), DispatchError> {
        let wanted = self.wanted(job, pin).await?;
        let before = self.to_be_replaced(job).await?;
        if before.is_some() && wanted.needs_trial() {
            self.try_out(job, &wanted).await?;
        }
        job.progress.step(DeployStep::Creating);
        let service = self.put(&wanted, before.as_ref()).await?;
        job.progress.step(DeployStep::WaitingForHealth);
        let goal = Goal::of(&wanted, service, before.as_ref());
        let tell = |done| {
            let total = goal.replicas;
            job.progress.step(DeployStep::Rolling { done, total });
        };
        self.reach(&goal, tell).await
    }

    async fn wanted(&self, job: &Job, pin: &Pin) -> Result<Wanted, DispatchError> {
        let wanted = Wanted::of_job(job, pin.reference.clone())?;
        self.completed(wanted).await
    }

    /// Adds what only the engine knows: the healthcheck of the image, and which node this is.
    pub(super) async fn completed(&self, mut wanted: Wanted) -> Result<Wanted, DispatchError> {
        let check = match &wanted.spec.healthcheck {
            Some(check) => Some(check.clone()),
            None => self.check_of_image(&wanted).await?,
        };
        let deadline = check.map(|check| wanted.spec.health_deadline_s(&check));
        wanted.healthy_within = deadline.map(|seconds| Duration::from_secs(seconds.into()));
        if wanted.reference.name().is_none() {
            wanted.home = self.node().await?;
        }
        Ok(wanted)
    }

    async fn check_of_image(&self, wanted: &Wanted) -> Result<Option<Healthcheck>, DispatchError> {
        let image = self.image_of(&wanted.reference).await?;
        let config = image.and_then(|image| image.config);
        Ok(config.and_then(|config| in_force(&config.healthcheck?)))
    }

    async fn node(&self) -> Result<Option<String>, DispatchError> {
        let info = self.engine().ask(async |docker| docker.info().await).await;
        let info = info.map_err(|fault| failed(Phase::Manage, &fault))?;
        Ok(info.swarm.and_then(|swarm| swarm.node_id))
    }

    /// The workload's service. What an earlier dispatch left behind is removed first.
    async fn to_be_replaced(&self, job: &Job) -> Result<Option<Managed>, DispatchError> {
        let services = self.services(&job.workload).await?.unwrap_or_default();
        let (trials, mut services): (Vec<_>, Vec<_>) =
            services.into_iter().partition(|service| service.is_trial);
        let is_previous = |service: &Managed| service.deploy == job.previous;
        let main = services.iter().position(is_previous).unwrap_or(0);
        let main = (!services.is_empty()).then(|| services.swap_remove(main));
        self.remove_all(&[trials, services].concat()).await?;
        Ok(main)
    }

    /// Runs one task beside what serves, until it works. It is gone before anything else is touched: it may hold locks on
    /// volumes.
    async fn try_out(&self, job: &Job, wanted: &Wanted) -> Result<(), DispatchError> {
        job.progress.step(DeployStep::Creating);
        let service = self
            .create(&job.workload, wanted.trial(), &wanted.reference)
            .await?;
        job.progress.step(DeployStep::WaitingForHealth);
        let goal = Goal {
            replicas: 1,
            ..Goal::of(wanted, service, None)
        };
        self.reach(&goal, |_| ()).await?;
        let services = self.services(&job.workload).await?.unwrap_or_default();
        let trials: Vec<_> = services.into_iter().filter(|service| service.is_trial).collect();
        self.remove_all(&trials).await
    }

    /// Makes the service, or updates the one that is there, and answers its id.
    pub(super) async fn put(
        &self,
        wanted: &Wanted,
        before: Option<&Managed>,
    ) -> Result<String, DispatchError> {
        let Some(before) = before else {
            let service = wanted.service(&wanted.spec.name, None);
            return self.create(&wanted.workload, service, &wanted.reference).await;
        };
        let service = wanted.service(&before.name, before.deploy.as_ref());
        self.update(&wanted.workload, before, service, &wanted.reference)
            .await?;
        Ok(before.id.clone())
    }

    /// Looks at a service's tasks until they are as they should be; `tell` is told how many work, whenever that changes.
    async fn reach(&self, goal: &Goal, tell: impl Fn(u32) + Send) -> Result<(), DispatchError> {
        let (mut seen, mut told) = (Seen::default(), None);
        loop {
            // The service first: a task that stopped the update is then among the tasks.
            let stopped = self.is_stopped(goal).await?;
            let tasks = self.tasks(&goal.service).await?;
            let verdict = judge(goal, &tasks, &mut seen, Instant::now());
            let working = match verdict {
                Verdict::Works => goal.replicas,
                Verdict::Waiting(_) if stopped => return Err(stopped_early()),
                Verdict::Waiting(working) => working,
                Verdict::Over(task) => return Err(self.why_over(&task).await),
                Verdict::Late(marker, task) => return Err(DispatchError::new(marker, task.describe())),
            };
            if told.replace(working) != Some(working) {
                tell(working);
            }
            if verdict == Verdict::Works {
                return self.wait_for_the_others(goal).await;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Whether the engine gave up the update.
    async fn is_stopped(&self, goal: &Goal) -> Result<bool, DispatchError> {
        let gone = || DispatchError::new(FailureMarker::ExitedAtOnce, "the service was removed");
        let service = self.service(&goal.service).await?.ok_or_else(gone)?;
        let state = service.update_status.and_then(|status| status.state);
        Ok(state.is_some_and(|state| !matches!(state, UpdateState::UPDATING | UpdateState::COMPLETED)))
    }

    /// Waits until those that were replaced have stopped. One whose node is lost is never heard of again.
    async fn wait_for_the_others(&self, goal: &Goal) -> Result<(), DispatchError> {
        let until = Instant::now() + goal.stop_within;
        while Instant::now() < until {
            let tasks = self.tasks(&goal.service).await?;
            if !tasks
                .iter()
                .any(|task| !task.is_of(&goal.deploy) && task.is_active())
            {
                break;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

fn stopped_early() -> DispatchError {
    DispatchError::new(FailureMarker::StartFailed, "the engine stopped the update")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::deploys::swarm::tasks::task;

    const NEW: &str = "0190f3b2c4d5e6f70123456789abcdef";
    const OLD: &str = "0190f3b2c4d5e6f70123456789abcd00";

    fn goal() -> Goal {
        Goal {
            service: "s".to_owned(),
            deploy: NEW.parse().unwrap(),
            replicas: 2,
            place_within: Duration::from_secs(30),
            run_within: Duration::from_secs(60),
            late: FailureMarker::HealthTimeout,
            steady_for: Duration::from_secs(5),
            stop_within: Duration::ZERO,
        }
    }

    fn of(deploy: &str, id: &str, state: &str) -> ServiceTask {
        let desired = match state {
            "failed" | "complete" | "shutdown" => "shutdown",
            _ => "running",
        };
        let labels = json!({"shipslog.deploy": deploy});
        task(
            json!({"ID": id, "DesiredState": desired, "Status": {"State": state, "Err": ""}, "Spec": {"ContainerSpec": {"Labels": labels}}}),
        )
    }

    /// The verdict after the same tasks were seen for so many seconds.
    fn after(seconds: u64, tasks: &[ServiceTask]) -> Verdict {
        let (mut seen, now) = (Seen::default(), Instant::now());
        judge(&goal(), tasks, &mut seen, now);
        judge(&goal(), tasks, &mut seen, now + Duration::from_secs(seconds))
    }

    #[test]
    fn it_works_when_all_ran_for_a_while_and_none_else_is_to_run() {
        let both = [of(NEW, "a", "running"), of(NEW, "b", "running")];
        assert_eq!(after(4, &both), Verdict::Waiting(0));
        assert_eq!(after(5, &both), Verdict::Works);
        let with = |other: ServiceTask| [&both[..], &[other]].concat();
        assert_eq!(after(5, &with(of(OLD, "c", "running"))), Verdict::Waiting(2));
        assert_eq!(after(5, &with(of(OLD, "c", "shutdown"))), Verdict::Works);
        assert_eq!(after(5, &with(of(OLD, "c", "failed"))), Verdict::Works);
        assert_eq!(after(5, &both[..1]), Verdict::Waiting(1));
    }

    #[test]
    fn a_task_that_runs_anew_has_to_run_for_as_long_again() {
        let (mut seen, now) = (Seen::default(), Instant::now());
        let mut look = |state: &str, seconds: u64| {
            let tasks = [of(NEW, "a", "running"), of(NEW, "b", state)];
            judge(&goal(), &tasks, &mut seen, now + Duration::from_secs(seconds))
        };
        assert_eq!(look("running", 0), Verdict::Waiting(0));
        assert_eq!(look("starting", 4), Verdict::Waiting(0));
        assert_eq!(look("running", 6), Verdict::Waiting(1));
        assert_eq!(look("running", 10), Verdict::Waiting(1));
        assert_eq!(look("running", 11), Verdict::Works);
    }

    #[test]
    fn the_first_task_that_ends_is_the_end() {
        for over in ["failed", "complete"] {
            let tasks = [of(NEW, "a", "running"), of(NEW, "b", over)];
            assert_eq!(after(60, &tasks), Verdict::Over(Box::new(tasks[1].clone())));
        }
        let stopped = [of(NEW, "a", "running"), of(NEW, "b", "shutdown")];
        assert_eq!(after(60, &stopped), Verdict::Waiting(1));
    }

    #[test]
    fn waiting_has_an_end_but_for_images() {
        let late = |state: &str, seconds: u64| match after(seconds, &[of(NEW, "a", state)]) {
            Verdict::Late(marker, _) => Some(marker),
            _ => None,
        };
        assert_eq!(
            (late("pending", 29), late("pending", 30)),
            (None, Some(FailureMarker::StartFailed))
        );
        assert_eq!(
            (late("starting", 59), late("starting", 60)),
            (None, Some(FailureMarker::HealthTimeout))
        );
        assert_eq!(late("preparing", 3600), None);
    }

    #[test]
    fn what_is_waited_for_depends_on_the_healthcheck() {
        let spec: Value = json!({"name": "web", "source": {"kind": "swarm", "reference": "r"}, "replicas": 3, "rollout": {"min_healthy_s": 4}});
        let job = Job::new(
            "w1".parse().unwrap(),
            NEW.parse().unwrap(),
            serde_json::from_value(spec).unwrap(),
        );
        let reference = format!("r@sha256:{}", "ab".repeat(32)).parse().unwrap();
        let mut wanted = Wanted::of_job(&job, reference).unwrap();
        let bare = Goal::of(&wanted, "s".to_owned(), None);
        assert_eq!(
            (bare.replicas, bare.steady_for, bare.late),
            (3, Duration::from_secs(4), FailureMarker::StartFailed)
        );
        wanted.healthy_within = Some(Duration::from_secs(70));
        let checked = Goal::of(&wanted, "s".to_owned(), None);
        assert_eq!(
            (checked.run_within, checked.steady_for, checked.late),
            (
                Duration::from_secs(70),
                Duration::ZERO,
                FailureMarker::HealthTimeout
            )
        );
    }
}

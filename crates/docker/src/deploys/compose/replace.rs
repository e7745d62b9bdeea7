//! Running what was pinned, service after service.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::Value;
use shipslog_core::deploys::{DispatchError, FailureMarker, Job, PartName, PartStep};
use shipslog_core::id::WorkloadId;
use shipslog_core::secret::Secret;
use tracing::debug;

use super::super::image::gate::{Ending, Expected};
use super::super::repository::Checkout;
use super::ComposePlugin;
use super::containers::{Container, is_one_shot};
use super::file::ComposeFile;
use super::plan::{ComposePlan, unusable};
use super::project::{Layer, Project, no_folder};
use super::renewed::Renewed;
use super::replaced::Replaced;
use super::resolve::tell;
use super::tool::Tool;
use super::variables::Known;

/// A deploy at work.
#[derive(Debug)]
struct Work<'a> {
    job: &'a Job,
    plan: &'a ComposePlan,
    file: &'a ComposeFile,
    project: &'a Project,
    /// By service, what the tool would make; empty where nothing could be left as it is.
    hashes: BTreeMap<String, String>,
}

impl ComposePlugin {
    /// Makes each service what the plan says, and removes those that it does not name.
    pub(super) async fn replace(&self, job: &Job, plan: &ComposePlan) -> Result<(), DispatchError> {
        // What was put back before may still be under way.
        drop(self.image.turns.take(&job.workload).await);
        let (file, tool) = (plan.parse()?, self.tool().await?);
        // The environment may be another one than that which the plan was made with.
        check(&file, &tool, job)?;
        let folder = self.folder_of(&job.workload);
        let layer = Layer {
            file: &file,
            workload: &job.workload,
            variables: &job.spec.env,
            tool: &tool,
        };
        let over = layer.with_pins(plan, &folder);
        let tree = self.tree(plan, &file, &job.spec, job.secrets.as_ref()).await?;
        let project = self.project(&job.workload, plan, over, job.env.clone(), tree, tool.clone());
        let mut work = Work {
            job,
            plan,
            file: &file,
            project: &project,
            hashes: BTreeMap::new(),
        };
        let containers = self.containers(&job.workload).await?;
        if containers.iter().any(|container| is_as_planned(&work, container)) {
            work.hashes = project.hashes().await.unwrap_or_else(|error| {
                // Then each service is left to the tool, which says what is wrong.
                debug!(
                    marker = error.marker().as_str(),
                    "what Compose would make is not known"
                );
                BTreeMap::new()
            });
        }
        let mut noted = Replaced::of(&folder);
        self.replace_each(&work, &mut noted).await?;
        self.remove_others(&job.workload, plan).await?;
        noted.forget();
        Ok(())
    }

    async fn replace_each(&self, work: &Work<'_>, noted: &mut Replaced) -> Result<(), DispatchError> {
        let order = work.file.order().map_err(|error| unusable(&error))?;
        // A service that has another name now has its ports and names from before.
        let is_gone = |container: &Container| !work.plan.images.contains_key(&container.service);
        self.step_aside(work, noted, is_gone).await?;
        let mut renewed = Renewed::default();
        for (i, service) in order.iter().enumerate() {
            let mut done = self.replace_one(work, service, noted, &mut renewed).await;
            if done.as_ref().is_err_and(is_taken) {
                let comes_later = |container: &Container| {
                    let is_later = order[i + 1..].contains(&container.service);
                    is_later && !is_as_planned(work, container)
                };
                if self.step_aside(work, noted, comes_later).await? {
                    done = self.replace_one(work, service, noted, &mut renewed).await;
                }
            }
            done.map_err(|error| error.of_part(service.clone()))?;
            tell(&work.job.progress, service, PartStep::Done);
        }
        Ok(())
    }

    /// Has containers end that hold what others are to have: their ports, and their names. Whether there were any.
    async fn step_aside(
        &self,
        work: &Work<'_>,
        noted: &mut Replaced,
        is_in_the_way: impl Fn(&Container) -> bool,
    ) -> Result<bool, DispatchError> {
        let mut containers = self.containers(&work.job.workload).await?;
        containers.retain(is_in_the_way);
        noted.note(&containers).map_err(|error| no_folder(&error))?;
        for container in &containers {
            tell(&work.job.progress, &container.service, PartStep::Replacing);
            let (plugin, container) = (self.clone(), container.clone());
            let aside = async move |_| {
                plugin.stop(&container).await?;
                plugin.set_name_aside(&container).await
            };
            self.image.carry_through(&work.job.workload, aside).await?;
        }
        Ok(!containers.is_empty())
    }

    async fn replace_one(
        &self,
        work: &Work<'_>,
        service: &PartName,
        noted: &mut Replaced,
        renewed: &mut Renewed,
    ) -> Result<(), DispatchError> {
        let Work { job, file, .. } = work;
        tell(&job.progress, service, PartStep::Replacing);
        let before = self.of_service(&job.workload, service).await?;
        noted.note(&before).map_err(|error| no_folder(&error))?;
        self.remove_half_made(&before).await?;
        let own = &file.services[service];
        let anew = renewed.concerns(own) || self.is_cut_off(&job.workload, own, &before).await?;
        if anew || !is_left_alone(work, service, &before) {
            let grace = (!own.has_grace).then_some(job.spec.rollout.stop_timeout_s);
            let (project, name) = (work.project.clone(), service.clone());
            let up = async move |_| project.up(&name, anew, grace).await;
            self.image.carry_through(&job.workload, up).await?;
        }
        let after = self.of_service(&job.workload, service).await?;
        verify(work, &after)?;
        renewed.note(service, &before, &after);
        tell(&job.progress, service, PartStep::WaitingForHealth);
        for container in &after {
            let is_proven = before.iter().any(|old| old.id == container.id && old.runs());
            self.prove(work, container, is_proven).await?;
        }
        Ok(())
    }

    async fn prove(
        &self,
        work: &Work<'_>,
        container: &Container,
        is_proven: bool,
    ) -> Result<(), DispatchError> {
        let inspected = self.inspect(container).await?;
        let ending = match work.file.must_end(&container.service) {
            true => Ending::Must,
            false if is_one_shot(&inspected) => Ending::May,
            false => Ending::Never,
        };
        let expected = Expected { ending, is_proven };
        self.image.wait_for(&work.job.spec, &container.id, expected).await
    }

    /// The containers of one service.
    pub(super) async fn of_service(
        &self,
        workload: &WorkloadId,
        service: &PartName,
    ) -> Result<Vec<Container>, DispatchError> {
        let mut containers = self.containers(workload).await?;
        containers.retain(|container| container.service == *service);
        Ok(containers)
    }

    /// What a replacement that failed left behind beside the container that it was to replace.
    async fn remove_half_made(&self, containers: &[Container]) -> Result<(), DispatchError> {
        if containers.iter().all(Container::is_fresh) {
            return Ok(());
        }
        for container in containers.iter().filter(|container| container.is_fresh()) {
            self.remove(&container.id).await?;
        }
        Ok(())
    }

    /// Removes the containers of services that the plan does not name.
    pub(super) async fn remove_others(
        &self,
        workload: &WorkloadId,
        plan: &ComposePlan,
    ) -> Result<(), DispatchError> {
        for container in self.containers(workload).await? {
            if !plan.images.contains_key(&container.service) {
                self.remove(&container.id).await?;
            }
        }
        Ok(())
    }

    /// The Compose of this host.
    pub(super) async fn tool(&self) -> Result<Tool, DispatchError> {
        let missing = || DispatchError::new(FailureMarker::Internal, "there is no Compose on this host");
        self.toolbox.tool().await.ok_or_else(missing)
    }

    /// The project of a plan, as the tool is to see it.
    pub(super) fn project(
        &self,
        workload: &WorkloadId,
        plan: &ComposePlan,
        overlay: Value,
        env: Vec<(String, Secret<String>)>,
        tree: Option<Arc<Checkout>>,
        tool: Tool,
    ) -> Project {
        Project {
            tool,
            toolbox: self.toolbox.clone(),
            engine: self.engine().clone(),
            folder: self.folder_of(workload),
            name: plan.project.clone(),
            text: plan.file.as_str().into(),
            base: plan.folder.clone(),
            tree: tree.zip(plan.repository.as_ref().map(|tracked| tracked.folder.clone())),
            overlay,
            env,
        }
    }
}

/// Whether the file can be run with what the job brings and the host has.
pub(super) fn check(file: &ComposeFile, tool: &Tool, job: &Job) -> Result<(), DispatchError> {
    let value_of = |name: &str| {
        let value = job.env.iter().find(|(known, _)| known == name);
        value.map_or(Known::Unset, |(_, value)| Known::Value(value.expose()))
    };
    let checked = file
        .check_variables(&job.spec.env)
        .and_then(|()| file.check_filled(&value_of))
        .and_then(|()| match tool.is_first_generation() {
            true => file.check_first_generation(),
            false => Ok(()),
        });
    checked.map_err(|error| unusable(&error))
}

/// Whether another container has what it needs.
fn is_taken(error: &DispatchError) -> bool {
    matches!(
        error.marker(),
        FailureMarker::PortTaken | FailureMarker::NameConflict
    )
}

/// Whether a container need not be made anew.
fn is_as_planned(work: &Work<'_>, container: &Container) -> bool {
    let image = work
        .plan
        .images
        .get(&container.service)
        .map(|pin| pin.content.as_str());
    let definition = work.file.definition(&container.service, &work.job.spec.env);
    image.is_some_and(|image| container.is_made_of(image, &definition))
}

/// Whether the tool would find nothing to do for a service, so that it need not be started for that: it takes most of the time of a deploy that
/// changes little.
fn is_left_alone(work: &Work<'_>, service: &PartName, containers: &[Container]) -> bool {
    let is_complete = work.file.services[service].replicas == Some(containers.len() as u64);
    let Some(hash) = work.hashes.get(service.as_str()) else {
        return false;
    };
    let is_right = |container: &Container| {
        container.runs() && container.has_hash(hash) && is_as_planned(work, container)
    };
    is_complete && containers.iter().all(is_right)
}

/// Whatever the tool says: each container must be of the image that was pinned, and made as the file says.
fn verify(work: &Work<'_>, containers: &[Container]) -> Result<(), DispatchError> {
    if containers.is_empty() {
        return Err(DispatchError::new(
            FailureMarker::CreateFailed,
            "the tool made no container",
        ));
    }
    match containers.iter().all(|container| is_as_planned(work, container)) {
        true => Ok(()),
        false => Err(DispatchError::new(
            FailureMarker::ImageMismatch,
            "the tool made something else",
        )),
    }
}

//! Running what was pinned, service after service.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::Value;
use shipslog_core::deploys::{DispatchError, FailureMarker, Job, PartName, PartStep};
use shipslog_core::id::WorkloadId;
use shipslog_core::secret::Secret;

use super::super::classify::{Phase, failed};
use super::super::gate::{Ending, Expected};
use super::super::repository::Checkout;
use super::ComposePlugin;
use super::containers::{Container, is_one_shot};
use super::file::ComposeFile;
use super::plan::{ComposePlan, unusable};
use super::project::{Project, no_folder, pinned_overlay};
use super::replaced::Replaced;
use super::resolve::tell;

/// A deploy at work.
#[derive(Debug)]
struct Work<'a> {
    job: &'a Job,
    plan: &'a ComposePlan,
    file: &'a ComposeFile,
    project: &'a Project,
}

impl ComposePlugin {
    /// Makes each service what the plan says, and removes those that it does not name.
    pub(super) async fn replace(&self, job: &Job, plan: &ComposePlan) -> Result<(), DispatchError> {
        let file = plan.parse()?;
        // The environment may be another one than that which the plan was made with.
        file.check_variables(&job.spec.env)
            .map_err(|error| unusable(&error))?;
        let folder = self.folder_of(&job.workload);
        let over = pinned_overlay(&file, &job.workload, &job.spec.env, plan, &folder);
        let tree = self.tree(plan, &file, &job.spec, job.secrets.as_ref()).await?;
        let project = self
            .project(&job.workload, plan, over, job.env.clone(), tree)
            .await?;
        let work = Work {
            job,
            plan,
            file: &file,
            project: &project,
        };
        let mut replaced = BTreeSet::new();
        let mut noted = Replaced::of(&folder);
        for service in file.order().map_err(|error| unusable(&error))? {
            let before = self.of_service(&job.workload, &service).await?;
            noted.note(&before).map_err(|error| no_folder(&error))?;
            let done = self.replace_one(&work, &service, &before, &mut replaced).await;
            done.map_err(|error| error.of_part(service.clone()))?;
            tell(&job.progress, &service, PartStep::Done);
        }
        self.remove_others(&job.workload, plan).await?;
        noted.forget();
        Ok(())
    }

    async fn replace_one(
        &self,
        work: &Work<'_>,
        service: &PartName,
        before: &[Container],
        replaced: &mut BTreeSet<PartName>,
    ) -> Result<(), DispatchError> {
        let Work { job, file, .. } = work;
        tell(&job.progress, service, PartStep::Replacing);
        self.remove_half_made(before).await?;
        let own = &file.services[service];
        let anew = !own.shares.is_disjoint(replaced);
        let grace = (!own.has_grace).then_some(job.spec.rollout.stop_timeout_s);
        let (project, name) = (work.project.clone(), service.clone());
        let up = async move |_| project.up(&name, anew, grace).await;
        self.image.carry_through(&job.workload, up).await?;
        let after = self.of_service(&job.workload, service).await?;
        verify(work, service, &after)?;
        let stayed = |container: &Container| before.iter().any(|old| old.id == container.id);
        if !after.iter().all(stayed) {
            replaced.insert(service.clone());
        }
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
        let inspected = self.image.inspect(&container.id).await;
        let inspected = inspected.map_err(|fault| failed(Phase::Manage, &fault))?;
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

    /// The project of a plan, as the tool is to see it.
    pub(super) async fn project(
        &self,
        workload: &WorkloadId,
        plan: &ComposePlan,
        overlay: Value,
        env: Vec<(String, Secret<String>)>,
        tree: Option<Arc<Checkout>>,
    ) -> Result<Project, DispatchError> {
        let missing = || DispatchError::new(FailureMarker::Internal, "there is no Compose on this host");
        Ok(Project {
            tool: self.toolbox.tool().await.ok_or_else(missing)?,
            toolbox: self.toolbox.clone(),
            engine: self.engine().clone(),
            folder: self.folder_of(workload),
            name: plan.project.clone(),
            text: plan.file.as_str().into(),
            base: plan.folder.clone(),
            tree: tree.zip(plan.repository.as_ref().map(|tracked| tracked.folder.clone())),
            overlay,
            env,
        })
    }
}

/// Whatever the tool says: each container must be of the image that was pinned, and made as the file says.
fn verify(work: &Work<'_>, service: &PartName, containers: &[Container]) -> Result<(), DispatchError> {
    let image = work.plan.images.get(service).map(|pin| pin.content.as_str());
    let definition = work.file.definition(service, &work.job.spec.env);
    if containers.is_empty() {
        return Err(DispatchError::new(
            FailureMarker::CreateFailed,
            "the tool made no container",
        ));
    }
    let is_right =
        |container: &Container| image.is_some_and(|image| container.is_made_of(image, &definition));
    match containers.iter().all(is_right) {
        true => Ok(()),
        false => Err(DispatchError::new(
            FailureMarker::ImageMismatch,
            "the tool made something else",
        )),
    }
}

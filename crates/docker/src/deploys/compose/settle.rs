//! Leaving a workload's services as one deploy made them.

use shipslog_core::deploys::{DispatchError, PartName, Pin, Progress, Record};
use shipslog_core::id::WorkloadId;
use tracing::info;

use super::ComposePlugin;
use super::containers::Container;
use super::file::ComposeFile;
use super::plan::ComposePlan;
use super::project::{Layer, Project, remove_folder, wait_for_others};
use super::renewed::Renewed;
use super::replaced::Replaced;

/// A deploy that is to be put back.
#[derive(Debug)]
struct Kept<'a> {
    record: &'a Record,
    plan: &'a ComposePlan,
    file: &'a ComposeFile,
    /// What ran when it was to be replaced.
    replaced: &'a Replaced,
}

impl ComposePlugin {
    /// Puts back what differs from the deploy that is kept, and touches nothing else. Without one, all is removed but volumes.
    pub(super) async fn put_in_order(
        &self,
        workload: &WorkloadId,
        keep: Option<&Record>,
    ) -> Result<(), DispatchError> {
        let _turn = self.image.turns.take(workload).await;
        wait_for_others(&self.folder_of(workload)).await?;
        let Some(record) = keep else {
            return self.remove_all(workload).await;
        };
        let replaced = Replaced::of(&self.folder_of(workload));
        match record.pinned.as_ref().and_then(ComposePlan::of) {
            Some(plan) => self.put_back(record, &plan, &replaced).await?,
            None => {
                self.start_stopped(&self.containers(workload).await?, &replaced)
                    .await?
            }
        }
        replaced.forget();
        Ok(())
    }

    async fn remove_all(&self, workload: &WorkloadId) -> Result<(), DispatchError> {
        for container in self.containers(workload).await? {
            self.remove(&container.id).await?;
        }
        self.remove_networks(workload).await?;
        let folder = self.folder_of(workload);
        Replaced::of(&folder).forget();
        remove_folder(&folder);
        Ok(())
    }

    async fn put_back(
        &self,
        record: &Record,
        plan: &ComposePlan,
        replaced: &Replaced,
    ) -> Result<(), DispatchError> {
        let file = plan.parse()?;
        self.remove_others(&record.workload, plan).await?;
        let kept = Kept {
            record,
            plan,
            file: &file,
            replaced,
        };
        let order = file.order().map_err(|error| super::plan::unusable(&error))?;
        self.remove_wrong(&kept).await?;
        let mut failed = self.put_back_each(&kept, &order).await;
        if !failed.is_empty() {
            // A port may have been free only once those that come later were put back.
            failed = self.put_back_each(&kept, &order).await;
        }
        for container in self.containers(&record.workload).await? {
            self.restore_name(&container).await;
        }
        failed.into_iter().next().map_or(Ok(()), Err)
    }

    async fn put_back_each(&self, kept: &Kept<'_>, services: &[PartName]) -> Vec<DispatchError> {
        let (mut failed, mut renewed) = (Vec::new(), Renewed::default());
        for service in services {
            if let Err(error) = self.put_back_one(kept, service, &mut renewed).await {
                failed.push(error.of_part(service.clone()));
            }
        }
        failed
    }

    async fn put_back_one(
        &self,
        kept: &Kept<'_>,
        service: &PartName,
        renewed: &mut Renewed,
    ) -> Result<(), DispatchError> {
        let (record, file) = (kept.record, kept.file);
        let Some(pin) = kept.plan.images.get(service) else {
            return Ok(());
        };
        let definition = file.definition(service, &record.spec.env);
        let containers = self.of_service(&record.workload, service).await?;
        let is_right = |container: &Container| container.is_made_of(pin.content.as_str(), &definition);
        let own = &file.services[service];
        let anew = renewed.concerns(own) || self.is_cut_off(&record.workload, own, &containers).await?;
        let is_short = own
            .replicas
            .is_some_and(|count| (containers.len() as u64) < count);
        if anew || is_short || !containers.iter().all(is_right) {
            info!(workload = %record.workload, %service, "putting a service back");
            renewed.note_made(service);
            let pin = Pin::new(pin.reference.clone(), pin.content.clone());
            let nobody = Progress::detached(&record.workload, &record.deploy);
            self.image.fetch(&pin, &nobody).await?;
            let grace = (!own.has_grace).then_some(record.spec.rollout.stop_timeout_s);
            return self.project_of(kept).await?.up(service, anew, grace).await;
        }
        self.start_stopped(&containers, kept.replaced).await
    }

    /// Removes what a deploy made beside what is to be put back, so that names and ports are free again. Where there is nothing to be put
    /// back, the tool replaces it.
    async fn remove_wrong(&self, kept: &Kept<'_>) -> Result<(), DispatchError> {
        for (service, pin) in &kept.plan.images {
            let definition = kept.file.definition(service, &kept.record.spec.env);
            let containers = self.of_service(&kept.record.workload, service).await?;
            let is_right = |container: &Container| container.is_made_of(pin.content.as_str(), &definition);
            let (right, wrong): (Vec<_>, Vec<_>) = containers.into_iter().partition(is_right);
            for container in wrong.iter().filter(|_| !right.is_empty()) {
                self.remove(&container.id).await?;
            }
        }
        Ok(())
    }

    async fn project_of(&self, kept: &Kept<'_>) -> Result<Project, DispatchError> {
        let Kept {
            record, plan, file, ..
        } = kept;
        let tool = self.tool().await?;
        let layer = Layer {
            file,
            workload: &record.workload,
            variables: &record.spec.env,
            tool: &tool,
        };
        let over = layer.with_pins(plan, &self.folder_of(&record.workload));
        let env = record.env().await?;
        let tree = self
            .tree(plan, file, &record.spec, record.secrets.as_ref())
            .await?;
        Ok(self.project(&record.workload, plan, over, env, tree, tool))
    }

    /// Starts those that do not run, but for those that did what they were there for.
    async fn start_stopped(
        &self,
        containers: &[Container],
        replaced: &Replaced,
    ) -> Result<(), DispatchError> {
        for container in containers.iter().filter(|container| container.is_startable()) {
            if replaced.has(container) || !self.is_done(container).await? {
                self.image.start(&container.id).await?;
            }
        }
        Ok(())
    }

    /// Compose renames a container before it makes the one that is to replace it.
    async fn restore_name(&self, container: &Container) {
        if let Some(name) = own_name(&container.name)
            && self.rename(&container.id, name).await.is_err()
        {
            info!(container = container.id, "could not be given its name back");
        }
    }
}

/// What follows the twelve digits that were put before a name, maybe more than once.
fn own_name(name: &str) -> Option<&str> {
    let (digits, own) = name.split_once('_')?;
    let is_added = digits.len() == 12 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    is_added.then(|| own_name(own).unwrap_or(own))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_was_changed_is_recognised() {
        assert_eq!(own_name("0123456789ab_shop-w1_web_1"), Some("shop-w1_web_1"));
        assert_eq!(
            own_name("0123456789ab_ba9876543210_shop-w1_web_1"),
            Some("shop-w1_web_1")
        );
        assert_eq!(own_name("shop-w1_web_1"), None);
        assert_eq!(own_name("0123456789abc_web_1"), None);
    }
}

//! Finding out what the services of a file run.

use std::collections::BTreeMap;

use shipslog_core::deploys::{
    DeployStep, DispatchError, FailureMarker, Job, PartName, PartPin, PartStep, Pin, Pinned, Progress,
};

use super::super::image::pull::content;
use super::ComposePlugin;
use super::file::ComposeFile;
use super::paths;
use super::plan::ComposePlan;
use super::project::{Layer, Project};
use super::replace::check;

impl ComposePlugin {
    /// Reads the file, and pins the image of each service.
    pub(super) async fn resolve_file(&self, job: &Job) -> Result<Pinned, DispatchError> {
        let source = self.source(job).await?;
        let mut plan = ComposePlan {
            project: String::new(),
            file: source.text,
            folder: source.folder,
            repository: source.repository,
            images: BTreeMap::new(),
        };
        let (file, tool) = (plan.parse()?, self.tool().await?);
        check(&file, &tool, job)?;
        if let (Some(tree), Some(tracked)) = (&source.tree, &plan.repository) {
            paths::keep_within(tree, &tracked.folder, &file).await?;
        }
        plan.project = self.project_name(job).await?;
        let tags = tags_of_built(&file, &plan.project, job);
        let layer = Layer {
            file: &file,
            workload: &job.workload,
            variables: &job.spec.env,
            tool: &tool,
        };
        let over = layer.with_images(&tags);
        let project = self.project(
            &job.workload,
            &plan,
            over,
            job.env.clone(),
            source.tree,
            tool.clone(),
        );
        let images = project.images().await?;
        plan.images = self.pin_images(&file, &project, &images, &job.progress).await?;
        plan.into_pinned()
    }

    async fn project_name(&self, job: &Job) -> Result<String, DispatchError> {
        let known = self.known_project(&job.workload).await?;
        Ok(known.unwrap_or_else(|| project_name(&job.spec.name, job.workload.as_str())))
    }

    /// Built ones first: others may run the same image by its name.
    async fn pin_images(
        &self,
        file: &ComposeFile,
        project: &Project,
        images: &BTreeMap<String, String>,
        progress: &Progress,
    ) -> Result<BTreeMap<PartName, PartPin>, DispatchError> {
        let (mut pins, mut known) = (BTreeMap::new(), BTreeMap::new());
        let (built, pulled): (Vec<_>, Vec<_>) =
            file.services.iter().partition(|(_, service)| service.is_built);
        for (name, service) in built.into_iter().chain(pulled) {
            let none = || DispatchError::new(FailureMarker::SourceInvalid, "it has no image");
            let pinned = match images.get(name.as_str()).ok_or_else(none) {
                Ok(image) if service.is_built => self.build(project, name, image, progress).await,
                Ok(image) => self.pull_once(image, name, &mut known, progress).await,
                Err(error) => Err(error),
            };
            let pin = pinned.map_err(|error| error.of_part(name.clone()))?;
            known.insert(images[name.as_str()].as_str(), pin.clone());
            pins.insert(name.clone(), pin);
        }
        Ok(pins)
    }

    async fn build(
        &self,
        project: &Project,
        name: &PartName,
        image: &str,
        progress: &Progress,
    ) -> Result<PartPin, DispatchError> {
        tell(progress, name, PartStep::Building);
        project.build(name, progress).await?;
        let missing = || DispatchError::new(FailureMarker::BuildFailed, "it was built and is not there");
        let content = content(&self.image.image(image).await?.ok_or_else(missing)?)?;
        Ok(PartPin {
            reference: content.clone(),
            content,
        })
    }

    async fn pull_once(
        &self,
        image: &str,
        name: &PartName,
        known: &mut BTreeMap<&str, PartPin>,
        progress: &Progress,
    ) -> Result<PartPin, DispatchError> {
        if let Some(pin) = known.get(image) {
            return Ok(pin.clone());
        }
        tell(progress, name, PartStep::Pulling);
        let pin = self.image.resolve_image(image, progress).await?;
        Ok(PartPin {
            reference: pin.reference,
            content: pin.content,
        })
    }

    /// Fetches what a plan runs, where it is not here any more.
    pub(super) async fn fetch_images(
        &self,
        plan: &ComposePlan,
        progress: &Progress,
    ) -> Result<(), DispatchError> {
        for (name, pin) in &plan.images {
            let pin = Pin::new(pin.reference.clone(), pin.content.clone());
            let fetched = self.image.fetch(&pin, progress).await;
            fetched.map_err(|error| error.of_part(name.clone()))?;
        }
        Ok(())
    }
}

/// Tells what is done to a service.
pub(super) fn tell(progress: &Progress, part: &PartName, doing: PartStep) {
    let part = part.clone();
    progress.step(DeployStep::Part { part, doing });
}

/// Names for the images that are built and have none, so that each version keeps its own.
fn tags_of_built(file: &ComposeFile, project: &str, job: &Job) -> BTreeMap<PartName, String> {
    let nameless = file
        .services
        .iter()
        .filter(|(_, service)| service.is_built && !service.has_image);
    let tag = |name: &PartName| format!("{project}-{name}:{}", job.deploy.short()).to_lowercase();
    nameless.map(|(name, _)| (name.clone(), tag(name))).collect()
}

/// Compose takes lower-case letters, digits, `-` and `_`; the end of the workload's id keeps it apart from all others.
fn project_name(name: &str, workload: &str) -> String {
    let clean = |text: &str| -> String {
        let lower = text.chars().map(|c| c.to_ascii_lowercase());
        lower
            .map(|c| {
                if c.is_ascii_alphanumeric() || c == '_' {
                    c
                } else {
                    '-'
                }
            })
            .collect()
    };
    let end = &workload[workload.len().saturating_sub(6)..];
    format!("{}-{}", clean(name), clean(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_a_name_that_compose_takes() {
        assert_eq!(
            project_name("Web.Shop_2", "01a1fc9004b47bb88c4d8ab6649407f9"),
            "web-shop_2-9407f9"
        );
        assert_eq!(project_name("a", "W.1"), "a-w-1");
    }
}

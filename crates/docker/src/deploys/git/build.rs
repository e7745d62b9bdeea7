//! Building through the engine.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::Path;

use bollard::auth::DockerCredentials;
use bollard::models::BuildInfo;
use bollard::query_parameters::{BuildImageOptions, BuildImageOptionsBuilder, TagImageOptionsBuilder};
use futures_util::StreamExt as _;
use shipslog_core::deploys::{DeployStep, DispatchError, FailureMarker, Job, PinnedReference};
use tokio_util::io::ReaderStream;

use super::GitPlugin;
use super::archive::{Context, Unfit};
use super::bases::bases;
use super::options::{BuildArg, GitOptions};
use super::recipe::Recipe;
use super::steps::Steps;
use crate::deploys::auth::Credentials;
use crate::deploys::classify::{BUILD_ATTEMPTS, Phase, failed, has_lost_a_step};
use crate::deploys::image::pull::content;
use crate::deploys::repository::{Access, Checkout, Commit, RepositoryUrl};
use crate::engine::Fault;

/// What an engine needs to build.
struct Order {
    options: BuildImageOptions,
    /// By the names under which clients keep them.
    credentials: HashMap<String, Credentials>,
    archive: File,
}

impl Order {
    /// From its beginning. The position is shared: one at a time.
    fn archive(&self) -> std::io::Result<File> {
        let mut archive = self.archive.try_clone()?;
        archive.seek(SeekFrom::Start(0))?;
        Ok(archive)
    }
}

impl GitPlugin {
    /// Builds a commit, and answers the image's id.
    pub(super) async fn build(
        &self,
        job: &Job,
        recipe: &Recipe,
        commit: &Commit,
        options: &GitOptions,
        access: &Access,
    ) -> Result<PinnedReference, DispatchError> {
        let url = RepositoryUrl::parse(&recipe.repository)
            .map_err(|error| DispatchError::new(FailureMarker::ReferenceInvalid, error.to_string()))?;
        let args = options.build_args(job.secrets.as_ref()).await?;
        let checkout = self.repositories.check_out(&url, commit, access).await?;
        job.progress.step(DeployStep::Building {
            steps_done: 0,
            steps_total: 0,
        });
        let order = self.order(&checkout, recipe, commit, &args).await?;
        drop(checkout);
        let built = self.carry_out(job, order).await;
        let built =
            built.map_err(|error| args.iter().fold(error, |error, (_, value)| error.hiding(value)))?;
        self.name(job, commit, &built).await?;
        Ok(built)
    }

    async fn order(
        &self,
        checkout: &Checkout,
        recipe: &Recipe,
        commit: &Commit,
        args: &[BuildArg],
    ) -> Result<Order, DispatchError> {
        let context = self.context(checkout, recipe).await?;
        let dockerfile = tokio::fs::read(context.root.join(&context.dockerfile)).await;
        let dockerfile = dockerfile.map_err(|_| invalid("the Dockerfile cannot be read"))?;
        let options = build_options(&context, recipe, commit, args);
        let credentials = self
            .credentials(&String::from_utf8_lossy(&dockerfile), args)
            .await;
        let archive = tokio::task::spawn_blocking(move || context.archive()).await;
        let archive = archive.unwrap_or_else(|_| Err(std::io::Error::other("the task failed").into()));
        Ok(Order {
            options,
            credentials,
            archive: archive.map_err(|unfit| unarchived(&unfit))?,
        })
    }

    /// The folder that is built, and the Dockerfile in it, both by their real paths.
    async fn context(&self, checkout: &Checkout, recipe: &Recipe) -> Result<Context, DispatchError> {
        let root = checkout.within(&recipe.folder).await?;
        let folder = Path::new(&recipe.folder);
        let dockerfile = checkout.within(folder.join(&recipe.dockerfile)).await?;
        let inner = dockerfile.strip_prefix(&root).ok().and_then(|path| path.to_str());
        let inner = inner.ok_or_else(|| invalid("the Dockerfile leads out of the folder that is built"))?;
        if !root.is_dir() || !dockerfile.is_file() {
            return Err(invalid("the folder or its Dockerfile is none"));
        }
        Ok(Context {
            dockerfile: inner.to_owned(),
            root,
            scratch: checkout.scratch().to_owned(),
            limit: self.context_limit,
            time: checkout.time(),
        })
    }

    /// For the registries of the base images, and no others.
    async fn credentials(&self, dockerfile: &str, args: &[BuildArg]) -> HashMap<String, Credentials> {
        let mut credentials = HashMap::new();
        for base in bases(dockerfile, args) {
            let of_base = Credentials::of(&base, self.images.docker_config.as_deref()).await;
            credentials.insert(base.credentials_key().to_owned(), of_base);
        }
        credentials
    }

    async fn carry_out(&self, job: &Job, order: Order) -> Result<PinnedReference, DispatchError> {
        let mut steps = Steps::default();
        let built = self.insist(job, &order, &mut steps).await;
        let id = built.map_err(|error| {
            let credentials = order.credentials.values();
            credentials.fold(error, |error, each| each.hide_in(error))
        })?;
        let id =
            id.ok_or_else(|| DispatchError::new(FailureMarker::BuildFailed, "the builder did not end"))?;
        job.progress.step(steps.last());
        let image = self.images.image(&id).await?;
        let image =
            image.ok_or_else(|| DispatchError::new(FailureMarker::BuildFailed, "the image is not there"))?;
        content(&image)
    }

    /// Begins again when a cached step vanished.
    async fn insist(
        &self,
        job: &Job,
        order: &Order,
        steps: &mut Steps,
    ) -> Result<Option<String>, DispatchError> {
        let mut attempt = 1;
        loop {
            *steps = Steps::default();
            let archive = order.archive();
            let archive =
                archive.map_err(|error| DispatchError::new(FailureMarker::Internal, error.to_string()))?;
            match self.follow(job, order, archive, steps).await {
                Err(Fault::Answer { message, .. })
                    if attempt < BUILD_ATTEMPTS && has_lost_a_step(&message) =>
                {
                    attempt += 1;
                }
                ended => return ended.map_err(|fault| explain(steps, &fault)),
            }
        }
    }

    /// Follows a build to its end, and answers the image that it named last. What its steps print is passed over.
    async fn follow(
        &self,
        job: &Job,
        order: &Order,
        archive: File,
        steps: &mut Steps,
    ) -> Result<Option<String>, Fault> {
        let docker = self.images.engine.client().await?;
        let body = bollard::body_try_stream(ReaderStream::new(tokio::fs::File::from_std(archive)));
        let credentials = headers(&order.credentials);
        let mut events = docker.build_image(order.options.clone(), Some(credentials), Some(body));
        let mut id = None;
        while let Some(event) = self.images.engine.explain(events.next().await.transpose())? {
            if event.stream.as_deref().is_some_and(|line| steps.note(line)) {
                job.progress.step(steps.step());
            }
            id = named(event).or(id);
        }
        // Each stage has an image of its own, which is none of the whole.
        Ok(id.filter(|id| steps.made(id)))
    }

    /// An image without a name would go with the next pruning.
    async fn name(&self, job: &Job, commit: &Commit, image: &PinnedReference) -> Result<(), DispatchError> {
        let id = image.digest().rsplit(':').next().unwrap_or_default();
        let tag = format!("{}-{}", first(commit.as_str()), first(id));
        let options = TagImageOptionsBuilder::default()
            .repo(&repository(&job.spec.name))
            .tag(&tag)
            .build();
        let named = self
            .images
            .engine
            .ask(async |docker| docker.tag_image(image.as_str(), Some(options)).await)
            .await;
        named.map_err(|fault| failed(Phase::Manage, &fault))
    }
}

fn unarchived(unfit: &Unfit) -> DispatchError {
    match unfit {
        Unfit::Disk(_) => DispatchError::new(FailureMarker::Internal, unfit.to_string()),
        Unfit::Name | Unfit::TooLarge => invalid(&unfit.to_string()),
    }
}

fn build_options(
    context: &Context,
    recipe: &Recipe,
    commit: &Commit,
    args: &[BuildArg],
) -> BuildImageOptions {
    let args: HashMap<&str, &str> = args
        .iter()
        .map(|(name, value)| (name.as_str(), value.expose().as_str()))
        .collect();
    let labels = HashMap::from([
        ("org.opencontainers.image.revision", commit.as_str()),
        ("org.opencontainers.image.source", recipe.repository.as_str()),
    ]);
    BuildImageOptionsBuilder::default()
        .dockerfile(&context.dockerfile)
        .buildargs(&args)
        .labels(&labels)
        .rm(true)
        .forcerm(true)
        .build()
}

fn headers(credentials: &HashMap<String, Credentials>) -> HashMap<String, DockerCredentials> {
    let known = credentials
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.header()?)));
    known.collect()
}

fn named(event: BuildInfo) -> Option<String> {
    event.aux.and_then(|image| image.id)
}

/// What a step printed, or was told to run, is not repeated.
fn explain(steps: &Steps, fault: &Fault) -> DispatchError {
    match fault {
        Fault::Answer { .. } if steps.is_at_base() => failed(Phase::Pull, fault),
        Fault::Answer { message, .. } if !steps.has_begun() && is_about_dockerfile(message) => {
            invalid("the Dockerfile is not valid")
        }
        Fault::Answer { .. } => DispatchError::new(FailureMarker::BuildFailed, format!("{steps} failed")),
        Fault::Unreachable(_) => failed(Phase::Manage, fault),
    }
}

fn is_about_dockerfile(message: &str) -> bool {
    let begins = [
        "dockerfile parse error",
        "failed to parse dockerfile",
        "the dockerfile (",
        "file with no instructions",
    ];
    let message = message.to_ascii_lowercase();
    begins.iter().any(|phrase| message.starts_with(phrase))
}

fn invalid(why: &str) -> DispatchError {
    DispatchError::new(FailureMarker::SourceInvalid, why)
}

/// The name of a workload as engines want those of repositories.
fn repository(workload: &str) -> String {
    let plain = |sign: char| {
        if sign.is_ascii_alphanumeric() {
            sign.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let name: String = workload.chars().map(plain).collect();
    format!("shipslog/{}", name.trim_matches('-'))
}

fn first(number: &str) -> &str {
    number.get(..12).unwrap_or(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marker(lines: &[&str], status: u16, message: &str) -> FailureMarker {
        let mut steps = Steps::default();
        for line in lines {
            steps.note(line);
        }
        let message = message.to_owned();
        explain(&steps, &Fault::Answer { status, message }).marker()
    }

    #[test]
    fn a_build_fails_by_its_base_its_dockerfile_or_its_steps() {
        let (base, run) = ("Step 1/2 : FROM r.io/a", "Step 2/2 : RUN x");
        assert_eq!(
            marker(
                &[base],
                200,
                "manifest for r.io/a:latest not found: manifest unknown: x"
            ),
            FailureMarker::ImageNotFound
        );
        assert_eq!(
            marker(&[base], 200, "unauthorized: authentication required"),
            FailureMarker::RegistryDenied
        );
        assert_eq!(
            marker(&[base, run], 200, "unauthorized: authentication required"),
            FailureMarker::BuildFailed
        );
        assert_eq!(
            marker(&[], 400, "dockerfile parse error line 1: unknown instruction: X"),
            FailureMarker::SourceInvalid
        );
        assert_eq!(
            marker(&[base, run], 200, "dockerfile parse error"),
            FailureMarker::BuildFailed
        );
        assert_eq!(
            marker(&[], 500, "no space left on device"),
            FailureMarker::BuildFailed
        );
    }

    #[test]
    fn every_workload_has_a_name_for_its_images() {
        assert_eq!(repository("Web_1.a"), "shipslog/web-1-a");
        assert_eq!(repository("web-"), "shipslog/web");
    }
}

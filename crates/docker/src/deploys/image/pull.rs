//! Fetching images, and finding out what a reference stands for.

use std::time::Duration;

use bollard::errors::Error;
use bollard::models::{CreateImageInfo, ImageInspect};
use bollard::query_parameters::{CreateImageOptions, CreateImageOptionsBuilder};
use futures_util::{Stream, StreamExt as _};
use shipslog_core::deploys::{DispatchError, FailureMarker, Pin, PinnedReference, Progress};

use super::ImagePlugin;
use super::layers::{Layers, Teller};
use crate::deploys::auth::Credentials;
use crate::deploys::classify::{Phase, failed};
use crate::deploys::reference::ImageReference;
use crate::engine::{Fault, Unreachable};

/// How long a pull may say nothing. Engines tell of every retry and of unpacking, but not of a registry that
/// accepts and never answers.
const SILENCE_LIMIT: Duration = Duration::from_secs(300);

impl ImagePlugin {
    /// Finds out what a reference stands for, and fetches it unless it exists only here.
    pub(in crate::deploys) async fn resolve_image(
        &self,
        reference: &str,
        progress: &Progress,
    ) -> Result<Pin, DispatchError> {
        let image = parsed(reference)?;
        let local = self.image(&image.to_string()).await?;
        if let Some(local) = local.filter(|local| is_final(local, &image)) {
            return pin(&local, &image, None);
        }
        let pulled = self.pull(&image, progress).await?;
        // By digest, as the tag may have moved once more.
        let exact = pulled
            .as_deref()
            .map_or_else(|| image.clone(), |digest| image.at(digest));
        let found = self.image(&exact.to_string()).await?;
        let found = found.ok_or_else(|| {
            DispatchError::new(FailureMarker::ImagePullFailed, "it was pulled and is not there")
        })?;
        pin(&found, &image, pulled.as_deref())
    }

    /// What the engine knows of an image; `None` if it has none of this name.
    pub(in crate::deploys) async fn image(&self, name: &str) -> Result<Option<ImageInspect>, DispatchError> {
        match self
            .engine
            .ask(async |docker| docker.inspect_image(name).await)
            .await
        {
            Ok(image) => Ok(Some(image)),
            Err(Fault::Answer { status: 404, .. }) => Ok(None),
            Err(fault) => Err(failed(Phase::Manage, &fault)),
        }
    }

    /// Pulls, and answers the digest that the registry gave.
    pub(in crate::deploys) async fn pull(
        &self,
        image: &ImageReference,
        progress: &Progress,
    ) -> Result<Option<String>, DispatchError> {
        let credentials = Credentials::of(image, self.docker_config.as_deref()).await;
        let pulled = self.pull_with(image, &credentials, progress).await;
        pulled.map_err(|error| credentials.hide_in(error))
    }

    async fn pull_with(
        &self,
        image: &ImageReference,
        credentials: &Credentials,
        progress: &Progress,
    ) -> Result<Option<String>, DispatchError> {
        let docker = self
            .engine
            .client()
            .await
            .map_err(|fault| failed(Phase::Pull, &fault))?;
        let mut events = docker.create_image(Some(options(image)), None, credentials.header());
        let (mut layers, mut teller, mut digest) = (Layers::default(), Teller::new(progress), None);
        while let Some(event) = self.next(&mut events).await? {
            layers.note(&event);
            teller.tell(&layers);
            digest = reported_digest(&event).or(digest);
        }
        teller.tell_at_last(&layers);
        Ok(digest)
    }

    async fn next<S>(&self, events: &mut S) -> Result<Option<CreateImageInfo>, DispatchError>
    where
        S: Stream<Item = Result<CreateImageInfo, Error>> + Unpin + Send,
    {
        match tokio::time::timeout(SILENCE_LIMIT, events.next()).await {
            Ok(event) => self
                .engine
                .explain(event.transpose())
                .map_err(|fault| failed(Phase::Pull, &fault)),
            Err(_) => Err(self.silent().await),
        }
    }

    /// Whose silence it is: an engine that still answers waits for the registry itself.
    pub(super) async fn silent(&self) -> DispatchError {
        let marker = match self.engine.version_info().await {
            Ok(_) => FailureMarker::RegistryUnreachable,
            Err(_) => FailureMarker::EngineUnavailable,
        };
        DispatchError::new(marker, Unreachable::TimedOut.to_string())
    }
}

/// Reads what was asked for.
pub(in crate::deploys) fn parsed(reference: &str) -> Result<ImageReference, DispatchError> {
    ImageReference::parse(reference)
        .map_err(|error| DispatchError::new(FailureMarker::ReferenceInvalid, error.to_string()))
}

fn options(image: &ImageReference) -> CreateImageOptions {
    CreateImageOptionsBuilder::default()
        .from_image(&image.repository())
        .tag(image.version())
        .build()
}

fn reported_digest(event: &CreateImageInfo) -> Option<String> {
    event
        .status
        .as_deref()?
        .strip_prefix("Digest: ")
        .map(str::to_owned)
}

/// Whether the registry has nothing to add: a digest cannot move, and what never was in that repository
/// cannot be pulled from it.
fn is_final(local: &ImageInspect, image: &ImageReference) -> bool {
    image.digest().is_some() || digests_in(local, image).next().is_none()
}

/// The digests under which the image is known in the repository of `image`, as the engine writes them.
fn digests_in<'a>(
    local: &'a ImageInspect,
    image: &ImageReference,
) -> impl Iterator<Item = (&'a str, String)> {
    let repository = image.repository();
    let known = local.repo_digests.iter().flatten();
    known.filter_map(move |text| {
        let parsed = ImageReference::parse(text).ok()?;
        let digest = parsed.digest()?.to_owned();
        (parsed.repository() == repository).then_some((text.as_str(), digest))
    })
}

/// The pin of an image that is here: where it came from if it came from that repository, else itself.
///
/// One image may have several digests in a repository; then `pulled`, else the digest asked for, says which
/// one is meant.
fn pin(local: &ImageInspect, image: &ImageReference, pulled: Option<&str>) -> Result<Pin, DispatchError> {
    let content = content(local)?;
    let wanted = pulled.or(image.digest());
    let mut known = digests_in(local, image);
    let first = known.next();
    let meant = first
        .iter()
        .cloned()
        .chain(known)
        .find(|(_, digest)| Some(digest.as_str()) == wanted);
    let reference = match meant.or(first) {
        Some((text, _)) => text.parse().map_err(|_| unusable())?,
        None => content.clone(),
    };
    Ok(Pin::new(reference, content))
}

/// The image's id.
pub(in crate::deploys) fn content(local: &ImageInspect) -> Result<PinnedReference, DispatchError> {
    local
        .id
        .as_deref()
        .and_then(|id| id.parse().ok())
        .ok_or_else(unusable)
}

fn unusable() -> DispatchError {
    DispatchError::new(
        FailureMarker::Internal,
        "the engine named an image in an unknown form",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(fill: &str) -> String {
        format!("sha256:{}", fill.repeat(32))
    }

    fn local(repo_digests: &[String]) -> ImageInspect {
        ImageInspect {
            id: Some(digest("1d")),
            repo_digests: Some(repo_digests.to_vec()),
            ..ImageInspect::default()
        }
    }

    fn pinned(repo_digests: &[String], requested: &str, pulled: Option<&str>) -> String {
        let image = ImageReference::parse(requested).unwrap();
        let pin = pin(&local(repo_digests), &image, pulled).unwrap();
        assert_eq!(pin.content.as_str(), digest("1d"));
        pin.reference.as_str().to_owned()
    }

    #[test]
    fn the_digest_is_that_of_the_repository_asked_for() {
        let known = [
            format!("a.io/app@{}", digest("aa")),
            format!("b.io/app@{}", digest("bb")),
            format!("b.io/app@{}", digest("cc")),
        ];
        assert_eq!(pinned(&known, "a.io/app:1", None), known[0]);
        assert_eq!(pinned(&known, "b.io/app:1", None), known[1]);
        assert_eq!(pinned(&known, "b.io/app:1", Some(&digest("cc"))), known[2]);
        assert_eq!(pinned(&known, &known[2], None), known[2]);
        assert_eq!(pinned(&known, "c.io/app:1", None), digest("1d"));
    }

    #[test]
    fn the_default_registry_is_recognised_by_its_short_names() {
        let known = [format!("alpine@{}", digest("aa"))];
        assert_eq!(pinned(&known, "docker.io/library/alpine:3", None), known[0]);
    }

    #[test]
    fn an_image_that_was_never_in_the_repository_needs_no_registry() {
        let image = ImageReference::parse("a.io/app:1").unwrap();
        assert!(is_final(&local(&[]), &image));
        assert!(is_final(&local(&[format!("b.io/app@{}", digest("bb"))]), &image));
        assert!(!is_final(&local(&[format!("a.io/app@{}", digest("bb"))]), &image));
        let known = format!("a.io/app@{}", digest("bb"));
        assert!(is_final(
            &local(std::slice::from_ref(&known)),
            &ImageReference::parse(&known).unwrap()
        ));
    }
}

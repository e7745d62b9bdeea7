//! Which image a service runs, and whether it can be had again: the image plugin's ways, with the manifest's digest as
//! the content, because that is what the nodes of a swarm know it by.

use bollard::models::ImageInspect;
use shipslog_core::deploys::{DispatchError, FailureMarker, Job, Pin, PinnedReference, RollbackRefusal};

use super::SwarmPlugin;
use crate::deploys::image::pull::parsed;

impl SwarmPlugin {
    pub(super) async fn resolve_image(&self, job: &Job) -> Result<Pin, DispatchError> {
        let pin = self.images.resolve_image(&job.requested, &job.progress).await?;
        by_manifest(&pin.reference)
    }

    /// Looks on this host first, then asks the registry for the digest. Fetches nothing.
    pub(super) async fn can_be_had(&self, pin: &Pin) -> Result<(), RollbackRefusal> {
        self.images.can_be_had(&here_as(pin)).await
    }

    /// Fetches the pin, unless it is here.
    pub(super) async fn fetch(&self, job: &Job, pin: &Pin) -> Result<(), DispatchError> {
        if self.image_of(&pin.reference).await?.is_some() {
            return Ok(());
        }
        if pin.reference.name().is_none() {
            let detail = "it existed on this host only";
            return Err(DispatchError::new(FailureMarker::ImageNotFound, detail));
        }
        self.images
            .pull(&parsed(pin.reference.as_str())?, &job.progress)
            .await?;
        match self.image_of(&pin.reference).await? {
            Some(_) => Ok(()),
            None => {
                let detail = "what was pulled is not known by the digest";
                Err(DispatchError::new(FailureMarker::ImageMismatch, detail))
            }
        }
    }

    /// What this engine has under a pinned reference.
    pub(super) async fn image_of(
        &self,
        reference: &PinnedReference,
    ) -> Result<Option<ImageInspect>, DispatchError> {
        self.images.image(reference.as_str()).await
    }
}

fn by_manifest(reference: &PinnedReference) -> Result<Pin, DispatchError> {
    let digest = reference.digest().parse();
    let content =
        digest.map_err(|_| DispatchError::new(FailureMarker::Internal, "a pin without a digest"))?;
    Ok(Pin::new(reference.clone(), content))
}

/// The pin as what the engine knows it by, which finds it whatever the image's own id is.
fn here_as(pin: &Pin) -> Pin {
    Pin::new(pin.reference.clone(), pin.reference.clone())
}

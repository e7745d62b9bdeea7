//! Whether, and how, exactly the same image can be had again.

use shipslog_core::deploys::{DispatchError, FailureMarker, Pin, Progress, RollbackRefusal};

use super::ImagePlugin;
use super::pull::{content, parsed};
use crate::deploys::auth::Credentials;
use crate::deploys::classify::{Phase, classify};
use crate::deploys::reference::ImageReference;
use crate::engine::{Fault, Unreachable};

impl ImagePlugin {
    /// Looks on the host first, then asks the registry for the digest. Fetches nothing.
    pub(in crate::deploys) async fn can_be_had(&self, pin: &Pin) -> Result<(), RollbackRefusal> {
        if self
            .image(pin.content.as_str())
            .await
            .map_err(|error| refusal(error.marker()))?
            .is_some()
        {
            return Ok(());
        }
        if pin.reference.name().is_none() {
            return Err(RollbackRefusal::LocalImageGone);
        }
        let image = ImageReference::parse(pin.reference.as_str()).map_err(|_| RollbackRefusal::NotPinned)?;
        self.ask_registry(&image).await
    }

    async fn ask_registry(&self, image: &ImageReference) -> Result<(), RollbackRefusal> {
        let header = Credentials::of(image, self.docker_config.as_deref())
            .await
            .header();
        let name = image.to_string();
        // The engine in turn waits for the registry.
        let limit = 2 * self.engine.timeout();
        let asked = self
            .engine
            .call(limit, async |docker| {
                docker.inspect_registry_image(&name, header).await
            })
            .await;
        match asked {
            Ok(_) => Ok(()),
            Err(Fault::Unreachable(Unreachable::TimedOut)) => Err(refusal(self.silent().await.marker())),
            Err(fault) => Err(refusal(classify(Phase::Pull, &fault))),
        }
    }

    /// Fetches the pin, unless it is here. A digest names a manifest, and the image made from it must be the
    /// one that ran.
    pub(in crate::deploys) async fn fetch(
        &self,
        pin: &Pin,
        progress: &Progress,
    ) -> Result<(), DispatchError> {
        if self.image(pin.content.as_str()).await?.is_some() {
            return Ok(());
        }
        if pin.reference.name().is_none() {
            return Err(DispatchError::new(
                FailureMarker::ImageNotFound,
                "it existed on this host only",
            ));
        }
        let image = parsed(pin.reference.as_str())?;
        self.pull(&image, progress).await?;
        let found = self.image(&image.to_string()).await?;
        match found.as_ref().map(content).transpose()? {
            Some(content) if content == pin.content => Ok(()),
            other => Err(DispatchError::new(
                FailureMarker::ImageMismatch,
                format!("its digest now stands for {other:?}"),
            )),
        }
    }
}

/// An answer of a registry that says neither yes nor no counts as none.
fn refusal(marker: FailureMarker) -> RollbackRefusal {
    match marker {
        FailureMarker::ImageNotFound => RollbackRefusal::ImageGone,
        FailureMarker::RegistryDenied => RollbackRefusal::RegistryDenied,
        FailureMarker::EngineUnavailable | FailureMarker::Internal => RollbackRefusal::EngineUnavailable,
        _ => RollbackRefusal::RegistryUnreachable,
    }
}

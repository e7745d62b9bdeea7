//! Making containers, and making sure that they run what was pinned.

use bollard::Docker;
use bollard::models::{ContainerInspectResponse, NetworkConnectRequest};
use bollard::query_parameters::CreateContainerOptionsBuilder;
use shipslog_core::deploys::{DispatchError, FailureMarker, Job, Pin};

use super::ImagePlugin;
use super::config::{Role, container_config, container_name, endpoint};
use super::parts::WORK_LIMIT;
use crate::deploys::classify::{Phase, failed};

impl ImagePlugin {
    /// Makes a container and joins it to its networks. It is not started. Answers its id.
    pub(super) async fn create(
        &self,
        job: &Job,
        pin: &Pin,
        role: Role,
        replica: u32,
    ) -> Result<String, DispatchError> {
        let options = CreateContainerOptionsBuilder::default()
            .name(&container_name(job, role, replica))
            .build();
        let config = container_config(self.kind, job, pin, role);
        let creating = async move |plugin: Self| {
            let request = async |docker: Docker| docker.create_container(Some(options), config).await;
            let created = plugin.engine.call(WORK_LIMIT, request).await;
            created
                .map(|created| created.id)
                .map_err(|fault| failed(Phase::Create, &fault))
        };
        let id = self.carry_through(&job.workload, creating).await?;
        let made = self
            .inspect(&id)
            .await
            .map_err(|fault| failed(Phase::Manage, &fault))?;
        verify(&made, pin)?;
        for network in job.spec.networks.iter().skip(1) {
            self.join(&id, job, network, role).await?;
        }
        Ok(id)
    }

    async fn join(&self, id: &str, job: &Job, network: &str, role: Role) -> Result<(), DispatchError> {
        let endpoint_config = Some(endpoint(&job.spec, network, role));
        let request = NetworkConnectRequest {
            container: id.to_owned(),
            endpoint_config,
        };
        let joined = self
            .engine
            .call(WORK_LIMIT, async |docker| {
                docker.connect_network(network, request).await
            })
            .await;
        joined.map_err(|fault| failed(Phase::Create, &fault))
    }
}

/// Before it is started: what was made must be of the image that was pinned.
fn verify(made: &ContainerInspectResponse, pin: &Pin) -> Result<(), DispatchError> {
    match made.image.as_deref() {
        Some(image) if image == pin.content.as_str() => Ok(()),
        image => Err(DispatchError::new(
            FailureMarker::ImageMismatch,
            format!("made of {image:?}"),
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_container_of_another_image_is_not_started() {
        let content: shipslog_core::deploys::PinnedReference =
            format!("sha256:{}", "1d".repeat(32)).parse().unwrap();
        let pin = Pin::new(content.clone(), content);
        let made = |image: &str| ContainerInspectResponse {
            image: Some(image.to_owned()),
            ..Default::default()
        };
        assert!(verify(&made(pin.content.as_str()), &pin).is_ok());
        let other = format!("sha256:{}", "2d".repeat(32));
        for wrong in [made(&other), ContainerInspectResponse::default()] {
            assert_eq!(
                verify(&wrong, &pin).unwrap_err().marker(),
                FailureMarker::ImageMismatch
            );
        }
    }
}

//! A row of the ledger with all that it takes to act on it again.

use std::sync::Arc;

use super::{DispatchError, FailureMarker, Pinned};
use crate::id::{DeployId, WorkloadId};
use crate::secret::{NoSecrets, Secret, SecretSource};
use crate::workloads::{EnvVar, Spec};

/// A deploy of the ledger as a plugin sees it that is asked to keep it, or whether it can be had again.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Record {
    /// Whose deploy.
    pub workload: WorkloadId,
    /// Its row.
    pub deploy: DeployId,
    /// What it ran; `None` when it was never pinned.
    pub pinned: Option<Pinned>,
    /// The spec that it ran with, or is to run with. Its reference need not be what was requested.
    pub spec: Spec,
    /// The number of that spec.
    pub spec_revision: u32,
    /// Where the secrets are that the spec refers to.
    pub secrets: Arc<dyn SecretSource>,
}

impl Record {
    /// A record without pin and secrets, of the first revision. For tests of plugins, which set the rest.
    pub fn new(workload: WorkloadId, deploy: DeployId, spec: Spec) -> Self {
        Self {
            workload,
            deploy,
            pinned: None,
            spec,
            spec_revision: 1,
            secrets: Arc::new(NoSecrets),
        }
    }

    /// The spec's environment, with its secrets read now.
    ///
    /// # Errors
    /// [`FailureMarker::SecretMissing`].
    pub async fn env(&self) -> Result<Vec<(String, Secret<String>)>, DispatchError> {
        read_env(self.secrets.as_ref(), &self.spec.env).await
    }
}

/// An environment with its secrets read.
pub(super) async fn read_env(
    secrets: &dyn SecretSource,
    variables: &[EnvVar],
) -> Result<Vec<(String, Secret<String>)>, DispatchError> {
    let mut env = Vec::with_capacity(variables.len());
    for var in variables {
        env.push((var.name.clone(), value_of(secrets, var).await?));
    }
    Ok(env)
}

async fn value_of(secrets: &dyn SecretSource, var: &EnvVar) -> Result<Secret<String>, DispatchError> {
    match (&var.value, &var.secret) {
        (_, Some(reference)) => {
            let missing = |_| DispatchError::new(FailureMarker::SecretMissing, format!("env {}", var.name));
            secrets.read(reference).await.map_err(missing)
        }
        (Some(value), None) => Ok(Secret::new(value.as_str().to_owned())),
        (None, None) => Ok(Secret::new(String::new())),
    }
}

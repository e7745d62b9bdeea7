//! What a source kind implements.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use super::{FailureMarker, PartName, Pinned, PinnedReference, Progress, Record, RollbackRefusal, Strategy};
use crate::id::{DeployId, WorkloadId};
use crate::redact::Redactor;
use crate::secret::{NoSecrets, Secret, SecretSource};
use crate::workloads::{FieldError, Spec};

/// A dispatch that failed: the marker for the ledger and, out of reach of any formatting, the detail for the log.
///
/// ```
/// use shipslog_core::deploys::{DispatchError, FailureMarker};
///
/// let error = DispatchError::new(FailureMarker::RegistryDenied, "denied: Basic dXNlcjpwYXNz");
/// assert_eq!(error.to_string(), "registry_denied");
/// assert_eq!(format!("{error:?}"), "DispatchError(registry_denied)");
/// ```
pub struct DispatchError {
    marker: FailureMarker,
    part: Option<PartName>,
    detail: String,
    redactor: Redactor,
}

impl DispatchError {
    /// `detail` may be a raw text of a backend: it only ever reaches the log, and that redacted.
    pub fn new(marker: FailureMarker, detail: impl Into<String>) -> Self {
        Self {
            marker,
            part: None,
            detail: detail.into(),
            redactor: Redactor::default(),
        }
    }

    /// Adds a value that the log must not show in any encoding, such as the password in use.
    #[must_use]
    pub fn hiding(mut self, secret: &Secret<String>) -> Self {
        self.redactor.hide(secret.expose());
        self
    }

    /// Says which of several parts failed: the row will name it.
    #[must_use]
    pub fn of_part(mut self, part: PartName) -> Self {
        self.part = Some(part);
        self
    }

    /// The marker.
    pub fn marker(&self) -> FailureMarker {
        self.marker
    }

    /// Which of several parts failed, if one did.
    pub fn part(&self) -> Option<&PartName> {
        self.part.as_ref()
    }

    /// The detail, fit for the log, with what `job` must not show taken out as well.
    pub(crate) fn redacted(mut self, job: &Redactor) -> String {
        self.redactor.hide_all(job);
        self.redactor.redact(&self.detail)
    }
}

impl fmt::Display for DispatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.marker.as_str())
    }
}

impl fmt::Debug for DispatchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DispatchError({})", self.marker.as_str())
    }
}

impl std::error::Error for DispatchError {}

/// One dispatch, as a plugin sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Job {
    /// Whose dispatch.
    pub workload: WorkloadId,
    /// The ledger row that is already written.
    pub deploy: DeployId,
    /// The row that is current, whose containers serve until they are replaced.
    pub previous: Option<DeployId>,
    /// What was asked for: use this, not the reference in the spec.
    pub requested: String,
    /// The spec to run. Its reference is the one that its options were written for, among them secrets for a server: where `requested` is
    /// on another server, they are not meant for it.
    pub spec: Spec,
    /// Its revision.
    pub spec_revision: u32,
    /// The strategy written in the row.
    pub strategy: Option<Strategy>,
    /// The spec's environment, with its secrets read.
    pub env: Vec<(String, Secret<String>)>,
    /// Where the secrets are that the [options](crate::workloads::SourceOptions) of the source refer to. What is read of them is for
    /// the plugin to keep out of its errors, with [`DispatchError::hiding`].
    pub secrets: Arc<dyn SecretSource>,
    /// Where to tell how it goes.
    pub progress: Progress,
}

impl Job {
    /// A first deploy of what `spec` asks for, with neither environment nor anything before it. For tests of plugins, which set the rest.
    pub fn new(workload: WorkloadId, deploy: DeployId, spec: Spec) -> Self {
        Self {
            progress: Progress::detached(&workload, &deploy),
            workload,
            deploy,
            previous: None,
            requested: spec.source.reference.clone(),
            strategy: Some(spec.strategy()),
            spec,
            spec_revision: 1,
            env: Vec::new(),
            secrets: Arc::new(NoSecrets),
        }
    }
}

/// Something of a workload that runs, and what it says it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Running {
    /// The row that started it. `None` when the kind cannot tell, because it leaves alone what a deploy does not change: then the content
    /// alone decides.
    pub deploy: Option<DeployId>,
    /// Which of several parts it is.
    pub part: Option<PartName>,
    /// Its content, to be compared with that of the pin or of its part.
    pub content: PinnedReference,
}

impl Running {
    /// The only part of a deploy.
    pub fn new(deploy: DeployId, content: PinnedReference) -> Self {
        Self {
            deploy: Some(deploy),
            part: None,
            content,
        }
    }
}

/// What a source kind finds on this machine.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Readiness {
    /// The tools that it uses, with their versions: `git 2.39.5`.
    pub uses: Vec<String>,
    /// What it lacks, and how to get it, in sentences for operators. As long as there is something, its dispatches are refused.
    pub missing: Vec<String>,
}

/// A source kind: the only way in which anything is deployed.
///
/// [`Dispatcher`](super::Dispatcher) calls, for a deploy, `resolve`, `run`, `running` and `settle`, in this order; for a rollback
/// [`RollbackCapable::obtain`] in place of `resolve`. After a failure at any point it calls `settle` with what ran before. Any call may be
/// dropped at any await point, when the dispatch is cancelled or times out; `settle` must then find what is left by itself.
#[async_trait]
pub trait DispatchPlugin: fmt::Debug + Send + Sync + 'static {
    /// The source kind: `image`.
    fn kind(&self) -> &str;

    /// Checks the parts of a spec that depend on the source kind. Does no I/O.
    ///
    /// # Errors
    /// The field that is wrong.
    fn check(&self, spec: &Spec) -> Result<(), FieldError>;

    /// The order of stop and start for this spec; `None` if the kind has none.
    fn strategy(&self, spec: &Spec) -> Option<Strategy>;

    /// What the kind finds on this machine, and what it lacks. An engine that is away is not lacking: it is reported by itself, and a
    /// dispatch then fails with its marker. Asked before each rollback; nothing is needed and nothing lacks unless a plugin says so.
    async fn readiness(&self) -> Readiness {
        Readiness::default()
    }

    /// What a deploy of this reference lacks on this machine, in sentences that say what to do: what [the kind](Self::readiness) lacks, unless
    /// some references need more than others. Asked before each dispatch.
    async fn missing_for(&self, reference: &str) -> Vec<String> {
        let _ = reference;
        self.readiness().await.missing
    }

    /// Finds out what the reference stands for now, and fetches it if need be. Touches nothing that runs. A [`Pin`](super::Pin) alone will do,
    /// with `into()`, where it says all that there is to say.
    ///
    /// # Errors
    /// Reference, registry, source and pull markers.
    async fn resolve(&self, job: &Job) -> Result<Pinned, DispatchError>;

    /// Runs the pin in place of what ran before, and waits until it is healthy. On return only this deploy's parts run. What ran before is
    /// stopped, not removed, wherever the strategy allows, so that `settle` can put it back.
    ///
    /// # Errors
    /// Create, start and health markers. What ran before need not be restored: `settle` is called.
    async fn run(&self, job: &Job, pinned: &Pinned) -> Result<(), DispatchError>;

    /// What runs of the workload, of any deploy of this kind. Parts that ran to their end as they should count as well.
    ///
    /// # Errors
    /// [`FailureMarker::EngineUnavailable`].
    async fn running(&self, workload: &WorkloadId) -> Result<Vec<Running>, DispatchError>;

    /// Waits until something of a deploy that succeeded no longer works: a part of it is unhealthy, ended, was restarted by the engine or is gone.
    /// Does not return while all of it works; whoever does not want to know any more drops it.
    ///
    /// # Errors
    /// [`FailureMarker::EngineUnavailable`], which says nothing of the deploy: it is called again.
    async fn falter(&self, workload: &WorkloadId, deploy: &DeployId) -> Result<FailureMarker, DispatchError>;

    /// Makes `keep` the only deploy of the workload that has parts of this kind left, and starts those of its parts that do not run. With
    /// `None` nothing is left. Parts of other kinds are left alone. Idempotent.
    ///
    /// # Errors
    /// When it could not be done completely; it is tried again later.
    async fn settle(&self, workload: &WorkloadId, keep: Option<&Record>) -> Result<(), DispatchError>;

    /// The plugin as one that can roll back, if it can.
    fn rollback(&self) -> Option<&dyn RollbackCapable>;
}

/// A plugin that can run again exactly what ran before.
#[async_trait]
pub trait RollbackCapable: fmt::Debug + Send + Sync {
    /// Whether what a row ran can still be had. Touches nothing.
    ///
    /// # Errors
    /// Why not.
    async fn preflight(&self, target: &Record) -> Result<(), RollbackRefusal>;

    /// Fetches exactly what was pinned, if it is not here. Takes the place of [`DispatchPlugin::resolve`]; then the same `run` follows.
    /// Answers what it was given, or the same [reference](super::Pin::reference) with other content where that had to be built anew.
    ///
    /// # Errors
    /// Registry, source and pull markers; [`FailureMarker::ImageMismatch`] when what was fetched is something else.
    async fn obtain(&self, job: &Job, pinned: &Pinned) -> Result<Pinned, DispatchError>;
}

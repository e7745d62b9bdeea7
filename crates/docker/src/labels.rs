//! Labels of containers.

/// Which workload a container belongs to.
pub(crate) const WORKLOAD: &str = "shipslog.workload";
/// Which row of the ledger started it.
pub(crate) const DEPLOY: &str = "shipslog.deploy";
/// Which revision of the spec it was made from.
pub(crate) const SPEC_REVISION: &str = "shipslog.spec-revision";
/// Which source kind made it; absent from what earlier versions made, which was of kind `image`.
pub(crate) const KIND: &str = "shipslog.kind";
/// What it is for, if not to serve.
pub(crate) const ROLE: &str = "shipslog.role";
/// Which Compose project made it.
pub(crate) const COMPOSE_PROJECT: &str = "com.docker.compose.project";
/// Which row's service was replaced by this one: whose spec the engine would put back.
pub(crate) const REPLACES: &str = "shipslog.replaces";
/// Of which task of a swarm a container is.
pub(crate) const SWARM_TASK: &str = "com.docker.swarm.task.id";
/// Of which service of a swarm a container is.
pub(crate) const SWARM_SERVICE: &str = "com.docker.swarm.service.id";

//! Many containers read side by side.

use async_trait::async_trait;
use bollard::models::{ContainerInspectResponse, ContainerStatsResponse};
use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use shipslog_core::id::ContainerId;
use shipslog_core::stats::{CollectError, Collector, Counters};

use super::CollectorOptions;
use super::counters::counters;
use crate::DockerEngine;
use crate::engine::{Fault, Unreachable};

pub(super) const KIND: &str = "docker_api";

/// Reads counters through the engine's API: works with any engine that can be reached, wherever it is.
///
/// One container costs two requests, for its counters and for its state; the engine may take a second for the
/// first.
#[derive(Debug, Clone)]
pub struct DockerApiCollector {
    engine: DockerEngine,
    options: CollectorOptions,
}

impl DockerApiCollector {
    /// A collector for the containers of `engine`.
    pub fn new(engine: DockerEngine, options: CollectorOptions) -> Self {
        Self { engine, options }
    }

    async fn read(&self, id: &ContainerId) -> Result<Counters, CollectError> {
        let (stats, state) = tokio::join!(self.stats(id), self.inspect(id));
        // The state first: of a container that does not run, the counters mean nothing.
        let state = state.map_err(refusal)?;
        counters(&stats.map_err(refusal)?.ok_or(CollectError::NotRunning)?, &state)
    }

    /// `None` when the container vanished just then.
    async fn stats(&self, id: &ContainerId) -> Result<Option<ContainerStatsResponse>, Fault> {
        let options = StatsOptionsBuilder::default()
            .stream(false)
            .one_shot(true)
            .build();
        let once =
            async |docker: bollard::Docker| docker.stats(id.as_str(), Some(options)).next().await.transpose();
        self.engine.call(self.options.timeout, once).await
    }

    pub(super) async fn inspect(&self, id: &ContainerId) -> Result<ContainerInspectResponse, Fault> {
        self.engine
            .call(self.options.timeout, async |docker| {
                docker.inspect_container(id.as_str(), None).await
            })
            .await
    }
}

/// Waits for all, so many at a time, and gives what they came to in the order in which they were given.
pub(crate) async fn side_by_side<F: Future>(
    waiting: impl IntoIterator<Item = F>,
    at_a_time: usize,
) -> Vec<F::Output> {
    // Finished in any order: in a queue that keeps it, one that hangs would hold up those behind it.
    let numbered = waiting.into_iter().enumerate();
    let numbered: Vec<_> = numbered
        .map(|(i, future)| future.map(move |output| (i, output)))
        .collect();
    let mut outputs: Vec<_> = stream::iter(numbered).buffer_unordered(at_a_time).collect().await;
    outputs.sort_by_key(|(i, _)| *i);
    outputs.into_iter().map(|(_, output)| output).collect()
}

#[async_trait]
impl Collector for DockerApiCollector {
    fn kind(&self) -> &'static str {
        KIND
    }

    async fn collect(&self, ids: &[ContainerId]) -> Vec<Result<Counters, CollectError>> {
        let reading = ids.iter().map(|id| self.read(id));
        side_by_side(reading, self.options.side_by_side).await
    }
}

pub(super) fn refusal(fault: Fault) -> CollectError {
    match fault {
        Fault::Unreachable(Unreachable::TimedOut) => CollectError::TimedOut,
        Fault::Unreachable(Unreachable::Garbled) => CollectError::Unreadable,
        Fault::Unreachable(_) => CollectError::Unavailable,
        Fault::Answer {
            status: 404 | 409, ..
        } => CollectError::NotRunning,
        Fault::Answer { .. } => CollectError::Unreadable,
    }
}

//! Leaving exactly one deploy's containers, and those running.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use shipslog_core::deploys::{DispatchError, Record, Strategy};
use shipslog_core::id::WorkloadId;
use shipslog_core::workloads::Spec;
use tracing::info;

use super::ImagePlugin;
use super::parts::Part;
use super::swap::grace;
use crate::deploys::classify::{Phase, failed};

/// How often a container is looked at that may be stopped at any moment.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What the engine may take to end a container when its time is up.
const KILL_SLACK: Duration = Duration::from_secs(3);

impl ImagePlugin {
    /// Removes all but the containers of `keep`, and starts those of them that do not run.
    ///
    /// What may hold ports goes first and is killed, so that what served before serves again as soon as can
    /// be. Of several that run side by side none holds anything, and they are started first: the engine may take its time
    /// to remove others.
    pub(super) async fn put_in_order(
        &self,
        workload: &WorkloadId,
        keep: Option<&Record>,
    ) -> Result<(), DispatchError> {
        let was_dispatched_here = self.turns.knows(workload);
        let _turn = self.turns.take(workload).await;
        let is_sure = was_dispatched_here && !self.turns.has_lost(workload);
        let is_kept = |part: &Part| keep.is_some_and(|keep| part.is_service_of(&keep.deploy));
        let (kept, doomed): (Vec<Part>, Vec<Part>) =
            self.parts(workload).await?.into_iter().partition(is_kept);
        let interrupted = !is_sure
            && doomed
                .iter()
                .any(|part| !part.is_trial && (part.is_active() || part.is_fresh()));
        let (active, idle): (Vec<Part>, Vec<Part>) = doomed.into_iter().partition(Part::is_active);
        let side_by_side = keep.is_some_and(|keep| runs_side_by_side(&keep.spec));
        let exchanged = self.exchange(&kept, &active, side_by_side).await;
        let removed = self.remove_all(&idle).await;
        if interrupted {
            let running = kept.iter().filter(|part| part.is_active());
            join_all(running.map(|part| self.watch_over(part)))
                .await
                .into_iter()
                .collect::<Result<(), _>>()?;
        }
        exchanged.and(removed)?;
        self.turns.is_in_order(workload);
        Ok(())
    }

    async fn exchange(
        &self,
        kept: &[Part],
        doomed: &[Part],
        side_by_side: bool,
    ) -> Result<(), DispatchError> {
        if side_by_side {
            let started = self.start_stopped(kept).await;
            return self.remove_all(doomed).await.and(started);
        }
        let ended = self.remove_all(doomed).await;
        self.start_stopped(kept).await.and(ended)
    }

    async fn remove_all(&self, parts: &[Part]) -> Result<(), DispatchError> {
        join_all(parts.iter().map(|part| self.remove(part)))
            .await
            .into_iter()
            .collect()
    }

    async fn start_stopped(&self, kept: &[Part]) -> Result<(), DispatchError> {
        let stopped = kept.iter().filter(|part| part.is_startable());
        join_all(stopped.map(|part| self.start(&part.id)))
            .await
            .into_iter()
            .collect()
    }

    /// A process that died in the middle of a swap, or lost the engine in it, may have asked the engine to stop this container, and the
    /// engine does so even now: only when the container's time to stop has passed is it sure to stay.
    async fn watch_over(&self, part: &Part) -> Result<(), DispatchError> {
        let mut until = None;
        loop {
            let container = self
                .inspect(&part.id)
                .await
                .map_err(|fault| failed(Phase::Manage, &fault))?;
            let until = *until.get_or_insert_with(|| Instant::now() + grace(&container) + KILL_SLACK);
            if container.state.and_then(|state| state.running) != Some(true) {
                info!(
                    container = part.id,
                    "was stopped for a dispatch that is no more; starting it again"
                );
                return self.start(&part.id).await;
            }
            if Instant::now() >= until {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// Whether containers of it get along with others: they hold no ports of the host, and were not stopped for others.
fn runs_side_by_side(spec: &Spec) -> bool {
    let has_ports = !spec.ports.is_empty() || spec.networks.iter().any(|network| network == "host");
    spec.replicas > 1 && !has_ports && spec.strategy() != Strategy::Recreate
}

//! Leaving exactly one deploy's service, and that as it was.

use std::time::{Duration, Instant};

use shipslog_core::deploys::{DispatchError, FailureMarker, Record};
use shipslog_core::id::WorkloadId;

use super::SwarmPlugin;
use super::config::Wanted;
use super::services::Managed;
use super::tasks::ServiceTask;

/// How often tasks are looked at while they are put back.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long it may take until what ran before runs again.
const RESTORE_LIMIT: Duration = Duration::from_secs(110);

impl SwarmPlugin {
    /// Removes all but the service of `keep`, and puts that back to what `keep` was. Where no swarm is managed there is nothing
    /// to remove.
    pub(super) async fn put_in_order(
        &self,
        workload: &WorkloadId,
        keep: Option<&Record>,
    ) -> Result<(), DispatchError> {
        // What a dispatch that was dropped had begun is done then.
        drop(self.images.turns.take(workload).await);
        let Some(services) = self.services(workload).await? else {
            let lost = |_| {
                Err(DispatchError::new(
                    FailureMarker::StartFailed,
                    "this engine manages no swarm",
                ))
            };
            return keep.map_or(Ok(()), lost);
        };
        let (kept, doomed) = choose(services, keep);
        let removed = self.remove_all(&doomed).await;
        let restored = match keep {
            Some(record) => self.restore(record, kept.as_ref()).await,
            None => Ok(()),
        };
        restored.and(removed)
    }

    async fn restore(&self, record: &Record, service: Option<&Managed>) -> Result<(), DispatchError> {
        if let Some(service) = service {
            if service.deploy.as_ref() == Some(&record.deploy) {
                return Ok(());
            }
            if service.replaces.as_ref() == Some(&record.deploy) && self.is_undone(record, service).await? {
                return self.until_restored(record, &service.id).await;
            }
        }
        let id = self.put_back(record, service).await?;
        self.until_restored(record, &id).await
    }

    /// The engine's own rollback, which needs no secret to be read again. Whether it brought back what was to be kept: somebody
    /// else may have updated the service in between.
    async fn is_undone(&self, record: &Record, service: &Managed) -> Result<bool, DispatchError> {
        self.undo(service).await?;
        let now = self.services(&record.workload).await?.unwrap_or_default();
        let is_kept = |now: &Managed| now.id == service.id && now.deploy.as_ref() == Some(&record.deploy);
        Ok(now.iter().any(is_kept))
    }

    /// Makes the service anew as the ledger has it.
    async fn put_back(&self, record: &Record, service: Option<&Managed>) -> Result<String, DispatchError> {
        let wanted = self.completed(Wanted::of_record(record).await?).await?;
        self.put(&wanted, service).await
    }

    async fn until_restored(&self, record: &Record, service: &str) -> Result<(), DispatchError> {
        let until = Instant::now() + RESTORE_LIMIT;
        while !is_restored(record, &self.tasks(service).await?) {
            if Instant::now() >= until {
                let detail = "what ran before does not run again";
                return Err(DispatchError::new(FailureMarker::StartFailed, detail));
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
        Ok(())
    }
}

/// The one service that stays, and those that go. Any service of the workload can be turned into what is to be kept.
fn choose(services: Vec<Managed>, keep: Option<&Record>) -> (Option<Managed>, Vec<Managed>) {
    let Some(keep) = keep else {
        return (None, services);
    };
    let (trials, mut services): (Vec<_>, Vec<_>) = services.into_iter().partition(|service| service.is_trial);
    if services.is_empty() {
        return (None, trials);
    }
    let is_kept = |service: &Managed| service.deploy.as_ref() == Some(&keep.deploy);
    let kept = services.iter().position(is_kept).unwrap_or(0);
    let kept = services.swap_remove(kept);
    (Some(kept), [trials, services].concat())
}

fn is_restored(record: &Record, tasks: &[ServiceTask]) -> bool {
    let (kept, others): (Vec<&ServiceTask>, Vec<&ServiceTask>) =
        tasks.iter().partition(|task| task.is_of(&record.deploy));
    let working = kept.iter().filter(|task| task.works()).count();
    working >= record.spec.replicas as usize
        && !others.iter().any(|task| task.is_wanted() || task.is_active())
}

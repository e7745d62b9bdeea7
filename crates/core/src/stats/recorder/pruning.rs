//! Deleting samples past their retention, beside the sampling.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use super::TickError;
use super::loss::Loss;
use crate::stats::StatsStore;
use crate::store::StoreError;
use crate::time::{Clock, Window};

/// Time between two rounds.
const EVERY: Duration = Duration::from_secs(5 * 60);

/// Rows that are deleted at a time: a tick that is due in between waits for no more than these.
const CHUNK: u32 = 5_000;

/// Time between two chunks, for writers that wait.
const PAUSE: Duration = Duration::from_millis(5);

/// Prunes at once and then every 5 minutes, until cancelled.
pub(super) async fn run(
    store: Arc<dyn StatsStore>,
    clock: Arc<dyn Clock>,
    retention: Window,
    cancel: CancellationToken,
) {
    let mut cadence = tokio::time::interval(EVERY);
    cadence.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut loss = Loss::new(
        "old samples cannot be deleted",
        "old samples can be deleted again",
    );
    while cancel.run_until_cancelled(cadence.tick()).await.is_some() {
        let before = clock.now().as_second().saturating_sub(retention.seconds());
        loss.note(
            prune(store.as_ref(), before, &cancel)
                .await
                .err()
                .map(TickError::from),
        );
    }
}

async fn prune(store: &dyn StatsStore, before: i64, cancel: &CancellationToken) -> Result<(), StoreError> {
    while store.prune_samples(before, CHUNK).await? {
        if cancel
            .run_until_cancelled(tokio::time::sleep(PAUSE))
            .await
            .is_none()
        {
            return Ok(());
        }
    }
    Ok(())
}

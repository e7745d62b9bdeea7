//! Trying again what could not be put in order.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::Dispatcher;

/// Pause before the first and between the last attempts; each is twice as long as the one before.
const RETRY_FIRST: Duration = Duration::from_secs(10);
const RETRY_LAST: Duration = Duration::from_secs(600);

impl Dispatcher {
    /// [Reconciles](Self::reconcile) by itself while something is not [settled](Self::is_settled), although the engine may have been there all
    /// the time: 10 seconds after it was noticed at most, then after twice that and so on, every 10 minutes in the end. It begins anew when all was
    /// settled. For a task of its own; ends with `stop`.
    pub async fn keep_settled(&self, stop: CancellationToken) {
        let mut pause = RETRY_FIRST;
        while stop.run_until_cancelled(sleep(pause)).await.is_some() {
            if self.is_settled() {
                pause = RETRY_FIRST;
                continue;
            }
            pause = RETRY_LAST.min(pause * 2);
            self.reconcile().await;
        }
    }
}

//! What the dispatcher is at, for those who watch over it.

use super::Outcome;

/// What a [`Dispatcher`](super::Dispatcher) is at, and what it got done since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DispatcherStatus {
    /// Dispatches under way.
    pub running: usize,
    /// Rows that are over and could not be closed, because the ledger could not be written.
    pub unclosed: usize,
    /// Workloads to be put in order when the engine is there again: something may run of them that should not.
    pub unsettled: usize,
    /// Rows that were closed.
    pub closed: ClosedDeploys,
}

/// Rows that were closed since a [`Dispatcher`](super::Dispatcher) was made, deploys and rollbacks alike, by outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClosedDeploys {
    /// As [`Outcome::Succeeded`].
    pub succeeded: u64,
    /// As [`Outcome::Failed`], for whatever reason.
    pub failed: u64,
    /// As [`Outcome::Interrupted`], also those that an earlier process left running.
    pub interrupted: u64,
}

impl ClosedDeploys {
    /// A row that is running is not closed, and does not count.
    pub(super) fn count(&mut self, outcome: Outcome) {
        match outcome {
            Outcome::Running => {}
            Outcome::Succeeded => self.succeeded += 1,
            Outcome::Failed(_) => self.failed += 1,
            Outcome::Interrupted => self.interrupted += 1,
        }
    }
}

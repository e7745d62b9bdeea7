//! Which rows of a ledger may go.

use super::{Deploy, Outcome};
use crate::id::DeployId;

/// The rows that may be deleted so that the newest `keep` are left.
///
/// `rows` are all rows of one workload, newest first. Never in the answer: a running row, the current row, and the newest
/// successful row before the current one, which is what a rollback needs.
pub fn prunable(rows: &[Deploy], keep: usize) -> Vec<DeployId> {
    let fallback = fallback_of(rows);
    let spare = |row: &&Deploy| !row.current && row.outcome != Outcome::Running && Some(&row.id) != fallback;
    rows.iter()
        .skip(keep)
        .filter(spare)
        .map(|row| row.id.clone())
        .collect()
}

/// The newest successful row before the current one; before all rows when none is current.
fn fallback_of(rows: &[Deploy]) -> Option<&DeployId> {
    let current = rows.iter().position(|row| row.current);
    let older = &rows[current.map_or(0, |i| i + 1)..];
    older
        .iter()
        .find(|row| row.outcome == Outcome::Succeeded)
        .map(|row| &row.id)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::deploys::{FailureMarker, Reason};
    use crate::id::WorkloadId;
    use crate::time::Timestamp;

    fn row(number: usize, outcome: Outcome, current: bool) -> Deploy {
        Deploy {
            id: format!("d{number}").parse().unwrap(),
            workload_id: WorkloadId::generate(Timestamp::UNIX_EPOCH),
            source_kind: "image".to_owned(),
            reason: Reason::Manual,
            requested: "app:1".to_owned(),
            pin: None,
            spec_revision: 1,
            outcome,
            failed_part: None,
            triggered_by: "admin".to_owned(),
            note: None,
            rollback_of: None,
            current,
            strategy: None,
            started_at: Timestamp::UNIX_EPOCH,
            finished_at: None,
        }
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![
            Just(Outcome::Succeeded),
            Just(Outcome::Failed(FailureMarker::Internal)),
            Just(Outcome::Interrupted),
            Just(Outcome::Running),
        ]
    }

    proptest! {
        #[test]
        fn what_is_needed_is_never_pruned(
            outcomes in prop::collection::vec(outcome(), 0..40),
            current in prop::option::of(0_usize..40),
            keep in 0_usize..45,
        ) {
            let rows: Vec<Deploy> = outcomes.iter().enumerate().map(|(i, o)| row(i, *o, Some(i) == current)).collect();
            let gone = prunable(&rows, keep);
            let is_gone = |row: &Deploy| gone.contains(&row.id);
            prop_assert!(rows.iter().take(keep).all(|row| !is_gone(row)));
            prop_assert!(rows.iter().all(|row| !(is_gone(row) && (row.current || row.outcome == Outcome::Running))));
            let at = rows.iter().position(|row| row.current);
            let older = rows.iter().skip(at.map_or(0, |i| i + 1));
            let fallback = older.into_iter().find(|row| row.outcome == Outcome::Succeeded);
            prop_assert!(fallback.is_none_or(|row| !is_gone(row)));
            // Three rows at most are kept beyond the newest: the running one, the current one and the one before it.
            let running = rows.iter().skip(keep).filter(|row| row.outcome == Outcome::Running).count();
            prop_assert!(rows.len() - gone.len() <= keep + running + 2);
        }
    }
}

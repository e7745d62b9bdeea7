//! What was rolled back from, which no machine may deploy again.

use super::{Deploy, Outcome, Pin};

/// What the workload was just rolled back from, given its ledger, the newest row first. `None` unless the newest row that succeeded is a
/// rollback: whatever was deployed since, by hand or by force, has lifted the hold.
pub(super) fn held(rows: &[Deploy]) -> Option<&Pin> {
    let mut ran = rows.iter().filter(|row| row.outcome == Outcome::Succeeded);
    let rollback = ran.next().filter(|row| row.reason.is_rollback())?;
    // Back to what ran already is no judgement on it.
    let left = ran.next()?.pin.as_ref();
    left.filter(|left| rollback.pin.as_ref().is_none_or(|now| !now.is_same_version(left)))
}

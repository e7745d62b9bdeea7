//! What becomes of a dispatch that the control plane did not live to see through.

use super::{Deploy, Pin, Running};
use crate::id::DeployId;

/// Which deploy's containers stay after an interruption.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Survivor {
    /// What was current before stays, or is started again.
    Previous(DeployId),
    /// The interrupted deploy had replaced everything: it is what runs, so it is current.
    Interrupted(DeployId),
    /// There was nothing before, and nothing runs.
    Nobody,
}

impl Survivor {
    /// The deploy to be kept.
    pub fn keep(&self) -> Option<&DeployId> {
        match self {
            Self::Previous(id) | Self::Interrupted(id) => Some(id),
            Self::Nobody => None,
        }
    }
}

/// Decides who stays: `interrupted` if it alone runs what it was pinned to, else what was current before.
///
/// `running` is what the engine says runs of the workload.
pub fn survivor(interrupted: &Deploy, previous: Option<&Deploy>, running: &[Running]) -> Survivor {
    let of_interrupted = |part: &Running| part.deploy == interrupted.id;
    if !running.is_empty()
        && running
            .iter()
            .all(|part| of_interrupted(part) && is(part, interrupted.pin.as_ref()))
    {
        return Survivor::Interrupted(interrupted.id.clone());
    }
    previous.map_or(Survivor::Nobody, |row| Survivor::Previous(row.id.clone()))
}

/// Whether a running part is what was pinned.
pub(super) fn is(part: &Running, pin: Option<&Pin>) -> bool {
    pin.is_some_and(|pin| pin.content == part.content)
}

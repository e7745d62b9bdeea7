//! What becomes of a dispatch that the control plane did not live to see through.

use super::{Deploy, PartName, Pin, Running};
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

/// Decides who stays: `interrupted` if it alone runs, whole, what it was pinned to, else what was current before.
///
/// `running` is what the engine says runs of the workload.
pub fn survivor(interrupted: &Deploy, previous: Option<&Deploy>, running: &[Running]) -> Survivor {
    let of_interrupted = |part: &Running| part.deploy.as_ref() == Some(&interrupted.id);
    let is_whole = |pin: &Pin| {
        running.iter().all(|part| of_interrupted(part) && pin.is(part)) && missing(pin, running).is_none()
    };
    if !running.is_empty() && interrupted.pin.as_ref().is_some_and(is_whole) {
        return Survivor::Interrupted(interrupted.id.clone());
    }
    previous.map_or(Survivor::Nobody, |row| Survivor::Previous(row.id.clone()))
}

/// The first part that was pinned and does not run.
pub(super) fn missing<'a>(pin: &'a Pin, running: &[Running]) -> Option<&'a PartName> {
    let runs = |name: &PartName| running.iter().any(|part| part.part.as_ref() == Some(name));
    pin.parts.keys().find(|name| !runs(name))
}

//! How many files may be kept open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Enough for some 4,000 containers. More would be of no use, and takes kernel memory in programs that close every descriptor
/// there could be.
const ENOUGH: u64 = 65_536;

/// Half of what the process may open, after its limit was raised as far as it may be and is of use.
pub(super) fn half_of_all() -> usize {
    let limits = getrlimit(Resource::Nofile);
    let wanted = limits.maximum.unwrap_or(ENOUGH).min(ENOUGH);
    let current = limits.current.unwrap_or(ENOUGH);
    let raised = Rlimit {
        current: Some(wanted),
        ..limits
    };
    let usable = if wanted > current && setrlimit(Resource::Nofile, raised).is_ok() {
        wanted
    } else {
        current
    };
    usize::try_from(usable.min(ENOUGH) / 2).unwrap_or(0)
}

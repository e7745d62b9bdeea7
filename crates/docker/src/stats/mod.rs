//! Counters of containers, read from the engine or where the kernel keeps them.

mod api;
#[cfg(target_os = "linux")]
mod cgroup;
mod counters;
mod options;

pub use api::DockerApiCollector;
pub(crate) use api::side_by_side;
#[cfg(target_os = "linux")]
pub use cgroup::CgroupCollector;
pub use options::CollectorOptions;

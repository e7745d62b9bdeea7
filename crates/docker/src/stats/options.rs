//! How counters are read.

use std::path::PathBuf;
use std::time::Duration;

/// How a [`CgroupCollector`](crate::CgroupCollector) or a [`DockerApiCollector`](crate::DockerApiCollector) reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorOptions {
    pub(super) timeout: Duration,
    pub(super) side_by_side: usize,
    pub(super) root: PathBuf,
    pub(super) descriptors: Option<usize>,
}

impl Default for CollectorOptions {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(5),
            side_by_side: 64,
            root: PathBuf::from("/"),
            descriptors: None,
        }
    }
}

impl CollectorOptions {
    /// How long the engine may take over one container, 5 seconds by default. Files take no time to speak of.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How many containers the engine is asked about at a time, 64 by default and at least 1. Each takes two connections.
    #[must_use]
    pub fn with_side_by_side(mut self, containers: usize) -> Self {
        self.side_by_side = containers.max(1);
        self
    }

    /// The directory that holds `proc`, and below which the control groups are mounted as `proc/self/mountinfo` says: `/` by
    /// default. Another one is a copy: what is in it is read, but whether a process lives cannot be seen from it.
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self
    }

    /// How many files of containers may be kept open, about eight a container; of those beyond, the files are opened for
    /// each reading, which costs some three times as much.
    ///
    /// By default the process's soft limit of open files is raised to its hard limit, to 65,536 at most, and half of that is
    /// used, which leaves the other half to whatever else the process does. Given a number, the limit is left alone.
    #[must_use]
    pub fn with_descriptors(mut self, descriptors: usize) -> Self {
        self.descriptors = Some(descriptors);
        self
    }
}

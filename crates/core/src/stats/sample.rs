//! What is read of a container, and what is kept of it.

use crate::time::Timestamp;

/// One reading of a container's cumulative counters. What the engine does not give is `None`, never 0.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Counters {
    /// When the engine took the reading, by its own clock.
    pub read_at: Option<Timestamp>,
    /// When the container's process was started: another value means another run, whose counters begin anew.
    pub started_at: Option<Timestamp>,
    /// Whether the container was paused at that moment.
    pub paused: bool,
    /// Processor time.
    pub cpu: Option<CpuCounters>,
    /// Memory.
    pub memory: Option<MemoryCounters>,
    /// Network, summed over all interfaces: read is received, written is sent. `None` when the container shares another's network.
    pub network: Option<IoCounters>,
    /// Block devices, summed.
    pub block: Option<IoCounters>,
}

/// Processor time used by a container, and by the whole host to compare it with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuCounters {
    /// Used by the container since its start, in nanoseconds.
    pub total_ns: u64,
    /// Passed on the host, summed over its processors, in nanoseconds.
    pub system_ns: u64,
    /// Processors that `system_ns` is summed over.
    pub online: u32,
}

/// Memory of a container, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MemoryCounters {
    /// All that is accounted to it.
    pub usage: u64,
    /// The part that the kernel can take back at once: `total_inactive_file` on cgroup v1, `inactive_file` on v2.
    pub inactive_file: u64,
    /// The limit; 0 = unlimited.
    pub limit: u64,
}

/// Bytes moved since the container's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IoCounters {
    /// Bytes in: received or read.
    pub read: u64,
    /// Bytes out: sent or written.
    pub written: u64,
}

/// What is kept of a container at one tick. `None` means not known, never 0.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Sample {
    /// Processor use: 100 for one fully used core. Kept to a thousandth.
    pub cpu_percent: Option<f64>,
    /// Memory that cannot be taken back at once, in bytes.
    pub memory_usage: Option<u64>,
    /// Limit in bytes; 0 = unlimited.
    pub memory_limit: Option<u64>,
    /// Bytes per second received.
    pub network_rx: Option<u64>,
    /// Bytes per second sent.
    pub network_tx: Option<u64>,
    /// Bytes per second read from block devices.
    pub block_read: Option<u64>,
    /// Bytes per second written to block devices.
    pub block_write: Option<u64>,
}

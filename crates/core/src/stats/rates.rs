//! From cumulative counters to what is kept: the one place where rates come from, whatever reads the counters.

use super::{Counters, CpuCounters, IoCounters, MemoryCounters, Sample};

/// What a container used between two readings, and what it holds at the second.
///
/// - CPU is the container's part of the host's processor time, times the processors: 100 for one fully used core.
/// - Network and block I/O are bytes per second, rounded down, over the time between the engine's own read times.
/// - Memory and its limit are those of `now` alone. Memory is `usage` without `inactive_file`; all of `usage` if that is
///   smaller. A limit past 63 bits is how some engines say unlimited, which is 0.
///
/// A rate is `None` rather than wrong: without a previous reading, when either lacks the counters or its read time, when
/// no time passed between them or `previous` is the later one, when the container was started anew or was paused at
/// either, and when a counter went backwards, each group of counters for itself. So is a CPU rate of more than twice
/// what all processors can do; up to that it may be the two clocks of the engine, which it reads one after the other.
///
/// ```
/// use shipslog_core::stats::{Counters, CpuCounters, rates};
/// use shipslog_core::time::Timestamp;
///
/// let reading = |second, total_ns, system_ns| Counters {
///     read_at: Timestamp::from_second(second).ok(),
///     cpu: Some(CpuCounters { total_ns, system_ns, online: 4 }),
///     ..Counters::default()
/// };
/// let first = reading(0, 1_000_000_000, 40_000_000_000);
/// let second = reading(10, 6_000_000_000, 80_000_000_000);
/// assert_eq!(rates(None, &first).cpu_percent, None);
/// assert_eq!(rates(Some(&first), &second).cpu_percent, Some(50.0));
/// ```
pub fn rates(previous: Option<&Counters>, now: &Counters) -> Sample {
    let held = Sample {
        memory_usage: now.memory.map(working_set).and_then(storable),
        memory_limit: now.memory.map(|memory| storable(memory.limit).unwrap_or(0)),
        ..Sample::default()
    };
    let Some((previous, nanos)) = previous.and_then(|previous| Some((previous, comparable(previous, now)?)))
    else {
        return held;
    };
    let (network_rx, network_tx) = both(io(previous.network, now.network, nanos));
    let (block_read, block_write) = both(io(previous.block, now.block, nanos));
    let cpu_percent = cpu(previous.cpu, now.cpu);
    Sample {
        cpu_percent,
        network_rx,
        network_tx,
        block_read,
        block_write,
        ..held
    }
}

fn working_set(memory: MemoryCounters) -> u64 {
    memory
        .usage
        .checked_sub(memory.inactive_file)
        .unwrap_or(memory.usage)
}

/// The nanoseconds between two readings that may be subtracted from each other.
fn comparable(previous: &Counters, now: &Counters) -> Option<u128> {
    let same_run = previous.started_at == now.started_at && !previous.paused && !now.paused;
    let passed = now.read_at?.as_nanosecond() - previous.read_at?.as_nanosecond();
    u128::try_from(passed).ok().filter(|nanos| same_run && *nanos > 0)
}

fn cpu(previous: Option<CpuCounters>, now: Option<CpuCounters>) -> Option<f64> {
    let (previous, now) = (previous?, now?);
    let used = now.total_ns.checked_sub(previous.total_ns)?;
    let passed = now
        .system_ns
        .checked_sub(previous.system_ns)
        .filter(|passed| *passed > 0)?;
    let possible = now.online > 0 && used / 2 <= passed;
    possible.then(|| used as f64 / passed as f64 * f64::from(now.online) * 100.0)
}

fn io(previous: Option<IoCounters>, now: Option<IoCounters>, nanos: u128) -> Option<(u64, u64)> {
    let (previous, now) = (previous?, now?);
    let read = now.read.checked_sub(previous.read)?;
    let written = now.written.checked_sub(previous.written)?;
    Some((per_second(read, nanos)?, per_second(written, nanos)?))
}

fn per_second(bytes: u64, nanos: u128) -> Option<u64> {
    let rate = u128::from(bytes) * 1_000_000_000 / nanos;
    u64::try_from(rate).ok().and_then(storable)
}

/// Databases keep signed numbers.
fn storable(number: u64) -> Option<u64> {
    i64::try_from(number).is_ok().then_some(number)
}

fn both(rates: Option<(u64, u64)>) -> (Option<u64>, Option<u64>) {
    (rates.map(|rates| rates.0), rates.map(|rates| rates.1))
}

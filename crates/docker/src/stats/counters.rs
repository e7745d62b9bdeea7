//! From the engine's answers to counters.

use std::collections::HashMap;

use bollard::models::{
    ContainerBlkioStatEntry, ContainerCpuStats, ContainerInspectResponse, ContainerMemoryStats,
    ContainerNetworkStats, ContainerStatsResponse,
};
use shipslog_core::stats::{CollectError, Counters, CpuCounters, IoCounters, MemoryCounters};
use shipslog_core::time::Timestamp;

/// The counters of a running container. The engine answers for one that does not run as well, with zeros read
/// in the year 1.
pub(super) fn counters(
    stats: &ContainerStatsResponse,
    container: &ContainerInspectResponse,
) -> Result<Counters, CollectError> {
    let state = container.state.as_ref().ok_or(CollectError::Unreadable)?;
    let read_at = time(stats.read.as_deref())?;
    if state.running != Some(true) || read_at.is_some_and(|at| at < Timestamp::UNIX_EPOCH) {
        return Err(CollectError::NotRunning);
    }
    let block = stats
        .blkio_stats
        .as_ref()
        .and_then(|block| block.io_service_bytes_recursive.as_deref());
    let own_networks = stats.networks.as_ref().filter(|_| has_own_network(container));
    Ok(Counters {
        read_at,
        started_at: time(state.started_at.as_deref())?,
        paused: state.paused.unwrap_or(false),
        cpu: stats.cpu_stats.as_ref().and_then(cpu),
        memory: stats
            .memory_stats
            .as_ref()
            .and_then(|memory| self::memory(memory, is_limited(container))),
        network: own_networks.and_then(network),
        block: block.map(self::block),
    })
}

pub(super) fn time(text: Option<&str>) -> Result<Option<Timestamp>, CollectError> {
    text.map(|text| text.parse().map_err(|_| CollectError::Unreadable))
        .transpose()
}

fn cpu(cpu: &ContainerCpuStats) -> Option<CpuCounters> {
    let usage = cpu.cpu_usage.as_ref()?;
    let per_cpu = usage
        .percpu_usage
        .as_ref()
        .and_then(|cpus| u32::try_from(cpus.len()).ok());
    let online = cpu.online_cpus.filter(|online| *online > 0).or(per_cpu)?;
    Some(CpuCounters {
        total_ns: usage.total_usage?,
        system_ns: cpu.system_cpu_usage?,
        online,
    })
}

/// Without a limit of its own the engine gives the host's memory as the limit, so its configuration has to
/// tell.
fn is_limited(container: &ContainerInspectResponse) -> bool {
    container
        .host_config
        .as_ref()
        .and_then(|config| config.memory)
        .is_none_or(|limit| limit > 0)
}

/// Of a container in another's network the engine gives the other's counters, which would then count twice.
pub(super) fn has_own_network(container: &ContainerInspectResponse) -> bool {
    let config = container.host_config.as_ref();
    let mode = config
        .and_then(|config| config.network_mode.as_deref())
        .unwrap_or_default();
    !matches!(mode, "host" | "none") && !mode.starts_with("container:")
}

fn memory(memory: &ContainerMemoryStats, is_limited: bool) -> Option<MemoryCounters> {
    let stat = |name: &str| memory.stats.as_ref().and_then(|stats| stats.get(name).copied());
    // cgroup v1 has both names, of which only the total counts the processes of child groups.
    let inactive_file = stat("total_inactive_file")
        .or_else(|| stat("inactive_file"))
        .unwrap_or(0);
    let limit = memory.limit.filter(|_| is_limited).unwrap_or(0);
    Some(MemoryCounters {
        usage: memory.usage?,
        inactive_file,
        limit,
    })
}

fn network(interfaces: &HashMap<String, ContainerNetworkStats>) -> Option<IoCounters> {
    let sum = |of: fn(&ContainerNetworkStats) -> Option<u64>| {
        interfaces.values().filter_map(of).fold(0, u64::saturating_add)
    };
    let moved = IoCounters {
        read: sum(|each| each.rx_bytes),
        written: sum(|each| each.tx_bytes),
    };
    (!interfaces.is_empty()).then_some(moved)
}

/// A container that has moved nothing yet has an empty list.
fn block(entries: &[ContainerBlkioStatEntry]) -> IoCounters {
    let sum = |wanted: &str| {
        let is_wanted = |entry: &&ContainerBlkioStatEntry| {
            entry
                .op
                .as_ref()
                .is_some_and(|op| op.eq_ignore_ascii_case(wanted))
        };
        entries
            .iter()
            .filter(is_wanted)
            .filter_map(|entry| entry.value)
            .fold(0, u64::saturating_add)
    };
    IoCounters {
        read: sum("read"),
        written: sum("write"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn inspected(state: Value, memory: u64) -> Value {
        json!({"Id": "c1", "State": state, "HostConfig": {"Memory": memory}})
    }

    fn running() -> Value {
        inspected(
            json!({"Status": "running", "Running": true, "Paused": false, "StartedAt": "2026-11-21T02:39:42.123456789Z"}),
            0,
        )
    }

    fn read(stats: Value, container: Value) -> Result<Counters, CollectError> {
        counters(
            &serde_json::from_value(stats).unwrap(),
            &serde_json::from_value(container).unwrap(),
        )
    }

    /// cgroup v1, first sample: nothing before it to compare with.
    fn first_sample() -> Value {
        json!({
            "read": "2026-11-21T02:40:00.5Z", "preread": "0001-01-01T00:00:00Z", "num_procs": 0,
            "pids_stats": {"current": 2},
            "blkio_stats": {"io_service_bytes_recursive": [
                {"major": 254, "minor": 0, "op": "Read", "value": 4096}, {"major": 254, "minor": 0, "op": "Write", "value": 8192},
                {"major": 254, "minor": 0, "op": "Sync", "value": 4096}, {"major": 254, "minor": 0, "op": "Total", "value": 12288},
                {"major": 253, "minor": 1, "op": "read", "value": 4}, {"major": 253, "minor": 1, "op": "write", "value": 5}],
                "io_serviced_recursive": [], "io_queue_recursive": []},
            "cpu_stats": {"cpu_usage": {"total_usage": 31_778_341, "percpu_usage": [31_000_000, 778_341]}, "system_cpu_usage": 9_876_540_000_000_u64,
                "online_cpus": 2, "throttling_data": {"periods": 0}},
            "precpu_stats": {"cpu_usage": {"total_usage": 0}, "throttling_data": {"periods": 0}},
            "memory_stats": {"usage": 5_000_000, "max_usage": 6_000_000, "limit": 25_000_000_000_u64,
                "stats": {"inactive_file": 1, "total_inactive_file": 1_000_000, "hierarchical_memory_limit": 9_223_372_036_854_771_712_u64}},
            "name": "/web", "id": "c1",
            "networks": {"eth0": {"rx_bytes": 100, "tx_bytes": 10}, "eth1": {"rx_bytes": 23, "tx_bytes": 4}},
        })
    }

    #[test]
    fn a_running_container_has_all_counters_even_in_its_first_sample() {
        let counters = read(first_sample(), running()).unwrap();
        assert_eq!(counters.read_at, Some("2026-11-21T02:40:00.5Z".parse().unwrap()));
        assert_eq!(
            counters.started_at,
            Some("2026-11-21T02:39:42.123456789Z".parse().unwrap())
        );
        assert_eq!(
            counters.cpu,
            Some(CpuCounters {
                total_ns: 31_778_341,
                system_ns: 9_876_540_000_000,
                online: 2
            })
        );
        assert_eq!(
            counters.memory,
            Some(MemoryCounters {
                usage: 5_000_000,
                inactive_file: 1_000_000,
                limit: 0
            })
        );
        assert_eq!(
            counters.network,
            Some(IoCounters {
                read: 123,
                written: 14
            })
        );
        assert_eq!(
            counters.block,
            Some(IoCounters {
                read: 4100,
                written: 8197
            })
        );
        assert!(!counters.paused);
    }

    #[test]
    fn cgroup_v2_names_its_counters_otherwise() {
        let mut stats = first_sample();
        stats["memory_stats"] =
            json!({"usage": 700, "limit": 268_435_456, "stats": {"anon": 500, "inactive_file": 200}});
        stats["cpu_stats"]["cpu_usage"] = json!({"total_usage": 5, "usage_in_usermode": 3});
        let mut container = running();
        container["HostConfig"]["Memory"] = json!(268_435_456);
        let counters = read(stats, container).unwrap();
        assert_eq!(
            counters.memory,
            Some(MemoryCounters {
                usage: 700,
                inactive_file: 200,
                limit: 268_435_456
            })
        );
        assert_eq!(counters.cpu.unwrap().online, 2);
    }

    #[test]
    fn the_zero_sample_of_what_does_not_run_is_no_reading() {
        let zero = json!({
            "read": "0001-01-01T00:00:00Z", "preread": "0001-01-01T00:00:00Z", "pids_stats": {}, "num_procs": 0, "storage_stats": {},
            "blkio_stats": {"io_service_bytes_recursive": null, "io_serviced_recursive": null},
            "cpu_stats": {"cpu_usage": {"total_usage": 0, "usage_in_kernelmode": 0, "usage_in_usermode": 0}, "throttling_data": {"periods": 0}},
            "precpu_stats": {"cpu_usage": {"total_usage": 31_778_341}, "system_cpu_usage": 1, "throttling_data": {"periods": 0}},
            "memory_stats": {}, "name": "/web", "id": "c1"
        });
        assert_eq!(read(zero.clone(), running()), Err(CollectError::NotRunning));
        let restarting = json!({"Status": "restarting", "Running": true, "Restarting": true, "StartedAt": "2026-11-21T02:39:42Z"});
        assert_eq!(
            read(zero.clone(), inspected(restarting, 0)),
            Err(CollectError::NotRunning)
        );
        let exited = json!({"Status": "exited", "Running": false, "StartedAt": "2026-11-21T02:39:42Z"});
        assert_eq!(
            read(zero, inspected(exited.clone(), 0)),
            Err(CollectError::NotRunning)
        );
        assert_eq!(
            read(first_sample(), inspected(exited, 0)),
            Err(CollectError::NotRunning)
        );
    }

    #[test]
    fn what_the_engine_does_not_give_is_unknown_and_not_zero() {
        let mut stats = first_sample();
        stats.as_object_mut().unwrap().remove("networks");
        stats["blkio_stats"] = json!({"io_service_bytes_recursive": null});
        stats["memory_stats"] = json!({});
        stats["cpu_stats"]
            .as_object_mut()
            .unwrap()
            .remove("system_cpu_usage");
        let counters = read(stats, running()).unwrap();
        assert_eq!(
            (counters.network, counters.block, counters.memory, counters.cpu),
            (None, None, None, None)
        );
    }

    #[test]
    fn a_container_that_moved_nothing_has_moved_zero_bytes() {
        let mut stats = first_sample();
        stats["blkio_stats"]["io_service_bytes_recursive"] = json!([]);
        assert_eq!(
            read(stats, running()).unwrap().block,
            Some(IoCounters { read: 0, written: 0 })
        );
    }

    #[test]
    fn processors_are_counted_when_the_engine_does_not_count_them() {
        let mut stats = first_sample();
        stats["cpu_stats"]["online_cpus"] = json!(0);
        assert_eq!(read(stats.clone(), running()).unwrap().cpu.unwrap().online, 2);
        stats["cpu_stats"]["cpu_usage"]
            .as_object_mut()
            .unwrap()
            .remove("percpu_usage");
        assert_eq!(read(stats, running()).unwrap().cpu, None);
    }

    #[test]
    fn a_paused_container_is_read_and_marked() {
        let paused =
            json!({"Status": "paused", "Running": true, "Paused": true, "StartedAt": "2026-11-21T02:39:42Z"});
        let counters = read(first_sample(), inspected(paused, 0)).unwrap();
        assert!(counters.paused && counters.cpu.is_some());
    }

    #[test]
    fn a_time_that_is_none_makes_the_answer_unreadable() {
        let mut stats = first_sample();
        stats["read"] = json!("yesterday");
        assert_eq!(read(stats, running()), Err(CollectError::Unreadable));
    }
}

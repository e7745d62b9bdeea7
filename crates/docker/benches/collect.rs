//! One tick over idle containers: from files, and through the engine's API.
//!
//! Wants a running engine in `SHIPSLOG_TEST_ENGINE`, and root to see the daemons' processor time. It starts 50 containers, takes
//! them away again, and prints a line for each number of containers. Between two ticks it pauses, a second as between live
//! samples, or ten as between stored ones, so that nothing is warmer than it will be.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a bench that cannot go on ends"
)]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../tests/docker/fake_engine.rs"]
mod fake_engine;

use std::fs;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};
use shipslog_core::id::ContainerId;
use shipslog_core::stats::Collector;
use shipslog_docker::{CgroupCollector, CollectorOptions, DockerApiCollector, DockerEngine, EngineOptions};
use shipslog_test_support::{Cleanup, Engine, ImageSpec, engine, unique};

use fake_engine::{FakeEngine, version};

const CONTAINERS: usize = 50;
const TICKS: usize = 12;
/// As between live samples.
const SHORT: Duration = Duration::from_secs(1);
/// As between stored samples.
const LONG: Duration = Duration::from_secs(10);

/// What a tick took: by the clock, and of the processors, of this process and of the engine's.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    wall: Duration,
    client: Duration,
    daemons: Duration,
}

impl Cost {
    fn cpu(self) -> Duration {
        self.client + self.daemons
    }
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // `cargo test` runs benches too, to see that they work; that is no time to start 50 containers.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let Some(engine) = engine() else { return };
    let name = unique("bench");
    let cleanup = Cleanup::new(&engine).prefix(&name);
    let ids = containers(&engine, &name);
    let handle = DockerEngine::new(EngineOptions::default().with_host(engine.host()));
    let files = CgroupCollector::new(handle.clone(), CollectorOptions::default());
    let api = DockerApiCollector::new(handle, CollectorOptions::default());
    compare(&files, &api, &ids, &[SHORT, LONG]).await;
    for count in [10, 1] {
        compare(&files, &api, &ids[..count], &[SHORT]).await;
    }
    println!("the engine's API over 50, each followed several times over with files of its own:");
    let many = many_times_over(&engine, &ids);
    let options = CollectorOptions::default().with_side_by_side(8);
    for times in [1, 2, 10] {
        let collector = CgroupCollector::new(many.handle(), options.clone());
        let ids = followed(&ids, times);
        tell("files, after 1 s", &ids, typical(&collector, &ids, SHORT).await);
    }
    let frugal = CgroupCollector::new(many.handle(), options.with_descriptors(0));
    let ids = followed(&ids, 10);
    tell(
        "files, opened each time",
        &ids,
        typical(&frugal, &ids, SHORT).await,
    );
    drop(cleanup);
}

fn containers(engine: &Engine, name: &str) -> Vec<ContainerId> {
    let image = ImageSpec::sleeper().build(engine, name);
    let start = |i| engine.docker(&["run", "--detach", "--name", &format!("{name}-{i}"), image.tag()]);
    (0..CONTAINERS).map(|i| start(i).parse().unwrap()).collect()
}

async fn compare(
    files: &CgroupCollector,
    api: &DockerApiCollector,
    ids: &[ContainerId],
    pauses: &[Duration],
) {
    let through_api = typical(api, ids, SHORT).await;
    tell("API", ids, through_api);
    let idle = idle(through_api.wall).await;
    println!("the daemons by themselves in the time of an API tick: {idle:.3?}");
    for &pause in pauses {
        let direct = typical(files, ids, pause).await;
        tell(&format!("files, after {pause:?}"), ids, direct);
        let ratio = |of: fn(Cost) -> Duration| of(through_api).as_secs_f64() / of(direct).as_secs_f64();
        let (cpu, wall) = (ratio(Cost::cpu), ratio(|cost| cost.wall));
        println!("API / files after {pause:?}: CPU {cpu:.0}, wall {wall:.0}");
    }
    println!("{:?}", files.status());
}

fn tell(what: &str, ids: &[ContainerId], cost: Cost) {
    let each = cost.client / u32::try_from(ids.len()).unwrap();
    let Cost {
        wall,
        client,
        daemons,
    } = cost;
    println!(
        "{} containers, {what}: wall {wall:.3?}, CPU {client:.3?} ({each:.3?} each) and daemons {daemons:.3?}",
        ids.len()
    );
}

/// Of several ticks, after one that learns what there is to learn: the mean of our own processor time, as not all ticks have
/// the same to do, and the medians of what other work on the machine disturbs.
async fn typical(collector: &impl Collector, ids: &[ContainerId], pause: Duration) -> Cost {
    tick(collector, ids).await;
    let mut costs = Vec::new();
    for _ in 0..TICKS {
        tokio::time::sleep(pause).await;
        costs.push(tick(collector, ids).await);
    }
    let middle = |of: fn(&Cost) -> Duration| {
        let mut all: Vec<Duration> = costs.iter().map(of).collect();
        all.sort();
        all[TICKS / 2]
    };
    Cost {
        wall: middle(|cost| cost.wall),
        client: costs.iter().map(|cost| cost.client).sum::<Duration>() / u32::try_from(TICKS).unwrap(),
        daemons: middle(|cost| cost.daemons),
    }
}

async fn tick(collector: &impl Collector, ids: &[ContainerId]) -> Cost {
    let pids = daemons();
    let (daemons, client, begun) = (spent(&pids), own(), Instant::now());
    let read = collector.collect(ids).await;
    let (wall, client) = (begun.elapsed(), own() - client);
    assert!(
        read.iter()
            .all(|read| read.as_ref().is_ok_and(|counters| counters.cpu.is_some())),
        "{read:?}"
    );
    // What the daemons do afterwards, such as closing connections, is their work for this tick as well.
    tokio::time::sleep(Duration::from_millis(50)).await;
    Cost {
        wall,
        client,
        daemons: spent(&pids).saturating_sub(daemons),
    }
}

async fn idle(wall: Duration) -> Duration {
    let pids = daemons();
    let before = spent(&pids);
    tokio::time::sleep(wall + Duration::from_millis(50)).await;
    spent(&pids).saturating_sub(before)
}

/// Processor time of this process.
fn own() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

/// The processes of the engine: its server, what runs containers for it, and the one that each container has.
fn daemons() -> Vec<String> {
    let processes = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let is_daemon = |pid: &String| {
        let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        name.starts_with("dockerd") || name.starts_with("containerd")
    };
    processes.filter(is_daemon).collect()
}

/// Processor time of processes, to the nanosecond: the first number in the file of each of their threads.
fn spent(pids: &[String]) -> Duration {
    let threads = pids
        .iter()
        .filter_map(|pid| fs::read_dir(format!("/proc/{pid}/task")).ok())
        .flatten();
    let times = threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<u64>().ok()
    });
    Duration::from_nanos(times.sum())
}

/// An engine that knows each container under several names.
fn many_times_over(engine: &Engine, ids: &[ContainerId]) -> FakeEngine {
    let pids = engine.docker(
        &[
            &["inspect", "--format", "{{.State.Pid}}"],
            &ids.iter().map(ContainerId::as_str).collect::<Vec<_>>()[..],
        ]
        .concat(),
    );
    let containers: Vec<(String, String)> = ids
        .iter()
        .map(ToString::to_string)
        .zip(pids.lines().map(str::to_owned))
        .collect();
    FakeEngine::start(move |path| {
        if path == "/version" {
            return version("1.41");
        }
        let (id, pid) = containers.iter().find(|(id, _)| path.contains(id.as_str()))?;
        let state =
            format!(r#""State": {{"Running": true, "Pid": {pid}, "StartedAt": "2026-11-21T02:39:42Z"}}"#);
        Some((
            200,
            format!(r#"{{"Id": "{id}", {state}, "HostConfig": {{"NetworkMode": "bridge"}}}}"#),
        ))
    })
}

fn followed(ids: &[ContainerId], times: usize) -> Vec<ContainerId> {
    let named = |time| move |id: &ContainerId| format!("{id}.{time}").parse().unwrap();
    (0..times).flat_map(|time| ids.iter().map(named(time))).collect()
}

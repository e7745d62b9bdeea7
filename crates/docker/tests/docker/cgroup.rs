//! Counters read from this host's files, beside what the engine says of the same containers.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::thread;
use std::time::Duration;

use shipslog_core::id::ContainerId;
use shipslog_core::stats::{CollectError, Collector, Counters, IoCounters, rates};
use shipslog_docker::{CgroupCollector, CollectorOptions, DockerApiCollector};
use shipslog_test_support::{ImageSpec, SocketProxy, wait_until};

use crate::bench::{Bench, at, bench};
use crate::stats::run;

fn direct(bench: &Bench) -> CgroupCollector {
    CgroupCollector::new(at(bench.engine.host()), CollectorOptions::default())
}

fn through_api(bench: &Bench) -> DockerApiCollector {
    DockerApiCollector::new(at(bench.engine.host()), CollectorOptions::default())
}

async fn one(collector: &impl Collector, id: &ContainerId) -> Result<Counters, CollectError> {
    collector.collect(std::slice::from_ref(id)).await.remove(0)
}

/// How many containers the collector reads from files, and how many through the engine.
fn ways(collector: &CgroupCollector) -> (usize, usize) {
    let shares = collector.status().shares;
    let of = |kind| {
        shares
            .iter()
            .filter(|share| share.kind == kind)
            .map(|share| share.containers)
            .sum()
    };
    (of("cgroup"), of("docker_api"))
}

/// What the engine says lies between what the files said before and what they say after, and so on around.
#[track_caller]
fn assert_between(before: &Counters, engine: &Counters, after: &Counters) {
    let what = format!("\n{before:?}\n{engine:?}\n{after:?}");
    let growing = |of: &dyn Fn(&Counters) -> Option<u64>, name: &str| {
        let [before, engine, after] = [before, engine, after].map(of);
        assert!(
            before <= engine && engine <= after,
            "{name}: {before:?} {engine:?} {after:?}{what}"
        );
        assert!(before.is_some(), "{name} is not known{what}");
    };
    growing(&|c| Some(c.cpu?.total_ns), "processor time");
    growing(&|c| Some(c.cpu?.system_ns), "the host's processor time");
    growing(&|c| Some(c.network?.read), "received");
    growing(&|c| Some(c.network?.written), "sent");
    growing(&|c| Some(c.block?.read), "read");
    growing(&|c| Some(c.block?.written), "written");
    let same = |counters: &Counters| {
        let cpu = counters.cpu.map(|cpu| cpu.online);
        (
            counters.started_at,
            counters.paused,
            cpu,
            counters.memory.map(|memory| memory.limit),
        )
    };
    assert_eq!(same(before), same(engine), "{what}");
}

/// The first disk of this host that is one.
fn disk() -> String {
    let names = fs::read_dir("/sys/block")
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut disks = names.filter(|name| {
        ["vd", "sd", "nvme", "xvd"]
            .iter()
            .any(|kind| name.starts_with(kind))
    });
    disks.next().expect("this host has a disk")
}

#[tokio::test]
async fn under_load_both_collectors_give_the_same_numbers() {
    let Some(bench) = bench() else { return };
    let busy = ImageSpec::script(
        "httpd -p 80 -h /; (while :; do :; done) & \
         (while :; do dd if=/dev/zero of=/dev/shm/x bs=1M count=40; rm /dev/shm/x; done) 2>/dev/null & \
         while :; do dd if=/dev/zero of=/tmp/x bs=1M count=8 conv=fsync 2>/dev/null; cat /tmp/x >/dev/null; done",
    );
    // A kernel that counts blocks only where they are throttled counts with this limit, which is never reached.
    let limit = format!("/dev/{}:8gb", disk());
    let server = run(
        &bench,
        "busy",
        &busy.payload_mib(8),
        &["--device-write-bps", &limit, "--memory", "256m"],
    );
    let address = bench.inspect(server.as_str(), "{{.NetworkSettings.IPAddress}}");
    let fetch = format!("while :; do wget -q -O /dev/null http://{address}/payload; done");
    let client = run(&bench, "client", &ImageSpec::script(&fetch), &[]);
    let (direct, engine) = (direct(&bench), through_api(&bench));
    let ids = [server, client];
    let begun = all(&direct, &ids).await;
    let mut differences = vec![Vec::new(); FLOWS.len()];
    let mut last = begun.clone();
    for _ in 0..9 {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let before = all(&direct, &ids).await;
        let said = all(&engine, &ids).await;
        let after = all(&direct, &ids).await;
        for i in 0..ids.len() {
            assert_between(&before[i], &said[i], &after[i]);
        }
        for ((_, flow), differences) in FLOWS.iter().zip(&mut differences) {
            differences.push(difference(*flow, [&begun[0], &before[0], &said[0], &after[0]]));
        }
        last = after;
    }
    assert_eq!(ways(&direct), (2, 0), "{:?}", direct.status());
    for ((name, _), differences) in FLOWS.iter().zip(&mut differences) {
        differences.sort_by(f64::total_cmp);
        // What is written comes in bursts: a slow disk puts some of them between two readings.
        let usual = differences[differences.len() / 4];
        println!("{name}: the engine's number differs by {:.3} %", usual * 100.0);
        assert!(usual <= 0.02, "{name}: {differences:?}");
    }
    let moved = rates(Some(&begun[0]), &last[0]);
    assert!(
        moved.cpu_percent > Some(10.0) && moved.memory_usage > Some(1 << 20),
        "{moved:?}"
    );
    assert!(
        moved.network_tx > Some(1 << 20) && moved.block_write > Some(1 << 20),
        "{moved:?}"
    );
    let received = rates(Some(&begun[1]), &last[1]).network_rx;
    assert!(received > Some(1 << 20), "{received:?}");
}

type Flow = fn(&Counters) -> u64;

/// What grows in a container at work.
const FLOWS: [(&str, Flow); 5] = [
    ("processor time", |counters| counters.cpu.unwrap().total_ns),
    ("the host's processor time", |counters| {
        counters.cpu.unwrap().system_ns
    }),
    ("received", |counters| counters.network.unwrap().read),
    ("sent", |counters| counters.network.unwrap().written),
    ("written", |counters| counters.block.unwrap().written),
];

/// How far what the engine said is off what the files would have said at that moment, between what they said before and after,
/// as a part of what passed since it began.
fn difference(flow: Flow, [begun, before, said, after]: [&Counters; 4]) -> f64 {
    let at = |counters: &Counters| counters.read_at.unwrap().as_nanosecond() as f64;
    let part = (at(said) - at(before)) / (at(after) - at(before));
    let (low, high) = (flow(before) as f64, flow(after) as f64);
    let expected = low + (high - low) * part;
    (flow(said) as f64 - expected).abs() / (expected - flow(begun) as f64)
}

async fn all(collector: &impl Collector, ids: &[ContainerId]) -> Vec<Counters> {
    let read = collector.collect(ids).await;
    read.into_iter().map(|read| read.expect("it runs")).collect()
}

#[tokio::test]
async fn memory_is_the_same_number_in_both() {
    let Some(bench) = bench() else { return };
    // Touched once, a file is in the cache and inactive; in a file system of memory it is neither.
    let holder = "dd if=/dev/zero of=/dev/shm/x bs=1M count=30; dd if=/dev/zero of=/tmp/x bs=1M count=20 conv=fsync; touch /tmp/done; sleep 1000";
    let id = run(
        &bench,
        "holder",
        &ImageSpec::script(holder),
        &["--memory", "128m"],
    );
    let (direct, engine) = (direct(&bench), through_api(&bench));
    let settled = || {
        bench
            .engine
            .try_docker(&["exec", id.as_str(), "test", "-e", "/tmp/done"])
            .is_ok()
    };
    assert!(wait_until(Duration::from_secs(60), settled));
    let (ours, theirs) = (one(&direct, &id).await.unwrap(), one(&engine, &id).await.unwrap());
    let (ours, theirs) = (ours.memory.unwrap(), theirs.memory.unwrap());
    assert!(
        ours.usage.abs_diff(theirs.usage) <= theirs.usage / 50,
        "{ours:?} {theirs:?}"
    );
    assert!(
        ours.inactive_file.abs_diff(theirs.inactive_file) <= theirs.usage / 50,
        "{ours:?} {theirs:?}"
    );
    assert!(
        ours.inactive_file >= 10 << 20 && ours.usage >= 50 << 20,
        "{ours:?}"
    );
    assert_eq!((ours.limit, theirs.limit), (128 << 20, 128 << 20));
    bench
        .engine
        .docker(&["update", "--memory", "256m", "--memory-swap", "-1", id.as_str()]);
    // While it does nothing, its limit is looked at now and then only.
    bench.engine.docker(&["exec", id.as_str(), "true"]);
    let limit = one(&direct, &id).await.unwrap().memory.unwrap().limit;
    assert_eq!(limit, one(&engine, &id).await.unwrap().memory.unwrap().limit);
    assert_eq!(limit, 256 << 20);
}

/// The bytes that a file of a process's network says `eth0` received.
fn received(file: &File) -> u64 {
    let mut text = [0; 4096];
    let length = file.read_at(&mut text, 0).unwrap();
    let text = String::from_utf8_lossy(&text[..length]).into_owned();
    let line = text
        .lines()
        .find_map(|line| line.trim().strip_prefix("eth0:"))
        .unwrap_or("0");
    line.split_whitespace().next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn nothing_is_read_of_the_network_of_a_run_that_ended() {
    let Some(bench) = bench() else { return };
    let id = run(&bench, "server", &ImageSpec::web("v1"), &[]);
    let address = bench.inspect(id.as_str(), "{{.NetworkSettings.IPAddress}}");
    let listens = || shipslog_test_support::try_http_get(&format!("{address}:80"), "/").is_ok();
    assert!(wait_until(Duration::from_secs(60), listens));
    for _ in 0..50 {
        shipslog_test_support::http_get(&format!("{address}:80"), "/");
    }
    let collector = direct(&bench);
    let first = one(&collector, &id).await.unwrap();
    let pid = bench.inspect(id.as_str(), "{{.State.Pid}}");
    let held = File::open(format!("/proc/{pid}/net/dev")).unwrap();
    let before = received(&held);
    assert!(
        first.network.unwrap().read >= before / 2 && before > 10_000,
        "{before}"
    );

    bench.engine.docker(&["kill", id.as_str()]);
    assert!(
        held.read_at(&mut [0; 4096], 0).is_ok_and(|length| length > 0),
        "the kernel goes on to answer"
    );
    assert_eq!(one(&collector, &id).await, Err(CollectError::NotRunning));
    assert_eq!(ways(&collector), (0, 0), "nothing is kept open of it");
    bench.engine.docker(&["start", id.as_str()]);
    let second = one(&collector, &id).await.unwrap();
    let engine = one(&through_api(&bench), &id).await.unwrap();
    assert!(second.started_at > first.started_at && second.started_at == engine.started_at);
    assert!(
        second.network.unwrap().read < before / 2,
        "{second:?} after {before}"
    );
    assert!(second.network.unwrap().read <= engine.network.unwrap().read);
    assert!(second.cpu.unwrap().total_ns < first.cpu.unwrap().total_ns + 1_000_000_000);
    assert_eq!(ways(&collector), (1, 0));
}

#[tokio::test]
async fn a_restart_between_two_readings_is_another_run() {
    let Some(bench) = bench() else { return };
    let id = run(&bench, "sleeper", &ImageSpec::sleeper(), &[]);
    let (collector, engine) = (direct(&bench), through_api(&bench));
    let mut last = one(&collector, &id).await.unwrap();
    for _ in 0..3 {
        bench.engine.docker(&["restart", "--time", "1", id.as_str()]);
        let now = one(&collector, &id).await.unwrap();
        assert!(now.started_at > last.started_at, "{now:?}");
        assert_eq!(now.started_at, one(&engine, &id).await.unwrap().started_at);
        last = now;
    }
    assert_eq!(ways(&collector), (1, 0));
}

#[tokio::test]
async fn what_ended_or_is_gone_gives_no_counters_and_what_is_paused_does() {
    let Some(bench) = bench() else { return };
    let small = ["--cpus", "0.05"];
    let ids = ["stopped", "paused", "removed", "running"]
        .map(|name| run(&bench, name, &ImageSpec::cpu_burner(), &small));
    let collector = direct(&bench);
    assert!(all(&collector, &ids).await.iter().all(|read| !read.paused));
    bench.engine.docker(&["stop", "--time", "1", ids[0].as_str()]);
    bench.engine.pause(ids[1].as_str());
    bench.engine.docker(&["rm", "--force", ids[2].as_str()]);
    let read = collector.collect(&ids).await;
    assert_eq!(
        (&read[0], &read[2]),
        (&Err(CollectError::NotRunning), &Err(CollectError::NotRunning))
    );
    let paused = |i: usize| read[i].as_ref().unwrap().paused;
    assert_eq!((paused(1), paused(3)), (true, false));
    bench.engine.docker(&["unpause", ids[1].as_str()]);
    assert!(!one(&collector, &ids[1]).await.unwrap().paused);
    assert_eq!(ways(&collector), (2, 0));
}

#[tokio::test]
async fn only_a_network_of_its_own_is_counted() {
    let Some(bench) = bench() else { return };
    let own = run(&bench, "own", &ImageSpec::web("v1"), &[]);
    let others = format!("container:{own}");
    let ids = [
        own,
        run(&bench, "shared", &ImageSpec::sleeper(), &["--network", &others]),
        run(&bench, "host", &ImageSpec::sleeper(), &["--network", "host"]),
        run(&bench, "none", &ImageSpec::sleeper(), &["--network", "none"]),
    ];
    let has_network =
        |read: Vec<Counters>| -> Vec<bool> { read.iter().map(|read| read.network.is_some()).collect() };
    let expected = [true, false, false, false];
    let collector = direct(&bench);
    assert_eq!(has_network(all(&collector, &ids).await), expected);
    assert_eq!(has_network(all(&through_api(&bench), &ids).await), expected);
    assert_eq!(ways(&collector), (4, 0));
}

#[tokio::test]
async fn a_second_network_and_an_interface_of_the_containers_own() {
    let Some(bench) = bench() else { return };
    let network = format!("{}-more", bench.name);
    bench.engine.docker(&["network", "create", &network]);
    // What goes through the bridge that the container makes is counted where it comes in.
    let bridge =
        "ip link add br0 type bridge; ip addr add 10.99.0.1/24 dev br0; ip link set br0 up; sleep 1000";
    let id = run(
        &bench,
        "both",
        &ImageSpec::script(bridge),
        &["--cap-add", "NET_ADMIN"],
    );
    let (collector, engine) = (direct(&bench), through_api(&bench));
    let first = one(&collector, &id).await.unwrap().network.unwrap();
    bench
        .engine
        .docker(&["network", "connect", &network, id.as_str()]);
    thread::sleep(Duration::from_secs(1));
    let (before, said, after) = (
        one(&collector, &id).await.unwrap(),
        one(&engine, &id).await.unwrap(),
        one(&collector, &id).await.unwrap(),
    );
    assert_between(&before, &said, &after);
    assert!(after.network.unwrap().read > first.read);
    bench.engine.docker(&["rm", "--force", id.as_str()]);
}

#[tokio::test]
async fn an_engine_that_went_away_is_not_needed_for_what_is_known() {
    let Some(bench) = bench() else { return };
    let id = run(&bench, "sleeper", &ImageSpec::sleeper(), &[]);
    let proxy = SocketProxy::start(bench.engine.host());
    let collector = CgroupCollector::new(at(&proxy.address()), CollectorOptions::default());
    assert!(one(&collector, &id).await.is_ok());
    proxy.cut();
    assert!(one(&collector, &id).await.is_ok());
    let strange: ContainerId = "never-seen".parse().unwrap();
    assert_eq!(one(&collector, &strange).await, Err(CollectError::Unavailable));
}

#[tokio::test]
async fn a_group_at_an_unusual_place_is_found() {
    let Some(bench) = bench() else { return };
    let has_systemd = bench.engine.docker(&["info", "--format", "{{.CgroupDriver}}"]) == "systemd";
    let parent = format!("{}.slice", bench.name);
    let place = if has_systemd {
        parent.clone()
    } else {
        format!("/{parent}/deep er")
    };
    let id = run(
        &bench,
        "burner",
        &ImageSpec::cpu_burner(),
        &["--cgroup-parent", &place],
    );
    let (collector, engine) = (direct(&bench), through_api(&bench));
    let (before, said, after) = (
        one(&collector, &id).await.unwrap(),
        one(&engine, &id).await.unwrap(),
        one(&collector, &id).await.unwrap(),
    );
    assert_between(&before, &said, &after);
    assert_eq!(ways(&collector), (1, 0), "{:?}", collector.status());
    bench.engine.docker(&["rm", "--force", id.as_str()]);
    remove_groups(&parent);
}

/// Groups that an engine makes for a container outlive it, unless a service manager looks after them.
fn remove_groups(parent: &str) {
    let controllers = fs::read_dir("/sys/fs/cgroup").unwrap();
    let below = controllers.map(|entry| entry.unwrap().path().join(parent));
    for group in below.chain([format!("/sys/fs/cgroup/{parent}").into()]) {
        let _ = fs::remove_dir(group.join("deep er"));
        let _ = fs::remove_dir(group);
    }
}

#[tokio::test]
async fn without_descriptors_to_hold_the_numbers_are_the_same() {
    let Some(bench) = bench() else { return };
    let id = run(&bench, "sleeper", &ImageSpec::sleeper(), &[]);
    let options = CollectorOptions::default().with_descriptors(0);
    let frugal = CgroupCollector::new(at(bench.engine.host()), options);
    let (held, opened) = (
        one(&direct(&bench), &id).await.unwrap(),
        one(&frugal, &id).await.unwrap(),
    );
    let of = |counters: &Counters| {
        (
            counters.started_at,
            counters.memory.map(|m| m.limit),
            counters.paused,
        )
    };
    assert_eq!(of(&held), of(&opened));
    assert_eq!(ways(&frugal), (1, 0));
    bench.engine.docker(&["restart", "--time", "1", id.as_str()]);
    assert!(one(&frugal, &id).await.unwrap().started_at > held.started_at);
}

#[tokio::test]
async fn without_files_the_engine_is_asked_and_the_status_says_why() {
    let Some(bench) = bench() else { return };
    let id = run(&bench, "sleeper", &ImageSpec::sleeper(), &[]);
    let nowhere = tempfile::tempdir().unwrap();
    let options = CollectorOptions::default().with_root(nowhere.path());
    let collector = CgroupCollector::new(at(bench.engine.host()), options);
    assert_eq!(
        (collector.status().kind, collector.status().reason),
        ("cgroup", None)
    );
    let read = one(&collector, &id).await.unwrap();
    assert!(
        read.cpu.is_some()
            && read
                .block
                .is_some_and(|moved| moved == IoCounters { read: 0, written: 0 })
    );
    let status = collector.status();
    assert_eq!(status.kind, "docker_api");
    assert!(
        status.reason.unwrap().contains("process is not seen here"),
        "{:?}",
        status.shares
    );
    bench.engine.docker(&["restart", "--time", "1", id.as_str()]);
    assert!(one(&collector, &id).await.unwrap().started_at > read.started_at);
    bench.engine.docker(&["kill", id.as_str()]);
    assert_eq!(one(&collector, &id).await, Err(CollectError::NotRunning));
}

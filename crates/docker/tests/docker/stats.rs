//! Counters of real containers.

use std::time::Duration;

use shipslog_core::id::ContainerId;
use shipslog_core::stats::{CollectError, Collector as _, Counters};
use shipslog_docker::{CollectorOptions, DockerApiCollector};
use shipslog_test_support::{ImageSpec, SocketProxy, wait_until};

use crate::bench::{Bench, at, bench};
use crate::fake_engine::{FakeEngine, version};

fn collector(host: &str) -> DockerApiCollector {
    DockerApiCollector::new(at(host), CollectorOptions::default())
}

/// Runs an image with these arguments; answers the container's id.
pub(crate) fn run(bench: &Bench, name: &str, image: &ImageSpec, arguments: &[&str]) -> ContainerId {
    let (image, name) = (bench.build(image, name), format!("{}-{name}", bench.name));
    let run = [&["run", "--detach", "--name", &name], arguments, &[image.tag()]].concat();
    bench.engine.docker(&run).parse().unwrap()
}

async fn one(collector: &DockerApiCollector, id: &ContainerId) -> Result<Counters, CollectError> {
    collector.collect(std::slice::from_ref(id)).await.remove(0)
}

#[tokio::test]
async fn counters_of_a_running_container_grow() {
    let Some(bench) = bench() else { return };
    let id = run(&bench, "burner", &ImageSpec::cpu_burner(), &["--memory", "64m"]);
    let collector = collector(bench.engine.host());
    let first = one(&collector, &id).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let second = one(&collector, &id).await.unwrap();
    let (before, after) = (first.cpu.unwrap(), second.cpu.unwrap());
    assert!(after.total_ns > before.total_ns && after.system_ns > before.system_ns);
    assert!(second.read_at > first.read_at);
    assert_eq!(
        first.started_at.unwrap().to_string(),
        bench.inspect(id.as_str(), "{{.State.StartedAt}}")
    );
    assert_eq!(first.memory.unwrap().limit, 64 << 20);
    assert!(first.memory.unwrap().usage > 0);
    assert!(first.network.is_some() && first.block.is_some() && !first.paused);
}

#[tokio::test]
async fn a_restart_shows_in_the_time_of_the_start() {
    let Some(bench) = bench() else { return };
    let id = run(&bench, "sleeper", &ImageSpec::sleeper(), &[]);
    let collector = collector(bench.engine.host());
    let first = one(&collector, &id).await.unwrap();
    assert_eq!(first.memory.unwrap().limit, 0, "it has no limit");
    bench.engine.docker(&["restart", "--time", "1", id.as_str()]);
    assert!(one(&collector, &id).await.unwrap().started_at > first.started_at);
}

#[tokio::test]
async fn what_does_not_run_gives_no_counters_and_what_is_paused_does() {
    let Some(bench) = bench() else { return };
    let ids = [
        run(&bench, "stopped", &ImageSpec::sleeper(), &[]),
        run(&bench, "paused", &ImageSpec::sleeper(), &[]),
        run(&bench, "removed", &ImageSpec::sleeper(), &[]),
        run(&bench, "looping", &ImageSpec::exits(1), &["--restart", "always"]),
        run(&bench, "running", &ImageSpec::sleeper(), &[]),
    ];
    bench.engine.docker(&["stop", "--time", "1", ids[0].as_str()]);
    bench.engine.pause(ids[1].as_str());
    bench.engine.docker(&["rm", "--force", ids[2].as_str()]);
    // Just after its sixth run at least: it waits for more than 3 seconds then.
    let restarts = || {
        bench
            .inspect(ids[3].as_str(), "{{.RestartCount}}")
            .parse::<u32>()
            .unwrap()
    };
    let noted = restarts().max(5);
    assert!(wait_until(Duration::from_secs(120), || restarts() > noted));
    let ended = || bench.inspect(ids[3].as_str(), "{{.State.Restarting}}") == "true";
    assert!(wait_until(Duration::from_secs(60), ended));
    let read = collector(bench.engine.host()).collect(&ids).await;
    let not_running = |i: usize| read[i] == Err(CollectError::NotRunning);
    assert!(not_running(0) && not_running(2), "{read:?}");
    assert!(not_running(3), "{read:?}");
    assert!(
        read[1]
            .as_ref()
            .is_ok_and(|counters| counters.paused && counters.cpu.is_some()),
        "{read:?}"
    );
    assert!(
        read[4].as_ref().is_ok_and(|counters| !counters.paused),
        "{read:?}"
    );
    bench.engine.docker(&["unpause", ids[1].as_str()]);
}

#[tokio::test]
async fn a_container_without_a_network_of_its_own_has_no_network_counters() {
    let Some(bench) = bench() else { return };
    let host = run(&bench, "host", &ImageSpec::sleeper(), &["--network", "host"]);
    let none = run(&bench, "none", &ImageSpec::sleeper(), &["--network", "none"]);
    let own = run(&bench, "own", &ImageSpec::sleeper(), &[]);
    let read = collector(bench.engine.host()).collect(&[host, none, own]).await;
    let network = |i: usize| read[i].as_ref().unwrap().network;
    assert_eq!((network(0), network(1)), (None, None));
    assert!(network(2).is_some());
}

#[tokio::test]
async fn an_engine_that_is_gone_or_hangs_says_so_for_each_container() {
    let Some(bench) = bench() else { return };
    let id = run(&bench, "sleeper", &ImageSpec::sleeper(), &[]);
    let proxy = SocketProxy::start(bench.engine.host());
    let options = CollectorOptions::default().with_timeout(Duration::from_millis(300));
    let collector = DockerApiCollector::new(at(&proxy.address()), options);
    proxy.hang();
    let ids = [id.clone(), id.clone()];
    assert_eq!(
        collector.collect(&ids).await,
        [Err(CollectError::TimedOut), Err(CollectError::TimedOut)]
    );
    proxy.cut();
    let collector = DockerApiCollector::new(at(&proxy.address()), CollectorOptions::default());
    assert_eq!(
        collector.collect(&ids).await,
        [Err(CollectError::Unavailable), Err(CollectError::Unavailable)]
    );
    assert!(collector.collect(&[]).await.is_empty());
}

#[tokio::test]
async fn a_container_that_hangs_costs_only_itself() {
    let engine = FakeEngine::start(|path| {
        let inspected = r#"{"State": {"Running": true, "StartedAt": "2026-11-21T02:39:42Z"}}"#;
        match path {
            "/version" => version("1.41"),
            path if path.contains("stuck") => None,
            path if path.ends_with("/stats") => Some((200, r#"{"read": "2026-11-21T02:40:00Z"}"#.to_owned())),
            _ => Some((200, inspected.to_owned())),
        }
    });
    let options = CollectorOptions::default()
        .with_timeout(Duration::from_secs(3))
        .with_side_by_side(2);
    let collector = DockerApiCollector::new(engine.handle(), options);
    let ids: Vec<ContainerId> = (0..20)
        .map(|i| {
            if i == 0 {
                "stuck".to_owned()
            } else {
                format!("c{i}")
            }
            .parse()
            .unwrap()
        })
        .collect();
    let read = collector.collect(&ids).await;
    assert_eq!(read[0], Err(CollectError::TimedOut));
    assert!(read[1..].iter().all(Result::is_ok), "{read:?}");
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_is_unreadable() {
    let engine = FakeEngine::start(|path| match path {
        "/version" => version("1.41"),
        path if path.contains("denied") => Some((500, r#"{"message": "SECRET"}"#.to_owned())),
        _ => Some((200, "[1, 2]".to_owned())),
    });
    let collector = DockerApiCollector::new(engine.handle(), CollectorOptions::default());
    let ids = ["denied", "garbled"].map(|id| id.parse().unwrap());
    assert_eq!(
        collector.collect(&ids).await,
        [Err(CollectError::Unreadable), Err(CollectError::Unreadable)]
    );
}

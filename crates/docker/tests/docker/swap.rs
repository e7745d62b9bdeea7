//! The order of stop and start.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;
use shipslog_core::deploys::{DeployStep, DispatchEvent, DispatchPlugin as _, FailureMarker, Job};
use shipslog_test_support::{Health, ImageSpec, free_port, wait_until};

use crate::bench::{Bench, bench};

/// How long anything may take that is to come about, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(120);

#[tokio::test]
async fn a_new_version_takes_over_the_port_and_the_old_one_is_gone() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    assert_eq!(bench.page(), "v1");
    let old = bench.containers(true);
    let job = bench.job(bench.spec(bench.web("v2").tag()));
    let mut events = job.progress.subscribe();
    bench.dispatch(&job).await.unwrap();
    assert_eq!(bench.page(), "v2");
    let now = bench.containers(true);
    assert_eq!(now, [format!("{}-{}", bench.name, job.deploy.short())]);
    assert_ne!(now, old);
    drop(job);
    let mut steps = Vec::new();
    while let Some(DispatchEvent::Step { step, .. }) = events.next().await {
        steps.push(step);
    }
    use DeployStep::{Creating, Starting, Swapping, WaitingForHealth};
    let of_trial = [Creating, Starting, WaitingForHealth];
    let of_swap = [Creating, Swapping, Starting, WaitingForHealth];
    assert_eq!(steps, [&of_trial[..], &of_swap[..]].concat());
}

#[tokio::test]
async fn what_is_run_is_what_the_spec_says() {
    let Some(mut bench) = bench() else { return };
    let image = bench.web("v1");
    let volume = format!("{}-data", bench.name);
    let spec = bench.spec_with(
        image.tag(),
        &json!({
            "labels": {"team": "a"}, "memory_limit": 64 << 20, "cpus": 0.5, "restart": "on-failure",
            "mounts": [{"source": volume, "target": "/data"}, {"source": "/etc", "target": "/host-etc", "read_only": true}],
            "healthcheck": {"command": ["test", "-d", "/data"], "interval_s": 1},
        }),
    );
    let mut job = bench.job(spec);
    job.spec_revision = 7;
    job.env = vec![(
        "GREETING".to_owned(),
        shipslog_core::secret::Secret::new("a b=c".to_owned()),
    )];
    bench.dispatch(&job).await.unwrap();
    let name = &bench.containers(false)[0];
    assert_eq!(
        bench.engine.docker(&["exec", name, "sh", "-c", "echo $GREETING"]),
        "a b=c"
    );
    assert_eq!(bench.engine.docker(&["exec", name, "touch", "/data/kept"]), "");
    assert!(
        bench
            .engine
            .try_docker(&["exec", name, "touch", "/host-etc/x"])
            .is_err()
    );
    let labels = r#"{{index .Config.Labels "team"}} {{index .Config.Labels "shipslog.spec-revision"}}"#;
    assert_eq!(bench.inspect(name, labels), "a 7");
    let host = "{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}} {{.Config.StopTimeout}}";
    assert_eq!(bench.inspect(name, host), "67108864 500000000 on-failure 2");
    assert_eq!(bench.inspect(name, "{{.State.Health.Status}}"), "healthy");

    job.deploy = crate::bench::new_deploy();
    job.previous = bench.current.clone();
    bench.dispatch(&job).await.unwrap();
    let name = &bench.containers(false)[0];
    assert_eq!(bench.engine.docker(&["exec", name, "ls", "/data"]), "kept");
}

#[tokio::test]
async fn without_ports_old_and_new_overlap_and_replicas_are_numbered() {
    let Some(mut bench) = bench() else { return };
    let image = bench.web("v1");
    let two = json!({"replicas": 2});
    bench.deploy(bench.spec_with(image.tag(), &two)).await.unwrap();
    let old = bench.containers(false);
    assert_eq!(old.len(), 2);
    assert_eq!(format!("{}-2", old[0]), old[1]);

    let job = bench.job(bench.spec_with(image.tag(), &two));
    let pin = bench.plugin.resolve(&job).await.unwrap();
    bench.plugin.run(&job, &pin).await.unwrap();
    let new = bench.containers(false);
    assert!(
        new.iter().all(|name| name.contains(job.deploy.short())),
        "{new:?}"
    );
    let sorted = |names: &[String], time: &str| {
        let mut times: Vec<String> = names.iter().map(|name| bench.inspect(name, time)).collect();
        times.sort();
        times
    };
    let (started, stopped) = (
        sorted(&new, "{{.State.StartedAt}}"),
        sorted(&old, "{{.State.FinishedAt}}"),
    );
    for (started, stopped) in started.iter().zip(&stopped) {
        assert!(started < stopped, "there was an outage");
    }
}

#[tokio::test]
async fn recreate_stops_the_old_before_it_starts_the_new() {
    let Some(mut bench) = bench() else { return };
    let image = bench.web("v1");
    let recreate = json!({"rollout": {"strategy": "recreate", "min_healthy_s": 0, "stop_timeout_s": 2}});
    bench
        .deploy(bench.spec_with(image.tag(), &recreate))
        .await
        .unwrap();
    let old = bench.containers(false).remove(0);
    let job = bench.job(bench.spec_with(image.tag(), &recreate));
    let pin = bench.plugin.resolve(&job).await.unwrap();
    bench.plugin.run(&job, &pin).await.unwrap();
    let new = bench.containers(false).remove(0);
    assert!(bench.inspect(&old, "{{.State.FinishedAt}}") < bench.inspect(&new, "{{.State.StartedAt}}"));
}

#[tokio::test]
async fn a_slow_start_is_waited_for() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let slow = bench.build(
        &ImageSpec::web("v2").health(Health::After(Duration::from_secs(2))),
        "v2",
    );
    bench.deploy(bench.spec(slow.tag())).await.unwrap();
    assert_eq!(bench.page(), "v2");
}

#[tokio::test]
async fn without_a_healthcheck_it_has_to_stay_up() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let steady = bench.build(&ImageSpec::web("v2"), "v2");
    bench.deploy(bench.spec(steady.tag())).await.unwrap();
    assert_eq!(bench.page(), "v2");
    let short_lived = bench.build(&ImageSpec::script("sleep 1; exit 0"), "v3");
    let mut spec = bench.spec(short_lived.tag());
    spec.rollout.min_healthy_s = 30;
    assert_eq!(bench.deploy(spec).await, Err(FailureMarker::ExitedAtOnce));
    assert_eq!(bench.page(), "v2");
}

#[tokio::test]
async fn a_changed_port_is_proven_while_the_old_one_serves() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let (before, old_port) = (bench.started_at(), bench.port);
    bench.port = free_port();
    let sick = bench.build(&ImageSpec::web("v2").health(Health::Never), "v2");
    assert_eq!(
        bench.deploy(bench.spec(sick.tag())).await,
        Err(FailureMarker::Unhealthy)
    );
    assert_eq!(bench.started_at(), before, "the old container was touched");
    bench.deploy(bench.spec(bench.web("v3").tag())).await.unwrap();
    assert_eq!(bench.page(), "v3");
    let old = format!("127.0.0.1:{old_port}");
    assert!(shipslog_test_support::try_http_get(&old, "/").is_err());
}

#[tokio::test]
async fn what_serves_is_found_in_its_networks_by_the_workloads_name() {
    let Some(mut bench) = bench() else { return };
    let networks = ["a", "b"].map(|end| format!("{}-{end}", bench.name));
    for network in &networks {
        bench.engine.docker(&["network", "create", network]);
    }
    let image = bench.web("v1");
    bench
        .deploy(bench.spec_with(image.tag(), &json!({"networks": networks})))
        .await
        .unwrap();
    let url = format!("http://{}/", bench.name);
    for network in &networks {
        let probe = [
            "run",
            "--rm",
            "--network",
            network,
            image.tag(),
            "wget",
            "-q",
            "-O",
            "-",
            &url,
        ];
        assert_eq!(bench.engine.docker(&probe), "v1", "{network}");
    }
}

/// A bench on which 3 replicas run.
async fn three(bench: &mut Bench) -> Vec<String> {
    let image = bench.web("v1");
    let spec = bench.spec_with(image.tag(), &json!({"replicas": 3}));
    bench.deploy(spec).await.unwrap();
    bench.containers(false)
}

/// Looks at a workload's containers all the time, until it is told to stop.
struct Watch(Arc<AtomicBool>, JoinHandle<Seen>);

/// Names of all containers that were there, and the fewest that were healthy, at any time.
struct Seen {
    names: BTreeSet<String>,
    fewest: usize,
}

impl Watch {
    fn over(bench: &Bench) -> Self {
        let engine = bench.engine.clone();
        let of_workload = format!("label=shipslog.workload={}", bench.workload);
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let watch = thread::spawn(move || {
            let format = "{{.Names}} {{.Status}}";
            let list = ["ps", "--all", "--filter", &of_workload, "--format", format];
            let (mut names, mut fewest) = (BTreeSet::new(), usize::MAX);
            while !ended.load(Ordering::Relaxed) {
                let listed = engine.docker(&list);
                fewest = fewest.min(listed.lines().filter(|line| line.ends_with("(healthy)")).count());
                let new = listed.lines().filter_map(|line| line.split_once(' '));
                names.extend(new.map(|(name, _)| name.to_owned()));
                thread::sleep(Duration::from_millis(50));
            }
            Seen { names, fewest }
        });
        Self(over, watch)
    }

    fn seen(self) -> Seen {
        self.0.store(true, Ordering::Relaxed);
        self.1.join().unwrap()
    }
}

/// Dispatches the job while its containers are watched.
async fn watched(bench: &mut Bench, job: &Job) -> (Result<(), FailureMarker>, Seen) {
    let watch = Watch::over(bench);
    let done = bench.dispatch(job).await.map(drop);
    (done, watch.seen())
}

#[tokio::test]
async fn replicas_are_replaced_one_by_one_and_none_is_ever_missing() {
    let Some(mut bench) = bench() else { return };
    let old = three(&mut bench).await;
    let job = bench.job(bench.spec_with(bench.web("v2").tag(), &json!({"replicas": 3})));
    let mut events = job.progress.subscribe();
    let (done, seen) = watched(&mut bench, &job).await;
    assert_eq!(done, Ok(()));
    let Seen { names, fewest } = seen;
    assert!(fewest >= 3, "only {fewest} were healthy at some time");
    assert_eq!(names.len(), 6, "{names:?}");
    let new = bench.containers(false);
    assert_eq!(new.len(), 3);
    assert!(!new.iter().any(|name| old.contains(name)));
    drop(job);
    let mut rolling = Vec::new();
    while let Some(DispatchEvent::Step { step, .. }) = events.next().await {
        rolling.extend(matches!(step, DeployStep::Rolling { .. }).then_some(step));
    }
    let told = [1, 2, 3].map(|done| DeployStep::Rolling { done, total: 3 });
    assert_eq!(rolling, told);
}

#[tokio::test]
async fn a_version_that_fails_at_its_second_replica_goes_no_further() {
    let Some(mut bench) = bench() else { return };
    let old = three(&mut bench).await;
    // The first to come leaves a mark, and whoever finds it ends.
    let image = bench.build(&ImageSpec::script("mkdir /marks/first || exit 1; sleep 60"), "v2");
    let volume = format!("{}-marks", bench.name);
    let mounts = json!([{"source": volume, "target": "/marks"}]);
    let job = bench.job(bench.spec_with(image.tag(), &json!({"replicas": 3, "mounts": mounts})));
    let (done, seen) = watched(&mut bench, &job).await;
    assert_eq!(done, Err(FailureMarker::ExitedAtOnce));
    assert!(seen.fewest >= 2, "more than one was taken away");
    assert_eq!(
        bench.containers(true),
        old,
        "what ran before runs again, and nothing else is left"
    );
    assert_eq!(bench.containers(false), old);
    let made: Vec<&String> = seen.names.iter().filter(|name| !old.contains(name)).collect();
    // The second may end before anybody looks.
    assert!((1..=2).contains(&made.len()), "{made:?}");
}

/// A job whose first replica works, and whose second stays `starting`.
fn stuck_at_the_second(bench: &Bench) -> Job {
    let script = "mkdir /marks/first && touch /well; trap 'exit 0' TERM; while :; do sleep 1 & wait $!; done";
    let image = bench.build(&ImageSpec::script(script), "stuck");
    let mounts = json!([{"source": format!("{}-stuck", bench.name), "target": "/marks"}]);
    let check = json!({"command": ["test", "-e", "/well"], "interval_s": 1, "start_period_s": 3000});
    let more =
        json!({"replicas": 3, "mounts": mounts, "healthcheck": check, "rollout": {"stop_timeout_s": 2}});
    bench.job(bench.spec_with(image.tag(), &more))
}

/// Breaks a rollout off when one replica was replaced and the next is waited for. Answers what ran before it.
async fn broken_off_in_the_middle(bench: &mut Bench) -> Vec<String> {
    let old = three(bench).await;
    let job = stuck_at_the_second(bench);
    let pin = bench.plugin.resolve(&job).await.unwrap();
    let (plugin, of_task) = (bench.plugin.clone(), job.clone());
    let task = tokio::spawn(async move { plugin.run(&of_task, &pin).await });
    let second = format!("{}-{}-2", bench.name, job.deploy.short());
    let is_half_way = || {
        let running = bench.containers(false);
        running.contains(&second) && !old.iter().all(|name| running.contains(name))
    };
    assert!(wait_until(PATIENCE, || task.is_finished() || is_half_way()));
    task.abort();
    let end = task.await;
    assert!(end.is_err(), "it was not in the middle of a rollout: {end:?}");
    old
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_were_replaced_run_again_after_a_rollout_was_cancelled() {
    let Some(mut bench) = bench() else { return };
    let old = broken_off_in_the_middle(&mut bench).await;
    let watch = Watch::over(&bench);
    let kept = bench.kept();
    bench.plugin.settle(&bench.workload, kept.as_ref()).await.unwrap();
    assert!(watch.seen().fewest >= 2, "one that was left alone was touched");
    assert_eq!(bench.containers(false), old);
    assert_eq!(bench.containers(true), old);
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_were_replaced_run_again_after_the_process_died() {
    let Some(mut bench) = bench() else { return };
    let old = broken_off_in_the_middle(&mut bench).await;
    let successor = bench.through(bench.engine.host());
    let kept = bench.kept();
    for _ in 0..2 {
        successor.settle(&bench.workload, kept.as_ref()).await.unwrap();
        assert_eq!(bench.containers(false), old);
        assert_eq!(bench.containers(true), old);
    }
}

#[tokio::test]
async fn a_replica_that_fails_after_it_replaced_another_ends_the_rollout() {
    let Some(mut bench) = bench() else { return };
    let old = three(&mut bench).await;
    // It ends when the second is there, which works when the first is gone.
    let first = "touch /well; while [ ! -e /marks/second ]; do sleep 1; done; touch /marks/end; exit 1";
    let later =
        "touch /marks/second; while [ ! -e /marks/end ]; do sleep 1; done; sleep 5; touch /well; sleep 600";
    let script = format!("if mkdir /marks/first; then {first}; else {later}; fi");
    let image = bench.build(&ImageSpec::script(&script), "v2");
    let mounts = json!([{"source": format!("{}-marks", bench.name), "target": "/marks"}]);
    let check = json!({"command": ["test", "-e", "/well"], "interval_s": 1, "start_period_s": 3000});
    let more = json!({"replicas": 3, "mounts": mounts, "healthcheck": check, "restart": "no"});
    let job = bench.job(bench.spec_with(image.tag(), &more));
    assert_eq!(bench.dispatch(&job).await, Err(FailureMarker::ExitedAtOnce));
    assert_eq!(bench.containers(true), old);
    assert_eq!(bench.containers(false), old);
}

#[tokio::test]
async fn fewer_and_more_replicas_are_reached_without_falling_below_either() {
    let Some(mut bench) = bench() else { return };
    three(&mut bench).await;
    let image = bench.web("v2");
    for (replicas, at_least) in [(2, 2), (3, 2)] {
        let job = bench.job(bench.spec_with(image.tag(), &json!({"replicas": replicas})));
        let (done, seen) = watched(&mut bench, &job).await;
        assert_eq!(done, Ok(()));
        assert_eq!(bench.containers(false).len(), replicas);
        let fewest = seen.fewest;
        assert!(fewest >= at_least, "only {fewest} were healthy at some time");
    }
}

//! The order of stop and start.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::json;
use shipslog_core::deploys::{DeployStep, DispatchEvent, DispatchPlugin as _, FailureMarker, Job};
use shipslog_test_support::{Health, ImageSpec, free_port};

use crate::bench::{Bench, bench};

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
    for (old, new) in old.iter().zip(&new) {
        let stopped = bench.inspect(old, "{{.State.FinishedAt}}");
        assert!(
            bench.inspect(new, "{{.State.StartedAt}}") < stopped,
            "there was an outage"
        );
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

/// Names of all containers that were there, and the fewest that were healthy, at any time of the dispatch.
async fn watched(bench: &mut Bench, job: &Job) -> (Result<(), FailureMarker>, BTreeSet<String>, usize) {
    let (engine, workload) = (bench.engine.clone(), bench.workload.clone());
    let over = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&over);
    let watch = std::thread::spawn(move || {
        let of_workload = format!("label=shipslog.workload={workload}");
        let list = [
            "ps",
            "--all",
            "--filter",
            &of_workload,
            "--format",
            "{{.Names}} {{.Status}}",
        ];
        let (mut seen, mut fewest) = (BTreeSet::new(), usize::MAX);
        while !ended.load(Ordering::Relaxed) {
            let listed = engine.docker(&list);
            fewest = fewest.min(listed.lines().filter(|line| line.ends_with("(healthy)")).count());
            seen.extend(
                listed
                    .lines()
                    .filter_map(|line| Some(line.split_once(' ')?.0.to_owned())),
            );
        }
        (seen, fewest)
    });
    let done = bench.dispatch(job).await.map(drop);
    over.store(true, Ordering::Relaxed);
    let (seen, fewest) = watch.join().unwrap();
    (done, seen, fewest)
}

#[tokio::test]
async fn replicas_are_replaced_one_by_one_and_none_is_ever_missing() {
    let Some(mut bench) = bench() else { return };
    let old = three(&mut bench).await;
    let job = bench.job(bench.spec_with(bench.web("v2").tag(), &json!({"replicas": 3})));
    let mut events = job.progress.subscribe();
    let (done, seen, fewest) = watched(&mut bench, &job).await;
    assert_eq!(done, Ok(()));
    assert!(fewest >= 3, "only {fewest} were healthy at some time");
    assert_eq!(seen.len(), 6, "{seen:?}");
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
    let (done, seen, _) = watched(&mut bench, &job).await;
    assert_eq!(done, Err(FailureMarker::ExitedAtOnce));
    assert_eq!(
        bench.containers(true),
        old,
        "what ran before runs again, and nothing else is left"
    );
    assert_eq!(bench.containers(false), old);
    let made: Vec<&String> = seen.iter().filter(|name| !old.contains(name)).collect();
    assert_eq!(made.len(), 2, "{made:?}");
}

#[tokio::test]
async fn fewer_and_more_replicas_are_reached_without_falling_below_either() {
    let Some(mut bench) = bench() else { return };
    three(&mut bench).await;
    let image = bench.web("v2");
    for (replicas, at_least) in [(2, 2), (3, 2)] {
        let job = bench.job(bench.spec_with(image.tag(), &json!({"replicas": replicas})));
        let (done, _, fewest) = watched(&mut bench, &job).await;
        assert_eq!(done, Ok(()));
        assert_eq!(bench.containers(false).len(), replicas);
        assert!(fewest >= at_least, "only {fewest} were healthy at some time");
    }
}

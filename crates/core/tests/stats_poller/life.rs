//! Beginning, going on and ending.

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use shipslog_core::stats::{Collector, Cursor, LiveHub, Recorder, RecorderOptions};
use shipslog_core::workloads::{ContainerChange, ContainerState, Inventory};
use tokio::time::Instant;

use crate::engine::{FakeEngine, Rig, RuntimeClock, START, id, seconds};

const MINUTE: u64 = 60;

#[tokio::test(start_paused = true)]
async fn nobody_is_asked_while_nobody_asks() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    seconds(60 * MINUTE).await;
    assert_eq!(rig.engine.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_first_reading_comes_at_once_the_second_soon_and_then_each_tick() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    let begun = Instant::now();
    let first = rig.ask("web").await;
    assert!(
        begun.elapsed() < Duration::from_millis(100),
        "{:?}",
        begun.elapsed()
    );
    assert!(first.is_running);
    assert_eq!(
        (first.metrics.len(), first.metrics[0].cpu, first.metrics[0].mem),
        (1, None, Some(1_000))
    );
    assert_eq!(first.metrics[0].timestamp, START);
    seconds(8).await;
    let next = rig.poller.metrics(&id("web"), first.next).await;
    let read: Vec<_> = next
        .metrics
        .iter()
        .map(|metric| (metric.timestamp - START, metric.cpu))
        .collect();
    assert_eq!(read, [(1, Some(25.0)), (4, Some(25.0)), (7, Some(25.0))]);
    assert_eq!(next.missed, 0);
}

#[tokio::test(start_paused = true)]
async fn a_container_that_was_listed_a_moment_before_its_start_runs_for_who_asks() {
    let rig = Rig::new();
    rig.engine.run("db", "shop");
    rig.ask("db").await;
    // The word of its start is still on the way.
    rig.engine.run("web", "shop");
    rig.engine
        .change("web", ContainerState::Created, ContainerChange::Other);
    seconds(1).await;
    rig.engine.mute.store(true, SeqCst);
    rig.engine.start("web");
    assert!(rig.ask("web").await.is_running);
}

#[tokio::test(start_paused = true)]
async fn sampling_ends_30_minutes_after_the_last_who_asked() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    rig.engine.run("db", "shop");
    rig.ask("web").await;
    seconds(20 * MINUTE).await;
    rig.ask("db").await;
    rig.ask("web").await;
    rig.engine.forget();
    seconds(29 * MINUTE).await;
    let reads = rig.engine.reads_of("web");
    assert_eq!(reads.len(), 29 * 20, "not one reading each 3 s");
    seconds(2 * MINUTE).await;
    rig.engine.forget();
    assert!(!rig.engine.is_followed());
    seconds(60 * MINUTE).await;
    assert_eq!(rig.engine.asked(), 0);
    // And it begins anew.
    assert_eq!(rig.ask("web").await.metrics.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_subscription_asks_for_as_long_as_it_is_there_and_its_end_is_not_the_end() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    rig.engine.run("other", "blog");
    let shop = rig.workload("shop").await;
    let mut first = rig.poller.hub().subscribe(&shop);
    let second = rig.poller.hub().subscribe(&shop);
    let point = *first.next().await.unwrap().update.value();
    assert_eq!((point.containers, point.memory_usage), (1, Some(1_000)));
    drop(second);
    seconds(120 * MINUTE).await;
    assert!(first.next().await.unwrap().missed > 2_000);
    drop(first);
    rig.engine.forget();
    seconds(29 * MINUTE).await;
    assert!(rig.engine.reads_of("web").len() > 500);
    assert_eq!(rig.engine.reads_of("other").len(), 0);
    seconds(2 * MINUTE).await;
    rig.engine.forget();
    seconds(10 * MINUTE).await;
    assert_eq!(rig.engine.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn everything_is_read_while_everything_is_watched() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    rig.engine.run("db", "shop");
    rig.engine.run("other", "blog");
    let mut all = rig.poller.hub().subscribe_all();
    let usage = all.next().await.unwrap().update.value().clone();
    assert_eq!(
        (
            usage.workloads.len(),
            usage.total.containers,
            usage.total.memory_usage
        ),
        (2, 3, Some(3_000))
    );
    rig.engine.run("new", "blog");
    seconds(4).await;
    let usage = all.next().await.unwrap().update.value().clone();
    assert_eq!(
        (usage.total.containers, usage.total.cpu_percent),
        (4, Some(100.0))
    );
}

#[tokio::test(start_paused = true)]
async fn what_happens_to_a_container_is_followed() {
    let rig = Rig::new();
    let engine = &rig.engine;
    engine.run("web", "shop");
    let cursor = rig.ask("web").await.next;
    type Action = fn(&FakeEngine, &str);
    let table: [(&str, Action, bool); 8] = [
        ("pause", FakeEngine::pause, false),
        ("unpause", FakeEngine::unpause, true),
        ("stop", FakeEngine::stop, false),
        ("start", FakeEngine::start, true),
        (
            "restart",
            |engine, name| {
                engine.stop(name);
                engine.start(name)
            },
            true,
        ),
        ("stop again", FakeEngine::stop, false),
        ("start again", FakeEngine::start, true),
        ("removal", FakeEngine::remove, false),
    ];
    let mut seen = 0;
    for (name, action, running) in table {
        action(engine, "web");
        seconds(1).await;
        let answer = rig.poller.metrics(&id("web"), cursor).await;
        assert_eq!(answer.is_running, running, "{name}");
        if running {
            assert!(
                answer.metrics.len() >= seen,
                "{name}: what was read before is not there any more"
            );
            seen = answer.metrics.len();
        } else {
            assert_eq!((answer.metrics.len(), answer.next), (0, cursor), "{name}");
        }
        seconds(10).await;
    }
    engine.forget();
    seconds(30).await;
    assert_eq!(engine.reads_of("web"), Vec::<u128>::new());
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_is_not_read() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    rig.ask("web").await;
    rig.engine.stop("web");
    seconds(1).await;
    rig.engine.forget();
    seconds(60).await;
    assert_eq!(rig.engine.reads_of("web"), Vec::<u128>::new());
    rig.engine.start("web");
    seconds(1).await;
    let first = rig.ask("web").await.metrics.last().copied().unwrap();
    assert_eq!(first.cpu, None, "the counters of another run were compared with");
}

#[tokio::test(start_paused = true)]
async fn a_container_made_anew_is_read_for_those_who_watch_its_workload() {
    let rig = Rig::new();
    rig.engine.run("web-1", "shop");
    let shop = rig.workload("shop").await;
    let mut points = rig.poller.hub().subscribe(&shop);
    points.next().await.unwrap();
    rig.engine.remove("web-1");
    rig.engine.run("web-2", "shop");
    seconds(2).await;
    rig.engine.forget();
    seconds(30).await;
    assert_eq!(rig.engine.reads_of("web-1").len(), 0);
    assert_eq!(rig.engine.reads_of("web-2").len(), 10);
    assert_eq!(points.next().await.unwrap().update.value().containers, 1);
    assert!(
        rig.ask("web-2").await.metrics.len() >= 10,
        "it was not buffered for them"
    );
    assert!(!rig.ask("web-1").await.is_running);
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_what_is_not_there_starts_nothing() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    let begun = Instant::now();
    for i in 0..100 {
        let answer = rig.ask(&format!("nothing-{i}")).await;
        assert!(!answer.is_running && answer.metrics.is_empty() && answer.next == Cursor::START);
    }
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
    assert_eq!(rig.engine.reads.lock().unwrap().len(), 0);
    rig.engine.forget();
    seconds(60).await;
    assert_eq!(rig.engine.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_short_id_is_enough_if_it_is_the_only_one() {
    let rig = Rig::new();
    rig.engine.run("0123456789abcdef", "shop");
    rig.engine.run("0123456789ffffff", "shop");
    rig.engine.run("aaaaaaaaaaaaaaaa", "shop");
    assert!(rig.ask("0123456789ab").await.is_running);
    assert!(!rig.ask("0123456789").await.is_running);
    assert!(!rig.ask("aaaaaaaaaaa").await.is_running);
    assert!(rig.ask("aaaaaaaaaaaa").await.is_running);
}

#[tokio::test(start_paused = true)]
async fn the_end_ends_everything() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    rig.ask("web").await;
    rig.cancel.cancel();
    seconds(1).await;
    rig.engine.forget();
    seconds(60).await;
    assert_eq!((rig.engine.asked(), rig.engine.is_followed()), (0, false));
}

/// Both read the same counters, each with a previous reading of its own.
#[tokio::test(start_paused = true)]
async fn live_and_stored_sampling_do_not_disturb_each_other() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    let hub = LiveHub::default();
    let mut recorder = Recorder::new(
        Arc::<FakeEngine>::clone(&rig.engine) as Arc<dyn Inventory>,
        Arc::<FakeEngine>::clone(&rig.engine) as Arc<dyn Collector>,
        Arc::clone(&rig.store),
        Arc::new(RuntimeClock::now()),
        RecorderOptions::default(),
    )
    .with_hub(hub.clone());
    recorder.tick_once().await.unwrap();
    rig.ask("web").await;
    seconds(5).await;
    // The recorder's tick lies between two live ones: were one the other's previous reading, a container that was paused in its
    // time alone would make the other's rate unknown.
    rig.engine.change(
        "web",
        ContainerState::Paused,
        shipslog_core::workloads::ContainerChange::Other,
    );
    recorder.tick_once().await.unwrap();
    rig.engine.change(
        "web",
        ContainerState::Running,
        shipslog_core::workloads::ContainerChange::Other,
    );
    seconds(30).await;
    let read = rig.ask("web").await.metrics;
    assert!(
        read.len() > 8 && read[1..].iter().all(|metric| metric.cpu == Some(25.0)),
        "{read:?}"
    );
    recorder.tick_once().await.unwrap();
    let shop = rig.workload("shop").await;
    assert_eq!(
        hub.workload(&shop).unwrap().value.cpu_percent,
        None,
        "the recorder compared with a live reading"
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_runs_it_twice_gets_one() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    seconds(1).await;
    rig.poller.run(rig.cancel.clone()).await;
    rig.ask("web").await;
    seconds(2).await;
    rig.engine.forget();
    seconds(30).await;
    assert_eq!(rig.engine.reads_of("web").len(), 10);
}

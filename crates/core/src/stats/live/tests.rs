//! What subscribers and those who ask are told.

use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{advance, sleep, timeout};

use super::*;

fn id(name: &str) -> WorkloadId {
    name.parse().unwrap()
}

fn reading(container: &str, workload: &str, memory: u64) -> Reading {
    Reading {
        container: container.parse().unwrap(),
        workload: Some(id(workload)),
        sample: Sample {
            memory_usage: Some(memory),
            memory_limit: Some(0),
            ..Sample::default()
        },
    }
}

const LIVE: Origin = Origin::Live(Duration::from_secs(3));

fn publish(hub: &LiveHub, ts: i64, origin: Origin, readings: &[Reading]) {
    hub.publish(Readout {
        ts,
        origin,
        coverage: Coverage::Everything,
        readings: readings.to_vec(),
    });
}

async fn text<T: Serialize + Send + Sync>(subscription: &mut Subscription<T>) -> String {
    let received = subscription.next().await.unwrap();
    String::from_utf8(received.update.json().to_vec()).unwrap()
}

/// Whether nothing is told for a while.
async fn is_silent<T: Send + Sync>(subscription: &mut Subscription<T>) -> bool {
    timeout(Duration::from_secs(1), subscription.next())
        .await
        .is_err()
}

fn memory(hub: &LiveHub, workload: &str) -> Option<u64> {
    hub.workload(&id(workload))?.value.memory_usage
}

#[tokio::test(start_paused = true)]
async fn a_point_is_live_for_45_seconds() {
    let hub = LiveHub::default();
    publish(
        &hub,
        100,
        Origin::Stored,
        &[reading("a", "web", 5), reading("b", "web", 7)],
    );
    advance(Duration::from_millis(44_900)).await;
    let latest = hub.workload(&id("web")).unwrap();
    assert_eq!(
        (
            latest.value.ts,
            latest.value.memory_usage,
            latest.value.containers
        ),
        (100, Some(12), 2)
    );
    assert_eq!(latest.age, Duration::from_millis(44_900));
    assert_eq!(
        hub.container(&"b".parse().unwrap()).unwrap().value.memory_usage,
        Some(7)
    );
    advance(Duration::from_millis(100)).await;
    assert_eq!(hub.workload(&id("web")), None);
    assert_eq!(hub.container(&"b".parse().unwrap()), None);
    assert!(
        is_silent(&mut hub.subscribe(&id("web"))).await,
        "an old point is told"
    );
    assert!(is_silent(&mut hub.subscribe_all()).await, "old points are told");
}

#[tokio::test(start_paused = true)]
async fn who_subscribes_is_told_what_is_held_and_then_what_comes() {
    let hub = LiveHub::default();
    publish(&hub, 100, LIVE, &[reading("a", "web", 5), reading("b", "db", 7)]);
    let (mut web, mut all) = (hub.subscribe(&id("web")), hub.subscribe_all());
    assert_eq!(
        text(&mut web).await,
        r#"{"ts":100,"cpu_percent":null,"memory_usage":5,"memory_limit":0,"network_rx":null,"network_tx":null,"block_read":null,"block_write":null,"containers":1}"#
    );
    let told: serde_json::Value = serde_json::from_str(&text(&mut all).await).unwrap();
    assert_eq!(
        (&told["ts"], &told["total"]["memory_usage"]),
        (&100.into(), &12.into())
    );
    assert_eq!(told["workloads"][0]["workload_id"], "db");
    assert_eq!(told["workloads"][1]["point"]["memory_usage"], 5);
    assert!(is_silent(&mut web).await, "what is held is told twice");
    publish(&hub, 103, LIVE, &[reading("a", "web", 6)]);
    let received = web.next().await.unwrap();
    assert_eq!(
        (received.update.value().memory_usage, received.missed),
        (Some(6), 0)
    );
    let received = all.next().await.unwrap();
    assert_eq!((received.update.value().workloads.len(), received.missed), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn live_sampling_that_read_nothing_of_a_workload_says_so_to_its_subscribers_alone() {
    let hub = LiveHub::default();
    publish(&hub, 100, LIVE, &[reading("a", "web", 5)]);
    let mut web = hub.subscribe(&id("web"));
    web.next().await.unwrap();
    publish(&hub, 103, LIVE, &[reading("b", "db", 7)]);
    assert_eq!(*web.next().await.unwrap().update.value(), Point::unread(103));
    assert_eq!(memory(&hub, "web"), Some(5));
    // What looks at some containers only says nothing of the others.
    hub.publish(Readout {
        ts: 104,
        origin: LIVE,
        coverage: Coverage::Part,
        readings: vec![reading("b", "db", 7)],
    });
    publish(&hub, 105, Origin::Stored, &[reading("b", "db", 7)]);
    assert!(is_silent(&mut web).await);
}

#[tokio::test(start_paused = true)]
async fn live_sampling_goes_before_stored_sampling_while_it_goes_on_and_time_does_not_go_back() {
    let hub = LiveHub::default();
    publish(&hub, 100, Origin::Stored, &[reading("a", "web", 1)]);
    publish(&hub, 101, LIVE, &[reading("a", "web", 2)]);
    publish(
        &hub,
        102,
        Origin::Stored,
        &[reading("a", "web", 3), reading("b", "db", 9)],
    );
    assert_eq!((memory(&hub, "web"), memory(&hub, "db")), (Some(2), Some(9)));
    assert_eq!(
        hub.container(&"a".parse().unwrap()).unwrap().value.memory_usage,
        Some(2)
    );
    publish(&hub, 99, LIVE, &[reading("a", "web", 4)]);
    assert_eq!(memory(&hub, "web"), Some(2));
    advance(Duration::from_secs(6)).await;
    publish(&hub, 107, Origin::Stored, &[reading("a", "web", 5)]);
    assert_eq!(memory(&hub, "web"), Some(5));
    // A clock that was set back for good is believed when what is held is too old anyway.
    advance(Duration::from_secs(45)).await;
    publish(&hub, 50, LIVE, &[reading("a", "web", 6)]);
    assert_eq!(memory(&hub, "web"), Some(6));
}

#[tokio::test]
async fn a_dropped_subscription_has_ended_and_leaves_the_others() {
    let hub = LiveHub::default();
    let (first, mut second, all) = (
        hub.subscribe(&id("web")),
        hub.subscribe(&id("web")),
        hub.subscribe_all(),
    );
    assert_eq!(
        (hub.watched(), hub.everything_is_watched()),
        (vec![id("web")], true)
    );
    drop((first, all));
    assert_eq!(
        (hub.watched(), hub.everything_is_watched()),
        (vec![id("web")], false)
    );
    publish(&hub, 100, LIVE, &[reading("a", "web", 5)]);
    assert!(second.next().await.is_some());
    drop(second);
    assert_eq!(hub.watched(), Vec::new());
}

/// A subscriber that reads all it can; what it got, each with what it missed.
async fn read_all(mut subscription: Subscription<Point>, until: i64) -> Vec<(i64, u64)> {
    let mut read = Vec::new();
    while read.last().is_none_or(|(ts, _)| *ts < until) {
        let received = subscription.next().await.unwrap();
        read.push((received.update.value().ts, received.missed));
    }
    read
}

#[tokio::test(start_paused = true)]
async fn of_1000_subscribers_900_get_every_tick_while_100_do_not_read() {
    const TICKS: i64 = 50;
    let hub = LiveHub::default();
    let mut readers: JoinSet<_> = (0..900)
        .map(|_| read_all(hub.subscribe(&id("web")), TICKS))
        .collect();
    let stalled: Vec<_> = (0..100).map(|_| hub.subscribe(&id("web"))).collect();
    let mut held: Vec<Weak<Update<Point>>> = Vec::new();
    let mut watcher = hub.subscribe(&id("web"));
    for ts in 1..=TICKS {
        publish(&hub, ts, LIVE, &[reading("a", "web", 5)]);
        held.push(Arc::downgrade(&watcher.next().await.unwrap().update));
        sleep(Duration::from_secs(3)).await;
    }
    let every_tick: Vec<(i64, u64)> = (1..=TICKS).map(|ts| (ts, 0)).collect();
    while let Some(read) = readers.join_next().await {
        assert_eq!(read.unwrap(), every_tick);
    }
    // Memory does not grow with the ticks that were not read: the newest is all there is.
    let kept = held.iter().filter(|update| update.strong_count() > 0).count();
    assert_eq!(kept, 1);
    for mut subscription in stalled {
        let received = subscription.next().await.unwrap();
        assert_eq!(
            (received.update.value().ts, received.missed),
            (TICKS, TICKS as u64 - 1)
        );
    }
}

#[tokio::test]
async fn an_update_is_encoded_once_for_all() {
    let hub = LiveHub::default();
    let mut subscriptions = [0; 3].map(|_| hub.subscribe(&id("web")));
    publish(&hub, 100, LIVE, &[reading("a", "web", 5)]);
    let mut places = Vec::new();
    for subscription in &mut subscriptions {
        places.push(subscription.next().await.unwrap().update.json().as_ptr());
    }
    assert_eq!(places, [places[0]; 3]);
}

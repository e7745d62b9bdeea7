//! Engines and containers that do not answer.

use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use shipslog_core::stats::Point;
use tokio::time::sleep;

use crate::engine::{FakeEngine, Rig, id, seconds};

/// Seconds between one and the next, rounded.
fn gaps(times: &[Duration]) -> Vec<u64> {
    let gap = |pair: &[Duration]| (pair[1] - pair[0]).as_secs_f64().round() as u64;
    times.windows(2).map(gap).collect()
}

#[tokio::test(start_paused = true)]
async fn a_change_that_no_event_told_is_noticed() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    rig.engine.run("db", "shop");
    rig.ask("web").await;
    rig.engine.mute.store(true, SeqCst);
    rig.engine.pause("web");
    seconds(11).await;
    assert!(!rig.ask("web").await.is_running);
    rig.engine.unpause("web");
    seconds(11).await;
    assert!(rig.ask("web").await.is_running);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_was_under_way_undoes_nothing_that_was_told_meanwhile() {
    let rig = Rig::new();
    let engine = &rig.engine;
    engine.run("web", "shop");
    rig.ask("web").await;
    engine.late.store(3_000, SeqCst);
    type Action = fn(&FakeEngine, &str);
    let table: [(&str, Action, bool); 4] = [
        ("stop", FakeEngine::stop, false),
        ("start", FakeEngine::start, true),
        ("pause", FakeEngine::pause, false),
        ("removal", FakeEngine::remove, false),
    ];
    for (name, action, running) in table {
        engine.forget();
        while engine.lists.lock().unwrap().is_empty() {
            sleep(Duration::from_millis(50)).await;
        }
        action(engine, "web");
        for _ in 0..100 {
            sleep(Duration::from_millis(100)).await;
            assert_eq!(rig.ask("web").await.is_running, running, "{name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_is_away_is_asked_ever_less_often_and_taken_up_again() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    rig.ask("web").await;
    seconds(60).await;
    rig.engine.away.store(true, SeqCst);
    rig.engine.drop_stream();
    rig.engine.forget();
    seconds(200).await;
    let begins_with = |times: &[Duration], expected: [u64; 6]| gaps(times)[..6] == expected;
    let (lists, follows) = (
        rig.engine.lists.lock().unwrap().clone(),
        rig.engine.follows.lock().unwrap().clone(),
    );
    assert!(begins_with(&lists, [1, 2, 4, 8, 16, 30]), "{:?}", gaps(&lists));
    assert!(
        begins_with(&follows, [2, 4, 8, 16, 30, 30]),
        "{:?}",
        gaps(&follows)
    );
    assert!(!rig.ask("web").await.is_running);
    assert!(
        rig.engine.reads_of("web").len() < 12,
        "{:?}",
        rig.engine.reads_of("web")
    );

    rig.engine.away.store(false, SeqCst);
    seconds(61).await;
    rig.engine.forget();
    seconds(30).await;
    assert_eq!(rig.engine.reads_of("web").len(), 10);
    assert!(rig.ask("web").await.is_running && rig.engine.is_followed());
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_holds_nobody_up() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    rig.ask("web").await;
    let shop = rig.workload("shop").await;
    let mut points = rig.poller.hub().subscribe(&shop);
    points.next().await.unwrap();
    rig.engine.hangs.store(true, SeqCst);
    seconds(60).await;
    let begun = tokio::time::Instant::now();
    assert!(!rig.ask("web").await.is_running);
    assert!(!rig.ask("nothing").await.is_running);
    assert!(begun.elapsed() <= Duration::from_secs(5), "{:?}", begun.elapsed());
    let told = points.next().await.unwrap();
    assert_eq!(
        *told.update.value(),
        Point::unread(told.update.value().ts),
        "the stream went silent"
    );
    rig.engine.hangs.store(false, SeqCst);
    seconds(60).await;
    rig.engine.forget();
    seconds(30).await;
    assert_eq!(rig.engine.reads_of("web").len(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_events_that_ends_is_followed_anew() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    rig.ask("web").await;
    for _ in 0..5 {
        seconds(40).await;
        rig.engine.drop_stream();
        seconds(2).await;
        assert!(rig.engine.is_followed());
        rig.engine.stop("web");
        seconds(1).await;
        assert!(!rig.ask("web").await.is_running);
        rig.engine.start("web");
        seconds(1).await;
        assert!(rig.ask("web").await.is_running);
    }
}

#[tokio::test(start_paused = true)]
async fn a_container_that_hangs_costs_the_others_little() {
    let rig = Rig::new();
    rig.engine.run("web", "shop");
    rig.engine.run("stuck", "shop");
    rig.ask("web").await;
    rig.engine.stuck.lock().unwrap().insert(id("stuck"));
    rig.ask("stuck").await;
    rig.engine.forget();
    seconds(300).await;
    let (web, stuck) = (
        rig.engine.reads_of("web").len(),
        rig.engine.reads_of("stuck").len(),
    );
    assert!(stuck <= 14, "{stuck} of 100 ticks were held up");
    assert!(web >= 75, "{web} readings in 100 ticks");
    rig.engine.stuck.lock().unwrap().clear();
    seconds(40).await;
    rig.engine.forget();
    seconds(30).await;
    assert_eq!(
        (
            rig.engine.reads_of("web").len(),
            rig.engine.reads_of("stuck").len()
        ),
        (10, 10)
    );
}

//! The recorder over an engine and a store that do as they are told.

mod fakes;
mod log;

use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use self::fakes::{FakeEngine, FakeStore, RuntimeClock, container};
use self::log::Log;
use super::{Recorder, RecorderOptions, RecorderStatus, TickError};
use crate::id::WorkloadId;
use crate::stats::CollectError;
use crate::time::Window;
use crate::workloads::{Container, ContainerState, WorkloadStore as _};

struct Rig {
    engine: Arc<FakeEngine>,
    store: Arc<FakeStore>,
    recorder: Recorder,
}

fn rig(containers: &[Container]) -> Rig {
    let (engine, store) = (Arc::new(FakeEngine::default()), Arc::new(FakeStore::default()));
    engine.list(containers);
    let recorder = Recorder {
        inventory: Arc::<FakeEngine>::clone(&engine),
        collector: Arc::<FakeEngine>::clone(&engine),
        workloads: Arc::<FakeStore>::clone(&store),
        samples: Arc::<FakeStore>::clone(&store),
        health: Arc::<FakeStore>::clone(&store),
        clock: Arc::new(RuntimeClock(Instant::now())),
        options: RecorderOptions::default(),
        readings: super::Readings::default(),
        hub: None,
        status: RecorderStatus::default(),
    };
    Rig {
        engine,
        store,
        recorder,
    }
}

impl Rig {
    /// Runs for so many seconds, and is cancelled then. In between, `meddle` happens.
    async fn run(self, seconds: u64, meddle: impl AsyncFnOnce(&FakeEngine, &FakeStore)) -> Arc<FakeStore> {
        let cancel = CancellationToken::new();
        let running = tokio::spawn(self.recorder.run(cancel.clone()));
        let begun = Instant::now();
        meddle(&self.engine, &self.store).await;
        tokio::time::sleep_until(begun + Duration::from_secs(seconds)).await;
        cancel.cancel();
        running.await.unwrap();
        self.store
    }
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test]
async fn every_container_is_in_the_tick_under_its_owner() {
    let mut rig = rig(&[]);
    let web = rig.store.managed("web");
    let gone: WorkloadId = "gone".parse().unwrap();
    rig.engine.list(&[
        Container {
            workload: Some(web),
            project: Some("shop".to_owned()),
            ..container("a")
        },
        Container {
            project: Some("shop".to_owned()),
            ..container("b")
        },
        Container {
            project: Some("shop".to_owned()),
            state: ContainerState::Exited,
            ..container("c")
        },
        Container {
            state: ContainerState::Paused,
            ..container("d")
        },
        Container {
            workload: Some(gone),
            state: ContainerState::Restarting,
            ..container("e")
        },
    ]);
    assert_eq!(rig.recorder.tick_once().await.unwrap(), 3);
    let rows = rig.store.rows();
    let seen: Vec<_> = rows
        .iter()
        .map(|(id, owner, sample)| (&id[..], &owner[..], sample.is_some()))
        .collect();
    let expected = [
        ("a", "web", true),
        ("b", "shop", true),
        ("c", "shop", false),
        ("d", "d", true),
        ("e", "e", false),
    ];
    assert_eq!(seen, expected);
    assert_eq!(rig.store.times(), [0]);
}

#[tokio::test]
async fn a_steady_state_writes_ticks_and_nothing_else() {
    let mut rig = rig(&[container("a"), container("b")]);
    for _ in 0..5 {
        rig.recorder.tick_once().await.unwrap();
    }
    assert_eq!(
        (rig.store.ticks().len(), rig.store.observations.load(SeqCst)),
        (5, 2)
    );
}

#[tokio::test]
async fn the_containers_of_a_deleted_workload_are_observed_from_then_on() {
    let mut rig = rig(&[]);
    let web = rig.store.managed("web");
    rig.engine.list(&[Container {
        workload: Some(web.clone()),
        ..container("a")
    }]);
    rig.recorder.tick_once().await.unwrap();
    rig.store.delete_workload(&web).await.unwrap();
    rig.recorder.tick_once().await.unwrap();
    assert_eq!(rig.store.rows()[0].1, "a");
}

#[tokio::test]
async fn rates_begin_at_the_second_reading_and_bridge_one_that_failed() {
    let a = container("a");
    let mut rig = rig(std::slice::from_ref(&a));
    let tick = async |rig: &mut Rig| {
        rig.recorder.tick_once().await.unwrap();
        rig.store.cpu()
    };
    assert_eq!(tick(&mut rig).await, Some(None));
    assert_eq!(tick(&mut rig).await, Some(Some(25.0)));
    *rig.engine.unread.lock().unwrap() = Some((a.id.clone(), CollectError::TimedOut));
    assert_eq!(tick(&mut rig).await, None);
    *rig.engine.unread.lock().unwrap() = None;
    assert_eq!(tick(&mut rig).await, Some(Some(25.0)));
}

#[tokio::test]
async fn a_container_that_stopped_or_went_away_is_read_anew() {
    let a = container("a");
    let stopped = Container {
        state: ContainerState::Exited,
        ..a.clone()
    };
    let mut rig = rig(std::slice::from_ref(&a));
    for absence in [vec![stopped], vec![]] {
        for _ in 0..2 {
            rig.recorder.tick_once().await.unwrap();
        }
        assert_eq!(rig.store.cpu(), Some(Some(25.0)));
        rig.engine.list(&absence);
        rig.recorder.tick_once().await.unwrap();
        rig.engine.list(std::slice::from_ref(&a));
        rig.recorder.tick_once().await.unwrap();
        assert_eq!(rig.store.cpu(), Some(None), "after {absence:?}");
    }
    *rig.engine.unread.lock().unwrap() = Some((a.id.clone(), CollectError::NotRunning));
    rig.recorder.tick_once().await.unwrap();
    *rig.engine.unread.lock().unwrap() = None;
    rig.recorder.tick_once().await.unwrap();
    assert_eq!(rig.store.cpu(), Some(None));
}

#[tokio::test]
async fn without_an_engine_or_a_store_there_is_no_tick() {
    let mut rig = rig(&[container("a")]);
    rig.engine.away.store(true, SeqCst);
    assert!(matches!(
        rig.recorder.tick_once().await,
        Err(TickError::Engine(_))
    ));
    rig.engine.away.store(false, SeqCst);
    rig.store.full.store(true, SeqCst);
    assert!(matches!(rig.recorder.tick_once().await, Err(TickError::Store(_))));
    assert!(rig.recorder.tick_once().await.is_err());
    assert_eq!(rig.store.ticks(), []);
    let progress = rig.recorder.status.progress();
    assert_eq!(
        (progress.recorded, progress.without_engine, progress.without_store),
        (0, 1, 2)
    );
    assert_eq!(progress.newest, None);
}

#[tokio::test(start_paused = true)]
async fn ticks_keep_their_cadence_and_those_missed_are_skipped() {
    let meddle = async |engine: &FakeEngine, _: &FakeStore| {
        seconds(15).await;
        engine.slow.store(25, SeqCst);
    };
    let rig = rig(&[container("a")]);
    let status = rig.recorder.status.clone();
    let store = rig.run(75, meddle).await;
    let progress = status.progress();
    let newest = store.ticks().last().map(|tick| tick.ts);
    assert_eq!((progress.recorded, progress.newest), (6, newest));
    assert_eq!(progress.since, Duration::from_secs(5));
    // The one at 20 is written late, under the time at which it began.
    assert_eq!(store.times(), [0, 10, 20, 50, 60, 70]);
}

#[tokio::test(start_paused = true)]
async fn losing_the_engine_or_the_store_is_a_gap_and_two_lines_in_the_log() {
    let log = Log::default();
    // With a second subscriber no other thread decides whether anybody listens.
    let _second = tracing::Dispatch::new(log.clone());
    let listening = tracing::subscriber::set_default(log.clone());
    let meddle = async |engine: &FakeEngine, store: &FakeStore| {
        seconds(15).await;
        engine.away.store(true, SeqCst);
        seconds(30).await;
        engine.away.store(false, SeqCst);
        store.full.store(true, SeqCst);
        seconds(30).await;
        store.full.store(false, SeqCst);
    };
    let store = rig(&[container("a")]).run(95, meddle).await;
    drop(listening);
    assert_eq!(store.times(), [0, 10, 80, 90]);
    let (gone, back) = (
        "container numbers are not recorded",
        "container numbers are recorded",
    );
    assert_eq!(*log.0.lock().unwrap(), [gone, gone, back]);
}

#[tokio::test(start_paused = true)]
async fn old_samples_go_in_chunks_at_once_and_every_five_minutes() {
    let mut rig = rig(&[container("a")]);
    rig.recorder.options.retention.samples = Window::from_seconds(3_600).unwrap();
    rig.store.old.store(12_000, SeqCst);
    let meddle = async |_: &FakeEngine, store: &FakeStore| {
        seconds(1).await;
        assert_eq!(*store.prunes.lock().unwrap(), [(-3_600, 5_000); 3]);
        store.old.store(1, SeqCst);
    };
    let store = rig.run(605, meddle).await;
    assert_eq!(
        store.prunes.lock().unwrap()[3..],
        [(-3_300, 5_000), (-3_000, 5_000)]
    );
    assert_eq!(
        (store.old.load(SeqCst), store.ticks().len()),
        (0, 61),
        "the ticks go on beside it"
    );
}

#[tokio::test(start_paused = true)]
async fn pruning_that_fails_is_tried_again() {
    let rig = rig(&[]);
    rig.store.full.store(true, SeqCst);
    let store = rig.run(299, async |_: &FakeEngine, _: &FakeStore| {}).await;
    assert_eq!(store.prunes.lock().unwrap().len(), 1);
    let rig = self::rig(&[]);
    rig.store.full.store(true, SeqCst);
    let store = rig.run(301, async |_: &FakeEngine, _: &FakeStore| {}).await;
    assert_eq!(store.prunes.lock().unwrap().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn it_ends_at_once_when_cancelled_whatever_the_engine_does() {
    let rig = rig(&[container("a")]);
    rig.engine.hangs.store(true, SeqCst);
    let begun = Instant::now();
    let store = rig.run(15, async |_: &FakeEngine, _: &FakeStore| {}).await;
    assert_eq!(
        (begun.elapsed(), store.ticks().len()),
        (Duration::from_secs(15), 0)
    );
}

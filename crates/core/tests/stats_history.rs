//! Months of history on a real store: what is rolled up, what is kept for how long, and what a window is answered from.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use shipslog_core::id::{ContainerId, WorkloadId};
use shipslog_core::stats::{
    CollectError, Collector, Counters, History, HistoryQuery, Recorder, RecorderOptions, Retention, Sample,
    StatsStore, Step, SteppedPoint, Tick, TickRow, Tier, Usage, usage_in,
};
use shipslog_core::store::{Store, StoreHealth};
use shipslog_core::testing::ManualClock;
use shipslog_core::time::{Clock, Timestamp, Window};
use shipslog_core::workloads::{Container, EngineInfo, EngineUnavailable, Inventory, Life, WorkloadStore};
use shipslog_store::SqliteStore;
use tokio_util::sync::CancellationToken;

const START: i64 = 1_790_000_100;
const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// A number without a pattern, which no compression makes small.
fn noise(ts: i64, salt: u64) -> u64 {
    let mixed = (ts.cast_unsigned() << 3 | salt).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed ^ mixed >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 33
}

/// An engine that is away, so that nothing is recorded but what a test records.
#[derive(Debug)]
struct Away;

#[async_trait]
impl Inventory for Away {
    async fn containers(&self) -> Result<Vec<Container>, EngineUnavailable> {
        Err(EngineUnavailable {
            reason: "away".into(),
        })
    }
    async fn lives(&self, ids: &[ContainerId]) -> Vec<Option<Life>> {
        vec![None; ids.len()]
    }

    async fn engine(&self) -> Result<EngineInfo, EngineUnavailable> {
        Err(EngineUnavailable {
            reason: "away".into(),
        })
    }
}

#[async_trait]
impl Collector for Away {
    fn kind(&self) -> &'static str {
        "none"
    }
    async fn collect(&self, ids: &[ContainerId]) -> Vec<Result<Counters, CollectError>> {
        ids.iter().map(|_| Err(CollectError::Unavailable)).collect()
    }
}

struct Rig {
    store: Arc<SqliteStore>,
    web: WorkloadId,
    now: i64,
    kept: Retention,
    max_size: Option<u64>,
}

impl Rig {
    async fn new() -> Self {
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        let web = store.observe_workload("web", at(START)).await.unwrap().id;
        Self {
            store,
            web,
            now: START,
            kept: Retention::default(),
            max_size: None,
        }
    }

    async fn record(&self, ts: i64, cpu: f64, memory: u64) {
        let row = |name: &str| TickRow {
            container: name.parse().unwrap(),
            name: name.into(),
            workload: self.web.clone(),
            sample: Some(Sample {
                cpu_percent: Some(cpu / 2.0),
                memory_usage: Some(memory / 2),
                memory_limit: Some(0),
                network_rx: Some(noise(ts, 1)),
                network_tx: Some(noise(ts, 2)),
                block_read: Some(noise(ts, 3)),
                block_write: Some(noise(ts, 4)),
            }),
        };
        let rows = vec![row("web-1"), row("web-2")];
        self.store.record_tick(&Tick { ts, rows }).await.unwrap();
    }

    /// Lets a time pass in which the workload uses a core, and for ten seconds of each hour three, on ticks a minute apart.
    async fn live(&mut self, seconds: i64) {
        for ts in (self.now..self.now + seconds).step_by(60) {
            let busy = ts.rem_euclid(HOUR) < 60;
            self.record(ts, if busy { 300.0 } else { 100.0 }, 1_000_000).await;
        }
        self.now += seconds;
    }

    /// One round of what the recorder does beside its ticks.
    async fn look_after(&self) {
        let clock: Arc<dyn Clock> = Arc::new(ManualClock::new(at(self.now)));
        let store = Arc::clone(&self.store) as Arc<dyn Store>;
        let options = RecorderOptions {
            retention: self.kept,
            max_size: self.max_size,
            ..RecorderOptions::default()
        };
        let recorder = Recorder::new(Arc::new(Away), Arc::new(Away), store, clock, options);
        let cancel = CancellationToken::new();
        let running = tokio::spawn(recorder.run(cancel.clone()));
        // The round comes to rest long before the next one. Between two of its steps it rests, too, and on a busy machine not only for a moment.
        let (mut before, mut same, mut rest) = (None, 0, 2);
        while same < 3 * rest {
            tokio::time::sleep(Duration::from_millis(60)).await;
            let through = self.store.rolled_through(Tier::FiveMinutes).await.unwrap();
            let state = Some((
                through,
                self.store.oldest_sample().await.unwrap(),
                self.store.size().await.unwrap(),
            ));
            let is_rolled = through.is_some_and(|through| through + 600 > self.now);
            rest = rest.max(if state == before { 0 } else { same });
            same = if is_rolled && state == before { same + 1 } else { 0 };
            before = state;
        }
        cancel.cancel();
        running.await.unwrap();
    }

    fn query(&self, window: &str, step: Step) -> HistoryQuery<'_> {
        HistoryQuery {
            workload: &self.web,
            now: self.now,
            window: Window::parse_any(window).unwrap(),
            step,
            since: None,
        }
    }

    async fn stepped(&self, window: &str, step: Step) -> Vec<SteppedPoint> {
        match self
            .query(window, step)
            .points(self.store.as_ref(), &self.kept)
            .await
            .unwrap()
        {
            History::Stepped(points) => points,
            History::Raw(points) => panic!("{} points as they were stored", points.len()),
        }
    }

    async fn usage(&self, window: &str) -> Usage {
        let window = Window::parse_any(window).unwrap();
        usage_in(self.store.as_ref(), &self.web, self.now, window)
            .await
            .unwrap()
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn peaks_and_sums_outlive_the_samples() {
    let mut rig = Rig::new().await;
    for _ in 0..12 {
        rig.live(DAY).await;
        rig.look_after().await;
    }
    rig.live(600).await;
    let oldest = rig.store.oldest_sample().await.unwrap().unwrap();
    assert!(
        rig.now - oldest < 3 * DAY,
        "samples are {} s old",
        rig.now - oldest
    );

    let days = rig.stepped("12d", Step::Seconds(HOUR)).await;
    assert!((287..=290).contains(&days.len()), "{}", days.len());
    assert!(
        days.windows(2)
            .all(|pair| pair[1].point.ts - pair[0].point.ts == HOUR)
    );
    for hour in &days[1..days.len() - 1] {
        assert_eq!(
            (hour.cpu_percent_max, hour.samples, hour.point.containers),
            (Some(300.0), 60, 2)
        );
        assert_eq!(
            (hour.point.cpu_percent, hour.point.memory_usage),
            (Some(103.333), Some(1_000_000))
        );
    }
    let week = rig.stepped("7d", Step::Seconds(60)).await;
    assert!((10_078..=10_081).contains(&week.len()), "{}", week.len());
    // The newest are not rolled up yet, and are there all the same.
    assert_eq!(week.last().unwrap().point.ts, Tier::Minute.bucket(rig.now - 60));
    assert!(rig.stepped("12d", Step::Automatic).await.len() <= 1_000);

    let used = rig.usage("12d").await;
    let hours = (rig.now - used.buckets[0].ts) as f64 / 3_600.0;
    assert!(
        (used.cpu_core_seconds / (hours * 3_720.0) - 1.0).abs() < 0.001,
        "{} in {hours} h",
        used.cpu_core_seconds
    );
    assert!((used.memory_byte_seconds / (hours * 3.6e9) - 1.0).abs() < 0.001);
    assert!(
        used.buckets[1..]
            .windows(2)
            .all(|pair| pair[1].ts - pair[0].ts == 300)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tick_that_comes_late_lands_in_its_bucket() {
    let mut rig = Rig::new().await;
    rig.live(2 * DAY).await;
    rig.look_after().await;
    let ts = Tier::FiveMinutes.bucket(rig.now - 5 * HOUR);
    let bucket = async |rig: &Rig| {
        rig.store
            .rollups(&rig.web, Tier::FiveMinutes, ts, ts + 1)
            .await
            .unwrap()[0]
    };
    let before = bucket(&rig).await;
    rig.record(ts + 7, 5_000.0, 9_000_000).await;
    rig.look_after().await;
    let after = bucket(&rig).await;
    assert_eq!(after.point.samples, before.point.samples + 1);
    assert_eq!(
        (after.point.cpu_percent_max, after.point.memory_usage_max),
        (Some(5_000.0), Some(9_000_000))
    );
    assert_eq!(
        rig.stepped("36h", Step::Seconds(300))
            .await
            .iter()
            .filter(|p| p.point.ts == ts)
            .count(),
        1
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_that_is_not_whole_says_so_and_a_gap_stays_a_gap() {
    let mut rig = Rig::new().await;
    rig.live(DAY).await;
    rig.now += 2 * HOUR + 120;
    rig.live(DAY).await;
    rig.look_after().await;
    let points = rig.stepped("3d", Step::Seconds(300)).await;
    let gaps: Vec<i64> = points
        .windows(2)
        .map(|pair| pair[1].point.ts - pair[0].point.ts)
        .filter(|gap| *gap != 300)
        .collect();
    assert_eq!(gaps.len(), 1);
    assert!((2 * HOUR..=2 * HOUR + 300).contains(&gaps[0]), "{}", gaps[0]);
    assert!(points.iter().filter(|point| point.samples < 5).count() >= 1);
    assert!(points.iter().all(|point| point.point.cpu_percent >= Some(100.0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn windows_within_the_samples_are_answered_as_they_were_taken() {
    let mut rig = Rig::new().await;
    rig.live(3 * DAY).await;
    rig.look_after().await;
    let count = async |window: &str, step, since| {
        let query = HistoryQuery {
            since,
            ..rig.query(window, step)
        };
        match query.points(rig.store.as_ref(), &rig.kept).await.unwrap() {
            History::Raw(points) => points.len(),
            History::Stepped(points) => panic!("{} steps", points.len()),
        }
    };
    assert_eq!(count("6h", Step::Automatic, None).await, 359);
    assert_eq!(count("6h", Step::Automatic, Some(rig.now - 121)).await, 2);
    assert_eq!(count("24h", Step::Raw, None).await, 1_439);
    assert!(
        count("90d", Step::Raw, None).await >= 1_440,
        "every sample that is kept"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_may_not_grow_gives_up_the_oldest() {
    let mut rig = Rig::new().await;
    rig.kept.samples = Window::parse_any("7d").unwrap();
    rig.live(5 * DAY).await;
    rig.look_after().await;
    let full = rig.store.size().await.unwrap();
    rig.max_size = Some(full - 60_000);
    rig.look_after().await;
    let fits = rig.store.size().await.unwrap();
    assert!(fits <= full - 60_000, "{full} became {fits}");
    let oldest = rig.store.oldest_sample().await.unwrap().unwrap();
    assert!(rig.now - oldest < 5 * DAY - HOUR, "the oldest go");
    assert!(rig.now - oldest > HOUR, "the newest stay");
    assert!(
        rig.stepped("8d", Step::Seconds(HOUR)).await.len() >= 119,
        "roll-ups stay as long as there is room"
    );
}

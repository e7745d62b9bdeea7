//! Cases of roll-ups in [`StatsStore`](crate::stats::StatsStore).

use super::build::{LATER, create, observe, record_one, some_id};
use super::check::not_found;
use crate::id::WorkloadId;
use crate::stats::{Point, Rollup, SteppedPoint, Tier};
use crate::store::Store;

fn rollup(ts: i64, n: u64) -> Rollup {
    let known = (!n.is_multiple_of(3)).then_some(n);
    let point = Point {
        ts,
        cpu_percent: known.map(|n| n as f64 / 8.0),
        memory_usage: Some(n * 1_000_003),
        memory_limit: (n > 1).then_some(0),
        network_rx: known,
        network_tx: None,
        block_read: Some(0),
        block_write: Some(1 << 40),
        containers: n as u32,
    };
    let point = SteppedPoint {
        point,
        cpu_percent_max: known.map(|n| n as f64),
        memory_usage_max: Some(n * 2_000_003),
        samples: 6,
    };
    Rollup {
        point,
        cpu_core_seconds: n as f64 / 4.0,
        memory_byte_seconds: n as f64 * 1e10,
    }
}

fn rollups(times: impl IntoIterator<Item = i64>) -> Vec<Rollup> {
    times.into_iter().map(|ts| rollup(ts, ts as u64 / 60)).collect()
}

async fn record(store: &dyn Store, tier: Tier, workload: &WorkloadId, rollups: Vec<Rollup>) {
    let through = rollups
        .last()
        .map_or(0, |last| last.point.point.ts + tier.seconds());
    store
        .record_rollups(tier, &[(workload.clone(), rollups)], through)
        .await
        .unwrap();
}

async fn times(store: &dyn Store, workload: &WorkloadId, tier: Tier, from: i64, to: i64) -> Vec<i64> {
    let rollups = store.rollups(workload, tier, from, to).await.unwrap();
    rollups.iter().map(|rollup| rollup.point.point.ts).collect()
}

pub async fn rollups_come_back_as_they_were_recorded(store: &dyn Store) {
    let id = create(store, "web").await;
    assert_eq!(store.rolled_through(Tier::Minute).await.unwrap(), None);
    let given = rollups((0..500).map(|i| i * 60));
    record(store, Tier::Minute, &id, given.clone()).await;
    assert_eq!(store.rollups(&id, Tier::Minute, 0, LATER).await.unwrap(), given);
    assert_eq!(store.rolled_through(Tier::Minute).await.unwrap(), Some(30_000));
    assert_eq!(store.rolled_through(Tier::FiveMinutes).await.unwrap(), None);
}

pub async fn a_window_of_rollups_includes_its_start_and_not_its_end(store: &dyn Store) {
    let id = create(store, "web").await;
    record(store, Tier::Minute, &id, rollups([60, 120, 3_600, 7_200])).await;
    assert_eq!(times(store, &id, Tier::Minute, 120, 7_200).await, [120, 3_600]);
    assert_eq!(times(store, &id, Tier::Minute, 121, 121).await, [0_i64; 0]);
    assert_eq!(times(store, &some_id(), Tier::Minute, 0, LATER).await, [0_i64; 0]);
}

pub async fn a_rollup_takes_the_place_of_the_one_before(store: &dyn Store) {
    let id = create(store, "web").await;
    record(store, Tier::FiveMinutes, &id, rollups([300, 600])).await;
    let new = rollup(600, 77);
    record(store, Tier::FiveMinutes, &id, vec![new, rollup(900, 1)]).await;
    let kept = store.rollups(&id, Tier::FiveMinutes, 0, LATER).await.unwrap();
    assert_eq!(kept, [rollup(300, 5), new, rollup(900, 1)]);
}

pub async fn tiers_and_workloads_are_kept_apart(store: &dyn Store) {
    let (a, b) = (create(store, "a").await, create(store, "b").await);
    let given = [
        (a.clone(), rollups([300])),
        (some_id(), rollups([300])),
        (b.clone(), rollups([600])),
    ];
    store.record_rollups(Tier::Minute, &given, 660).await.unwrap();
    record(store, Tier::FiveMinutes, &a, rollups([900])).await;
    assert_eq!(times(store, &a, Tier::Minute, 0, LATER).await, [300]);
    assert_eq!(times(store, &b, Tier::Minute, 0, LATER).await, [600]);
    assert_eq!(times(store, &a, Tier::FiveMinutes, 0, LATER).await, [900]);
}

pub async fn a_late_tick_has_its_bucket_made_again(store: &dyn Store) {
    let id = create(store, "web").await;
    record_one(store, 1_000, "a", &id).await;
    for tier in Tier::ALL {
        store.record_rollups(tier, &[], 900).await.unwrap();
    }
    record_one(store, 1_010, "a", &id).await;
    assert_eq!(store.rolled_through(Tier::Minute).await.unwrap(), Some(900));
    record_one(store, 950, "a", &id).await;
    assert_eq!(store.rolled_through(Tier::Minute).await.unwrap(), Some(900));
    record_one(store, 730, "a", &id).await;
    assert_eq!(store.rolled_through(Tier::Minute).await.unwrap(), Some(720));
    assert_eq!(store.rolled_through(Tier::FiveMinutes).await.unwrap(), Some(600));
}

pub async fn rollups_go_with_their_workload(store: &dyn Store) {
    let (gone, stays) = (create(store, "gone").await, create(store, "stays").await);
    for id in [&gone, &stays] {
        record(store, Tier::Minute, id, rollups([60])).await;
    }
    store.delete_workload(&gone).await.unwrap();
    assert_eq!(times(store, &gone, Tier::Minute, 0, LATER).await, [0_i64; 0]);
    assert_eq!(times(store, &stays, Tier::Minute, 0, LATER).await, [60]);
    let again = create(store, "gone").await;
    assert_eq!(times(store, &again, Tier::Minute, 0, LATER).await, [0_i64; 0]);
}

pub async fn old_rollups_are_deleted_tier_by_tier(store: &dyn Store) {
    let id = create(store, "web").await;
    const DAY: i64 = 86_400;
    for tier in Tier::ALL {
        record(store, tier, &id, rollups((0..4).map(|i| i * DAY))).await;
    }
    store.prune_rollups(Tier::Minute, 2 * DAY).await.unwrap();
    assert_eq!(
        times(store, &id, Tier::Minute, 0, LATER).await,
        [2 * DAY, 3 * DAY]
    );
    assert_eq!(times(store, &id, Tier::FiveMinutes, 0, LATER).await.len(), 4);
}

pub async fn an_observed_workload_stays_as_long_as_its_rollups(store: &dyn Store) {
    let id = observe(store, "web").await.id;
    const DAY: i64 = 86_400;
    record(store, Tier::FiveMinutes, &id, rollups([DAY])).await;
    while store.prune_samples(3 * DAY, 10).await.unwrap() {}
    store.workload(&id).await.unwrap();
    store.prune_rollups(Tier::FiveMinutes, 3 * DAY).await.unwrap();
    while store.prune_samples(3 * DAY, 10).await.unwrap() {}
    not_found(store.workload(&id).await, "workload");
}

pub async fn the_oldest_sample_is_known(store: &dyn Store) {
    assert_eq!(store.oldest_sample().await.unwrap(), None);
    let id = create(store, "web").await;
    for ts in [50, 30, 40] {
        record_one(store, ts, "a", &id).await;
    }
    assert_eq!(store.oldest_sample().await.unwrap(), Some(30));
}

pub async fn the_revision_tells_of_every_change_to_what_was_there(store: &dyn Store) {
    let (id, other) = (create(store, "web").await, create(store, "other").await);
    for ts in [10, 20, 30] {
        record_one(store, ts, "a", &id).await;
    }
    let mut before = store.revision();
    let mut changes = || {
        let now = store.revision();
        let before = std::mem::replace(&mut before, now);
        (before != now, before.rewritten != now.rewritten)
    };
    record_one(store, 40, "a", &id).await;
    assert!(changes().0, "a newer tick");
    record_one(store, 20, "a", &id).await;
    assert!(changes().1, "replaced");
    record_one(store, 15, "a", &id).await;
    assert!(changes().1, "late");
    record_one(store, 50, "a", &other).await;
    assert!(changes().1, "changed hands");
    while store.prune_samples(12, 10).await.unwrap() {}
    assert!(changes().1, "deleted");
    store.delete_workload(&other).await.unwrap();
    assert!(changes().1, "deleted with the workload");
}

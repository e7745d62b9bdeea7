//! Cases of [`StatsStore`](crate::stats::StatsStore): samples.

use super::build::{create, observe, record, record_one, row, sample, some_id};
use super::check::{expected, invalid, points, times};
use crate::stats::{Sample, Tick};
use crate::store::Store;

pub async fn samples_come_back_as_they_were_recorded(store: &dyn Store) {
    let (managed, observed) = (create(store, "web").await, observe(store, "web").await.id);
    for ts in [10, 20, 30] {
        let rows = vec![
            row("a", &managed, Some(sample(ts as u64))),
            row("b", &observed, Some(sample(900))),
        ];
        record(store, ts, rows).await;
    }
    let of_a = expected(&[(10, 0, sample(10)), (20, 0, sample(20)), (30, 0, sample(30))]);
    assert_eq!(points(store, &managed, 0, 100).await, of_a);
    let of_b = expected(&[(10, 0, sample(900)), (20, 0, sample(900)), (30, 0, sample(900))]);
    assert_eq!(points(store, &observed, 0, 100).await, of_b);
}

pub async fn what_is_not_known_stays_unknown(store: &dyn Store) {
    let id = create(store, "web").await;
    let zero = Sample {
        cpu_percent: Some(0.0),
        memory_usage: Some(0),
        memory_limit: Some(0),
        network_rx: Some(0),
        network_tx: Some(0),
        block_read: Some(0),
        block_write: Some(0),
    };
    let some = Sample {
        network_rx: None,
        network_tx: None,
        ..sample(3)
    };
    let recorded = [(10, 0, Sample::default()), (20, 0, zero), (30, 0, some)];
    for (ts, _, sample) in recorded {
        record(store, ts, vec![row("a", &id, Some(sample))]).await;
    }
    let found = points(store, &id, 0, 100).await;
    assert_eq!(found, expected(&recorded));
    assert_eq!((found[0].cpu_percent, found[0].containers), (None, 1));
    assert_eq!(
        (found[1].cpu_percent, found[1].memory_limit),
        (Some(0.0), Some(0))
    );
    assert_eq!((found[2].network_rx, found[2].block_read), (None, Some(6_003)));
}

pub async fn large_and_small_values_are_kept(store: &dyn Store) {
    let id = create(store, "web").await;
    let recorded = [0.001, 12.345, 6_400.0, 1_000_000.999]
        .into_iter()
        .enumerate()
        .map(|(i, cpu)| {
            let large = u64::MAX >> (1 + 16 * i);
            let io = Sample {
                network_rx: Some(large),
                network_tx: Some(1),
                block_read: Some(large),
                ..sample(1)
            };
            let sample = Sample {
                cpu_percent: Some(cpu),
                memory_usage: Some(1 << 45),
                memory_limit: Some(large),
                ..io
            };
            (10 + i as i64, 0, sample)
        });
    let recorded: Vec<_> = recorded.collect();
    for (ts, _, sample) in &recorded {
        record(store, *ts, vec![row("a", &id, Some(*sample))]).await;
    }
    assert_eq!(points(store, &id, 0, 100).await, expected(&recorded));
}

pub async fn a_window_includes_its_start_and_not_its_end(store: &dyn Store) {
    let id = create(store, "web").await;
    for ts in [0, 10, 20, 30] {
        record_one(store, ts, "a", &id).await;
    }
    let within = async |from, to| store.samples(&id, from, to).await.unwrap().timestamps().to_vec();
    assert_eq!(within(10, 30).await, [10, 20]);
    assert_eq!(within(11, 31).await, [20, 30]);
    assert_eq!(within(10, 11).await, [10]);
    assert_eq!(within(i64::MIN, i64::MAX).await, [0, 10, 20, 30]);
    assert_eq!(within(-5, 1).await, [0]);
}

pub async fn a_window_without_samples_is_empty(store: &dyn Store) {
    let id = create(store, "web").await;
    record_one(store, 10, "a", &id).await;
    for (from, to) in [(10, 10), (20, 10), (11, 100), (0, 10), (i64::MAX, i64::MIN)] {
        assert!(
            store.samples(&id, from, to).await.unwrap().is_empty(),
            "{from}..{to}"
        );
    }
    assert!(store.samples(&some_id(), 0, 100).await.unwrap().is_empty());
}

pub async fn containers_of_a_workload_stand_side_by_side(store: &dyn Store) {
    let (id, other) = (create(store, "web").await, create(store, "other").await);
    for ts in [10, 20] {
        let rows = vec![
            row("a", &id, Some(sample(1))),
            row("x", &other, Some(sample(100))),
            row("b", &id, Some(sample(2))),
        ];
        record(store, ts, rows).await;
    }
    let columns = store.samples(&id, 0, 100).await.unwrap();
    assert_eq!(
        (columns.containers(), columns.len(), columns.timestamps()),
        (2, 4, &[10, 20][..])
    );
    let side_by_side = expected(&[
        (10, 0, sample(1)),
        (10, 1, sample(2)),
        (20, 0, sample(1)),
        (20, 1, sample(2)),
    ]);
    assert_eq!(points(store, &id, 0, 100).await, side_by_side);
}

pub async fn a_container_may_miss_ticks(store: &dyn Store) {
    let id = create(store, "web").await;
    record(
        store,
        10,
        vec![row("a", &id, Some(sample(1))), row("b", &id, Some(sample(2)))],
    )
    .await;
    record(
        store,
        20,
        vec![row("a", &id, None), row("b", &id, Some(sample(3)))],
    )
    .await;
    record(store, 30, vec![row("a", &id, Some(sample(4)))]).await;
    record(store, 40, vec![row("b", &id, Some(sample(5)))]).await;
    let gaps = expected(&[
        (10, 0, sample(1)),
        (10, 1, sample(2)),
        (20, 1, sample(3)),
        (30, 0, sample(4)),
        (40, 1, sample(5)),
    ]);
    assert_eq!(points(store, &id, 0, 100).await, gaps);
}

pub async fn ticks_may_come_in_any_order(store: &dyn Store) {
    let id = create(store, "web").await;
    for ts in [30, 10, 40, 20] {
        record_one(store, ts, "a", &id).await;
    }
    let in_order: Vec<_> = [10, 20, 30, 40].map(|ts| (ts, 0, sample(ts as u64))).into();
    assert_eq!(points(store, &id, 0, 100).await, expected(&in_order));
}

pub async fn a_repeated_tick_replaces_what_it_names(store: &dyn Store) {
    let id = create(store, "web").await;
    record(
        store,
        10,
        vec![row("a", &id, Some(sample(1))), row("b", &id, Some(sample(2)))],
    )
    .await;
    record_one(store, 20, "a", &id).await;
    record(
        store,
        10,
        vec![row("b", &id, Some(sample(7))), row("c", &id, Some(sample(8)))],
    )
    .await;
    record(store, 20, vec![row("a", &id, Some(sample(9)))]).await;
    let replaced = expected(&[
        (10, 0, sample(1)),
        (10, 1, sample(7)),
        (10, 2, sample(8)),
        (20, 0, sample(9)),
    ]);
    assert_eq!(points(store, &id, 0, 100).await, replaced);
}

pub async fn a_repeated_tick_without_a_sample_removes_it(store: &dyn Store) {
    let id = create(store, "web").await;
    record(
        store,
        10,
        vec![row("a", &id, Some(sample(1))), row("b", &id, Some(sample(2)))],
    )
    .await;
    record(store, 10, vec![row("a", &id, None)]).await;
    assert_eq!(points(store, &id, 0, 100).await, expected(&[(10, 1, sample(2))]));
    assert_eq!(store.seen_containers(&id).await.unwrap().len(), 2);
}

pub async fn rows_of_unknown_workloads_are_left_out(store: &dyn Store) {
    let (id, unknown) = (create(store, "web").await, some_id());
    record(
        store,
        10,
        vec![
            row("x", &unknown, Some(sample(1))),
            row("a", &id, Some(sample(2))),
        ],
    )
    .await;
    record(store, 20, vec![row("x", &unknown, Some(sample(3)))]).await;
    assert_eq!(times(store, &id).await, [10]);
    assert!(store.samples(&unknown, 0, 100).await.unwrap().is_empty());
    assert_eq!(store.seen_containers(&unknown).await.unwrap(), []);
    // It is not held against the container when it turns up where it belongs.
    record_one(store, 30, "x", &id).await;
    assert_eq!(times(store, &id).await, [10, 30]);
}

pub async fn a_time_before_1970_is_refused(store: &dyn Store) {
    let id = create(store, "web").await;
    for ts in [-1, i64::MIN] {
        let rows = vec![row("a", &id, Some(sample(1)))];
        invalid(store.record_tick(&Tick { ts, rows }).await, "tick");
    }
    assert_eq!(store.seen_containers(&id).await.unwrap(), []);
}

//! Cases of [`StatsStore::prune_samples`](crate::stats::StatsStore::prune_samples).

use super::build::{LATER, at, create, observe, record, record_one, row, sample};
use super::check::{not_found, times};
use crate::store::Store;

pub async fn pruning_goes_from_the_oldest_and_stops_at_its_limit(store: &dyn Store) {
    let id = create(store, "web").await;
    for ts in [40, 10, 30, 20, 50] {
        record_one(store, ts, "a", &id).await;
    }
    assert!(store.prune_samples(50, 3).await.unwrap());
    assert_eq!(times(store, &id).await, [40, 50]);
    assert!(!store.prune_samples(50, 3).await.unwrap());
    assert_eq!(times(store, &id).await, [50]);
    assert!(
        !store.prune_samples(50, 0).await.unwrap(),
        "a limit of none still comes to an end"
    );
}

pub async fn pruning_spares_the_time_itself(store: &dyn Store) {
    let (a, b) = (create(store, "a").await, create(store, "b").await);
    for ts in [10, 20] {
        record(
            store,
            ts,
            vec![row("a", &a, Some(sample(1))), row("b", &b, Some(sample(1)))],
        )
        .await;
    }
    for before in [10, i64::MIN, 20] {
        assert!(!store.prune_samples(before, 100).await.unwrap());
    }
    assert_eq!(
        (times(store, &a).await, times(store, &b).await),
        (vec![20], vec![20])
    );
    assert!(!store.prune_samples(i64::MAX, 100).await.unwrap());
    assert_eq!((times(store, &a).await, times(store, &b).await), (vec![], vec![]));
}

pub async fn pruning_forgets_containers_with_its_last_call(store: &dyn Store) {
    let id = create(store, "web").await;
    record(
        store,
        10,
        vec![
            row("gone", &id, Some(sample(1))),
            row("stays", &id, Some(sample(1))),
        ],
    )
    .await;
    record(
        store,
        20,
        vec![row("unread", &id, None), row("stays", &id, Some(sample(1)))],
    )
    .await;
    record_one(store, 30, "stays", &id).await;
    let left = async || store.seen_containers(&id).await.unwrap().len();
    assert!(store.prune_samples(30, 3).await.unwrap());
    assert_eq!(left().await, 3);
    assert!(!store.prune_samples(30, 3).await.unwrap());
    assert_eq!(store.seen_containers(&id).await.unwrap()[0].id.as_str(), "stays");
    assert_eq!(left().await, 1);
    assert!(!store.prune_samples(31, 3).await.unwrap());
    assert_eq!(left().await, 0);
    store.workload(&id).await.unwrap();
}

pub async fn pruning_forgets_observed_workloads_without_containers(store: &dyn Store) {
    let (gone, stays) = (observe(store, "gone").await.id, observe(store, "stays").await.id);
    let empty = observe(store, "empty").await.id;
    record(
        store,
        10,
        vec![
            row("a", &gone, Some(sample(1))),
            row("b", &stays, Some(sample(1))),
        ],
    )
    .await;
    record_one(store, 20, "b", &stays).await;
    assert!(store.prune_samples(20, 2).await.unwrap());
    store.workload(&gone).await.unwrap();
    assert!(!store.prune_samples(20, 2).await.unwrap());
    not_found(store.workload(&gone).await, "workload");
    not_found(store.workload(&empty).await, "workload");
    store.workload(&stays).await.unwrap();
}

pub async fn pruning_keeps_what_was_just_created(store: &dyn Store) {
    let met = store.observe_workload("web", at(100)).await.unwrap().id;
    assert!(!store.prune_samples(100, 10).await.unwrap());
    record_one(store, 110, "a", &met).await;
    assert_eq!(times(store, &met).await, [110]);
}

pub async fn a_forgotten_container_begins_anew(store: &dyn Store) {
    let id = create(store, "web").await;
    record_one(store, 10, "a", &id).await;
    store.prune_samples(LATER, 100).await.unwrap();
    assert_eq!(store.seen_containers(&id).await.unwrap(), []);
    record_one(store, 20, "a", &id).await;
    let seen = store.seen_containers(&id).await.unwrap();
    assert_eq!((seen.len(), seen[0].first_seen, seen[0].last_seen), (1, 20, 20));
    assert_eq!(times(store, &id).await, [20]);
}

pub async fn pruning_comes_to_an_end_after_a_workload_was_deleted(store: &dyn Store) {
    let (gone, stays) = (create(store, "gone").await, create(store, "stays").await);
    for ts in 10..30 {
        record(
            store,
            ts,
            vec![
                row("a", &gone, Some(sample(1))),
                row("b", &stays, Some(sample(1))),
            ],
        )
        .await;
    }
    store.delete_workload(&gone).await.unwrap();
    let mut calls = 0;
    while store.prune_samples(10, 3).await.unwrap() {
        calls += 1;
        assert!(calls <= 20, "more was deleted than there was");
    }
    assert_eq!(times(store, &stays).await, (10..30).collect::<Vec<_>>());
}

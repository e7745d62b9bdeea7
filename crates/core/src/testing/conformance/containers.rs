//! Cases of [`StatsStore`](crate::stats::StatsStore): the index of containers.

use super::build::{create, observe, record, record_one, row, sample, some_id};
use super::check::{expected, points, times};
use crate::id::WorkloadId;
use crate::stats::TickRow;
use crate::store::Store;

/// Id, first and last time seen, in the order of the answer.
async fn seen(store: &dyn Store, workload: &WorkloadId) -> Vec<(String, i64, i64)> {
    let records = store.seen_containers(workload).await.unwrap();
    records
        .into_iter()
        .map(|c| (c.id.into(), c.first_seen, c.last_seen))
        .collect()
}

fn known(id: &str, first: i64, last: i64) -> (String, i64, i64) {
    (id.to_owned(), first, last)
}

pub async fn a_container_is_remembered_after_it_is_gone(store: &dyn Store) {
    let id = create(store, "web").await;
    record(
        store,
        10,
        vec![row("a", &id, Some(sample(1))), row("b", &id, Some(sample(1)))],
    )
    .await;
    record(
        store,
        20,
        vec![row("a", &id, Some(sample(1))), row("b", &id, Some(sample(1)))],
    )
    .await;
    for ts in [30, 40, 50] {
        record_one(store, ts, "b", &id).await;
        assert_eq!(seen(store, &id).await, [known("b", 10, ts), known("a", 10, 20)]);
    }
    // It may come back.
    record_one(store, 60, "a", &id).await;
    assert_eq!(seen(store, &id).await, [known("a", 10, 60), known("b", 10, 50)]);
    assert_eq!(points(store, &id, 0, 21).await.len(), 2);
}

pub async fn a_container_that_was_not_read_is_remembered(store: &dyn Store) {
    let id = create(store, "web").await;
    record(store, 10, vec![row("a", &id, None)]).await;
    record(store, 20, vec![row("a", &id, None)]).await;
    assert_eq!(seen(store, &id).await, [known("a", 10, 20)]);
    assert!(times(store, &id).await.is_empty());
}

pub async fn containers_are_listed_by_when_they_were_last_seen(store: &dyn Store) {
    let id = create(store, "web").await;
    record_one(store, 10, "old", &id).await;
    record_one(store, 20, "stays", &id).await;
    record(store, 30, vec![row("stays", &id, None), row("gone", &id, None)]).await;
    record(store, 40, vec![row("stays", &id, None), row("new", &id, None)]).await;
    let expected = [
        known("new", 40, 40),
        known("stays", 20, 40),
        known("gone", 30, 30),
        known("old", 10, 10),
    ];
    assert_eq!(seen(store, &id).await, expected);
}

pub async fn the_last_known_name_counts(store: &dyn Store) {
    let id = create(store, "web").await;
    let called = |name: &str| {
        vec![TickRow {
            name: name.into(),
            ..row("a", &id, Some(sample(1)))
        }]
    };
    let name = async || store.seen_containers(&id).await.unwrap().remove(0).name;
    record(store, 10, called("first")).await;
    record(store, 20, called("second")).await;
    assert_eq!(name().await, "second");
    record(store, 15, called("between")).await;
    assert_eq!(name().await, "second");
    assert_eq!(times(store, &id).await, [10, 15, 20]);
}

pub async fn an_older_tick_moves_only_the_first_sight(store: &dyn Store) {
    let id = create(store, "web").await;
    record_one(store, 50, "gone", &id).await;
    record_one(store, 60, "here", &id).await;
    record(
        store,
        20,
        vec![
            row("gone", &id, None),
            row("here", &id, None),
            row("new", &id, None),
        ],
    )
    .await;
    assert_eq!(
        seen(store, &id).await,
        [known("here", 20, 60), known("gone", 20, 50), known("new", 20, 20)]
    );
    record_one(store, 55, "gone", &id).await;
    record_one(store, 70, "here", &id).await;
    let expected = [known("here", 20, 70), known("gone", 20, 55), known("new", 20, 20)];
    assert_eq!(seen(store, &id).await, expected);
    assert_eq!(times(store, &id).await, [50, 55, 60, 70]);
}

pub async fn a_container_that_changes_hands_takes_its_samples_along(store: &dyn Store) {
    let (observed, managed) = (observe(store, "web").await.id, create(store, "web").await);
    record_one(store, 10, "a", &observed).await;
    record_one(store, 20, "a", &managed).await;
    assert!(times(store, &observed).await.is_empty());
    assert_eq!(seen(store, &observed).await, []);
    assert_eq!(seen(store, &managed).await, [known("a", 10, 20)]);
    let both = expected(&[(10, 0, sample(10)), (20, 0, sample(20))]);
    assert_eq!(points(store, &managed, 0, 100).await, both);
}

pub async fn a_container_left_by_a_deleted_workload_begins_anew(store: &dyn Store) {
    let managed = create(store, "web").await;
    record_one(store, 10, "a", &managed).await;
    store.delete_workload(&managed).await.unwrap();
    record_one(store, 20, "a", &managed).await;
    let observed = observe(store, "a").await.id;
    record_one(store, 30, "a", &observed).await;
    assert_eq!(seen(store, &observed).await, [known("a", 30, 30)]);
    assert_eq!(times(store, &observed).await, [30]);
    assert!(times(store, &managed).await.is_empty());
}

pub async fn an_empty_tick_ends_nothing_but_presence(store: &dyn Store) {
    let id = create(store, "web").await;
    record(store, 5, vec![]).await;
    record_one(store, 10, "a", &id).await;
    record(store, 20, vec![]).await;
    assert_eq!(seen(store, &id).await, [known("a", 10, 10)]);
    assert_eq!(times(store, &id).await, [10]);
}

pub async fn an_unknown_workload_has_no_containers(store: &dyn Store) {
    assert_eq!(store.seen_containers(&some_id()).await.unwrap(), []);
}

//! Cases of [`WorkloadStore`](crate::workloads::WorkloadStore): revisions of specs.

use super::build::{create, full_spec, new_workload, observe, some_id, spec};
use super::check::{conflict, not_found, one_winner};
use crate::store::Store;

pub async fn a_revision_adds_one_and_keeps_the_ones_before(store: &dyn Store) {
    let id = create(store, "web").await;
    let revised = store.revise_workload(&id, 1, full_spec("web")).await.unwrap();
    assert_eq!(revised.spec(), Some((&full_spec("web"), 2)));
    assert_eq!(store.workload(&id).await.unwrap(), revised);
    assert_eq!(store.spec_revision(&id, 1).await.unwrap(), spec("web"));
    assert_eq!(store.spec_revision(&id, 2).await.unwrap(), full_spec("web"));
    // The same spec again is a revision like any other.
    let again = store.revise_workload(&id, 2, full_spec("web")).await.unwrap();
    assert_eq!(again.spec(), Some((&full_spec("web"), 3)));
}

pub async fn a_revision_may_rename(store: &dyn Store) {
    let id = create(store, "old").await;
    let renamed = store.revise_workload(&id, 1, spec("new")).await.unwrap();
    assert_eq!(renamed.name, "new");
    assert_eq!(store.workloads().await.unwrap(), [renamed]);
    create(store, "old").await;
    conflict(store.create_workload(new_workload("new")).await, "name");
}

pub async fn a_revision_cannot_take_a_name(store: &dyn Store) {
    let id = create(store, "web").await;
    create(store, "taken").await;
    observe(store, "observed").await;
    conflict(store.revise_workload(&id, 1, spec("taken")).await, "name");
    assert_eq!(store.workload(&id).await.unwrap().spec(), Some((&spec("web"), 1)));
    store.revise_workload(&id, 1, spec("observed")).await.unwrap();
}

pub async fn a_stale_revision_changes_nothing(store: &dyn Store) {
    let id = create(store, "web").await;
    store.revise_workload(&id, 1, spec("web")).await.unwrap();
    for expected in [0, 1, 3] {
        conflict(
            store.revise_workload(&id, expected, spec("other")).await,
            "spec revision",
        );
    }
    assert_eq!(store.workload(&id).await.unwrap().spec(), Some((&spec("web"), 2)));
    not_found(store.spec_revision(&id, 3).await, "spec revision");
}

pub async fn of_two_revisions_at_once_one_wins(store: &dyn Store) {
    let id = create(store, "web").await;
    let both = tokio::join!(
        store.revise_workload(&id, 1, spec("left")),
        store.revise_workload(&id, 1, spec("right"))
    );
    let won = one_winner(both, "spec revision");
    assert_eq!(store.workload(&id).await.unwrap(), won);
    assert_eq!(store.spec_revision(&id, 2).await.unwrap().name, won.name);
}

pub async fn an_observed_workload_has_no_revisions(store: &dyn Store) {
    let id = observe(store, "web").await.id;
    for expected in [0, 1] {
        conflict(
            store.revise_workload(&id, expected, spec("web")).await,
            "spec revision",
        );
    }
    not_found(store.spec_revision(&id, 1).await, "spec revision");
    assert_eq!(store.workload(&id).await.unwrap().spec(), None);
}

pub async fn revising_an_unknown_workload_is_not_found(store: &dyn Store) {
    create(store, "web").await;
    not_found(
        store.revise_workload(&some_id(), 1, spec("web")).await,
        "workload",
    );
}

pub async fn an_unknown_revision_is_not_found(store: &dyn Store) {
    let id = create(store, "web").await;
    for revision in [0, 2, u32::MAX] {
        not_found(store.spec_revision(&id, revision).await, "spec revision");
    }
    not_found(store.spec_revision(&some_id(), 1).await, "workload");
}

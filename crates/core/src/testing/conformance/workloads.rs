//! Cases of [`WorkloadStore`](crate::workloads::WorkloadStore): workloads as a whole.

use super::build::{
    LATER, at, closing, create, deploy, full_spec, new_workload, observe, open, pin, record_one, row, sample,
    some_id, with_key,
};
use super::check::{conflict, not_found, times};
use crate::deploys::{Outcome, Page};
use crate::id::WorkloadId;
use crate::store::Store;
use crate::workloads::{NewWorkload, WorkloadKind};

pub async fn a_workload_comes_back_as_it_was_created(store: &dyn Store) {
    let new = NewWorkload {
        spec: full_spec("web"),
        ..new_workload("web")
    };
    let created = store.create_workload(new.clone()).await.unwrap();
    assert_eq!(
        (&created.id, created.name.as_str(), created.created_at),
        (&new.id, "web", at(1))
    );
    assert_eq!(created.spec(), Some((&new.spec, 1)));
    assert_eq!(store.workload(&new.id).await.unwrap(), created);
    assert_eq!(store.workloads().await.unwrap(), [created]);
    assert_eq!(store.spec_revision(&new.id, 1).await.unwrap(), new.spec);
}

pub async fn an_unknown_workload_is_not_found(store: &dyn Store) {
    create(store, "web").await;
    not_found(store.workload(&some_id()).await, "workload");
}

pub async fn a_managed_name_is_taken_once(store: &dyn Store) {
    let first = create(store, "web").await;
    conflict(store.create_workload(new_workload("web")).await, "name");
    create(store, "Web").await;
    let ids: Vec<_> = store
        .workloads()
        .await
        .unwrap()
        .into_iter()
        .map(|w| w.id)
        .collect();
    assert_eq!((ids.len(), &ids[1]), (2, &first));
}

pub async fn an_observed_name_takes_no_managed_one(store: &dyn Store) {
    let observed = observe(store, "web").await;
    let managed = create(store, "web").await;
    assert_ne!(observed.id, managed);
    assert_eq!(observe(store, "web").await, observed);
}

pub async fn observing_again_gives_the_first_workload(store: &dyn Store) {
    let first = store
        .observe_workload("a project/with \u{1F6A2}", at(5))
        .await
        .unwrap();
    assert_eq!(first.kind, WorkloadKind::Observed);
    assert_eq!(
        (first.name.as_str(), first.created_at),
        ("a project/with \u{1F6A2}", at(5))
    );
    let again = store
        .observe_workload("a project/with \u{1F6A2}", at(9))
        .await
        .unwrap();
    assert_eq!(again, first);
    assert_eq!(store.workload(&first.id).await.unwrap(), first);
}

pub async fn workloads_are_listed_by_name_and_managed_first(store: &dyn Store) {
    assert_eq!(store.workloads().await.unwrap(), []);
    observe(store, "b").await;
    create(store, "c").await;
    create(store, "b").await;
    observe(store, "a").await;
    let listed = store.workloads().await.unwrap();
    let listed: Vec<_> = listed
        .iter()
        .map(|w| (w.name.as_str(), w.spec().is_some()))
        .collect();
    assert_eq!(listed, [("a", false), ("b", true), ("b", false), ("c", true)]);
}

/// A workload with something in every table.
async fn furnished(store: &dyn Store, name: &str) -> WorkloadId {
    let id = create(store, name).await;
    let row = store.open_deploy(with_key(&id, "key")).await.unwrap();
    store.pin_deploy(&row.id, pin('a').into()).await.unwrap();
    store
        .close_deploy(&row.id, closing(Outcome::Succeeded, true))
        .await
        .unwrap();
    record_one(store, 50, &format!("container-of-{name}"), &id).await;
    id
}

pub async fn deleting_takes_everything_of_a_workload(store: &dyn Store) {
    let id = furnished(store, "web").await;
    let row = store.current_deploy(&id).await.unwrap().unwrap();
    store.delete_workload(&id).await.unwrap();
    not_found(store.workload(&id).await, "workload");
    not_found(store.spec_revision(&id, 1).await, "workload");
    not_found(store.deploy(&row.id).await, "deploy");
    assert_eq!(store.deploy_by_key(&id, "key").await.unwrap(), None);
    assert_eq!(store.all_deploys(&id).await.unwrap(), []);
    assert_eq!(store.current_deploy(&id).await.unwrap(), None);
    assert_eq!(store.seen_containers(&id).await.unwrap(), []);
    assert!(times(store, &id).await.is_empty());
    assert_eq!(store.workloads().await.unwrap(), []);
}

pub async fn deleting_leaves_other_workloads_alone(store: &dyn Store) {
    let (gone, kept) = (furnished(store, "gone").await, furnished(store, "kept").await);
    let observed = observe(store, "gone").await;
    store.delete_workload(&gone).await.unwrap();
    let page = Page {
        limit: 10,
        before: None,
    };
    assert_eq!(store.deploys(&kept, &page).await.unwrap().len(), 1);
    assert!(store.current_deploy(&kept).await.unwrap().is_some());
    assert_eq!(store.seen_containers(&kept).await.unwrap().len(), 1);
    assert_eq!(times(store, &kept).await, [50]);
    assert_eq!(store.workload(&observed.id).await.unwrap(), observed);
}

pub async fn deleting_waits_for_a_running_deploy(store: &dyn Store) {
    let id = create(store, "web").await;
    deploy(store, &id, true).await;
    let running = open(store, &id).await;
    conflict(store.delete_workload(&id).await, "running deploy");
    assert_eq!(store.all_deploys(&id).await.unwrap().len(), 2);
    store
        .close_deploy(&running.id, closing(Outcome::Interrupted, false))
        .await
        .unwrap();
    store.delete_workload(&id).await.unwrap();
}

pub async fn deleting_what_is_not_there_is_not_found(store: &dyn Store) {
    not_found(store.delete_workload(&some_id()).await, "workload");
    let id = observe(store, "web").await.id;
    store.delete_workload(&id).await.unwrap();
    not_found(store.delete_workload(&id).await, "workload");
}

pub async fn a_deleted_name_is_free_again(store: &dyn Store) {
    let (first, seen) = (furnished(store, "web").await, observe(store, "web").await.id);
    store.delete_workload(&first).await.unwrap();
    store.delete_workload(&seen).await.unwrap();
    let second = create(store, "web").await;
    assert_ne!(observe(store, "web").await.id, seen);
    assert_eq!(store.all_deploys(&second).await.unwrap(), []);
    let rows = vec![row("new", &second, Some(sample(1)))];
    super::build::record(store, LATER, rows).await;
    assert_eq!(times(store, &second).await, [LATER]);
}

//! Cases of [`DeployStore`](crate::deploys::DeployStore): rows among each other.

use super::build::{at, closing, create, deploy, new_deploy, open, some_deploy_id, some_id};
use super::check::{conflict, not_found};
use crate::deploys::{Deploy, FailureMarker, NewDeploy, Outcome, Page};
use crate::id::{DeployId, WorkloadId};
use crate::store::Store;

fn ids(rows: Vec<Deploy>) -> Vec<DeployId> {
    rows.into_iter().map(|row| row.id).collect()
}

async fn current(store: &dyn Store, workload: &WorkloadId) -> Vec<DeployId> {
    let rows = store.all_deploys(workload).await.unwrap();
    let marked = ids(rows.into_iter().filter(|row| row.current).collect());
    let answered = store.current_deploy(workload).await.unwrap();
    assert_eq!(marked, ids(answered.into_iter().collect()));
    marked
}

pub async fn current_follows_the_closing_that_says_so(store: &dyn Store) {
    let (a, b) = (create(store, "a").await, create(store, "b").await);
    assert_eq!(current(store, &a).await, []);
    let other = deploy(store, &b, true).await;
    let first = deploy(store, &a, true).await;
    assert_eq!(current(store, &a).await, std::slice::from_ref(&first));
    deploy(store, &a, false).await;
    assert_eq!(current(store, &a).await, [first]);
    let failed = open(store, &a).await.id;
    let outcome = Outcome::Failed(FailureMarker::Unhealthy);
    store.close_deploy(&failed, closing(outcome, true)).await.unwrap();
    assert_eq!(current(store, &a).await, [failed]);
    assert_eq!(current(store, &b).await, [other]);
}

pub async fn any_closed_row_can_be_made_current(store: &dyn Store) {
    let id = create(store, "web").await;
    let interrupted = open(store, &id).await.id;
    store
        .close_deploy(&interrupted, closing(Outcome::Interrupted, false))
        .await
        .unwrap();
    deploy(store, &id, true).await;
    for _ in 0..2 {
        store.make_current(&interrupted).await.unwrap();
        assert_eq!(current(store, &id).await, std::slice::from_ref(&interrupted));
    }
    assert_eq!(
        store.deploy(&interrupted).await.unwrap().outcome,
        Outcome::Interrupted
    );
}

pub async fn a_running_row_is_not_made_current(store: &dyn Store) {
    let id = create(store, "web").await;
    let before = deploy(store, &id, true).await;
    let running = open(store, &id).await;
    conflict(store.make_current(&running.id).await, "outcome");
    assert_eq!(current(store, &id).await, [before]);
}

/// Opens and closes rows with a clock that runs backwards, and gives their ids in the order in which they were opened.
async fn backwards(store: &dyn Store, workload: &WorkloadId, count: i64) -> Vec<DeployId> {
    let mut opened = Vec::new();
    for i in 0..count {
        let at = at(1_000 - i);
        let new = NewDeploy {
            id: DeployId::generate(at),
            started_at: at,
            ..new_deploy(workload)
        };
        let id = store.open_deploy(new).await.unwrap().id;
        store
            .close_deploy(&id, closing(Outcome::Succeeded, true))
            .await
            .unwrap();
        opened.push(id);
    }
    opened
}

pub async fn rows_are_listed_in_the_order_in_which_they_were_opened(store: &dyn Store) {
    let id = create(store, "web").await;
    let mut expected = backwards(store, &id, 5).await;
    expected.reverse();
    assert_eq!(ids(store.all_deploys(&id).await.unwrap()), expected);
    let page = Page {
        limit: 500,
        before: None,
    };
    assert_eq!(ids(store.deploys(&id, &page).await.unwrap()), expected);
}

pub async fn a_page_ends_at_its_limit_and_begins_after_its_row(store: &dyn Store) {
    let (id, other) = (create(store, "web").await, create(store, "other").await);
    let opened = backwards(store, &id, 3).await;
    deploy(store, &other, true).await;
    let opened = [opened, backwards(store, &id, 2).await].concat();
    let page = async |limit, before: Option<&DeployId>| {
        let page = Page {
            limit,
            before: before.cloned(),
        };
        ids(store.deploys(&id, &page).await.unwrap())
    };
    assert_eq!(page(2, None).await, [opened[4].clone(), opened[3].clone()]);
    assert_eq!(
        page(2, Some(&opened[3])).await,
        [opened[2].clone(), opened[1].clone()]
    );
    assert_eq!(page(2, Some(&opened[1])).await, [opened[0].clone()]);
    assert_eq!(page(2, Some(&opened[0])).await, []);
    assert_eq!(page(0, None).await, []);
    assert_eq!(page(u32::MAX, None).await.len(), 5);
}

pub async fn a_page_cannot_begin_at_another_workloads_row(store: &dyn Store) {
    let (id, other) = (create(store, "web").await, create(store, "other").await);
    deploy(store, &id, true).await;
    for before in [deploy(store, &other, true).await, some_deploy_id()] {
        let page = Page {
            limit: 10,
            before: Some(before),
        };
        not_found(store.deploys(&id, &page).await, "deploy");
    }
}

pub async fn the_ledger_of_an_unknown_workload_is_empty(store: &dyn Store) {
    let page = Page {
        limit: 10,
        before: None,
    };
    assert_eq!(store.deploys(&some_id(), &page).await.unwrap(), []);
    assert_eq!(store.all_deploys(&some_id()).await.unwrap(), []);
    assert_eq!(store.current_deploy(&some_id()).await.unwrap(), None);
}

pub async fn running_rows_of_all_workloads_are_listed_oldest_first(store: &dyn Store) {
    assert_eq!(store.running_deploys().await.unwrap(), []);
    let mut expected = Vec::new();
    for (i, name) in ["c", "a", "b"].into_iter().enumerate() {
        let id = create(store, name).await;
        deploy(store, &id, true).await;
        let new = NewDeploy {
            started_at: at(900 - i as i64),
            ..new_deploy(&id)
        };
        expected.push(store.open_deploy(new).await.unwrap().id);
    }
    assert_eq!(ids(store.running_deploys().await.unwrap()), expected);
    store
        .close_deploy(&expected.remove(1), closing(Outcome::Interrupted, false))
        .await
        .unwrap();
    assert_eq!(ids(store.running_deploys().await.unwrap()), expected);
}

pub async fn deleting_rows_counts_those_that_were_there(store: &dyn Store) {
    let id = create(store, "web").await;
    let opened = backwards(store, &id, 4).await;
    assert_eq!(store.delete_deploys(&[]).await.unwrap(), 0);
    let wanted = [
        opened[0].clone(),
        some_deploy_id(),
        opened[1].clone(),
        opened[0].clone(),
    ];
    assert_eq!(store.delete_deploys(&wanted).await.unwrap(), 2);
    assert_eq!(store.delete_deploys(&wanted).await.unwrap(), 0);
    assert_eq!(
        ids(store.all_deploys(&id).await.unwrap()),
        [opened[3].clone(), opened[2].clone()]
    );
    not_found(store.deploy(&opened[0]).await, "deploy");
}

pub async fn deleting_rows_is_all_or_nothing(store: &dyn Store) {
    let id = create(store, "web").await;
    let spare = deploy(store, &id, false).await;
    let current = deploy(store, &id, true).await;
    let running = open(store, &id).await.id;
    for kept in [current, running] {
        conflict(store.delete_deploys(&[spare.clone(), kept]).await, "outcome");
    }
    assert_eq!(store.all_deploys(&id).await.unwrap().len(), 3);
}

pub async fn a_row_opened_after_a_deletion_is_the_newest(store: &dyn Store) {
    let id = create(store, "web").await;
    let opened = backwards(store, &id, 3).await;
    store.make_current(&opened[0]).await.unwrap();
    store.delete_deploys(&opened[1..]).await.unwrap();
    let newest = open(store, &id).await.id;
    assert_eq!(
        ids(store.all_deploys(&id).await.unwrap()),
        [newest, opened[0].clone()]
    );
}

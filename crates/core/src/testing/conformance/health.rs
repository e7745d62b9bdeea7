//! Cases of [`StoreHealth`](crate::store::StoreHealth).

use crate::store::Store;

pub async fn a_store_says_what_it_is(store: &dyn Store) {
    assert!(!store.info().kind.is_empty());
    assert_eq!(store.info(), store.info());
}

pub async fn a_store_that_works_answers(store: &dyn Store) {
    store.ping().await.unwrap();
}

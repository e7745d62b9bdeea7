//! The store against the contract of its traits, in both places where it can be.

#![allow(clippy::unwrap_used, reason = "a factory of tests may panic as they do")]

mod support;

mod file {
    async fn on_disk() -> super::support::OnDisk {
        super::support::on_disk()
    }

    shipslog_core::store_conformance!(on_disk());
}

mod memory {
    use shipslog_store::SqliteStore;

    async fn in_memory() -> Box<SqliteStore> {
        Box::new(SqliteStore::in_memory().unwrap())
    }

    shipslog_core::store_conformance!(in_memory());
}

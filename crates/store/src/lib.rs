//! The store of shipslog: workloads, the deploy ledger and container samples in one SQLite file, or in memory.
//!
//! [`SqliteStore`] implements every store trait of `shipslog-core`, so that a host holds one `Arc<dyn Store>` and hands each
//! part of the logic the narrowest trait that it needs.
//!
//! ```
//! use std::sync::Arc;
//!
//! use shipslog_core::stats::{Sample, Tick, TickRow, aggregate};
//! use shipslog_core::store::Store;
//! use shipslog_core::time::Timestamp;
//! use shipslog_store::SqliteStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // A program keeps its data: SqliteStore::open("data/shipslog.db").
//! let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory()?);
//!
//! let web = store.observe_workload("web", Timestamp::now()).await?;
//! let row = TickRow {
//!     container: "4c01db0b339c".parse()?,
//!     name: "web-1".into(),
//!     workload: web.id.clone(),
//!     sample: Some(Sample { cpu_percent: Some(12.5), ..Sample::default() }),
//! };
//! store.record_tick(&Tick { ts: 1_790_000_000, rows: vec![row] }).await?;
//!
//! let points = aggregate(&store.samples(&web.id, 1_790_000_000, 1_790_000_060).await?).points();
//! assert_eq!(points[0].cpu_percent, Some(12.5));
//! # Ok(())
//! # }
//! ```
//!
//! # Where things are
//!
//! | Domain | Trait | SQL | Schema |
//! | --- | --- | --- | --- |
//! | workloads | [`WorkloadStore`](shipslog_core::workloads::WorkloadStore) | `sqlite/workloads.rs` | `migrations/002_workloads.sql` |
//! | deploys | [`DeployStore`](shipslog_core::deploys::DeployStore) | `sqlite/deploys.rs` | `migrations/003_deploys.sql` |
//! | stats | [`StatsStore`](shipslog_core::stats::StatsStore) | `sqlite/stats/` | `migrations/004_stats.sql` |
//! | health | [`StoreHealth`](shipslog_core::store::StoreHealth) | `sqlite/health.rs` | |
//!
//! # What is durable when
//!
//! Workloads and the ledger are synced to the disk before a method returns. Samples are handed to the system: they outlive
//! the process, and the loss of power may cost the newest ticks, each of them whole. Both survive `kill -9`.
//!
//! # What is secret
//!
//! A spec may hold literal environment values and arguments, so specs are sealed (XChaCha20-Poly1305) with a random key in a
//! file of its own, each bound to its workload and revision. Whoever has the database without the key cannot read them;
//! whoever has both can. Everything else is readable with any SQLite tool: the types of `shipslog-core` keep secrets out of
//! the ledger.
//!
//! # When something is wrong
//!
//! [`OpenError`] tells at the start what is wrong with the files and what to do; a file that is damaged, empty, missing or
//! somebody else's is never replaced. Later, [`StoreError`](shipslog_core::store::StoreError) says what can be decided on:
//! `Busy` when another program holds the file for too long, `Unavailable` when the disk is full or the file gives out. On a
//! full disk reading goes on, and pruning works with a reserve of 16 MiB that the store keeps for it.
//!
//! # How samples are kept
//!
//! A tick is one value, all containers of it together, written to the end of one tree in one transaction. Once there are
//! enough ticks, [`seal_samples`](shipslog_core::stats::StatsStore::seal_samples) makes each container's part of 512 of them
//! a block of compressed columns, of two to three bytes a sample. Against the schema that comes to mind first, a row of texts
//! with an index, writing is more than ten times as fast: `cargo bench -p shipslog-store` measures both, and what a window
//! takes from the file to its points.

mod sqlite;

pub use sqlite::{OpenError, SqliteOptions, SqliteStore};

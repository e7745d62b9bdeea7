//! Domain types, traits and rules of shipslog. No I/O, no backend.
//!
//! | domain | what is decided here | traits |
//! | --- | --- | --- |
//! | [`workloads`] | what a spec may say, whose a container is | [`WorkloadStore`](workloads::WorkloadStore), [`Inventory`](workloads::Inventory), [`EngineEvents`](workloads::EngineEvents) |
//! | [`deploys`] | the one way to a deploy, the ledger, rollback, recovery | [`DeployStore`](deploys::DeployStore), [`DispatchPlugin`](deploys::DispatchPlugin), [`RollbackCapable`](deploys::RollbackCapable) |
//! | [`stats`] | rates, sums, roll-ups, live sampling and push | [`StatsStore`](stats::StatsStore), [`Collector`](stats::Collector) |
//!
//! Adapters implement the traits: `shipslog-store` for SQLite, `shipslog-docker` for Docker, `shipslog-http` shows it all as a
//! REST API. A host passes in what core does not have of its own: a [`Clock`](time::Clock), a
//! [`SecretSource`](secret::SecretSource), a store and plugins.
//!
//! A deploy, its row, and a rollback, with a plugin that only pretends:
//!
//! ```
//! use std::sync::Arc;
//!
//! use shipslog_core::deploys::{DispatchRequest, Dispatcher, DispatcherOptions, Outcome, Reason, RollbackConfig, RollbackRequest};
//! use shipslog_core::id::WorkloadId;
//! use shipslog_core::store::Store;
//! use shipslog_core::testing::{FakePlugin, FakeSecrets, ManualClock};
//! use shipslog_core::time::Timestamp;
//! use shipslog_core::workloads::NewWorkload;
//! use shipslog_store::SqliteStore;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let now = Timestamp::from_second(1_800_000_000)?;
//! let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory()?);
//! let (secrets, clock) = (Arc::new(FakeSecrets::default()), Arc::new(ManualClock::new(now)));
//! let dispatcher = Dispatcher::new(Arc::clone(&store), secrets, clock, DispatcherOptions::default())
//!     .with_plugin(Arc::new(FakePlugin::new()));
//!
//! let spec = serde_json::from_str(r#"{"name": "web", "source": {"kind": "fake", "reference": "app:1"}}"#)?;
//! let web = WorkloadId::generate(now);
//! store.create_workload(NewWorkload { id: web.clone(), spec, created_at: now }).await?;
//!
//! let (triggered_by, note, idempotency_key) = ("admin".to_owned(), None, None);
//! let request = DispatchRequest {
//!     workload: web.clone(), reference: None, reason: Reason::Manual,
//!     triggered_by: triggered_by.clone(), note: note.clone(), idempotency_key: idempotency_key.clone(), force: false,
//! };
//! let running = dispatcher.dispatch(request).await?;
//! assert_eq!(running.outcome, Outcome::Running);
//! let first = dispatcher.wait(&running.id).await?;
//! assert_eq!((first.outcome, first.current), (Outcome::Succeeded, true));
//!
//! let request = RollbackRequest {
//!     workload: web, target: first.id.clone(), config: RollbackConfig::Recorded, triggered_by, note, idempotency_key,
//! };
//! let rollback = dispatcher.roll_back(request).await?;
//! let rollback = dispatcher.wait(&rollback.id).await?;
//! assert_eq!((rollback.rollback_of, rollback.pin), (Some(first.id), first.pin));
//! # Ok(())
//! # }
//! ```
//!
//! | feature | gives |
//! | --- | --- |
//! | `testing` | [`store_conformance!`](crate::store_conformance), [`plugin_conformance!`](crate::plugin_conformance), a manual clock, fakes and canary secrets |
//! | `openapi` | schemas of the types that cross the API |

mod backoff;
pub mod deploys;
pub mod id;
pub mod redact;
pub mod secret;
pub mod stats;
pub mod store;
#[cfg(feature = "testing")]
pub mod testing;
pub mod time;
pub mod workloads;

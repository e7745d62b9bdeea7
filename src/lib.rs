//! The ship's log of a container control plane: a deploy ledger that cannot lie, a rollback that does what it says, and container
//! numbers at almost no cost, as a library that other control planes link.
//!
//! | Domain | What core decides | Trait | Adapters here |
//! | --- | --- | --- | --- |
//! | workloads | specs and their rules, who owns a container | [`WorkloadStore`](core::workloads::WorkloadStore), [`Inventory`](core::workloads::Inventory) | `SqliteStore`, `DockerEngine` |
//! | deploys | the choke point, the ledger, rollback, recovery | [`DeployStore`](core::deploys::DeployStore), [`DispatchPlugin`](core::deploys::DispatchPlugin), [`RollbackCapable`](core::deploys::RollbackCapable) | `SqliteStore`, `ImagePlugin`, `ComposePlugin`, `GitPlugin`, `SwarmPlugin` |
//! | stats | rates, sums per timestamp, roll-ups, live sampling and push | [`StatsStore`](core::stats::StatsStore), [`Collector`](core::stats::Collector) | `SqliteStore`, `CgroupCollector`, `DockerApiCollector` |
//!
//! # Features
//!
//! | Feature | Gives | Default |
//! | --- | --- | --- |
//! | `sqlite` | [`store`]: `SqliteStore` | yes |
//! | `docker` | [`docker`]: engine, collectors and source kinds | yes |
//! | `http` | [`http`]: the REST API as an axum `Router` | yes |
//! | `dashboard` | the page that operators open, at the router's root path; built by `make dashboard` | no |
//!
//! With the first three, [`Shipslog`] is the whole thing wired together. With fewer, a host wires the traits of [`core`] itself.

pub use shipslog_core as core;
#[cfg(feature = "docker")]
pub use shipslog_docker as docker;
#[cfg(feature = "http")]
pub use shipslog_http as http;
#[cfg(feature = "sqlite")]
pub use shipslog_store as store;

mod clock;
#[cfg(all(feature = "sqlite", feature = "docker", feature = "http"))]
mod host;
mod secrets;

pub use clock::SystemClock;
#[cfg(all(feature = "sqlite", feature = "docker", feature = "http"))]
pub use host::{Options, Shipslog, StartError};
pub use secrets::HostSecrets;

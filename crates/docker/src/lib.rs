//! What shipslog needs of a container engine, spoken over Docker's API.
//!
//! | domain | trait of `shipslog-core` | adapter |
//! | --- | --- | --- |
//! | workloads | [`Inventory`](shipslog_core::workloads::Inventory), [`EngineEvents`](shipslog_core::workloads::EngineEvents) | [`DockerEngine`] lists containers, and tells what happens to them |
//! | deploys | [`DispatchPlugin`](shipslog_core::deploys::DispatchPlugin), [`RollbackCapable`](shipslog_core::deploys::RollbackCapable) | [`ImagePlugin`] runs images, [`GitPlugin`] builds them from repositories, [`ComposePlugin`] runs the services of Compose files, [`SwarmPlugin`] images as services of a swarm |
//! | stats | [`Collector`](shipslog_core::stats::Collector) | [`CgroupCollector`] reads counters from this host's files, [`DockerApiCollector`] asks the engine for them |
//!
//! All three share one [`DockerEngine`], a cheap handle that contacts nobody until it is asked for something:
//!
//! ```no_run
//! use shipslog_core::stats::Collector as _;
//! use shipslog_core::workloads::Inventory as _;
//! use shipslog_docker::{CgroupCollector, CollectorOptions, DockerEngine, EngineOptions, ImagePlugin};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let engine = DockerEngine::new(EngineOptions::default());
//! let plugin = ImagePlugin::new(engine.clone());
//! let collector = CgroupCollector::new(engine.clone(), CollectorOptions::default());
//!
//! println!("engine {}", engine.engine().await?.version);
//! let containers = engine.containers().await?;
//! let ids: Vec<_> = containers.iter().map(|container| container.id.clone()).collect();
//! for (container, read) in containers.iter().zip(collector.collect(&ids).await) {
//!     println!("{}: {:?}", container.name, read.map(|counters| counters.memory));
//! }
//! # let _ = plugin; // Goes to `Dispatcher::with_plugin`.
//! # Ok(())
//! # }
//! ```
//!
//! # Two ways to the same numbers
//!
//! On the engine's own host, [`CgroupCollector`] reads the files that the engine reads too: some twenty microseconds a
//! container instead of some milliseconds, and the engine may be away. It falls back to [`DockerApiCollector`] for each
//! container whose files are not there, and says so in its [`status`](shipslog_core::stats::Collector::status). A process in
//! a container sees the files of others when it shares the host's process and cgroup name spaces and the groups are mounted
//! (`--pid host --cgroupns host --volume /sys/fs/cgroup:/sys/fs/cgroup:ro`).
//!
//! # When the engine is away
//!
//! Every request has a time-out, body included, and makes a connection of its own. An engine that does not
//! answer is an error with a short text of ours; the next request finds the engine again by itself. Nothing
//! has to be restarted, in any order.
//!
//! # What is kept from the log
//!
//! An engine's words may hold secrets, as it quotes registries, arguments and environments. Here they end up
//! in one place only, the detail of a [`DispatchError`](shipslog_core::deploys::DispatchError), which core
//! redacts. But the client library underneath logs whole requests and answers at level `debug` under the
//! target `bollard`, environments of containers included: a host that turns on `debug` for everything should
//! leave that target off (`debug,bollard=off`).
//!
//! # Engines
//!
//! Tested with Docker Engine 20.10 (API 1.41); the newest API version that both sides know is negotiated, up
//! to 1.53. Unix sockets and plain TCP are supported, encrypted TCP and SSH are not: use a local socket, or a
//! tunnel.

mod deploys;
mod engine;
mod labels;
mod stats;
mod workloads;

pub use deploys::{ComposePlugin, GitPlugin, ImagePlugin, SwarmPlugin};
pub use engine::{DockerEngine, EngineOptions};
#[cfg(target_os = "linux")]
pub use stats::CgroupCollector;
pub use stats::{CollectorOptions, DockerApiCollector};

//! What integration tests need from the outside world, made for real: a container engine, images
//! that behave in chosen ways, registries with credentials, Git servers, and proxies that break connections.
//!
//! `tests/env/run-tests.sh` prepares the environment and runs the tests in it:
//!
//! | variable | meaning |
//! | --- | --- |
//! | `SHIPSLOG_TEST_ENGINE` | the engine, `unix:///path/to.sock`; unset: tests that need it skip loudly |
//! | `SHIPSLOG_TEST_REGISTRY` | `host:port` of a registry that wants a password |
//! | `SHIPSLOG_TEST_REGISTRY_USER`, `SHIPSLOG_TEST_REGISTRY_PASSWORD` | its credentials |
//! | `SHIPSLOG_TEST_RUN` | marks whatever this run makes, so that it can be removed; unset: `local` |
//! | `DOCKER_CONFIG` | a client configuration folder that knows the registry's credentials |
//!
//! Everything here panics when the outside world does not do what the test asked for: in a test,
//! that is the failure.
//!
//! ```no_run
//! use shipslog_test_support::{Cleanup, ImageSpec, Registry, engine, unique};
//!
//! let Some(engine) = engine() else { return };
//! let name = unique("web");
//! let _cleanup = Cleanup::new(&engine).prefix(&name);
//! let pushed = ImageSpec::web("v1").build(&engine, &name).push(&Registry::shared(), &format!("{name}:1"));
//! assert!(pushed.digest().starts_with("sha256:"));
//! ```
#![allow(clippy::expect_used, reason = "a panic is how a test fails")]

mod accept;
mod cleanup;
mod docker_config;
mod engine;
mod git;
mod http;
mod image;
mod names;
mod proxy;
mod registry;
mod stub_registry;
mod wait;

pub use cleanup::Cleanup;
pub use docker_config::write_docker_config;
pub use engine::{Engine, engine};
pub use git::{GitRepository, GitServer, Seen};
pub use http::{free_port, http_get, try_http_get};
pub use image::{Health, Image, ImageSpec, Pushed};
pub use names::{run_id, unique};
pub use proxy::SocketProxy;
pub use registry::Registry;
pub use stub_registry::StubRegistry;
pub use wait::wait_until;

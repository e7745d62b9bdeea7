//! End to end: the example server as a process of its own, driven over HTTP, with a real engine, real registries and a real
//! database file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod deploys;
mod embedding;
mod faults;
mod harness;
mod kills;
mod kinds;
mod live;
mod main_path;
mod metrics;
mod secrets;
mod start;
mod swarm;

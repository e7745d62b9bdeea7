//! The API as its clients see it: every test sends requests to the router and reads its answers.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test may panic: that is how it fails"
)]

mod access;
mod bad_input;
mod dead_store;
mod deploys;
mod description;
mod live;
mod metrics;
mod nested;
mod plugin;
mod rig;
mod root;
mod secrets;
mod stats;
mod system;
mod wire;
mod workloads;

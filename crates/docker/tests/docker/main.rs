//! The adapters against a real engine and a real registry, and against an engine of make-believe for what a
//! real one does too seldom.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod bench;
#[cfg(target_os = "linux")]
mod cgroup;
mod compose;
mod conformance;
mod engine;
mod events;
mod failures;
mod fake_engine;
mod git;
mod images;
mod loss;
mod pages;
mod rollback;
mod settle;
mod stats;
mod swap;
mod swarm;

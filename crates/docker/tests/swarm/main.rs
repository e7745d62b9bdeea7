//! The source kind `swarm` on a swarm of one node, which the tests make on the engine and leave again.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod bench;
mod conformance;
mod failures;
mod node;
#[path = "../docker/pages.rs"]
mod pages;
mod rollback;
mod rollout;
mod settle;

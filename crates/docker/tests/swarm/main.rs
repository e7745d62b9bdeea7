//! The source kind `swarm` on a swarm of one node, which the tests make on the engine and leave again, and on one of two
//! nodes, which are engines of the tests' own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

mod bench;
mod cluster;
mod conformance;
mod failures;
mod node;
mod nodes;
#[path = "../docker/pages.rs"]
mod pages;
mod rollback;
mod rollout;
mod settle;

//! Live sampling over its life: who asks, what happens to containers, and what becomes of the engine.

#![allow(clippy::unwrap_used, reason = "a test may panic: that is how it fails")]

mod engine;
mod faults;
mod life;
mod property;

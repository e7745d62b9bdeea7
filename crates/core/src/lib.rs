//! Domain types, traits and rules of shipslog. No I/O, no backend.

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

//! Counters of containers, read from the engine.

mod api;
mod counters;

pub use api::{CollectorOptions, DockerApiCollector};

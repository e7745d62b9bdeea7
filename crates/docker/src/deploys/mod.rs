//! Deploys, by source kind, and what several kinds have in common.

mod auth;
mod child;
mod classify;
mod compose;
mod git;
mod image;
mod reference;
mod repository;
mod swarm;

pub use compose::ComposePlugin;
pub use git::GitPlugin;
pub use image::ImagePlugin;
pub use swarm::SwarmPlugin;

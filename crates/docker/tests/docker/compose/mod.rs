//! Compose files on a real engine, with the Compose that this machine has.

mod conformance;
mod deploys;
mod secrecy;
mod shop;
mod sources;

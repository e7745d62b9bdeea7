//! Compose files on a real engine, with the Compose that this machine has.

mod conformance;
mod deploys;
mod repository;
mod secrecy;
mod shop;
mod sources;
mod tools;

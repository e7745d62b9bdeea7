//! What tests need: of this project, and of others who implement its traits.
//!
//! - [`store_conformance!`](crate::store_conformance) holds a store against the contract of its traits.
//! - [`plugin_conformance!`](crate::plugin_conformance) holds a source kind against the contract of a plugin: see [`PluginRig`].
//! - [`ManualClock`] and [`FakeSecrets`] stand in for the outside world.
//! - [`canary`] makes secrets to be searched for, and [`Log`] takes down what is logged.
//!
//! It is here behind the feature `testing`, for `[dev-dependencies]`. It panics where a test should fail.

pub mod canary;
mod clock;
#[doc(hidden)]
pub mod conformance;
mod log;
mod plugin;
#[doc(hidden)]
pub mod plugin_conformance;
mod secrets;

pub use clock::ManualClock;
pub use log::Log;
pub use plugin::{Behaviour, FakePlugin, Part, fake_pin};
pub use plugin_conformance::{PluginRig, Version};
pub use secrets::FakeSecrets;

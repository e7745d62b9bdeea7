//! The contract of a source kind as tests: one function a case, each with a rig of its own.

#![allow(
    clippy::unwrap_used,
    reason = "a case that panics is a case that fails, as in any test"
)]

pub mod deploys;
mod drive;
pub mod failures;
pub mod removal;
pub mod rollbacks;
pub mod secrecy;

use std::sync::Arc;

use async_trait::async_trait;

use crate::deploys::DispatchPlugin;
use crate::secret::SecretRef;
use crate::store::Store;
use crate::workloads::{EnvVar, Spec};

/// What a source kind can be told to run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Version {
    /// Works, and says `One`.
    One,
    /// Works, and says `Two`.
    Two,
    /// Starts, and is soon seen not to work.
    Broken,
    /// Starts, and is waited for, for a minute at least.
    Slow,
}

/// What a kind brings to be held against the contract: its plugin, and its part of the outside world. A rig is made for one case
/// and one workload.
#[async_trait]
pub trait PluginRig: Send + Sync + 'static {
    /// A plugin as a process makes it at its start: all that it knows of earlier deploys, it learns from the outside.
    fn plugin(&self) -> Arc<dyn DispatchPlugin>;

    /// The ledger, which was empty at first and is the same one each time.
    fn store(&self) -> Arc<dyn Store>;

    /// A valid spec, the same one each time. Its reference stands for what was published last.
    fn spec(&self) -> Spec;

    /// Makes the reference of the spec stand for this version from now on.
    async fn publish(&self, version: Version);

    /// The version that answers now, asked in the way of a user; `None` when none does.
    async fn serves(&self) -> Option<Version>;

    /// Ends what runs, behind the plugin's back.
    async fn break_down(&self);

    /// The spec with a secret wherever the kind takes one by reference; in the environment at least.
    fn spec_with_secret(&self, secret: &SecretRef) -> Spec {
        let mut spec = self.spec();
        spec.env.push(EnvVar {
            name: "CONFORMANCE".to_owned(),
            value: None,
            secret: Some(secret.clone()),
        });
        spec
    }

    /// All that the kind keeps on disk: no secret may be in it.
    fn kept_on_disk(&self) -> Vec<u8> {
        Vec::new()
    }
}

/// Makes one `#[tokio::test]` of each case that [`DispatchPlugin`] and [`RollbackCapable`](crate::deploys::RollbackCapable) promise, driven
/// through a [`Dispatcher`](crate::deploys::Dispatcher): what is pinned, what is left after a failure, a cancellation or a crash, what a
/// rollback runs, and where secrets are not.
///
/// The argument is an async expression that gives `Option<impl PluginRig>` each time it is evaluated: `None` where the outside
/// world that the kind needs is missing, which should be said loudly. For kinds that can roll back. The crate that uses it needs
/// `tokio` with `macros` and `rt-multi-thread` among its `[dev-dependencies]`, and `shipslog-core` with the feature `testing`.
///
/// Cases may be added with any version: a plugin that passes today can fail after an update, and then did not keep to the contract.
#[macro_export]
macro_rules! plugin_conformance {
    ($fresh:expr) => {
        $crate::__plugin_conformance_cases! { $fresh;
            deploys {
                a_deploy_is_pinned_and_serves_what_was_published
                a_reference_that_moved_is_followed_and_pinned_anew
                the_same_version_can_be_deployed_again
                what_is_asked_for_is_checked
                what_breaks_down_later_falters
                what_works_does_not_falter
            }
            failures {
                a_version_that_does_not_work_leaves_the_old_one_serving
                a_first_deploy_that_fails_leaves_nothing
                a_dispatch_that_is_cancelled_leaves_the_old_one_serving
                a_crash_in_the_middle_leaves_the_old_one_serving
                a_crash_in_the_first_deploy_leaves_nothing
            }
            rollbacks {
                a_rollback_runs_what_ran_although_the_reference_moved
                a_rollback_of_a_rollback_goes_forward_again
                a_rollback_that_is_cancelled_leaves_the_newer_one_serving
            }
            removal {
                a_workload_that_is_removed_leaves_nothing
                settling_another_workload_touches_nothing
                settling_again_touches_nothing
            }
            secrecy {
                a_secret_reaches_neither_ledger_nor_events_nor_log_nor_disk
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __plugin_conformance_cases {
    ($fresh:expr; $($group:ident { $($case:ident)* })*) => {
        $($(
            #[::tokio::test]
            async fn $case() {
                if let Some(rig) = $fresh.await {
                    $crate::testing::plugin_conformance::$group::$case(::std::sync::Arc::new(rig)).await;
                }
            }
        )*)*
    };
}

//! Cases of rollbacks.

use std::sync::Arc;

use super::drive::Drive;
use super::{PluginRig, Version};
use crate::deploys::{FailureMarker, Outcome, Reason};

pub async fn a_rollback_runs_what_ran_although_the_reference_moved(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let one = drive.deploy_well(Version::One).await;
    drive.deploy_well(Version::Two).await;
    let back = drive.roll_back(&one.id).await;
    assert_eq!(back.outcome, Outcome::Succeeded, "{back:?}");
    assert_eq!(
        (back.reason, back.rollback_of.as_ref()),
        (Reason::Rollback, Some(&one.id))
    );
    assert_eq!(back.pin, one.pin);
    drive.assert_runs(&back, Version::One).await;
}

pub async fn a_rollback_of_a_rollback_goes_forward_again(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let one = drive.deploy_well(Version::One).await;
    let two = drive.deploy_well(Version::Two).await;
    let back = drive.roll_back(&one.id).await;
    drive.assert_runs(&back, Version::One).await;
    let forth = drive.roll_back(&two.id).await;
    drive.assert_runs(&forth, Version::Two).await;
    let again = drive.roll_back(&back.id).await;
    drive.assert_runs(&again, Version::One).await;
}

/// A version that was slow to begin with is what a rollback is slow with.
pub async fn a_rollback_that_is_cancelled_leaves_the_newer_one_serving(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let one = drive.deploy_well(Version::One).await;
    let two = drive.deploy_well(Version::Two).await;
    let row = drive.start_rollback(&one.id).await;
    assert!(drive.dispatcher.cancel(&row.id));
    let closed = drive.dispatcher.wait(&row.id).await.unwrap();
    assert_eq!(closed.outcome, Outcome::Failed(FailureMarker::Cancelled));
    drive.assert_runs(&two, Version::Two).await;
}

//! Cases of dispatches that do not get to their end.

use std::sync::Arc;
use std::thread;

use tokio::runtime;

use super::drive::Drive;
use super::{PluginRig, Version};
use crate::deploys::{Deploy, FailureMarker, Outcome};

pub async fn a_version_that_does_not_work_leaves_the_old_one_serving(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let one = drive.deploy_well(Version::One).await;
    let broken = drive.deploy(Version::Broken).await;
    assert_failed(&broken);
    assert!(broken.pin.is_some(), "it was never pinned");
    drive.assert_runs(&one, Version::One).await;
}

pub async fn a_first_deploy_that_fails_leaves_nothing(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    assert_failed(&drive.deploy(Version::Broken).await);
    assert_eq!(drive.current().await, None);
    drive.assert_nothing_runs().await;
    drive.deploy_well(Version::One).await;
}

pub async fn a_dispatch_that_is_cancelled_leaves_the_old_one_serving(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let one = drive.deploy_well(Version::One).await;
    drive.rig.publish(Version::Slow).await;
    let row = drive.start().await;
    drive.until_it_waits(&row).await;
    assert!(drive.dispatcher.cancel(&row.id));
    let closed = drive.dispatcher.wait(&row.id).await.unwrap();
    assert_eq!(closed.outcome, Outcome::Failed(FailureMarker::Cancelled));
    drive.assert_runs(&one, Version::One).await;
    drive.deploy_well(Version::Two).await;
}

pub async fn a_crash_in_the_middle_leaves_the_old_one_serving(rig: Arc<impl PluginRig>) {
    let mut drive = Drive::begin(rig).await;
    let one = drive.deploy_well(Version::One).await;
    let row;
    (drive, row) = crash_in_a_deploy(drive).await;
    drive.recover().await;
    let closed = drive.rig.store().deploy(&row.id).await.unwrap();
    assert_eq!(closed.outcome, Outcome::Interrupted);
    drive.assert_runs(&one, Version::One).await;
    drive.deploy_well(Version::Two).await;
}

pub async fn a_crash_in_the_first_deploy_leaves_nothing(rig: Arc<impl PluginRig>) {
    let (mut drive, row) = crash_in_a_deploy(Drive::begin(rig).await).await;
    drive.recover().await;
    let closed = drive.rig.store().deploy(&row.id).await.unwrap();
    // Either it was put away, or all of it runs and it is current; half of it is neither.
    match drive.current().await {
        None => drive.assert_nothing_runs().await,
        Some(current) => assert_eq!(current.id, closed.id),
    }
    assert_eq!(closed.outcome, Outcome::Interrupted);
    drive.deploy_well(Version::Two).await;
}

/// A marker is all that the row has of an error.
fn assert_failed(row: &Deploy) {
    assert!(matches!(row.outcome, Outcome::Failed(_)), "{row:?}");
    assert!(!row.current);
    let own_fault = [FailureMarker::Internal, FailureMarker::EngineUnavailable];
    let marker = row.outcome.marker().unwrap();
    assert!(
        !own_fault.contains(&marker),
        "{marker:?} is no fault of the version"
    );
}

/// Begins a deploy in a runtime of its own and drops that, with every task in it, while the new version is waited for.
async fn crash_in_a_deploy(drive: Drive) -> (Drive, Deploy) {
    drive.rig.publish(Version::Slow).await;
    let doomed = move || {
        let process = runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let row = process.block_on(async {
            let row = drive.start().await;
            drive.until_it_waits(&row).await;
            row
        });
        process.shutdown_background();
        (drive, row)
    };
    let thread = thread::spawn(doomed);
    tokio::task::spawn_blocking(|| thread.join())
        .await
        .unwrap()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

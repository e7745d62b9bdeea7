//! Cases of deploys that succeed.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::drive::Drive;
use super::{PluginRig, Version};

pub async fn a_deploy_is_pinned_and_serves_what_was_published(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let row = drive.deploy_well(Version::One).await;
    assert_eq!(row.requested, drive.rig.spec().source.reference);
    assert_eq!(row.source_kind, drive.rig.plugin().kind());
    assert!(row.current && row.finished_at.is_some());
}

pub async fn a_reference_that_moved_is_followed_and_pinned_anew(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let one = drive.deploy_well(Version::One).await;
    let two = drive.deploy_well(Version::Two).await;
    assert_eq!(one.requested, two.requested);
    let (one, two) = (one.pin.unwrap(), two.pin.unwrap());
    assert!(!one.is_same_version(&two), "both were pinned to {one:?}");
}

pub async fn the_same_version_can_be_deployed_again(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let first = drive.deploy_well(Version::One).await;
    let row = drive.start().await;
    let again = drive.dispatcher.wait(&row.id).await.unwrap();
    drive.assert_runs(&again, Version::One).await;
    assert!(first.pin.unwrap().is_same_version(&again.pin.unwrap()));
}

pub async fn what_is_asked_for_is_checked(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let mut spec = drive.rig.spec();
    spec.source.reference = "https://user:password@127.0.0.1/app#x".to_owned();
    let error = drive.dispatcher.check(&spec).unwrap_err();
    assert_eq!(error.field, "source.reference");
    assert!(!error.message.contains("password"), "{error}");
}

pub async fn what_breaks_down_later_falters(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let row = drive.deploy_well(Version::One).await;
    let plugin = drive.rig.plugin();
    drive.rig.break_down().await;
    let falters = plugin.falter(&drive.workload, &row.id);
    let marker = timeout(Duration::from_secs(120), falters).await;
    assert!(matches!(marker, Ok(Ok(_))), "{marker:?}");
}

pub async fn what_works_does_not_falter(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let row = drive.deploy_well(Version::One).await;
    let plugin = drive.rig.plugin();
    let falters = plugin.falter(&drive.workload, &row.id);
    let marker = timeout(Duration::from_secs(3), falters).await;
    assert!(marker.is_err(), "{marker:?}");
}

//! Cases of putting things in order.

use std::sync::Arc;

use super::drive::Drive;
use super::{PluginRig, Version};
use crate::deploys::{Pinned, Record};
use crate::id::WorkloadId;
use crate::time::Timestamp;

pub async fn a_workload_that_is_removed_leaves_nothing(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    drive.deploy_well(Version::One).await;
    drive.dispatcher.retire(&drive.workload, false).await.unwrap();
    drive.assert_nothing_runs().await;
}

pub async fn settling_another_workload_touches_nothing(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let one = drive.deploy_well(Version::One).await;
    let stranger = WorkloadId::generate(Timestamp::now());
    drive.rig.plugin().settle(&stranger, None).await.unwrap();
    drive.assert_runs(&one, Version::One).await;
}

pub async fn settling_again_touches_nothing(rig: Arc<impl PluginRig>) {
    let drive = Drive::begin(rig).await;
    let one = drive.deploy_well(Version::One).await;
    let before = drive.running().await;
    let plan = drive.rig.store().deploy_plan(&one.id).await.unwrap();
    let mut record = Record::new(drive.workload.clone(), one.id.clone(), drive.rig.spec());
    record.pinned = one.pin.clone().map(|pin| Pinned { pin, plan });
    for _ in 0..2 {
        let settled = drive.rig.plugin().settle(&drive.workload, Some(&record)).await;
        settled.unwrap();
    }
    assert_eq!(drive.running().await, before);
    drive.assert_runs(&one, Version::One).await;
}

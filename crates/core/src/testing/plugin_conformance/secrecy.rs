//! Where secrets are not.

use std::sync::Arc;

use super::drive::Drive;
use super::{PluginRig, Version};
use crate::deploys::{DispatchEvent, DispatchEvents};
use crate::testing::Log;
use crate::testing::canary::{Alphabet, Canary};

pub async fn a_secret_reaches_neither_ledger_nor_events_nor_log_nor_disk(rig: Arc<impl PluginRig>) {
    let canary = Canary::random("a secret of the spec", Alphabet::Header);
    let log = Log::capture();
    let drive = Drive::with_secret(rig, canary.value()).await;
    let events = drive.dispatcher.subscribe();
    let one = drive.deploy_well(Version::One).await;
    drive.deploy(Version::Broken).await;
    drive.rig.publish(Version::Two).await;
    let back = drive.roll_back(&one.id).await;
    drive.assert_runs(&back, Version::One).await;

    let store = drive.rig.store();
    let rows = store.all_deploys(&drive.workload).await.unwrap();
    assert_eq!(rows.len(), 3);
    assert_absent(&canary, "a row", format!("{rows:?}").as_bytes());
    for row in &rows {
        let plan = store.deploy_plan(&row.id).await.unwrap();
        let plan = plan.as_ref().map_or("", |plan| plan.as_str());
        assert_absent(&canary, "a plan", plan.as_bytes());
    }
    assert_absent(&canary, "an event", heard(events, 3).await.as_bytes());
    let log = log.text();
    assert!(log.contains("dispatch failed"), "the log was not captured: {log}");
    assert_absent(&canary, "the log", log.as_bytes());
    assert_absent(&canary, "a file", &drive.rig.kept_on_disk());
}

fn assert_absent(canary: &Canary, place: &str, text: &[u8]) {
    assert_eq!(canary.find_in(text), None, "the secret is in {place}");
}

/// Everything that was told until so many dispatches were closed.
async fn heard(mut events: DispatchEvents, mut dispatches: u32) -> String {
    let mut text = String::new();
    while dispatches > 0 {
        let event = events.next().await.unwrap();
        dispatches -= u32::from(matches!(event, DispatchEvent::Closed(_)));
        text.push_str(&format!("{event:?}\n"));
    }
    text
}

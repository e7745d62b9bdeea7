//! Knowing what the engine's containers do: its events for what changes, and its list as a check.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::listing::{Listed, Listing};
use super::{Inner, PATIENCE};
use crate::backoff::Backoff;
use crate::stats::owners::owners;
use crate::workloads::{Container, ContainerEvent, EngineUnavailable};

/// Time between two lists when no event asks for one.
const CHECK_EVERY: Duration = Duration::from_secs(10);

/// The least time between two lists, however many events there are.
const REST: Duration = Duration::from_millis(200);

/// How long an engine may take to list.
const LIST_TIME: Duration = Duration::from_secs(10);

/// Events that may wait to be heeded.
const BACKLOG: usize = 256;

/// A stream of events that held for so long was a good one.
const GOOD: Duration = Duration::from_secs(30);

impl Inner {
    /// Keeps the list up to date for as long as anything is wanted.
    pub(super) async fn keep_listing(&self) {
        let mut backoff = Backoff::default();
        loop {
            self.until_a_list_is_needed().await;
            if self.list().await {
                backoff = Backoff::default();
                // Whichever comes first; then a moment, in which further events come together.
                let _ = timeout(CHECK_EVERY, self.relist.notified()).await;
                sleep(REST).await;
            } else {
                sleep(backoff.pause()).await;
            }
        }
    }

    async fn until_a_list_is_needed(&self) {
        if self.is_active() {
            return;
        }
        self.listing.send_modify(Listing::forget);
        tokio::select! {
            () = self.until_active() => {}
            () = self.relist.notified() => {}
        }
    }

    /// Lists once, and says whether the engine answered.
    async fn list(&self) -> bool {
        let asked = Instant::now();
        self.listing.send_if_modified(|listing| {
            listing.begin();
            false
        });
        let listed = timeout(LIST_TIME, self.inventory.containers()).await;
        let containers = match listed {
            Ok(Ok(containers)) => Some(self.owned(containers).await),
            Ok(Err(_)) | Err(_) => None,
        };
        let answered = containers.is_some();
        self.listing.send_modify(|listing| listing.end(asked, containers));
        if answered {
            self.wanted().keep_listed(&self.listing.borrow());
        }
        self.fresh.notify_one();
        answered
    }

    /// Without the store nobody knows whose the containers are, and they can be sampled all the same.
    async fn owned(&self, containers: Vec<Container>) -> Vec<Listed> {
        let now = self.clock.now();
        let owners = timeout(PATIENCE, owners(&containers, self.workloads.as_ref(), now)).await;
        let owners = owners.ok().and_then(Result::ok).unwrap_or_default();
        let mut owners = owners.into_iter();
        let listed = |container| Listed {
            container,
            workload: owners.next(),
        };
        containers.into_iter().map(listed).collect()
    }

    /// Heeds the engine's events for as long as anything is wanted.
    pub(super) async fn heed_events(&self) {
        let mut backoff = Backoff::default();
        loop {
            self.until_active().await;
            let begun = Instant::now();
            let (tell, told) = mpsc::channel(BACKLOG);
            let ended = tokio::select! {
                ended = self.events.follow(tell) => ended,
                () = self.heed(told) => continue,
                () = self.until_idle() => continue,
            };
            note_loss(&ended);
            self.relist.notify_one();
            if begun.elapsed() >= GOOD {
                backoff = Backoff::default();
            }
            sleep(backoff.pause()).await;
        }
    }

    /// Never ends: whether the stream goes on is for the one who sends.
    async fn heed(&self, mut told: mpsc::Receiver<ContainerEvent>) {
        while let Some(event) = told.recv().await {
            self.listing.send_modify(|listing| listing.apply(&event));
            self.relist.notify_one();
        }
        std::future::pending().await
    }
}

fn note_loss(ended: &Result<(), EngineUnavailable>) {
    match ended {
        Ok(()) => tracing::debug!("the engine ended its events"),
        Err(away) => tracing::debug!(reason = away.reason, "the engine's events are not there"),
    }
}

impl Listing {
    /// Whether it was made just now.
    pub(super) fn is_new(&self) -> bool {
        matches!(self.asked, Some((at, true)) if at.elapsed() < REST)
    }
}

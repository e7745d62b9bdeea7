//! One value that many wait for: the newest is kept, encoded once, and nobody is waited for.

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::FRESH_FOR;

/// A value as it went out to subscribers.
#[derive(Debug)]
pub struct Update<T> {
    /// Counts the updates of a topic.
    number: u64,
    at: Instant,
    value: T,
    json: OnceLock<Bytes>,
}

impl<T> Update<T> {
    /// What was read.
    pub fn value(&self) -> &T {
        &self.value
    }
}

impl<T: Serialize> Update<T> {
    /// The value as JSON, encoded by the first who asks and shared by all others.
    pub fn json(&self) -> Bytes {
        // Numbers, ids and lists of them always encode.
        let encode = || serde_json::to_vec(&self.value).unwrap_or_default().into();
        self.json.get_or_init(encode).clone()
    }
}

/// What a subscriber receives.
#[derive(Debug)]
pub struct Received<T> {
    /// Updates that came and went while the subscriber was busy; this one is the newest.
    pub missed: u64,
    /// The newest.
    pub update: Arc<Update<T>>,
}

type Slot<T> = Option<Arc<Update<T>>>;

/// The sending end.
#[derive(Debug)]
pub(super) struct Topic<T> {
    sender: watch::Sender<Slot<T>>,
}

impl<T> Topic<T> {
    pub(super) fn new() -> Self {
        Self {
            sender: watch::Sender::new(None),
        }
    }

    /// Tells of a value that came in so long ago.
    pub(super) fn publish(&self, value: T, age: Duration) {
        let now = Instant::now();
        let at = now.checked_sub(age).unwrap_or(now);
        self.sender.send_modify(|slot| {
            let number = slot.as_ref().map_or(0, |update| update.number) + 1;
            *slot = Some(Arc::new(Update {
                number,
                at,
                value,
                json: OnceLock::new(),
            }));
        });
    }

    pub(super) fn is_watched(&self) -> bool {
        self.subscribers() > 0
    }

    pub(super) fn subscribers(&self) -> usize {
        self.sender.receiver_count()
    }

    pub(super) fn is_fresh(&self) -> bool {
        self.sender
            .borrow()
            .as_ref()
            .is_some_and(|update| is_fresh(update))
    }

    /// A receiver whose first update is the one that is there, if it is fresh.
    pub(super) fn receiver(&self) -> Receiver<T> {
        let mut updates = self.sender.subscribe();
        let newest = updates.borrow_and_update().clone();
        let number = newest.as_ref().map_or(0, |update| update.number);
        let fresh = newest.is_some_and(|update| is_fresh(&update));
        if fresh {
            updates.mark_changed();
        }
        Receiver {
            updates,
            seen: number - u64::from(fresh),
        }
    }
}

fn is_fresh<T>(update: &Update<T>) -> bool {
    update.at.elapsed() < FRESH_FOR
}

/// The receiving end. It holds nothing but its place, however slow it is.
pub(super) struct Receiver<T> {
    updates: watch::Receiver<Slot<T>>,
    seen: u64,
}

impl<T: Send + Sync> Receiver<T> {
    /// `None` when the topic is gone. Cancel-safe.
    pub(super) async fn next(&mut self) -> Option<Received<T>> {
        loop {
            self.updates.changed().await.ok()?;
            let newest = self.updates.borrow_and_update().clone();
            if let Some(update) = newest {
                let missed = (update.number - self.seen).saturating_sub(1);
                self.seen = update.number;
                return Some(Received { missed, update });
            }
        }
    }
}

impl<T> fmt::Debug for Receiver<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiver").field("seen", &self.seen).finish()
    }
}

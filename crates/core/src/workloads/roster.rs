//! What the engine's containers are, without asking it again and again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Container, ContainerChange, ContainerEvent, ContainerState, EngineEvents, EngineInfo, EngineUnavailable,
    Inventory, Life,
};
use crate::backoff::Backoff;
use crate::id::ContainerId;

/// How old a list may get that no event called into question.
const CHECK_EVERY: Duration = Duration::from_secs(60);

/// A stream of events that held for so long was a good one.
const GOOD: Duration = Duration::from_secs(30);

/// Events that may wait to be heeded.
const BACKLOG: usize = 256;

/// An [`Inventory`] that remembers what an engine said, for as long as the engine's events do not contradict it. Cheap to clone.
///
/// Listing 50 containers costs an engine some 4 ms. Whoever needs the list at each tick takes [`standing`](Self::standing), which is asked for anew
/// after an event, and once a minute as a check. A check that finds what no event told of has the events followed anew.
///
/// # While the events are not followed
/// Before [`run`](Self::run), and while the stream of events is broken, nothing is remembered and every question goes to the engine.
#[derive(Debug, Clone)]
pub struct Roster(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    inventory: Arc<dyn Inventory>,
    events: Arc<dyn EngineEvents>,
    following: watch::Sender<bool>,
    /// The stream of events is not to be trusted.
    broken: Notify,
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// One more with each event and each stream: what was asked before is out of date.
    changes: u64,
    listed: Option<List>,
    lives: HashMap<ContainerId, Life>,
}

#[derive(Debug)]
struct List {
    asked: Instant,
    changes: u64,
    containers: Vec<Container>,
}

impl Roster {
    /// A roster of an engine's containers.
    pub fn new(inventory: Arc<dyn Inventory>, events: Arc<dyn EngineEvents>) -> Self {
        Self(Arc::new(Inner {
            inventory,
            events,
            following: watch::Sender::new(false),
            broken: Notify::new(),
            memory: Mutex::default(),
        }))
    }

    /// Follows the engine's events until cancelled. A stream that breaks is begun anew, after 1 second, then 2, and so on up to 30.
    pub async fn run(&self, cancel: CancellationToken) {
        cancel.run_until_cancelled(self.0.follow()).await;
        self.0.forget(false);
    }

    /// Waits until the engine's events are not followed: at once when they never were.
    pub async fn until_lost(&self) {
        // The sender is our own: it does not go away.
        let _ = self
            .0
            .following
            .subscribe()
            .wait_for(|following| !following)
            .await;
    }

    /// The same containers, listed from memory where that is up to date.
    pub fn standing(&self) -> Arc<dyn Inventory> {
        Arc::new(Standing(self.clone()))
    }
}

impl Inner {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn follow(&self) {
        let mut backoff = Backoff::default();
        loop {
            self.forget(true);
            let begun = Instant::now();
            let (tell, told) = mpsc::channel(BACKLOG);
            tokio::select! {
                _ = self.events.follow(tell) => {}
                () = self.heed(told) => {}
                () = self.broken.notified() => tracing::debug!("a container changed and no event told of it"),
            }
            self.forget(false);
            if begun.elapsed() >= GOOD {
                backoff = Backoff::default();
            }
            sleep(backoff.pause()).await;
        }
    }

    /// Never ends: whether the stream goes on is for the one who sends.
    async fn heed(&self, mut told: mpsc::Receiver<ContainerEvent>) {
        while let Some(event) = told.recv().await {
            self.memory().note(&event);
        }
        std::future::pending().await
    }

    fn forget(&self, following: bool) {
        let mut memory = self.memory();
        memory.changes += 1;
        memory.listed = None;
        memory.lives.clear();
        self.following.send_replace(following);
    }

    fn is_following(&self) -> bool {
        *self.following.borrow()
    }

    fn listed(&self) -> Option<Vec<Container>> {
        let memory = self.memory();
        let listed = memory.listed.as_ref()?;
        let holds = listed.changes == memory.changes && listed.asked.elapsed() < CHECK_EVERY;
        holds.then(|| listed.containers.clone())
    }

    async fn list(&self) -> Result<Vec<Container>, EngineUnavailable> {
        let (asked, changes) = (Instant::now(), self.memory().changes);
        let containers = self.inventory.containers().await?;
        if self.is_following() {
            self.keep(List {
                asked,
                changes,
                containers: containers.clone(),
            });
        }
        Ok(containers)
    }

    fn keep(&self, list: List) {
        let mut memory = self.memory();
        let untold = |known: &List| known.changes == memory.changes && !known.says_the_same(&list);
        if memory.listed.as_ref().is_some_and(untold) {
            self.broken.notify_one();
        }
        memory.listed = Some(list);
    }

    fn known_lives(&self, ids: &[ContainerId]) -> Vec<Option<Life>> {
        let memory = self.memory();
        ids.iter().map(|id| memory.lives.get(id).copied()).collect()
    }

    async fn ask_lives(&self, ids: &[ContainerId]) -> Vec<Option<Life>> {
        let changes = self.memory().changes;
        let lives = self.inventory.lives(ids).await;
        let mut memory = self.memory();
        if self.is_following() && memory.changes == changes {
            let found = ids.iter().zip(&lives);
            memory
                .lives
                .extend(found.filter_map(|(id, life)| Some((id.clone(), (*life)?))));
        }
        lives
    }
}

impl Memory {
    fn note(&mut self, event: &ContainerEvent) {
        self.changes += 1;
        if event.change != ContainerChange::Other {
            self.lives.remove(&event.id);
        }
    }
}

impl List {
    fn says_the_same(&self, other: &Self) -> bool {
        told(&self.containers) == told(&other.containers)
    }
}

/// What events tell of; a healthcheck's verdict is not among it.
fn told(containers: &[Container]) -> HashMap<&ContainerId, (&str, ContainerState)> {
    containers
        .iter()
        .map(|container| (&container.id, (container.name.as_str(), container.state)))
        .collect()
}

#[async_trait]
impl Inventory for Roster {
    async fn containers(&self) -> Result<Vec<Container>, EngineUnavailable> {
        self.0.list().await
    }

    async fn lives(&self, ids: &[ContainerId]) -> Vec<Option<Life>> {
        let mut lives = self.0.known_lives(ids);
        let missing: Vec<usize> = (0..ids.len()).filter(|&i| lives[i].is_none()).collect();
        if missing.is_empty() {
            return lives;
        }
        let asked: Vec<ContainerId> = missing.iter().map(|&i| ids[i].clone()).collect();
        for (i, life) in missing.into_iter().zip(self.0.ask_lives(&asked).await) {
            lives[i] = life;
        }
        lives
    }

    async fn engine(&self) -> Result<EngineInfo, EngineUnavailable> {
        self.0.inventory.engine().await
    }
}

/// A roster that lists from memory.
#[derive(Debug)]
struct Standing(Roster);

#[async_trait]
impl Inventory for Standing {
    async fn containers(&self) -> Result<Vec<Container>, EngineUnavailable> {
        match self.0.0.listed() {
            Some(containers) => Ok(containers),
            None => self.0.0.list().await,
        }
    }

    async fn lives(&self, ids: &[ContainerId]) -> Vec<Option<Life>> {
        self.0.lives(ids).await
    }

    async fn engine(&self) -> Result<EngineInfo, EngineUnavailable> {
        self.0.engine().await
    }
}

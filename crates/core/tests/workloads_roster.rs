//! The roster of containers: what it asks the engine for, and what it knows by itself. The engine is a fake one whose
//! questions are counted, and time passes at once.

#![allow(clippy::unwrap_used, reason = "a test may panic: that is how it fails")]

use std::sync::atomic::Ordering::SeqCst;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shipslog_core::id::ContainerId;
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{
    Container, ContainerChange, ContainerEvent, ContainerState, EngineEvents, EngineInfo, EngineUnavailable,
    Inventory, Life, Roster,
};
use tokio::sync::{broadcast, mpsc};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

const SECOND: Duration = Duration::from_secs(1);

#[derive(Debug)]
struct Engine {
    containers: Mutex<Vec<Container>>,
    away: AtomicBool,
    lists: AtomicUsize,
    inspected: Mutex<Vec<String>>,
    follows: AtomicUsize,
    events: broadcast::Sender<Option<ContainerEvent>>,
}

impl Engine {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            containers: Mutex::new(vec![container("a"), container("b")]),
            away: AtomicBool::new(false),
            lists: AtomicUsize::new(0),
            inspected: Mutex::default(),
            follows: AtomicUsize::new(0),
            events: broadcast::Sender::new(100),
        })
    }

    fn tell(&self, name: &str, change: ContainerChange) {
        let _ = self.events.send(Some(ContainerEvent { id: id(name), change }));
    }

    /// Stops a container without a word.
    fn stop(&self, name: &str) {
        let mut containers = self.containers.lock().unwrap();
        let stopped = containers.iter_mut().filter(|container| container.name == name);
        stopped.for_each(|container| container.state = ContainerState::Exited);
    }

    fn lists(&self) -> usize {
        self.lists.swap(0, SeqCst)
    }

    fn inspected(&self) -> Vec<String> {
        std::mem::take(&mut self.inspected.lock().unwrap())
    }

    fn reach(&self) -> Result<(), EngineUnavailable> {
        let reason = "no socket".to_owned();
        if self.away.load(SeqCst) {
            Err(EngineUnavailable { reason })
        } else {
            Ok(())
        }
    }
}

fn id(name: &str) -> ContainerId {
    name.parse().unwrap()
}

fn container(name: &str) -> Container {
    Container {
        id: id(name),
        name: name.to_owned(),
        image: "app:1".to_owned(),
        state: ContainerState::Running,
        health: None,
        created_at: Timestamp::UNIX_EPOCH,
        image_id: None,
        life: None,
        workload: None,
        deploy: None,
        project: None,
    }
}

#[async_trait]
impl Inventory for Engine {
    async fn containers(&self) -> Result<Vec<Container>, EngineUnavailable> {
        self.lists.fetch_add(1, SeqCst);
        self.reach()?;
        Ok(self.containers.lock().unwrap().clone())
    }

    async fn lives(&self, ids: &[ContainerId]) -> Vec<Option<Life>> {
        let asked = ids.iter().map(|id| id.as_str().to_owned());
        self.inspected.lock().unwrap().extend(asked);
        let life = |id: &ContainerId| {
            (id.as_str() != "gone").then_some(Life {
                started_at: Timestamp::UNIX_EPOCH,
                restarts: u32::from(id.as_str() == "b"),
            })
        };
        ids.iter().map(life).collect()
    }

    async fn engine(&self) -> Result<EngineInfo, EngineUnavailable> {
        let version = "20.10.24".to_owned();
        self.reach().map(|()| EngineInfo { version })
    }
}

#[async_trait]
impl EngineEvents for Engine {
    async fn follow(&self, events: mpsc::Sender<ContainerEvent>) -> Result<(), EngineUnavailable> {
        self.follows.fetch_add(1, SeqCst);
        self.reach()?;
        let mut told = self.events.subscribe();
        while let Ok(Some(event)) = told.recv().await {
            if events.send(event).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

/// A roster that follows its engine.
async fn following(engine: &Arc<Engine>) -> Roster {
    let roster = Roster::new(
        Arc::clone(engine) as Arc<dyn Inventory>,
        Arc::clone(engine) as Arc<dyn EngineEvents>,
    );
    let run = roster.clone();
    tokio::spawn(async move { run.run(CancellationToken::new()).await });
    sleep(Duration::from_millis(1)).await;
    roster
}

async fn names_and_states(inventory: &dyn Inventory) -> Vec<(String, ContainerState)> {
    let containers = inventory.containers().await.unwrap();
    containers.into_iter().map(|c| (c.name, c.state)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_standing_list_is_asked_for_once_while_nothing_happens() {
    let engine = Engine::new();
    let standing = following(&engine).await.standing();
    for _ in 0..5 {
        assert_eq!(names_and_states(&*standing).await.len(), 2);
        sleep(10 * SECOND).await;
    }
    assert_eq!(engine.lists(), 1);
    // And once a minute all the same.
    for _ in 0..60 {
        names_and_states(&*standing).await;
        sleep(10 * SECOND).await;
    }
    assert_eq!(engine.lists(), 10);
}

#[tokio::test(start_paused = true)]
async fn after_an_event_the_list_is_asked_for_anew() {
    let engine = Engine::new();
    let standing = following(&engine).await.standing();
    names_and_states(&*standing).await;
    engine.stop("a");
    engine.tell("a", ContainerChange::Stopped);
    sleep(SECOND).await;
    let listed = names_and_states(&*standing).await;
    assert_eq!(listed[0], ("a".to_owned(), ContainerState::Exited));
    assert_eq!(engine.lists(), 2);
}

#[tokio::test(start_paused = true)]
async fn the_roster_itself_always_asks() {
    let engine = Engine::new();
    let roster = following(&engine).await;
    names_and_states(&roster).await;
    engine.stop("a");
    let listed = names_and_states(&roster).await;
    assert_eq!(listed[0], ("a".to_owned(), ContainerState::Exited));
    assert_eq!(engine.lists(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_goes_away_is_missed_at_once_and_taken_up_again() {
    let engine = Engine::new();
    let roster = following(&engine).await;
    let standing = roster.standing();
    names_and_states(&*standing).await;
    engine.away.store(true, SeqCst);
    engine.events.send(None).unwrap();
    tokio::time::timeout(Duration::from_millis(100), roster.until_lost())
        .await
        .unwrap();
    assert!(standing.containers().await.is_err());
    engine.away.store(false, SeqCst);
    engine.stop("b");
    // Whether or not it is followed again by now.
    let listed = names_and_states(&*standing).await;
    assert_eq!(listed[1], ("b".to_owned(), ContainerState::Exited));
    sleep(40 * SECOND).await;
    names_and_states(&*standing).await;
    engine.lists();
    for _ in 0..3 {
        names_and_states(&*standing).await;
    }
    assert_eq!(engine.lists(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_stays_away_is_asked_for_its_events_less_and_less_often() {
    let engine = Engine::new();
    engine.away.store(true, SeqCst);
    let _roster = following(&engine).await;
    sleep(10 * 60 * SECOND).await;
    // After 1, 2, 4, 8 and 16 seconds, then every 30.
    let follows = engine.follows.load(SeqCst);
    assert!((20..=26).contains(&follows), "{follows}");
}

#[tokio::test(start_paused = true)]
async fn events_that_keep_silent_about_a_change_are_followed_anew() {
    let engine = Engine::new();
    let standing = following(&engine).await.standing();
    names_and_states(&*standing).await;
    engine.stop("a");
    sleep(61 * SECOND).await;
    let listed = names_and_states(&*standing).await;
    assert_eq!(listed[0], ("a".to_owned(), ContainerState::Exited));
    sleep(5 * SECOND).await;
    assert_eq!(engine.follows.load(SeqCst), 2);
}

#[tokio::test(start_paused = true)]
async fn lives_are_asked_for_once_and_again_after_a_start() {
    let engine = Engine::new();
    let roster = following(&engine).await;
    let ask = async || {
        let lives = roster.lives(&[id("a"), id("b")]).await;
        lives
            .iter()
            .map(|life| life.unwrap().restarts)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        (ask().await, engine.inspected()),
        (vec![0, 1], vec!["a".to_owned(), "b".to_owned()])
    );
    assert_eq!((ask().await, engine.inspected()), (vec![0, 1], vec![]));
    engine.tell("b", ContainerChange::Stopped);
    engine.tell("b", ContainerChange::Started);
    sleep(SECOND).await;
    assert_eq!(
        (ask().await, engine.inspected()),
        (vec![0, 1], vec!["b".to_owned()])
    );
}

#[tokio::test(start_paused = true)]
async fn a_container_without_a_life_is_asked_for_each_time() {
    let engine = Engine::new();
    let roster = following(&engine).await;
    for _ in 0..2 {
        assert_eq!(roster.lives(&[id("gone")]).await, [None]);
    }
    assert_eq!(engine.inspected(), ["gone", "gone"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_remembered_while_events_are_not_followed() {
    let engine = Engine::new();
    let roster = Roster::new(
        Arc::clone(&engine) as Arc<dyn Inventory>,
        Arc::clone(&engine) as Arc<dyn EngineEvents>,
    );
    let standing = roster.standing();
    for _ in 0..2 {
        names_and_states(&*standing).await;
        roster.lives(&[id("a")]).await;
    }
    assert_eq!(
        (engine.lists(), engine.inspected()),
        (2, vec!["a".to_owned(), "a".to_owned()])
    );
    roster.until_lost().await;
    assert_eq!(standing.engine().await.unwrap().version, "20.10.24");
}

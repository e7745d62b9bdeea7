//! An engine that does as it is told, and remembers what it was asked; and a poller on it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use shipslog_core::id::{ContainerId, WorkloadId};
use shipslog_core::stats::{
    CollectError, Collector, Counters, CpuCounters, Cursor, LiveHub, MemoryCounters, Metrics, Poller,
    PollerOptions,
};
use shipslog_core::store::Store;
use shipslog_core::time::{Clock, Timestamp};
use shipslog_core::workloads::{
    Container, ContainerChange, ContainerEvent, ContainerState, EngineEvents, EngineInfo, EngineUnavailable,
    Inventory, Life, WorkloadStore,
};
use shipslog_store::SqliteStore;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

pub(crate) const START: i64 = 1_790_000_000;

/// The time that the runtime shows.
#[derive(Debug)]
pub(crate) struct RuntimeClock(Instant);

impl RuntimeClock {
    pub(crate) fn now() -> Self {
        Self(Instant::now())
    }
}

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(START).unwrap() + self.0.elapsed()
    }
}

/// What a read asked for, and when.
#[derive(Debug, Clone)]
pub(crate) struct Read {
    pub(crate) at: Duration,
    pub(crate) ids: Vec<ContainerId>,
}

#[derive(Debug)]
pub(crate) struct FakeEngine {
    begun: Instant,
    pub(crate) containers: Mutex<Vec<Container>>,
    /// Refuses everything.
    pub(crate) away: AtomicBool,
    /// Answers nothing.
    pub(crate) hangs: AtomicBool,
    /// How many milliseconds a list is under way.
    pub(crate) late: AtomicU64,
    /// Loses each event.
    pub(crate) mute: AtomicBool,
    /// Containers that are not read in time.
    pub(crate) stuck: Mutex<HashSet<ContainerId>>,
    events: broadcast::Sender<Option<ContainerEvent>>,
    pub(crate) reads: Mutex<Vec<Read>>,
    pub(crate) lists: Mutex<Vec<Duration>>,
    pub(crate) follows: Mutex<Vec<Duration>>,
    following: AtomicUsize,
    reading: AtomicUsize,
}

/// Counts something that goes on, and that there is one of at most.
struct OneOf<'a>(&'a AtomicUsize);

impl<'a> OneOf<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        assert_eq!(count.fetch_add(1, SeqCst), 0, "there are two of them");
        Self(count)
    }
}

impl Drop for OneOf<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

pub(crate) fn id(name: &str) -> ContainerId {
    name.parse().unwrap()
}

impl FakeEngine {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            begun: Instant::now(),
            containers: Mutex::default(),
            away: AtomicBool::default(),
            hangs: AtomicBool::default(),
            late: AtomicU64::default(),
            mute: AtomicBool::default(),
            stuck: Mutex::default(),
            events: broadcast::Sender::new(1_024),
            reads: Mutex::default(),
            lists: Mutex::default(),
            follows: Mutex::default(),
            following: AtomicUsize::default(),
            reading: AtomicUsize::default(),
        })
    }

    /// Starts a container of a Compose project.
    pub(crate) fn run(&self, name: &str, project: &str) {
        self.containers.lock().unwrap().push(Container {
            id: id(name),
            name: name.to_owned(),
            image: "app:1".to_owned(),
            state: ContainerState::Running,
            health: None,
            created_at: Timestamp::from_second(START).unwrap(),
            image_id: None,
            life: None,
            workload: None,
            deploy: None,
            project: Some(project.to_owned()),
        });
        self.tell(name, ContainerChange::Other);
        self.tell(name, ContainerChange::Started);
    }

    pub(crate) fn change(&self, name: &str, state: ContainerState, change: ContainerChange) {
        let mut containers = self.containers.lock().unwrap();
        if let Some(container) = containers.iter_mut().find(|container| container.name == name) {
            container.state = state;
        }
        drop(containers);
        self.tell(name, change);
    }

    pub(crate) fn stop(&self, name: &str) {
        self.change(name, ContainerState::Exited, ContainerChange::Stopped);
    }

    pub(crate) fn start(&self, name: &str) {
        self.change(name, ContainerState::Running, ContainerChange::Started);
    }

    pub(crate) fn pause(&self, name: &str) {
        self.change(name, ContainerState::Paused, ContainerChange::Paused);
    }

    pub(crate) fn unpause(&self, name: &str) {
        self.change(name, ContainerState::Running, ContainerChange::Unpaused);
    }

    pub(crate) fn remove(&self, name: &str) {
        self.containers
            .lock()
            .unwrap()
            .retain(|container| container.name != name);
        self.tell(name, ContainerChange::Stopped);
        self.tell(name, ContainerChange::Removed);
    }

    /// Ends the stream of events.
    pub(crate) fn drop_stream(&self) {
        let _ = self.events.send(None);
    }

    fn tell(&self, name: &str, change: ContainerChange) {
        if !self.mute.load(SeqCst) {
            let _ = self.events.send(Some(ContainerEvent { id: id(name), change }));
        }
    }

    async fn reach(&self) -> Result<(), EngineUnavailable> {
        if self.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        let away = self.away.load(SeqCst);
        let reason = || "no socket".to_owned();
        if away {
            Err(EngineUnavailable { reason: reason() })
        } else {
            Ok(())
        }
    }

    fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// When a container was read, in milliseconds since the beginning.
    pub(crate) fn reads_of(&self, name: &str) -> Vec<u128> {
        let reads = self.reads.lock().unwrap();
        let of = reads.iter().filter(|read| read.ids.contains(&id(name)));
        of.map(|read| read.at.as_millis()).collect()
    }

    /// Forgets what it was asked so far.
    pub(crate) fn forget(&self) {
        self.reads.lock().unwrap().clear();
        self.lists.lock().unwrap().clear();
        self.follows.lock().unwrap().clear();
    }

    /// How often it was asked for anything.
    pub(crate) fn asked(&self) -> usize {
        let (reads, lists) = (self.reads.lock().unwrap().len(), self.lists.lock().unwrap().len());
        reads + lists + self.follows.lock().unwrap().len()
    }

    pub(crate) fn is_followed(&self) -> bool {
        self.following.load(SeqCst) > 0
    }

    fn read(&self, id: &ContainerId) -> Result<Counters, CollectError> {
        let containers = self.containers.lock().unwrap();
        let container = containers.iter().find(|container| container.id == *id);
        let alive = container
            .filter(|container| matches!(container.state, ContainerState::Running | ContainerState::Paused));
        let container = alive.ok_or(CollectError::NotRunning)?;
        let nanos = self.elapsed().as_nanos() as u64;
        Ok(Counters {
            read_at: Some(Timestamp::from_second(START).unwrap() + self.elapsed()),
            paused: container.state == ContainerState::Paused,
            cpu: Some(CpuCounters {
                total_ns: nanos / 4,
                system_ns: nanos,
                online: 1,
            }),
            memory: Some(MemoryCounters {
                usage: 1_000,
                inactive_file: 0,
                limit: 0,
            }),
            ..Counters::default()
        })
    }
}

#[async_trait]
impl Inventory for FakeEngine {
    async fn containers(&self) -> Result<Vec<Container>, EngineUnavailable> {
        self.lists.lock().unwrap().push(self.elapsed());
        self.reach().await?;
        let listed = self.containers.lock().unwrap().clone();
        sleep(Duration::from_millis(self.late.load(SeqCst))).await;
        Ok(listed)
    }

    async fn lives(&self, ids: &[ContainerId]) -> Vec<Option<Life>> {
        vec![None; ids.len()]
    }

    async fn engine(&self) -> Result<EngineInfo, EngineUnavailable> {
        Err(EngineUnavailable {
            reason: "not asked".to_owned(),
        })
    }
}

#[async_trait]
impl EngineEvents for FakeEngine {
    async fn follow(&self, events: mpsc::Sender<ContainerEvent>) -> Result<(), EngineUnavailable> {
        let _one = OneOf::new(&self.following);
        self.follows.lock().unwrap().push(self.elapsed());
        let mut told = self.events.subscribe();
        self.reach().await?;
        while let Ok(Some(event)) = told.recv().await {
            if events.send(event).await.is_err() {
                break;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Collector for FakeEngine {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn collect(&self, ids: &[ContainerId]) -> Vec<Result<Counters, CollectError>> {
        let _one = OneOf::new(&self.reading);
        let distinct: HashSet<&ContainerId> = ids.iter().collect();
        assert_eq!(distinct.len(), ids.len(), "a container is read twice: {ids:?}");
        self.reads.lock().unwrap().push(Read {
            at: self.elapsed(),
            ids: ids.to_vec(),
        });
        if self.reach().await.is_err() {
            return vec![Err(CollectError::Unavailable); ids.len()];
        }
        let stuck = self.stuck.lock().unwrap().clone();
        if ids.iter().any(|id| stuck.contains(id)) {
            sleep(Duration::from_secs(5)).await;
        }
        let one = |id: &ContainerId| {
            if stuck.contains(id) {
                Err(CollectError::TimedOut)
            } else {
                self.read(id)
            }
        };
        ids.iter().map(one).collect()
    }
}

/// A poller at work.
pub(crate) struct Rig {
    pub(crate) engine: Arc<FakeEngine>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) poller: Poller,
    pub(crate) cancel: CancellationToken,
    _stop: tokio_util::sync::DropGuard,
}

impl Rig {
    pub(crate) fn new() -> Self {
        let engine = FakeEngine::new();
        let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
        let poller = Poller::new(
            Arc::<FakeEngine>::clone(&engine),
            Arc::<FakeEngine>::clone(&engine),
            Arc::<FakeEngine>::clone(&engine),
            Arc::clone(&store) as Arc<dyn WorkloadStore>,
            Arc::new(RuntimeClock::now()),
            LiveHub::default(),
            PollerOptions::default(),
        );
        let cancel = CancellationToken::new();
        let (running, stop) = (poller.clone(), cancel.clone());
        tokio::spawn(async move { running.run(stop).await });
        Self {
            engine,
            store,
            poller,
            _stop: cancel.clone().drop_guard(),
            cancel,
        }
    }

    pub(crate) async fn ask(&self, name: &str) -> Metrics {
        self.poller.metrics(&id(name), Cursor::START).await
    }

    /// The id of a project's workload, which is made if it was not seen yet.
    pub(crate) async fn workload(&self, project: &str) -> WorkloadId {
        let seen_at = Timestamp::from_second(START).unwrap();
        self.store.observe_workload(project, seen_at).await.unwrap().id
    }
}

pub(crate) async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

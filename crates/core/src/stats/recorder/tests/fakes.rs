//! An engine and a store that do as they are told, and the clock of the runtime.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::id::{ContainerId, WorkloadId};
use crate::stats::{
    CollectError, Collector, Columns, ContainerRecord, Counters, CpuCounters, Revision, Rollup, Sample,
    StatsStore, Tick, TickRow, Tier,
};
use crate::store::{StoreError, StoreHealth, StoreInfo};
use crate::time::{Clock, Timestamp};
use crate::workloads::{
    Container, ContainerState, EngineInfo, EngineUnavailable, Inventory, Life, NewWorkload, Spec, Workload,
    WorkloadKind, WorkloadStore,
};

/// The time that the runtime shows, from a Sunday on.
#[derive(Debug)]
pub(super) struct RuntimeClock(pub(super) Instant);

pub(super) const SUNDAY: i64 = 1_700_352_000;

impl Clock for RuntimeClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(SUNDAY).unwrap() + self.0.elapsed()
    }
}

/// An engine whose containers each use a quarter of one of two processors.
#[derive(Debug, Default)]
pub(super) struct FakeEngine {
    pub(super) containers: Mutex<Vec<Container>>,
    pub(super) away: AtomicBool,
    pub(super) hangs: AtomicBool,
    /// Seconds that the next reading takes.
    pub(super) slow: AtomicU32,
    /// The container that is not read, and why.
    pub(super) unread: Mutex<Option<(ContainerId, CollectError)>>,
    pub(super) readings: AtomicU32,
}

impl FakeEngine {
    pub(super) fn list(&self, containers: &[Container]) {
        *self.containers.lock().unwrap() = containers.to_vec();
    }

    pub(super) fn read(&self, id: &ContainerId, at: u64) -> Result<Counters, CollectError> {
        if let Some((unread, why)) = &*self.unread.lock().unwrap()
            && unread == id
        {
            return Err(*why);
        }
        Ok(Counters {
            read_at: Timestamp::from_second(at as i64).ok(),
            cpu: Some(CpuCounters {
                total_ns: at * 250,
                system_ns: at * 2_000,
                online: 2,
            }),
            ..Counters::default()
        })
    }
}

#[async_trait]
impl Inventory for FakeEngine {
    async fn containers(&self) -> Result<Vec<Container>, EngineUnavailable> {
        if self.hangs.load(SeqCst) {
            std::future::pending::<()>().await;
        }
        match self.away.load(SeqCst) {
            true => Err(EngineUnavailable {
                reason: "no socket".to_owned(),
            }),
            false => Ok(self.containers.lock().unwrap().clone()),
        }
    }

    async fn lives(&self, ids: &[ContainerId]) -> Vec<Option<Life>> {
        vec![None; ids.len()]
    }

    async fn engine(&self) -> Result<EngineInfo, EngineUnavailable> {
        Ok(EngineInfo {
            version: "1".to_owned(),
        })
    }
}

#[async_trait]
impl Collector for FakeEngine {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn collect(&self, ids: &[ContainerId]) -> Vec<Result<Counters, CollectError>> {
        let slow = self.slow.swap(0, SeqCst);
        sleep(Duration::from_secs(slow.into())).await;
        let at = 1 + self.readings.fetch_add(1, SeqCst);
        ids.iter().map(|id| self.read(id, at.into())).collect()
    }
}

/// A store that counts what is written besides ticks.
#[derive(Debug, Default)]
pub(super) struct FakeStore {
    pub(super) workloads: Mutex<Vec<Workload>>,
    pub(super) observations: AtomicU32,
    pub(super) ticks: Mutex<Vec<Tick>>,
    pub(super) full: AtomicBool,
    /// Rows that are old enough to be pruned.
    pub(super) old: AtomicU32,
    /// What was asked of pruning: the time before which, and how many rows.
    pub(super) prunes: Mutex<Vec<(i64, u32)>>,
}

impl FakeStore {
    pub(super) fn add(&self, name: &str, kind: WorkloadKind) -> Workload {
        let created_at = Timestamp::from_second(SUNDAY).unwrap();
        let workload = Workload {
            id: WorkloadId::generate(created_at),
            name: name.to_owned(),
            kind,
            created_at,
        };
        self.workloads.lock().unwrap().push(workload.clone());
        workload
    }

    pub(super) fn managed(&self, name: &str) -> WorkloadId {
        let spec = serde_json::json!({"name": name, "source": {"kind": "image", "reference": "app:1"}});
        let spec: Box<Spec> = serde_json::from_value(spec).unwrap();
        self.add(name, WorkloadKind::Managed { spec, revision: 1 }).id
    }

    pub(super) fn named(&self, id: &WorkloadId) -> String {
        self.workloads
            .lock()
            .unwrap()
            .iter()
            .find(|workload| workload.id == *id)
            .unwrap()
            .name
            .clone()
    }

    pub(super) fn ticks(&self) -> Vec<Tick> {
        self.ticks.lock().unwrap().clone()
    }

    /// Seconds of each tick since the beginning.
    pub(super) fn times(&self) -> Vec<i64> {
        self.ticks().iter().map(|tick| tick.ts - SUNDAY).collect()
    }

    /// The rows of the newest tick: each a container, the name of its workload, and what was measured.
    pub(super) fn rows(&self) -> Vec<(String, String, Option<Sample>)> {
        let row = |row: TickRow| (row.container.to_string(), self.named(&row.workload), row.sample);
        self.ticks().pop().unwrap().rows.into_iter().map(row).collect()
    }

    /// The processor use of the first container in the newest tick.
    pub(super) fn cpu(&self) -> Option<Option<f64>> {
        self.rows()[0].2.map(|sample| sample.cpu_percent)
    }
}

fn unused<T>() -> Result<T, StoreError> {
    Err(StoreError::Invalid { what: "call" })
}

#[async_trait]
impl WorkloadStore for FakeStore {
    async fn create_workload(&self, _: NewWorkload) -> Result<Workload, StoreError> {
        unused()
    }
    async fn observe_workload(&self, name: &str, _: Timestamp) -> Result<Workload, StoreError> {
        self.observations.fetch_add(1, SeqCst);
        Ok(self.add(name, WorkloadKind::Observed))
    }
    async fn workload(&self, _: &WorkloadId) -> Result<Workload, StoreError> {
        unused()
    }
    async fn workloads(&self) -> Result<Vec<Workload>, StoreError> {
        Ok(self.workloads.lock().unwrap().clone())
    }
    async fn revise_workload(&self, _: &WorkloadId, _: u32, _: Spec) -> Result<Workload, StoreError> {
        unused()
    }
    async fn spec_revision(&self, _: &WorkloadId, _: u32) -> Result<Spec, StoreError> {
        unused()
    }
    async fn delete_workload(&self, id: &WorkloadId) -> Result<(), StoreError> {
        self.workloads
            .lock()
            .unwrap()
            .retain(|workload| workload.id != *id);
        Ok(())
    }
}

#[async_trait]
impl StatsStore for FakeStore {
    async fn record_tick(&self, tick: &Tick) -> Result<(), StoreError> {
        if self.full.load(SeqCst) {
            return Err(StoreError::Unavailable {
                operation: "record_tick",
                source: "disk full".into(),
            });
        }
        self.ticks.lock().unwrap().push(tick.clone());
        Ok(())
    }
    async fn samples(&self, _: &WorkloadId, _: i64, _: i64) -> Result<Columns, StoreError> {
        unused()
    }
    async fn seen_containers(&self, _: &WorkloadId) -> Result<Vec<ContainerRecord>, StoreError> {
        unused()
    }
    async fn seal_samples(&self) -> Result<bool, StoreError> {
        Ok(false)
    }
    async fn prune_samples(&self, before: i64, limit: u32) -> Result<bool, StoreError> {
        self.prunes.lock().unwrap().push((before - SUNDAY, limit));
        if self.full.load(SeqCst) {
            return Err(StoreError::Unavailable {
                operation: "prune_samples",
                source: "disk full".into(),
            });
        }
        let pruned = self.old.load(SeqCst).min(limit);
        Ok(self.old.fetch_sub(pruned, SeqCst) > pruned)
    }
    async fn oldest_sample(&self) -> Result<Option<i64>, StoreError> {
        Ok(None)
    }
    async fn record_rollups(
        &self,
        _: Tier,
        _: &[(WorkloadId, Vec<Rollup>)],
        _: i64,
    ) -> Result<(), StoreError> {
        Ok(())
    }
    async fn rollups(&self, _: &WorkloadId, _: Tier, _: i64, _: i64) -> Result<Vec<Rollup>, StoreError> {
        unused()
    }
    async fn rolled_through(&self, _: Tier) -> Result<Option<i64>, StoreError> {
        Ok(None)
    }
    fn revision(&self) -> Revision {
        Revision {
            rewritten: 0,
            appended: 0,
        }
    }
    async fn prune_rollups(&self, _: Tier, _: i64) -> Result<(), StoreError> {
        Ok(())
    }
}

#[async_trait]
impl StoreHealth for FakeStore {
    fn info(&self) -> StoreInfo {
        StoreInfo {
            kind: "fake",
            schema_version: 0,
        }
    }
    async fn ping(&self) -> Result<(), StoreError> {
        unused()
    }
    async fn size(&self) -> Result<u64, StoreError> {
        Ok(0)
    }
}

pub(super) fn container(name: &str) -> Container {
    Container {
        id: name.parse().unwrap(),
        name: name.to_owned(),
        image: "app:1".to_owned(),
        state: ContainerState::Running,
        health: None,
        created_at: Timestamp::from_second(SUNDAY).unwrap(),
        image_id: None,
        life: None,
        workload: None,
        deploy: None,
        project: None,
    }
}

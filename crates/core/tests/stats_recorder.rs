//! From an engine through the recorder and a real database to sums.

#![allow(clippy::unwrap_used, reason = "a test may panic: that is how it fails")]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use shipslog_core::id::ContainerId;
use shipslog_core::stats::{
    CollectError, Collector, Counters, CpuCounters, IoCounters, MemoryCounters, Recorder, RecorderOptions,
    aggregate,
};
use shipslog_core::store::Store;
use shipslog_core::testing::ManualClock;
use shipslog_core::time::{Clock, Timestamp};
use shipslog_core::workloads::{Container, ContainerState, EngineInfo, EngineUnavailable, Inventory, Life};
use shipslog_store::SqliteStore;

const START: i64 = 1_790_000_000;

/// Two containers of one project, the second of which does not run.
#[derive(Debug, Default)]
struct Engine {
    seconds: AtomicU64,
}

fn container(name: &str, state: ContainerState) -> Container {
    Container {
        id: name.parse().unwrap(),
        name: name.to_owned(),
        image: "app:1".to_owned(),
        state,
        health: None,
        created_at: Timestamp::from_second(START).unwrap(),
        image_id: None,
        life: None,
        workload: None,
        deploy: None,
        project: Some("shop".to_owned()),
    }
}

#[async_trait]
impl Inventory for Engine {
    async fn containers(&self) -> Result<Vec<Container>, EngineUnavailable> {
        Ok(vec![
            container("web", ContainerState::Running),
            container("job", ContainerState::Exited),
        ])
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
impl Collector for Engine {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn collect(&self, ids: &[ContainerId]) -> Vec<Result<Counters, CollectError>> {
        let seconds = self.seconds.fetch_add(10, SeqCst);
        let counters = Counters {
            read_at: Timestamp::from_second(START + seconds as i64).ok(),
            cpu: Some(CpuCounters {
                total_ns: seconds * 3,
                system_ns: seconds * 8,
                online: 4,
            }),
            memory: Some(MemoryCounters {
                usage: 10 << 20,
                inactive_file: 2 << 20,
                limit: 0,
            }),
            block: Some(IoCounters {
                read: seconds * 7,
                written: 0,
            }),
            ..Counters::default()
        };
        ids.iter().map(|_| Ok(counters.clone())).collect()
    }
}

#[tokio::test]
async fn what_is_recorded_is_what_history_shows() {
    let store: Arc<dyn Store> = Arc::new(SqliteStore::in_memory().unwrap());
    let clock = Arc::new(ManualClock::new(Timestamp::from_second(START).unwrap()));
    let engine = Arc::new(Engine::default());
    let mut recorder = Recorder::new(
        Arc::<Engine>::clone(&engine),
        engine,
        Arc::clone(&store),
        Arc::<ManualClock>::clone(&clock) as Arc<dyn Clock>,
        RecorderOptions::default(),
    );
    for _ in 0..3 {
        assert_eq!(recorder.tick_once().await.unwrap(), 1);
        clock.advance(Duration::from_secs(10));
    }

    let workloads = store.workloads().await.unwrap();
    assert_eq!(
        workloads
            .iter()
            .map(|workload| &workload.name[..])
            .collect::<Vec<_>>(),
        ["shop"]
    );
    let points = aggregate(&store.samples(&workloads[0].id, START, START + 100).await.unwrap()).points();
    assert_eq!(
        points.iter().map(|point| point.ts - START).collect::<Vec<_>>(),
        [0, 10, 20]
    );
    assert_eq!(
        points.iter().map(|point| point.cpu_percent).collect::<Vec<_>>(),
        [None, Some(150.0), Some(150.0)]
    );
    let last = points[2];
    assert_eq!(
        (last.memory_usage, last.memory_limit, last.containers),
        (Some(8 << 20), Some(0), 1)
    );
    assert_eq!(
        (last.network_rx, last.block_read, last.block_write),
        (None, Some(7), Some(0))
    );
    let mut seen = store.seen_containers(&workloads[0].id).await.unwrap();
    seen.sort_by(|a, b| a.name.cmp(&b.name));
    let seen: Vec<_> = seen
        .iter()
        .map(|record| (&record.name[..], record.last_seen - START))
        .collect();
    assert!(seen.contains(&("web", 20)), "{seen:?}");
}

//! Stored sampling: from the containers of an engine to ticks in a store.

mod loss;
mod status;
#[cfg(test)]
mod tests;
mod upkeep;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::loss::Loss;
pub use self::status::{RecorderProgress, RecorderStatus};
use self::upkeep::Upkeep;
use super::owners::owners;
use super::readings::Readings;
use super::{Collector, Coverage, LiveHub, Origin, Reading, Readout, Retention, StatsStore, Tick, TickRow};
use crate::store::{Store, StoreError, StoreHealth};
use crate::time::Clock;
use crate::workloads::{Container, EngineUnavailable, Inventory, WorkloadStore};

/// Ticks are stamped in whole seconds.
const SHORTEST_TICK: Duration = Duration::from_secs(1);

/// Settings of a [`Recorder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecorderOptions {
    /// Time between two ticks, 10 seconds by default; less than a second is taken as one.
    pub tick: Duration,
    /// How long history is kept, and how finely.
    pub retention: Retention,
    /// The size in bytes to which the store is held, oldest history first; `None`, the default, for as large as it gets.
    pub max_size: Option<u64>,
}

impl Default for RecorderOptions {
    fn default() -> Self {
        Self {
            tick: Duration::from_secs(10),
            retention: Retention::default(),
            max_size: None,
        }
    }
}

/// Why a tick was not written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TickError {
    /// The engine does not answer.
    #[error("the container engine does not answer")]
    Engine(#[from] EngineUnavailable),
    /// The store does not answer.
    #[error("the store does not answer")]
    Store(#[from] StoreError),
}

/// Reads every container once a tick, and writes what was read under one timestamp.
///
/// Containers that are not known to belong to a managed workload become those of observed ones, so that a host sees its
/// own machine without configuring anything. Besides the tick nothing is written while the containers stay the same.
///
/// # Rates
/// Its previous readings are its own: a loop with another cadence has others. A container that could not be read at one
/// tick has at the next the average since the one before.
#[derive(Debug)]
pub struct Recorder {
    inventory: Arc<dyn Inventory>,
    collector: Arc<dyn Collector>,
    workloads: Arc<dyn WorkloadStore>,
    samples: Arc<dyn StatsStore>,
    health: Arc<dyn StoreHealth>,
    clock: Arc<dyn Clock>,
    options: RecorderOptions,
    readings: Readings,
    hub: Option<LiveHub>,
    status: RecorderStatus,
}

impl Recorder {
    /// A recorder that has read nothing yet.
    pub fn new(
        inventory: Arc<dyn Inventory>,
        collector: Arc<dyn Collector>,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        options: RecorderOptions,
    ) -> Self {
        let (workloads, samples) = (
            Arc::clone(&store) as Arc<dyn WorkloadStore>,
            Arc::clone(&store) as Arc<dyn StatsStore>,
        );
        Self {
            inventory,
            collector,
            workloads,
            samples,
            health: store,
            clock,
            options,
            readings: Readings::default(),
            hub: None,
            status: RecorderStatus::default(),
        }
    }

    /// Also publishes what it reads, whether or not it can be written.
    #[must_use]
    pub fn with_hub(mut self, hub: LiveHub) -> Self {
        self.hub = Some(hub);
        self
    }

    /// Counts what it gets done where others see it.
    #[must_use]
    pub fn with_status(mut self, status: RecorderStatus) -> Self {
        self.status = status;
        self
    }

    /// Reads all containers now and writes the tick, stamped with the time at which it began. Returns how many samples it
    /// wrote.
    ///
    /// Every container that the engine lists is in it, also those that do not run or could not be read, without a sample.
    ///
    /// # Errors
    /// [`TickError`]; no row was written.
    pub async fn tick_once(&mut self) -> Result<usize, TickError> {
        let tick = self.read().await;
        self.write(tick).await
    }

    /// Ticks, and rolls up, seals and deletes what is no longer new, until cancelled; a write that has begun is finished.
    ///
    /// The cadence is steady: a tick that takes longer than its time makes the next ones drop out, not crowd. While the
    /// engine or the store does not answer, it goes on trying, and says so in the log once, and once when it is over.
    pub async fn run(mut self, cancel: CancellationToken) {
        let upkeep = Upkeep {
            workloads: Arc::clone(&self.workloads),
            samples: Arc::clone(&self.samples),
            health: Arc::clone(&self.health),
            clock: Arc::clone(&self.clock),
            retention: self.options.retention,
            max_size: self.options.max_size,
            cancel: cancel.clone(),
        };
        let upkeep = tokio::spawn(upkeep.run());
        self.tick_until(&cancel).await;
        if upkeep.await.is_err() {
            tracing::error!("looking after old samples ended before its time");
        }
    }

    async fn tick_until(&mut self, cancel: &CancellationToken) {
        let period = self.options.tick.max(SHORTEST_TICK);
        let mut cadence = tokio::time::interval(period);
        cadence.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut loss = Loss::new(
            "container numbers are not recorded",
            "container numbers are recorded",
        );
        while cancel.run_until_cancelled(cadence.tick()).await.is_some() {
            let begun = Instant::now();
            let Some(tick) = cancel.run_until_cancelled(self.read()).await else {
                return;
            };
            loss.note(self.write(tick).await.err());
            if begun.elapsed() >= period {
                // The one that is overdue would come at once, and the next close behind it.
                cadence.tick().await;
            }
        }
    }

    async fn write(&self, tick: Result<Tick, TickError>) -> Result<usize, TickError> {
        let written = self.try_write(tick).await;
        self.status.note(written.as_ref());
        Ok(written?.rows.iter().filter(|row| row.sample.is_some()).count())
    }

    async fn try_write(&self, tick: Result<Tick, TickError>) -> Result<Tick, TickError> {
        let tick = tick?;
        self.samples.record_tick(&tick).await?;
        Ok(tick)
    }

    async fn read(&mut self) -> Result<Tick, TickError> {
        let now = self.clock.now();
        let containers = self.inventory.containers().await?;
        let owners = owners(&containers, self.workloads.as_ref(), now).await?;
        let samples = self.readings.sample(&containers, self.collector.as_ref()).await;
        let row = |((container, workload), sample): ((Container, _), _)| TickRow {
            container: container.id,
            name: container.name,
            workload,
            sample,
        };
        let rows = containers.into_iter().zip(owners).zip(samples).map(row).collect();
        let tick = Tick {
            ts: now.as_second().max(0),
            rows,
        };
        if let Some(hub) = &self.hub {
            hub.publish(readout(&tick));
        }
        Ok(tick)
    }
}

fn readout(tick: &Tick) -> Readout {
    let reading = |row: &TickRow| {
        Some(Reading {
            container: row.container.clone(),
            workload: Some(row.workload.clone()),
            sample: row.sample?,
        })
    };
    Readout {
        ts: tick.ts,
        origin: Origin::Stored,
        coverage: Coverage::Everything,
        readings: tick.rows.iter().filter_map(reading).collect(),
    }
}

//! Makes a database with a week of invented history, to look at charts with:
//! `cargo run -p shipslog-store --example fill -- ./data/shipslog.db`

use std::error::Error;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Sample, StatsStore, Tick, TickRow};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{NewWorkload, WorkloadStore};
use shipslog_store::SqliteStore;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const WEEK: i64 = 7 * 24 * HOUR;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() as i64;
    let store = SqliteStore::open(path)?;
    let created_at = Timestamp::from_second(now - WEEK)?;
    let source = json!({"kind": "image", "reference": "invented:1"});
    let new = NewWorkload {
        id: WorkloadId::generate(created_at),
        spec: serde_json::from_value(json!({"name": "invented", "source": source}))?,
        created_at,
    };
    let workload = store.create_workload(new).await?.id;
    let minutes = (1..WEEK / MINUTE).map(|minute| now - WEEK + minute * MINUTE);
    for ts in minutes.filter(|ts| !is_silent(now - ts)) {
        store.record_tick(&tick(ts, &workload)?).await?;
    }
    while store.seal_samples().await? {}
    println!("{workload}");
    Ok(())
}

/// Half a day, two days ago, of which nothing is known.
fn is_silent(ago: i64) -> bool {
    (48 * HOUR..60 * HOUR).contains(&ago)
}

fn tick(ts: i64, workload: &WorkloadId) -> Result<Tick, Box<dyn Error>> {
    let row = TickRow {
        container: "invented".parse()?,
        name: "invented-1".to_owned(),
        workload: workload.clone(),
        sample: Some(sample(ts)),
    };
    Ok(Tick { ts, rows: vec![row] })
}

/// Busy by day, with something that repeats each hour.
fn sample(ts: i64) -> Sample {
    let wave = |period: i64| (ts as f64 / period as f64 * std::f64::consts::TAU).sin() + 1.0;
    let busy = 10.0 * wave(24 * HOUR) + 2.0 * wave(HOUR);
    let rate = |most: f64| Some((most * busy) as u64);
    Sample {
        cpu_percent: Some(busy),
        memory_usage: rate(10e6),
        memory_limit: Some(512 << 20),
        network_rx: rate(40e3),
        network_tx: rate(90e3),
        block_read: rate(1e3),
        block_write: rate(20e3),
    }
}

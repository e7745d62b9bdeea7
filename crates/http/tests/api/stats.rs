//! Histories and sums.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Sample, Tick, TickRow};

use crate::rig::{NOW, Rig, get};

async fn record(rig: &Rig, workload: &str, ts: i64, containers: &[(&str, f64)]) {
    let workload: WorkloadId = workload.parse().unwrap();
    let row = |(name, cpu): &(&str, f64)| TickRow {
        container: name.parse().unwrap(),
        name: (*name).to_owned(),
        workload: workload.clone(),
        sample: Some(Sample {
            cpu_percent: Some(*cpu),
            memory_usage: Some(1_000),
            memory_limit: Some(0),
            ..Sample::default()
        }),
    };
    rig.store
        .record_tick(&Tick {
            ts,
            rows: containers.iter().map(row).collect(),
        })
        .await
        .unwrap();
}

async fn history(rig: &Rig, workload: &str, query: &str) -> Vec<Value> {
    let answer = rig
        .send(get(&format!("/api/workloads/{workload}/stats/history{query}")).by_viewer())
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "application/json");
    answer.json().as_array().unwrap().clone()
}

#[tokio::test]
async fn history_is_summed_per_timestamp_oldest_first_with_the_engine_down() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    assert_eq!(history(&rig, &id, "").await, Vec::<Value>::new());
    record(&rig, &id, NOW - 1_801, &[("a", 99.0)]).await;
    record(&rig, &id, NOW - 20, &[("a", 12.5), ("b", 30.0)]).await;
    record(&rig, &id, NOW, &[("b", 40.0)]).await;
    rig.inventory.away.store(true, Ordering::SeqCst);
    let points = history(&rig, &id, "?window=30m").await;
    let first = json!({"ts": NOW - 20, "cpu_percent": 42.5, "memory_usage": 2_000, "memory_limit": 0, "network_rx": null, "network_tx": null,
                       "block_read": null, "block_write": null, "containers": 2});
    assert_eq!(points[0], first);
    assert_eq!(
        (points.len(), &points[1]["ts"], &points[1]["containers"]),
        (2, &json!(NOW), &json!(1))
    );
    assert_eq!(history(&rig, &id, "").await, points);
    assert_eq!(history(&rig, &id, "?window=31m").await.len(), 3);
    assert_eq!(history(&rig, &id, "?window=10s").await.len(), 1);
}

#[tokio::test]
async fn steps_average_and_keep_the_peaks() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let start = NOW - 120 - NOW % 60;
    for (offset, cpu) in [(0, 10.0), (30, 30.0), (60, 50.0)] {
        record(&rig, &id, start + offset, &[("a", cpu)]).await;
    }
    let points = history(&rig, &id, "?step=60s").await;
    assert_eq!(points.len(), 2);
    assert_eq!(
        (&points[0]["cpu_percent"], &points[0]["cpu_percent_max"]),
        (&json!(20.0), &json!(30.0))
    );
    assert_eq!(
        (&points[1]["cpu_percent"], &points[1]["memory_usage_max"]),
        (&json!(50.0), &json!(1_000))
    );
}

#[tokio::test]
async fn long_histories_are_thinned_unless_every_point_is_asked_for() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    for i in 0..1_500 {
        record(&rig, &id, NOW - i, &[("a", 10.0)]).await;
    }
    let thinned = history(&rig, &id, "").await;
    assert!(thinned.len() <= 1_000 && thinned.len() > 300, "{}", thinned.len());
    assert_eq!(
        (&thinned[0]["cpu_percent"], &thinned[0]["cpu_percent_max"]),
        (&json!(10.0), &json!(10.0))
    );
    assert_eq!(history(&rig, &id, "?step=raw").await.len(), 1_500);
    assert_eq!(history(&rig, &id, "?window=900s").await.len(), 900);
}

#[tokio::test]
async fn usage_is_summed_in_buckets_of_five_minutes() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let start = NOW - 600 - NOW % 300;
    for i in 0..60 {
        record(&rig, &id, start + i * 10, &[("a", 150.0)]).await;
    }
    let usage = rig
        .send(get(&format!("/api/workloads/{id}/usage?window=1h")).by_viewer())
        .await
        .json();
    let buckets = usage["buckets"].as_array().unwrap();
    assert_eq!(buckets.len(), 2);
    assert_eq!(
        (&buckets[0]["ts"], &buckets[0]["samples"]),
        (&json!(start), &json!(30))
    );
    for field in ["cpu_core_seconds", "memory_byte_seconds"] {
        let sum: f64 = buckets.iter().map(|bucket| bucket[field].as_f64().unwrap()).sum();
        assert!((usage[field].as_f64().unwrap() - sum).abs() < 1e-6, "{usage}");
    }
    let cores = usage["cpu_core_seconds"].as_f64().unwrap();
    assert!(
        (850.0..=950.0).contains(&cores),
        "1.5 cores for 10 minutes are about 900: {cores}"
    );
}

#[tokio::test]
async fn nothing_recorded_is_nothing_used() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let usage = rig.send(get(&format!("/api/workloads/{id}/usage"))).await.json();
    assert_eq!(usage["buckets"], json!([]));
    assert_eq!(usage["cpu_core_seconds"].as_f64(), Some(0.0));
}

//! Histories and sums.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Sample, Tick, TickRow};

use shipslog_http::router;

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

/// The answer of a router that has nothing in memory yet, over the same store.
async fn unremembered(rig: &Rig, path: &str) -> String {
    let fresh = Rig::over(Arc::clone(&rig.store), router);
    fresh.send(get(path).by_viewer()).await.text()
}

#[tokio::test]
async fn a_window_from_memory_is_what_is_stored_whatever_happens_to_it() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let other = rig.workload("other").await;
    let path = |query: &str| format!("/api/workloads/{id}/stats/history{query}");
    let queries = ["?window=30m", "?window=1h&step=raw", "?window=10s", "?window=10m"];
    let check = async |what: &str| {
        for query in queries {
            let since = format!("{query}&since={}", NOW - 60);
            for path in [path(query), path(&since)] {
                let answer = rig.send(get(&path).by_viewer()).await;
                assert_eq!(answer.header("content-length"), answer.text().len().to_string());
                assert_eq!(answer.text(), unremembered(&rig, &path).await, "{what}: {path}");
            }
        }
    };
    check("nothing").await;
    for i in 0..1_300 {
        record(
            &rig,
            &id,
            NOW - 2_700 + i * 2,
            &[("a", 10.0), ("b", 0.125 * i as f64)],
        )
        .await;
        if i % 260 == 0 {
            check("new ticks").await;
        }
    }
    record(&rig, &id, NOW - 2_000, &[("a", 77.0)]).await;
    check("a tick replaced").await;
    record(&rig, &id, NOW - 45, &[("c", 5.0)]).await;
    check("a late tick").await;
    record(&rig, &other, NOW - 30, &[("b", 1.0)]).await;
    check("a container that changed hands").await;
    while rig.store.prune_samples(NOW - 1_000, 100).await.unwrap() {}
    check("old samples deleted").await;
    while rig.store.seal_samples().await.unwrap() {}
    check("samples sealed").await;
}

#[tokio::test]
async fn a_client_that_has_the_answer_gets_no_other() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    record(&rig, &id, NOW - 20, &[("a", 12.5)]).await;
    for query in ["stats/history", "stats/history?step=60s", "usage"] {
        let path = format!("/api/workloads/{id}/{query}");
        let first = rig.send(get(&path).by_viewer()).await;
        let etag = first.header("etag").to_owned();
        for known in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
            let again = rig
                .send(get(&path).by_viewer().with("if-none-match", &known))
                .await;
            assert_eq!(
                (again.status.as_u16(), again.text().as_str()),
                (304, ""),
                "{path} {known}"
            );
            assert_eq!(again.header("etag"), etag);
        }
        let other = rig
            .send(get(&path).by_viewer().with("if-none-match", "\"x\""))
            .await;
        assert_eq!((other.status.as_u16(), other.text()), (200, first.text()));
    }
    let path = format!("/api/workloads/{id}/stats/history");
    let etag = rig.send(get(&path).by_viewer()).await.header("etag").to_owned();
    record(&rig, &id, NOW - 10, &[("a", 12.5)]).await;
    let changed = rig
        .send(get(&path).by_viewer().with("if-none-match", &etag))
        .await;
    assert_eq!(
        (changed.status.as_u16(), changed.json().as_array().unwrap().len()),
        (200, 2)
    );
}

#[tokio::test]
async fn what_is_new_since_a_time_is_answered_alone() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    for ago in [30, 20, 10] {
        record(&rig, &id, NOW - ago, &[("a", 1.0)]).await;
    }
    let times = async |query: &str| -> Vec<i64> {
        let points = history(&rig, &id, query).await;
        points.iter().map(|point| point["ts"].as_i64().unwrap()).collect()
    };
    assert_eq!(times(&format!("?since={}", NOW - 30)).await, [NOW - 20, NOW - 10]);
    assert_eq!(times(&format!("?since={}", NOW - 10)).await, [0_i64; 0]);
    assert_eq!(
        times(&format!("?window=15s&since={}", NOW - 30)).await,
        [NOW - 10]
    );
    assert_eq!(times(&format!("?step=1s&since={}", NOW - 20)).await, [NOW - 10]);
}

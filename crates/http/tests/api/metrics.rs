//! The page for Prometheus, read as a scraper reads it: line by line.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use shipslog_core::deploys::FailureMarker;
use shipslog_core::stats::{
    Collector, Coverage, Origin, Reading, Readout, Recorder, RecorderOptions, Sample,
};
use shipslog_core::store::Store;
use shipslog_core::time::{Clock, Timestamp};
use shipslog_core::workloads::{Container, ContainerState, Inventory};
use tokio::time::advance;

use crate::plugin::Behaviour;
use crate::rig::{NOW, Rig, get, post};

type LabelSet = BTreeMap<String, String>;

/// The samples of each family, and its type.
#[derive(Debug, Default)]
struct Scrape {
    kinds: BTreeMap<String, String>,
    samples: BTreeMap<(String, LabelSet), f64>,
}

fn is_name(text: &str) -> bool {
    let first = |c: char| c.is_ascii_lowercase() || c == '_';
    text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
}

/// The value at the beginning of `text`, which begins after its quote, and what follows the quote that ends it.
fn quoted(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.push(match chars.next() {
                Some((_, 'n')) => '\n',
                Some((_, c @ ('\\' | '"'))) => c,
                other => panic!("unknown escape {other:?} in {text}"),
            }),
            c => value.push(c),
        }
    }
    panic!("a label's value does not end: {text}")
}

/// The labels after a brace, and what follows the other brace.
fn labels(mut text: &str) -> (LabelSet, &str) {
    let mut labels = LabelSet::new();
    loop {
        let (name, rest) = text.split_once("=\"").expect("a label without a value");
        assert!(is_name(name), "{name}");
        let (value, rest) = quoted(rest);
        assert_eq!(labels.insert(name.to_owned(), value), None, "{name} twice");
        if let Some(rest) = rest.strip_prefix('}') {
            return (labels, rest);
        }
        text = rest.strip_prefix(',').expect("no comma between labels");
    }
}

impl Scrape {
    fn read(text: &str) -> Self {
        let (mut scrape, mut family) = (Self::default(), "");
        assert!(text.ends_with('\n'), "the last line does not end");
        let mut lines = text.lines();
        while let Some(line) = lines.next() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                let kind = lines.next().and_then(|line| line.strip_prefix("# TYPE "));
                family = scrape.begin(help, kind.expect("HELP without TYPE"));
            } else {
                scrape.sample(family, line);
            }
        }
        scrape
    }

    fn begin<'a>(&mut self, help: &'a str, kind: &str) -> &'a str {
        let (name, help) = help.split_once(' ').unwrap();
        let (typed, kind) = kind.split_once(' ').unwrap();
        assert!(
            is_name(name) && name.starts_with("shipslog_") && help.ends_with('.'),
            "{name} {help}"
        );
        assert_eq!((typed, kind == "counter"), (name, name.ends_with("_total")));
        assert!(["counter", "gauge"].contains(&kind), "{kind}");
        assert_eq!(
            self.kinds.insert(name.to_owned(), kind.to_owned()),
            None,
            "{name} twice"
        );
        name
    }

    fn sample(&mut self, family: &str, line: &str) {
        let rest = line.strip_prefix(family).expect("a sample of another family");
        let (labels, value) = rest.strip_prefix('{').map_or((LabelSet::new(), rest), labels);
        let value: f64 = value.strip_prefix(' ').unwrap().parse().unwrap();
        assert!(value.is_finite() && value >= 0.0, "{line}");
        let doubled = self.samples.insert((family.to_owned(), labels), value);
        assert_eq!(doubled, None, "{line} twice");
    }

    /// The value of the only sample of a family.
    fn one(&self, family: &str) -> Option<f64> {
        self.labelled(family, &[])
    }

    fn labelled(&self, family: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let labels = labels
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        self.samples.get(&(family.to_owned(), labels)).copied()
    }

    /// The samples of one workload, without their common beginning.
    fn workload(&self, name: &str) -> BTreeMap<&str, f64> {
        let of_it = |(_, labels): &&(String, LabelSet)| labels.get("workload").is_some_and(|it| it == name);
        let keys = self.samples.keys().filter(of_it);
        keys.map(|key| (key.0.trim_start_matches("shipslog_workload_"), self.samples[key]))
            .collect()
    }

    /// All that is not of a workload, without values.
    fn own(&self) -> BTreeSet<(String, LabelSet)> {
        let of_server = |(_, labels): &&(String, LabelSet)| !labels.contains_key("workload");
        self.samples.keys().filter(of_server).cloned().collect()
    }

    fn deploys(&self) -> [Option<f64>; 3] {
        ["succeeded", "failed", "interrupted"]
            .map(|outcome| self.labelled("shipslog_deploys_total", &[("outcome", outcome)]))
    }

    fn failed_ticks(&self) -> [Option<f64>; 2] {
        ["engine", "store"].map(|cause| self.labelled("shipslog_ticks_failed_total", &[("cause", cause)]))
    }
}

async fn scrape(rig: &Rig) -> Scrape {
    let answer = rig.send(get("/metrics").by_viewer()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(
        answer.header("content-type"),
        "text/plain; version=0.0.4; charset=utf-8"
    );
    Scrape::read(&answer.text())
}

fn container(name: &str) -> Container {
    Container {
        id: name.parse().unwrap(),
        name: name.to_owned(),
        image: "app:1".to_owned(),
        state: ContainerState::Running,
        health: None,
        created_at: Timestamp::from_second(NOW).unwrap(),
        image_id: None,
        life: None,
        workload: None,
        deploy: None,
        project: None,
    }
}

/// Stored sampling of the rig's engine.
fn recorder(rig: &Rig) -> Recorder {
    let (engine, clock) = (Arc::clone(&rig.inventory), Arc::clone(&rig.clock));
    Recorder::new(
        Arc::clone(&engine) as Arc<dyn Inventory>,
        engine as Arc<dyn Collector>,
        Arc::clone(&rig.store) as Arc<dyn Store>,
        clock as Arc<dyn Clock>,
        RecorderOptions::default(),
    )
    .with_hub(rig.poller.hub().clone())
    .with_status(rig.recorder.clone())
}

/// Publishes what stored sampling read of one container of a workload.
fn publish(rig: &Rig, workload: &str, sample: Sample) {
    let reading = Reading {
        container: "c1".parse().unwrap(),
        workload: Some(workload.parse().unwrap()),
        sample,
    };
    rig.poller.hub().publish(Readout {
        ts: NOW,
        origin: Origin::Stored,
        coverage: Coverage::Everything,
        readings: vec![reading],
    });
}

const MEASURED: Sample = Sample {
    cpu_percent: Some(150.0),
    memory_usage: Some(1_000),
    memory_limit: Some(4_000),
    network_rx: Some(1),
    network_tx: Some(2),
    block_read: Some(3),
    block_write: Some(4),
};

#[tokio::test]
async fn a_workload_has_all_that_is_known_of_it_in_base_units_and_nothing_else() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    assert_eq!(scrape(&rig).await.workload("web"), BTreeMap::new());
    publish(&rig, &id, MEASURED);
    let expected = BTreeMap::from([
        ("cpu_cores", 1.5),
        ("memory_bytes", 1_000.0),
        ("memory_limit_bytes", 4_000.0),
        ("network_receive_bytes_per_second", 1.0),
        ("network_transmit_bytes_per_second", 2.0),
        ("block_read_bytes_per_second", 3.0),
        ("block_write_bytes_per_second", 4.0),
        ("containers", 1.0),
        ("read_timestamp_seconds", NOW as f64),
    ]);
    assert_eq!(scrape(&rig).await.workload("web"), expected);
    let unlimited = Sample {
        memory_limit: Some(0),
        network_tx: Some(0),
        ..Sample::default()
    };
    publish(&rig, &id, unlimited);
    let known = BTreeMap::from([
        ("network_transmit_bytes_per_second", 0.0),
        ("containers", 1.0),
        ("read_timestamp_seconds", NOW as f64),
    ]);
    assert_eq!(scrape(&rig).await.workload("web"), known);
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_was_not_read_for_45_seconds_is_absent() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    publish(&rig, &id, MEASURED);
    advance(Duration::from_secs(44)).await;
    assert_eq!(scrape(&rig).await.workload("web").len(), 9);
    advance(Duration::from_secs(1)).await;
    assert_eq!(scrape(&rig).await.workload("web"), BTreeMap::new());
}

#[tokio::test]
async fn workloads_are_told_apart_by_id_and_kind_where_their_names_are_equal() {
    let rig = Rig::new();
    let managed = rig.workload("web").await;
    let now = Timestamp::from_second(NOW).unwrap();
    let observed = rig
        .store
        .observe_workload("web", now)
        .await
        .unwrap()
        .id
        .to_string();
    publish(&rig, &managed, MEASURED);
    publish(&rig, &observed, MEASURED);
    let scrape = scrape(&rig).await;
    for (id, kind) in [(&managed[..], "managed"), (&observed[..], "observed")] {
        let labels = [("workload", "web"), ("workload_id", id), ("kind", kind)];
        assert_eq!(
            scrape.labelled("shipslog_workload_cpu_cores", &labels),
            Some(1.5),
            "{scrape:?}"
        );
    }
}

#[tokio::test]
async fn no_name_breaks_out_of_its_label() {
    let rig = Rig::new();
    let names = [
        "a\"} 1\nevil_total{x=\"",
        "\n# TYPE evil counter\nevil 1\n",
        "back\\slash\\",
        "\\n is no line break, \n is",
        "\\\"",
        "\r\t\u{0}\u{2028}",
        "sp ace,comma={brace}",
        "\u{1f6a2} ship",
    ];
    for name in names {
        let now = Timestamp::from_second(NOW).unwrap();
        let id = rig.store.observe_workload(name, now).await.unwrap().id;
        publish(&rig, id.as_str(), MEASURED);
    }
    let scrape = scrape(&rig).await;
    assert!(
        scrape.kinds.keys().all(|family| !family.contains("evil")),
        "{scrape:?}"
    );
    for name in names {
        assert_eq!(scrape.workload(name).len(), 9, "{name:?}");
    }
}

#[tokio::test]
async fn its_own_health_is_complete_from_the_start_and_the_same_without_an_engine() {
    let rig = Rig::new();
    let fresh = scrape(&rig).await;
    let up = |scrape: &Scrape| (scrape.one("shipslog_engine_up"), scrape.one("shipslog_store_up"));
    assert_eq!(up(&fresh), (Some(1.0), Some(1.0)));
    assert_eq!(
        (fresh.deploys(), fresh.failed_ticks()),
        ([Some(0.0); 3], [Some(0.0); 2])
    );
    let version = [("version", env!("CARGO_PKG_VERSION"))];
    assert_eq!(fresh.labelled("shipslog_build_info", &version), Some(1.0));
    assert_eq!(fresh.one("shipslog_tick_interval_seconds"), Some(10.0));
    assert!(fresh.one("shipslog_store_size_bytes") > Some(0.0));
    for idle in [
        "shipslog_ticks_recorded_total",
        "shipslog_live_containers",
        "shipslog_live_subscribers",
        "shipslog_dispatches_running",
        "shipslog_deploys_unclosed",
        "shipslog_workloads_unsettled",
        "shipslog_tick_lag_seconds",
    ] {
        assert_eq!(fresh.one(idle), Some(0.0), "{idle}");
    }
    assert_eq!(fresh.one("shipslog_last_tick_timestamp_seconds"), None);
    rig.inventory.away.store(true, Ordering::SeqCst);
    let without = scrape(&rig).await;
    assert_eq!(up(&without), (Some(0.0), Some(1.0)));
    assert_eq!(without.own(), fresh.own());
}

#[tokio::test(start_paused = true)]
async fn an_engine_that_hangs_is_down_and_does_not_hang_the_answer() {
    let rig = Rig::new();
    rig.inventory.silent.store(true, Ordering::SeqCst);
    let begun = tokio::time::Instant::now();
    assert_eq!(scrape(&rig).await.one("shipslog_engine_up"), Some(0.0));
    assert!(begun.elapsed() <= Duration::from_secs(3), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn ticks_are_counted_and_late_ones_show() {
    let rig = Rig::new();
    *rig.inventory.containers.lock().unwrap() = vec![container("web")];
    let mut recorder = recorder(&rig);
    recorder.tick_once().await.unwrap();
    recorder.tick_once().await.unwrap();
    let steady = scrape(&rig).await;
    let lag = |scrape: &Scrape| scrape.one("shipslog_tick_lag_seconds").unwrap();
    assert_eq!(steady.one("shipslog_ticks_recorded_total"), Some(2.0));
    assert_eq!(
        steady.one("shipslog_last_tick_timestamp_seconds"),
        Some(NOW as f64)
    );
    assert_eq!(
        (steady.workload("web").get("cpu_cores"), lag(&steady)),
        (Some(&0.5), 0.0)
    );
    rig.inventory.away.store(true, Ordering::SeqCst);
    advance(Duration::from_secs(25)).await;
    assert!(recorder.tick_once().await.is_err());
    let late = scrape(&rig).await;
    assert_eq!(late.failed_ticks(), [Some(1.0), Some(0.0)]);
    assert_eq!(late.one("shipslog_ticks_recorded_total"), Some(2.0));
    assert!((15.0..16.0).contains(&lag(&late)), "{}", lag(&late));
}

#[tokio::test]
async fn deploys_are_counted_by_outcome_and_shown_while_they_run() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    rig.deploy(&id).await;
    rig.deploy(&id).await;
    rig.plugin.behave(Behaviour::Fail(FailureMarker::Unhealthy));
    rig.deploy(&id).await;
    rig.plugin.behave(Behaviour::Wait { steps: 0 });
    let path = format!("/api/workloads/{id}/deploys");
    let row = rig.send(post(&path)).await.json();
    let during = scrape(&rig).await;
    assert_eq!(during.deploys(), [Some(2.0), Some(1.0), Some(0.0)]);
    assert_eq!(during.one("shipslog_dispatches_running"), Some(1.0));
    rig.plugin.release();
    rig.dispatcher
        .wait(&row["id"].as_str().unwrap().parse().unwrap())
        .await
        .unwrap();
    let after = scrape(&rig).await;
    assert_eq!(after.deploys(), [Some(3.0), Some(1.0), Some(0.0)]);
    assert_eq!(after.one("shipslog_dispatches_running"), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn live_sampling_shows_what_it_reads_and_who_listens() {
    let rig = Rig::new();
    *rig.inventory.containers.lock().unwrap() = vec![container("web"), container("db")];
    let (one, all) = (
        rig.poller.hub().subscribe(&"web".parse().unwrap()),
        rig.poller.hub().subscribe_all(),
    );
    tokio::time::sleep(Duration::from_secs(10)).await;
    let watched = scrape(&rig).await;
    assert_eq!(watched.one("shipslog_live_subscribers"), Some(2.0));
    assert_eq!(watched.one("shipslog_live_containers"), Some(2.0));
    drop((one, all));
    tokio::time::sleep(Duration::from_secs(31 * 60)).await;
    let idle = scrape(&rig).await;
    assert_eq!(idle.one("shipslog_live_subscribers"), Some(0.0));
    assert_eq!(idle.one("shipslog_live_containers"), Some(0.0));
}

#[tokio::test(start_paused = true)]
async fn scraping_does_not_begin_live_sampling() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    *rig.inventory.containers.lock().unwrap() = vec![Container {
        workload: Some(id.parse().unwrap()),
        ..container("web")
    }];
    scrape(&rig).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(scrape(&rig).await.one("shipslog_live_containers"), Some(0.0));
    // What would have begun it.
    rig.poller.ask_workload(&id.parse().unwrap());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(scrape(&rig).await.one("shipslog_live_containers"), Some(1.0));
}

//! kill -9 of the server at random moments of a deploy.

use std::collections::HashSet;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use shipslog_test_support::{
    Cleanup, Engine, Health, ImageSpec, engine, free_port, try_http_get, unique, wait_until,
};

use crate::harness::{Client, Server, Setup, data_dir, outcome, web_spec};

/// A quick number for every run; `SHIPSLOG_TEST_KILLS=100` for the long one.
const QUICK: u32 = 20;

fn kills() -> u32 {
    std::env::var("SHIPSLOG_TEST_KILLS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(QUICK)
}

/// A linear congruential generator: moments need to be spread, not unpredictable.
struct Moments(u64);

impl Moments {
    fn next(&mut self, below_ms: u64) -> Duration {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis((self.0 >> 33) % below_ms)
    }
}

fn all_rows(admin: &Client, id: &str) -> Vec<Value> {
    let (status, rows) = admin.get(&format!("/api/workloads/{id}/deploys?limit=500"));
    assert_eq!(status, 200, "{rows}");
    rows.as_array().unwrap().clone()
}

/// The deploy ids of the workload's containers that run.
fn serving(engine: &Engine, id: &str) -> Vec<String> {
    let filter = format!("label=shipslog.workload={id}");
    let format = "{{.Label \"shipslog.deploy\"}}";
    engine
        .docker(&["ps", "--filter", &filter, "--format", format])
        .lines()
        .map(str::to_owned)
        .collect()
}

/// No acknowledged row is lost, none is left running, and one container serves: that of the row that is current.
fn check(engine: &Engine, server: &Server, id: &str, acknowledged: &HashSet<String>) {
    let rows = all_rows(&server.admin(), id);
    let ids: HashSet<String> = rows
        .iter()
        .map(|row| row["id"].as_str().unwrap().to_owned())
        .collect();
    assert!(acknowledged.is_subset(&ids), "an acknowledged row is lost");
    assert!(
        rows.iter().all(|row| row["outcome"] != "running"),
        "a row is left running: {}",
        rows[0]
    );
    let serving = serving(engine, id);
    assert_eq!(serving.len(), 1, "{}", server.log_text());
    let current = rows.iter().find(|row| row["current"] == true).unwrap();
    assert_eq!(
        current["id"], serving[0],
        "what serves is what the ledger calls current"
    );
}

#[test]
fn whenever_the_server_is_killed_the_ledger_is_whole_and_one_container_serves() {
    let Some(engine) = engine() else { return };
    let (name, port, data) = (unique("kill"), free_port(), data_dir());
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let tags = ["1", "2"].map(|version| {
        let image = ImageSpec::web(version)
            .health(Health::Always)
            .build(&engine, &format!("{name}:{version}"));
        image.tag().to_owned()
    });
    let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let mut moments = Moments(seed);
    let setup = Setup::new(&data.path().join("d"), engine.host()).flags(&["--keep-deploys", "500"]);
    let mut server = setup.start();
    let id = server.admin().create(&web_spec(&name, &tags[0], port));
    assert_eq!(outcome(&server.admin().deploy(&id)).0, "succeeded");
    let mut acknowledged: HashSet<String> = HashSet::new();
    for round in 0..kills() {
        let admin = server.admin();
        let body = json!({ "reference": tags[(round % 2) as usize] });
        let (status, row) = admin.post(&format!("/api/workloads/{id}/deploys"), &body);
        assert_eq!(status, 202, "{row}");
        acknowledged.insert(row["id"].as_str().unwrap().to_owned());
        std::thread::sleep(moments.next(2_500));
        server.kill();
        server = setup.start();
        check(&engine, &server, &id, &acknowledged);
        let page = || try_http_get(&format!("127.0.0.1:{port}"), "/").is_ok_and(|(status, _)| status == 200);
        assert!(
            wait_until(Duration::from_secs(5), page),
            "nothing is served in round {round}"
        );
    }
    let interrupted = all_rows(&server.admin(), &id)
        .iter()
        .filter(|row| row["outcome"] == "interrupted")
        .count();
    println!("{} kills, {interrupted} deploys interrupted", kills());
    assert!(interrupted > 0, "no kill met a deploy");
}

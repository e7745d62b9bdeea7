//! kill -9 of the server at random moments of a deploy, around the end of its row, and after it.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

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

/// When the server is killed.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// Anywhere between the beginning of the deploy and the end of most.
    InFlight,
    /// As soon as the row reads closed: the clean-up has just begun.
    RowClosed,
    /// A moment later, in the midst of the clean-up.
    CleanUp,
    /// As soon as a watcher hears of the outcome: the clean-up is done.
    OutcomeHeard,
}

/// Every other kill is in flight; the quick number meets each of the others several times.
const MOMENTS: [Moment; 6] = [
    Moment::InFlight,
    Moment::RowClosed,
    Moment::InFlight,
    Moment::CleanUp,
    Moment::InFlight,
    Moment::OutcomeHeard,
];

impl Moment {
    /// Comes back at the moment. Answers the row if it was seen closed.
    fn wait(self, admin: &Client, id: &str, moments: &mut Moments) -> Option<Value> {
        let path = format!("/api/deploys/{id}");
        match self {
            Self::InFlight => {
                std::thread::sleep(moments.next(2_500));
                None
            }
            Self::RowClosed => Some(closed(admin, &path)),
            Self::CleanUp => {
                let row = closed(admin, &path);
                std::thread::sleep(moments.next(200));
                Some(row)
            }
            Self::OutcomeHeard => Some(heard(admin, &path)),
        }
    }
}

/// The row as soon as it is closed. It is asked for without a pause.
fn closed(admin: &Client, path: &str) -> Value {
    let began = Instant::now();
    loop {
        let (_, row) = admin.get(path);
        if row["outcome"] != "running" {
            return row;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{row}");
    }
}

/// The row that the event stream ends with.
fn heard(admin: &Client, path: &str) -> Value {
    let stream = admin.open(&format!("{path}/events")).unwrap();
    let lines = BufReader::new(stream.into_body().into_reader()).lines();
    let mut after = lines
        .map(Result::unwrap)
        .skip_while(|line| line != "event: outcome");
    let data = after.find_map(|line| line.strip_prefix("data: ").map(str::to_owned));
    serde_json::from_str(&data.expect("the stream ends with an outcome")).unwrap()
}

/// The rows that the server acknowledged, by id: as they were seen closed, or `None`.
type Acknowledged = HashMap<String, Option<Value>>;

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

/// No acknowledged row is lost, those seen closed are as they were, none is left running, and one container serves: that
/// of the row that is current.
fn check(engine: &Engine, server: &Server, id: &str, acknowledged: &Acknowledged) {
    let rows = all_rows(&server.admin(), id);
    for (id, seen) in acknowledged {
        let row = rows.iter().find(|row| row["id"] == **id);
        let row = row.unwrap_or_else(|| panic!("{id} is lost"));
        assert_ne!(row["outcome"], "running", "{row}");
        if let Some(seen) = seen {
            for field in ["outcome", "error", "reference", "finished_at"] {
                assert_eq!(row[field], seen[field], "{field}: {row} {seen}");
            }
        }
    }
    let newest = acknowledged[rows[0]["id"].as_str().unwrap()].as_ref();
    if newest.is_some_and(|seen| seen["outcome"] == "succeeded") {
        assert_eq!(rows[0]["current"], true, "{}", rows[0]);
    }
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
    let mut acknowledged = Acknowledged::new();
    for round in 0..kills() {
        let admin = server.admin();
        let body = json!({ "reference": tags[(round % 2) as usize] });
        let (status, row) = admin.post(&format!("/api/workloads/{id}/deploys"), &body);
        assert_eq!(status, 202, "{row}");
        let deploy = row["id"].as_str().unwrap().to_owned();
        let seen = MOMENTS[round as usize % MOMENTS.len()].wait(&admin, &deploy, &mut moments);
        acknowledged.insert(deploy, seen);
        server.kill();
        server = setup.start();
        check(&engine, &server, &id, &acknowledged);
        let page = || try_http_get(&format!("127.0.0.1:{port}"), "/").is_ok_and(|(status, _)| status == 200);
        assert!(
            wait_until(Duration::from_secs(60), page),
            "nothing is served in round {round}"
        );
    }
    let interrupted = all_rows(&server.admin(), &id)
        .iter()
        .filter(|row| row["outcome"] == "interrupted")
        .count();
    assert_eq!(outcome(&server.admin().deploy(&id)).0, "succeeded");
    let filter = format!("label=shipslog.workload={id}");
    let left = || engine.docker(&["ps", "-aq", "--filter", &filter]).lines().count();
    assert!(
        wait_until(Duration::from_secs(60), || left() == 1),
        "the next deploy clears away what the kills left"
    );
    let closed = acknowledged.values().flatten().count();
    println!(
        "{} kills, {interrupted} deploys interrupted, {closed} rows seen closed",
        kills()
    );
    assert!(interrupted > 0, "no kill met a deploy");
    assert!(
        acknowledged
            .values()
            .flatten()
            .any(|row| row["outcome"] == "succeeded"),
        "no kill came after a success"
    );
}

//! The page for Prometheus, as Prometheus' own tool reads it.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::Duration;

use shipslog_test_support::{Cleanup, ImageSpec, engine, unique, wait_until};

use crate::harness::{Client, Server, Setup, data_dir, outcome, spec};

/// The page, as a viewer gets it.
#[track_caller]
fn scrape(viewer: &Client) -> String {
    let mut answer = viewer.open("/metrics").unwrap();
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    answer.body_mut().read_to_string().unwrap()
}

/// Has promtool parse and lint a page; it says nothing of one that is right.
#[track_caller]
fn check(page: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool of Debian's package prometheus");
    promtool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let done = promtool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&done.stdout) + String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.is_empty(), "{said}\n{page}");
}

/// The value of the line that begins like this.
fn value(page: &str, begin: &str) -> Option<f64> {
    let line = page.lines().find(|line| line.starts_with(begin))?;
    line.rsplit_once(' ')?.1.parse().ok()
}

/// The number that begins so is more than zero before long.
#[track_caller]
pub(crate) fn await_more_than_0(server: &Server, begin: &str) {
    let viewer = server.viewer();
    let there = || value(&scrape(&viewer), begin).is_some_and(|value| value > 0.0);
    assert!(
        wait_until(Duration::from_secs(30), there),
        "{begin}\n{}",
        scrape(&viewer)
    );
}

#[test]
fn what_a_busy_server_shows_passes_promtool() {
    let Some(engine) = engine() else { return };
    let (name, data) = (unique("metrics"), data_dir());
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    ImageSpec::cpu_burner().build(&engine, &name);
    // A project may be called anything, and it is what an observed workload is called after.
    let project = format!("{name} \\ \"}} 1\nevil 1");
    let label = format!("com.docker.compose.project={project}");
    let container = format!("{name}-observed");
    engine.docker(&[
        "run", "-d", "--cpus", "0.1", "--memory", "64m", "--label", &label, "--name", &container, &name,
    ]);
    let server = Setup::new(&data.path().join("d"), engine.host()).start();
    let managed = server.admin().create(&spec(&format!("{name}-managed"), &name));
    assert_eq!(outcome(&server.admin().deploy(&managed)).0, "succeeded");

    let labels = format!("{{workload=\"{name} \\\\ \\\"}} 1\\nevil 1\",workload_id=\"");
    for gauge in [
        "cpu_cores",
        "memory_bytes",
        "containers",
        "read_timestamp_seconds",
    ] {
        await_more_than_0(&server, &format!("shipslog_workload_{gauge}{labels}"));
    }
    await_more_than_0(
        &server,
        &format!(
            "shipslog_workload_cpu_cores{{workload=\"{name}-managed\",workload_id=\"{managed}\",kind=\"managed\"}}"
        ),
    );
    // A reading soon after a late one sees a part of what the kernel gives in turns, and a busy engine does not answer each time.
    let cores = |page: &str| value(page, &format!("shipslog_workload_cpu_cores{labels}"));
    let mut page = String::new();
    let is_usual = || {
        page = scrape(&server.viewer());
        let is_a_tenth = cores(&page).is_some_and(|cores| (0.03..0.3).contains(&cores));
        is_a_tenth && value(&page, "shipslog_engine_up ") == Some(1.0)
    };
    assert!(wait_until(Duration::from_secs(60), is_usual), "{page}");
    check(&page);
    let limit = format!("shipslog_workload_memory_limit_bytes{labels}");
    assert_eq!(value(&page, &limit), Some(f64::from(64 << 20)), "{page}");
    for (begin, expected) in [
        ("shipslog_store_up ", 1.0),
        ("shipslog_deploys_total{outcome=\"succeeded\"} ", 1.0),
        ("shipslog_deploys_total{outcome=\"failed\"} ", 0.0),
        ("shipslog_ticks_failed_total{cause=\"engine\"} ", 0.0),
    ] {
        assert_eq!(value(&page, begin), Some(expected), "{begin}\n{page}");
    }
    await_more_than_0(&server, "shipslog_ticks_recorded_total ");
}

#[test]
fn a_server_without_an_engine_says_so_in_a_page_that_passes_promtool() {
    if engine().is_none() {
        return;
    }
    let data = data_dir();
    let nowhere = format!("unix://{}", data.path().join("nowhere.sock").display());
    let server = Setup::new(&data.path().join("d"), &nowhere).start();
    await_more_than_0(&server, "shipslog_ticks_failed_total{cause=\"engine\"} ");
    await_more_than_0(&server, "shipslog_tick_lag_seconds ");
    let page = scrape(&server.viewer());
    check(&page);
    assert_eq!(value(&page, "shipslog_engine_up "), Some(0.0), "{page}");
    assert!(!page.contains("shipslog_workload_"), "{page}");
}

//! Starting the server: tokens, addresses, and an engine that is not there yet.

use std::process::Command;
use std::time::Duration;

use shipslog_test_support::{SocketProxy, engine, wait_until};

use crate::harness::{Client, Setup, data_dir};

/// No engine answers there.
const NOBODY: &str = "unix:///nonexistent/shipslog.sock";

#[test]
fn the_first_start_prints_the_url_of_the_page_with_a_token_and_keeps_only_its_hash() {
    let data = data_dir();
    let setup = Setup::new(&data.path().join("d"), NOBODY).without_tokens();
    let mut server = setup.start();
    let line = server.first_line();
    let url = line
        .split_whitespace()
        .find(|word| word.starts_with("http://"))
        .unwrap();
    let (base, token) = url.split_once("/?token=").unwrap();
    assert_eq!(base, format!("http://{}", server.address));
    let page = Client::new(&server.address, None)
        .open(&format!("/?token={token}"))
        .unwrap();
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    assert_eq!(page.headers().get("set-cookie"), None);
    assert_eq!(
        Client::new(&server.address, Some(token)).get("/api/workloads").0,
        200
    );
    assert_eq!(Client::new(&server.address, None).get("/api/workloads").0, 401);
    assert!(!server.log_text().contains(token));
    server.terminate();

    let kept = std::fs::read_dir(data.path().join("d"))
        .unwrap()
        .map(|entry| entry.unwrap().path());
    for path in kept {
        let bytes = std::fs::read(&path).unwrap();
        assert!(
            !bytes
                .windows(token.len())
                .any(|window| window == token.as_bytes()),
            "{}",
            path.display()
        );
    }
    let again = setup.start();
    assert_eq!(
        Client::new(&again.address, Some(token)).get("/api/workloads").0,
        200
    );
    assert!(!again.log_text().contains(token));
}

#[test]
fn an_address_beyond_loopback_needs_a_token_set_on_purpose() {
    let data = data_dir();
    let setup = Setup::new(&data.path().join("d"), NOBODY).listen("0.0.0.0:0");
    let server = setup.start();
    assert_eq!(server.terminate().code(), Some(0));
    let (status, text) = setup.without_tokens().run_to_end();
    assert_eq!(status.code(), Some(1));
    assert!(
        text.contains("SHIPSLOG_ADMIN_TOKEN") && text.contains("0.0.0.0"),
        "{text}"
    );
}

#[test]
fn help_lists_every_flag_with_its_variable() {
    let output = Command::new(Setup::program()).arg("--help").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    for (flag, variable) in [
        ("--listen", "SHIPSLOG_LISTEN"),
        ("--data", "SHIPSLOG_DATA"),
        ("--tick", "SHIPSLOG_TICK"),
        ("--poll", "SHIPSLOG_POLL"),
        ("--docker", "SHIPSLOG_DOCKER"),
        ("--retention", "SHIPSLOG_RETENTION"),
        ("--keep-minutes", "SHIPSLOG_KEEP_MINUTES"),
        ("--keep-samples", "SHIPSLOG_KEEP_SAMPLES"),
        ("--max-db-size", "SHIPSLOG_MAX_DB_SIZE"),
        ("--keep-deploys", "SHIPSLOG_KEEP_DEPLOYS"),
    ] {
        assert!(text.contains(flag) && text.contains(variable), "{flag}: {text}");
    }
    assert!(text.contains("SHIPSLOG_ADMIN_TOKEN") && text.contains("SHIPSLOG_VIEWER_TOKEN"));
}

#[test]
fn without_an_engine_it_serves_says_what_is_missing_and_takes_the_engine_up() {
    let Some(engine) = engine() else { return };
    let (data, proxy) = (data_dir(), SocketProxy::start(engine.host()));
    proxy.remove();
    let server = Setup::new(&data.path().join("d"), &proxy.address()).start();
    let viewer = server.viewer();
    let (_, system) = viewer.get("/api/system");
    assert_eq!(system["engine"]["available"], false);
    assert!(
        system["engine"]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("socket")),
        "{system}"
    );
    assert_eq!(
        (viewer.get("/readyz").0, viewer.get("/api/workloads").0),
        (200, 200)
    );
    assert!(wait_until(Duration::from_secs(60), || server
        .log_text()
        .contains("engine is missing")));
    proxy.restore();
    let taken_up = || viewer.get("/api/system").1["engine"]["available"] == true;
    assert!(wait_until(Duration::from_secs(60), taken_up));
    assert!(wait_until(Duration::from_secs(60), || server
        .log_text()
        .contains("engine is there")));
}

#[test]
fn a_foreign_host_header_is_misdirected() {
    let data = data_dir();
    let server = Setup::new(&data.path().join("d"), NOBODY).start();
    let status = Command::new("curl")
        .args([
            "-s",
            "-o",
            "/dev/null",
            "-w",
            "%{http_code}",
            "-H",
            "Host: evil.example",
        ])
        .arg(format!("http://{}/api/docs", server.address))
        .output()
        .unwrap();
    assert_eq!(String::from_utf8(status.stdout).unwrap(), "421");
}

#[test]
fn two_servers_never_share_a_data_directory() {
    let data = data_dir();
    let setup = Setup::new(&data.path().join("d"), NOBODY);
    let first = setup.start();
    let other = Setup::new(&data.path().join("d"), NOBODY).log_to(&data.path().join("other.log"));
    let (status, text) = other.run_to_end();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains("another"), "{text}");
    assert_eq!(first.viewer().get("/readyz").0, 200);
}

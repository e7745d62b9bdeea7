//! Faults of the disk and the database: a clear message and an exit status, never a silent fresh start.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rusqlite::Connection;
use serde_json::json;
use shipslog_test_support::{Cleanup, Health, ImageSpec, engine, unique};
use tempfile::TempDir;

use crate::harness::{Setup, data_dir, outcome, spec};
use crate::metrics::await_more_than_0;

const NOBODY: &str = "unix:///nonexistent/shipslog.sock";

/// A data directory in which a server has already kept one workload.
struct Kept {
    _dir: TempDir,
    data: PathBuf,
}

impl Kept {
    fn new() -> Self {
        let dir = data_dir();
        let data = dir.path().join("d");
        let server = Setup::new(&data, NOBODY).start();
        server.admin().create(&spec("kept", "registry.example/app:1"));
        server.terminate();
        Self { _dir: dir, data }
    }

    fn database(&self) -> PathBuf {
        self.data.join("shipslog.db")
    }

    /// The server refuses to start, in words that include all of these, and leaves the database as it is.
    #[track_caller]
    fn refuses(&self, words: &[&str]) {
        let before = fs::read(self.database()).unwrap();
        let (status, text) = Setup::new(&self.data, NOBODY).run_to_end();
        assert_eq!(status.code(), Some(1), "{text}");
        let message = text
            .lines()
            .find(|line| line.starts_with("shipslog: "))
            .unwrap_or_else(|| panic!("{text}"));
        for word in words {
            assert!(message.contains(word), "{word}: {message}");
        }
        assert!(
            fs::read(self.database()).unwrap() == before,
            "the database was changed"
        );
    }
}

#[test]
fn a_file_that_is_no_database_is_refused() {
    let kept = Kept::new();
    fs::write(
        kept.database(),
        "this is not a database, but it is somebody's file".repeat(100),
    )
    .unwrap();
    kept.refuses(&["shipslog.db"]);
}

#[test]
fn half_a_database_is_refused() {
    let kept = Kept::new();
    let bytes = fs::read(kept.database()).unwrap();
    fs::write(kept.database(), &bytes[..bytes.len() / 2 / 4096 * 4096]).unwrap();
    kept.refuses(&["shipslog.db"]);
}

#[test]
fn an_empty_file_where_data_was_is_refused() {
    let kept = Kept::new();
    fs::write(kept.database(), "").unwrap();
    kept.refuses(&["shipslog.db", "empty"]);
}

#[test]
fn a_database_of_a_newer_program_is_refused() {
    let kept = Kept::new();
    Connection::open(kept.database())
        .unwrap()
        .pragma_update(None, "user_version", 999)
        .unwrap();
    kept.refuses(&["shipslog.db", "newer"]);
}

#[test]
fn a_database_of_another_program_is_refused() {
    let kept = Kept::new();
    fs::remove_file(kept.database()).unwrap();
    Connection::open(kept.database())
        .unwrap()
        .execute_batch("CREATE TABLE notes (text)")
        .unwrap();
    kept.refuses(&["shipslog.db"]);
}

#[test]
fn a_database_that_another_process_holds_is_refused() {
    let kept = Kept::new();
    let other = Connection::open(kept.database()).unwrap();
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE")
        .unwrap();
    let (status, text) = Setup::new(&kept.data, NOBODY).run_to_end();
    assert_eq!(status.code(), Some(1), "{text}");
    assert!(text.contains("shipslog.db"), "{text}");
    drop(other);
    let server = Setup::new(&kept.data, NOBODY).start();
    assert_eq!(server.viewer().get("/api/workloads").1[0]["name"], "kept");
}

#[test]
fn a_data_directory_that_cannot_be_written_is_refused() {
    let dir = data_dir();
    fs::write(dir.path().join("file"), "").unwrap();
    for path in [dir.path().join("file"), PathBuf::from("/proc/shipslog-data")] {
        let setup = Setup::new(&path, NOBODY).log_to(&dir.path().join("log"));
        let (status, text) = setup.run_to_end();
        assert_eq!(status.code(), Some(1), "{text}");
        assert!(text.contains(&path.display().to_string()), "{text}");
    }
}

#[test]
fn while_another_process_locks_the_ledger_nothing_is_dispatched_and_rows_are_closed_later() {
    let Some(engine) = engine() else { return };
    let (name, data) = (unique("lock"), data_dir());
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let image = ImageSpec::web("v1")
        .health(Health::After(Duration::from_secs(3)))
        .build(&engine, &name);
    let server = Setup::new(&data.path().join("d"), engine.host()).start();
    let admin = server.admin();
    let id = admin.create(&spec(&name, image.tag()));
    let path = format!("/api/workloads/{id}/deploys");
    let (_, row) = admin.post(&path, &json!({}));
    // Pinned, so that nothing but the end of the row is left to be written.
    let row_path = format!("/api/deploys/{}", row["id"].as_str().unwrap());
    assert!(shipslog_test_support::wait_until(Duration::from_secs(60), || {
        admin.get(&row_path).1["reference"].is_string()
    }));
    let other = Connection::open(data.path().join("d/shipslog.db")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let second = admin.create_refused(&spec(&unique("lock"), image.tag()));
    assert_eq!(second.0, 503, "{}", second.1);
    assert_eq!(
        admin.get(&row_path).1["outcome"],
        "running",
        "reading goes on, and the row cannot be closed yet"
    );
    await_more_than_0(&server, "shipslog_ticks_failed_total{cause=\"store\"} ");
    drop(other);
    let closed = || admin.get(&row_path).1["outcome"] == "succeeded";
    assert!(
        shipslog_test_support::wait_until(Duration::from_secs(30), closed),
        "{}",
        server.log_text()
    );
}

/// A file system of a few MiB, unmounted when dropped.
struct SmallDisk(TempDir);

impl SmallDisk {
    fn mount() -> Option<Self> {
        let dir = data_dir();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=6m", "tmpfs"])
            .arg(dir.path())
            .status();
        if mounted.is_ok_and(|status| status.success()) {
            return Some(Self(dir));
        }
        eprintln!("SKIPPED: a small disk cannot be mounted; run as root");
        None
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.path()).status();
    }
}

#[test]
fn on_a_full_disk_nothing_is_dispatched_reading_goes_on_and_space_mends_it() {
    let Some(disk) = SmallDisk::mount() else { return };
    let logs = data_dir();
    let setup = Setup::new(&disk.path().join("d"), NOBODY).log_to(&logs.path().join("log"));
    let server = setup.start();
    let admin = server.admin();
    let id = admin.create(&spec("kept", "registry.example/app:1"));
    let filler = disk.path().join("filler");
    // The kernel's own "no space left" ends the copy; that is the point.
    let _ = Command::new("dd")
        .args(["if=/dev/zero", "bs=4k"])
        .arg(format!("of={}", filler.display()))
        .output();
    let path = format!("/api/workloads/{id}/deploys");
    let mut refused = None;
    // The journal may have room for a few more rows.
    for _ in 0..200 {
        let (status, body) = admin.post(&format!("{path}?wait=true"), &json!({}));
        if status == 503 {
            refused = Some(body);
            break;
        }
    }
    let refused = refused.expect("a full disk refuses dispatches");
    assert!(
        !refused.to_string().contains("SQLITE") && !refused.to_string().contains("disk is full"),
        "{refused}"
    );
    let rows = admin.ledger(&id).len();
    fs::remove_file(filler).unwrap();
    let row = admin.deploy(&id);
    assert_eq!(outcome(&row), ("failed", Some("engine_unavailable")));
    assert_eq!(admin.ledger(&id).len(), (rows + 1).min(50));
    assert_eq!(server.terminate().code(), Some(0));
}

#[test]
fn a_start_on_a_full_disk_says_so() {
    let Some(disk) = SmallDisk::mount() else { return };
    let logs = data_dir();
    let filler = disk.path().join("filler");
    let _ = Command::new("dd")
        .args(["if=/dev/zero", "bs=4k"])
        .arg(format!("of={}", filler.display()))
        .output();
    let (status, text) = Setup::new(&disk.path().join("d"), NOBODY)
        .log_to(&logs.path().join("log"))
        .run_to_end();
    assert_eq!(status.code(), Some(1));
    assert!(text.contains(&disk.path().display().to_string()), "{text}");
}

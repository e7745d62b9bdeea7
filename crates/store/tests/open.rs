//! What happens when a database is opened that is not as it should be: a clear answer, and never a fresh start.

#![allow(clippy::unwrap_used, reason = "a helper of tests may panic as they do")]

mod support;

use std::fs;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rusqlite::Connection;
use shipslog_core::deploys::DeployStore;
use shipslog_core::stats::StatsStore;
use shipslog_core::workloads::WorkloadStore;
use shipslog_store::{OpenError, SqliteOptions, SqliteStore};
use support::{Mount, beside, create, deploy, record};
use tempfile::{TempDir, tempdir};

/// A closed database with something in every table.
async fn database() -> (TempDir, std::path::PathBuf) {
    let directory = tempdir().unwrap();
    let path = directory.path().join("log.db");
    let store = SqliteStore::open(&path).unwrap();
    let id = create(&store, "web").await;
    for i in 0..200 {
        deploy(&store, &id).await;
        record(&store, 10 + i, 20, &id).await;
    }
    drop(store);
    (directory, path)
}

/// Opens what cannot be opened, twice: neither the first try nor its failure may change the answer.
fn refused(path: &Path) -> OpenError {
    let options = SqliteOptions::default().with_busy_timeout(Duration::from_millis(50));
    let first = SqliteStore::open_with(path, options).unwrap_err();
    let second = SqliteStore::open_with(path, options).unwrap_err();
    assert_eq!(first.to_string(), second.to_string());
    let source = std::error::Error::source(&second);
    assert!(source.is_none_or(|source| !second.to_string().contains(&source.to_string())));
    second
}

fn names(error: &OpenError, path: &Path) -> bool {
    error.to_string().contains(path.to_str().unwrap())
}

fn raw(path: &Path, sql: &str) {
    Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[tokio::test]
async fn what_was_written_is_there_again() {
    let (_directory, path) = database().await;
    let store = SqliteStore::open(&path).unwrap();
    let web = store.workloads().await.unwrap().remove(0);
    assert_eq!(web.spec().unwrap().0, &support::spec("web"));
    assert_eq!(store.all_deploys(&web.id).await.unwrap().len(), 200);
    assert_eq!(store.samples(&web.id, 0, 1_000).await.unwrap().len(), 4_000);
    let seen = store.seen_containers(&web.id).await.unwrap();
    assert!(
        seen.iter()
            .all(|container| (container.first_seen, container.last_seen) == (10, 209))
    );
    record(&store, 300, 20, &web.id).await;
    assert_eq!(store.seen_containers(&web.id).await.unwrap().len(), 20);
}

#[tokio::test]
async fn everything_is_made_for_the_owner_alone() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("deep").join("er").join("log.db");
    let store = SqliteStore::open(&path).unwrap();
    let id = create(&store, "web").await;
    record(&store, 10, 1, &id).await;
    store.prune_samples(1, 1).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let mut files: Vec<_> = fs::read_dir(path.parent().unwrap())
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    files.sort();
    let suffixes = ["", "-shm", "-wal", ".key", ".lock", ".reserve"];
    assert_eq!(files, suffixes.map(|suffix| beside(&path, suffix)));
    assert!(files.iter().all(|file| mode(file) == 0o600), "{files:?}");
    assert_eq!(
        (mode(path.parent().unwrap()), mode(&directory.path().join("deep"))),
        (0o700, 0o700)
    );
}

#[test]
fn a_database_of_another_program_is_left_alone() {
    let directory = tempdir().unwrap();
    let path = directory.path().join("other.db");
    raw(&path, "CREATE TABLE t (x); INSERT INTO t VALUES (1)");
    let before = fs::read(&path).unwrap();
    let error = refused(&path);
    assert!(
        matches!(error, OpenError::NotShipslog { .. }) && names(&error, &path),
        "{error}"
    );
    assert_eq!(fs::read(&path).unwrap(), before);
    assert!(!beside(&path, ".key").exists() && !beside(&path, "-wal").exists());
}

#[test]
fn what_is_no_database_is_told() {
    let directory = tempdir().unwrap();
    for (name, content) in [
        ("text", "not a database, but longer than a header\n".repeat(99)),
        ("short", "SQLite".into()),
    ] {
        let path = directory.path().join(name);
        fs::write(&path, &content).unwrap();
        let error = refused(&path);
        assert!(
            matches!(error, OpenError::Corrupt { .. }) && names(&error, &path),
            "{error}"
        );
        assert_eq!(fs::read_to_string(&path).unwrap(), content);
    }
}

#[tokio::test]
async fn half_a_database_is_damaged() {
    let (_directory, path) = database().await;
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(file.metadata().unwrap().len() / 2).unwrap();
    let error = refused(&path);
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn a_damaged_page_of_the_ledger_or_at_the_root_of_samples_is_found() {
    for table in ["deploys", "specs", "containers", "recent", "blocks"] {
        let (_directory, path) = database().await;
        let root = format!("SELECT rootpage FROM sqlite_schema WHERE name = '{table}'");
        let root: u64 = Connection::open(&path)
            .unwrap()
            .query_row(&root, [], |row| row.get(0))
            .unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        file.write_all_at(&[0xA5; 4096], (root - 1) * 4096).unwrap();
        let error = refused(&path);
        assert!(matches!(error, OpenError::Corrupt { .. }), "{table}: {error}");
    }
}

#[tokio::test]
async fn a_database_of_a_later_version_is_not_touched() {
    let (_directory, path) = database().await;
    raw(&path, "PRAGMA user_version = 99");
    let error = refused(&path);
    assert!(matches!(error, OpenError::Newer { found: 99, .. }), "{error}");
    let version = Connection::open(&path)
        .unwrap()
        .pragma_query_value(None, "user_version", |row| row.get(0));
    assert_eq!(version, Ok(99));
}

#[tokio::test]
async fn an_empty_file_is_no_new_beginning() {
    let (_directory, path) = database().await;
    fs::write(&path, "").unwrap();
    let error = refused(&path);
    assert!(
        matches!(error, OpenError::Empty { .. }) && names(&error, &path),
        "{error}"
    );
    fs::remove_file(beside(&path, ".key")).unwrap();
    assert!(matches!(refused(&path), OpenError::Empty { .. }));
    fs::write(beside(&path, "-wal"), "x").unwrap();
    assert!(matches!(refused(&path), OpenError::Empty { .. }));
    assert_eq!(fs::metadata(&path).unwrap().len(), 0);
}

#[tokio::test]
async fn a_database_that_vanished_is_not_replaced() {
    let (_directory, path) = database().await;
    fs::remove_file(&path).unwrap();
    let error = refused(&path);
    assert!(
        matches!(error, OpenError::Missing { .. }) && names(&error, &beside(&path, ".key")),
        "{error}"
    );
    fs::rename(beside(&path, ".key"), beside(&path, "-wal")).unwrap();
    let error = refused(&path);
    assert!(
        matches!(error, OpenError::Missing { .. }) && names(&error, &beside(&path, "-wal")),
        "{error}"
    );
    assert!(!path.exists());
}

#[tokio::test]
async fn a_first_start_that_broke_off_is_taken_up() {
    let (_directory, path) = database().await;
    fs::rename(&path, beside(&path, ".new")).unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.workloads().await.unwrap().len(), 1);
    drop(store);
    fs::rename(&path, beside(&path, ".new")).unwrap();
    fs::remove_file(beside(&path, ".key")).unwrap();
    fs::write(beside(&path, ".key.new"), "half a k").unwrap();
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(store.workloads().await.unwrap(), []);
}

#[test]
fn a_directory_or_a_path_below_a_file_cannot_be_written() {
    let directory = tempdir().unwrap();
    let error = refused(directory.path());
    assert!(
        matches!(error, OpenError::NotWritable { .. }) && names(&error, directory.path()),
        "{error}"
    );
    fs::write(directory.path().join("file"), "").unwrap();
    let error = refused(&directory.path().join("file").join("log.db"));
    assert!(matches!(error, OpenError::NotWritable { .. }), "{error}");
}

#[tokio::test]
async fn a_read_only_file_system_is_told() {
    let Some(mount) = Mount::new("16m") else { return };
    let path = mount.path().join("log.db");
    drop(SqliteStore::open(&path).unwrap());
    mount.remount("ro");
    let error = refused(&path);
    assert!(
        matches!(error, OpenError::NotWritable { .. }) && names(&error, &path),
        "{error}"
    );
    assert!(matches!(
        refused(&mount.path().join("new.db")),
        OpenError::NotWritable { .. }
    ));
}

#[tokio::test]
async fn a_full_disk_is_told_and_leaves_nothing_half_made() {
    let Some(mount) = Mount::new("64k") else { return };
    let path = mount.path().join("log.db");
    let error = refused(&path);
    assert!(
        matches!(error, OpenError::DiskFull { .. }) && names(&error, mount.path()),
        "{error}"
    );
    assert!(!path.exists());
    mount.remount("size=16m");
    let store = SqliteStore::open(&path).unwrap();
    create(&store, "web").await;
    drop(store);
    mount.fill();
    let error = refused(&path);
    assert!(matches!(error, OpenError::DiskFull { .. }), "{error}");
    fs::remove_file(mount.path().join("filler")).unwrap();
    assert_eq!(
        SqliteStore::open(&path).unwrap().workloads().await.unwrap().len(),
        1
    );
}

#[tokio::test]
async fn two_stores_do_not_share_a_file() {
    let (_directory, path) = database().await;
    let first = SqliteStore::open(&path).unwrap();
    let clone = first.clone();
    let error = refused(&path);
    assert!(
        matches!(error, OpenError::InUse { .. }) && names(&error, &path),
        "{error}"
    );
    drop(first);
    assert!(matches!(refused(&path), OpenError::InUse { .. }));
    drop(clone);
    SqliteStore::open(&path).unwrap();
}

#[tokio::test]
async fn a_file_that_another_program_locks_is_busy() {
    let (_directory, path) = database().await;
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE; COMMIT")
        .unwrap();
    let error = refused(&path);
    assert!(
        matches!(error, OpenError::Busy { .. }) && names(&error, &path),
        "{error}"
    );
    drop(other);
    SqliteStore::open(&path).unwrap();
}

#[tokio::test]
async fn a_missing_key_is_not_replaced() {
    let (_directory, path) = database().await;
    let key = beside(&path, ".key");
    let kept = fs::read(&key).unwrap();
    fs::remove_file(&key).unwrap();
    let error = refused(&path);
    assert!(
        matches!(error, OpenError::KeyMissing { .. }) && names(&error, &key),
        "{error}"
    );
    assert!(!key.exists());
    fs::write(&key, kept).unwrap();
    SqliteStore::open(&path).unwrap();
}

#[tokio::test]
async fn another_key_does_not_fit() {
    let (_directory, path) = database().await;
    let key = beside(&path, ".key");
    for wrong in [vec![7; 32], vec![7; 31], vec![7; 33], vec![]] {
        fs::write(&key, wrong).unwrap();
        let error = refused(&path);
        assert!(
            matches!(error, OpenError::KeyWrong { .. }) && names(&error, &key),
            "{error}"
        );
    }
}

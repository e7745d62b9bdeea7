//! The swarm that the tests of this binary share, also with other runs of it on the same machine.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;
use shipslog_test_support::{Engine, run_id};

/// Whoever needs the swarm holds a lock on this file, shared with all others who do, and a process that is killed lets go
/// of it. `tests/env/teardown.sh` knows it as well.
const LOCK: &str = "/tmp/shipslog-test-swarm.lock";
/// What a swarm says that tests made; one that was there before says nothing.
const MARK: &str = r#"{{with .Swarm.Cluster}}{{index .Spec.Labels "shipslog.test"}}{{end}}"#;

/// How many tests of this process need the swarm now, and the lock that they hold together.
static HOLD: Mutex<(u32, Option<File>)> = Mutex::new((0, None));

fn hold() -> MutexGuard<'static, (u32, Option<File>)> {
    HOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the engine in a swarm: one that was there before, which is left alone, or one that tests made, which the last
/// test of all runs leaves. One that a test was killed in is left by the next who let go of it.
#[derive(Debug)]
pub(crate) struct Node(Engine);

impl Node {
    pub(crate) fn in_swarm(engine: &Engine) -> Self {
        let mut hold = hold();
        if hold.0 == 0 {
            let lock = open_lock();
            lock.lock_shared().expect("a file can be locked");
            hold.1 = Some(lock);
            if !is_in_swarm(engine) {
                make(engine);
            }
        }
        hold.0 += 1;
        Self(engine.clone())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut hold = hold();
        hold.0 -= 1;
        if hold.0 > 0 {
            return;
        }
        let lock = hold.1.take();
        let is_last = lock.as_ref().is_some_and(|lock| lock.try_lock().is_ok());
        if is_last && is_of_tests(&self.0) {
            leave(&self.0);
        }
    }
}

fn open_lock() -> File {
    // One that is there may be another user's: to be locked it need not be written to.
    File::open(LOCK)
        .or_else(|_| File::create(LOCK))
        .expect("a file in /tmp can be opened")
}

fn is_in_swarm(engine: &Engine) -> bool {
    engine.docker(&["info", "--format", "{{.Swarm.LocalNodeState}}"]) != "inactive"
}

fn is_of_tests(engine: &Engine) -> bool {
    engine
        .try_docker(&["info", "--format", MARK])
        .is_ok_and(|mark| !mark.is_empty())
}

fn leave(engine: &Engine) {
    if let Err(output) = engine.try_docker(&["swarm", "leave", "--force"]) {
        eprintln!("the swarm could not be left: {output}");
    }
}

/// Nobody else is to join: it listens on the loopback interface alone. `docker swarm init` cannot set the mark, and what is
/// set afterwards is missing from a swarm whose maker was killed in between.
fn make(engine: &Engine) {
    let request = json!({
        "ListenAddr": "127.0.0.1", "AdvertiseAddr": "127.0.0.1",
        "Spec": {"Labels": {"shipslog.test": run_id()}},
    });
    let answer = post(engine, "/v1.40/swarm/init", &request.to_string());
    // Another run may have been faster.
    let is_made = answer.contains(" 200 OK\r\n") || is_in_swarm(engine);
    assert!(is_made, "no swarm could be made: {answer}");
}

fn post(engine: &Engine, path: &str, body: &str) -> String {
    let mut stream = UnixStream::connect(engine.socket()).expect("the engine's socket");
    let length = body.len();
    let head = format!("POST {path} HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {length}");
    let mut answer = String::new();
    write!(stream, "{head}\r\n\r\n{body}")
        .and_then(|()| stream.read_to_string(&mut answer).map(drop))
        .expect("the engine answers");
    answer
}

//! The swarm that the tests of this binary share.

use std::sync::{Mutex, MutexGuard, PoisonError};

use shipslog_test_support::{Engine, run_id};

/// How many tests need the swarm now, and whether these tests made it.
static HOLD: Mutex<(u32, bool)> = Mutex::new((0, false));

fn hold() -> MutexGuard<'static, (u32, bool)> {
    HOLD.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the engine in a swarm: one that was there before, which is left alone, or one of its own, which the last
/// test leaves. Should that test be killed, `tests/env/teardown.sh` finds the node by its label.
#[derive(Debug)]
pub(crate) struct Node(Engine);

impl Node {
    pub(crate) fn in_swarm(engine: &Engine) -> Self {
        let mut hold = hold();
        if hold.0 == 0 {
            hold.1 = engine.docker(&["info", "--format", "{{.Swarm.LocalNodeState}}"]) == "inactive";
            if hold.1 {
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
        if (hold.0, hold.1) != (0, true) {
            return;
        }
        if let Err(output) = self.0.try_docker(&["swarm", "leave", "--force"]) {
            eprintln!("the swarm could not be left: {output}");
        }
    }
}

/// Nobody else is to join: it listens on the loopback interface alone.
fn make(engine: &Engine) {
    let address = "127.0.0.1";
    engine.docker(&[
        "swarm",
        "init",
        "--advertise-addr",
        address,
        "--listen-addr",
        address,
    ]);
    let label = format!("shipslog.test={}", run_id());
    let node = engine.docker(&["node", "ls", "--quiet"]);
    engine.docker(&["node", "update", "--label-add", &label, &node]);
}

//! Live numbers: cursors, streams and tickets, of containers that come and go.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shipslog_test_support::{Cleanup, Engine, ImageSpec, SocketProxy, engine, unique, wait_until};
use tempfile::TempDir;

use crate::harness::{ADMIN, Client, Server, Setup, Socket, VIEWER, data_dir, message, open_socket};

/// How long anything may take that is to come about, on a machine that is busy with other things.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that polls each second, and one container on a tenth of a core.
struct Scene {
    engine: Engine,
    name: String,
    id: String,
    proxy: SocketProxy,
    server: Server,
    _data: TempDir,
    _cleanup: Cleanup,
}

fn run(engine: &Engine, name: &str) -> String {
    engine.docker(&["run", "-d", "--cpus", "0.1", "--name", name, name])
}

impl Scene {
    fn new() -> Option<Self> {
        let engine = engine()?;
        let (name, data) = (unique("live"), data_dir());
        let cleanup = Cleanup::new(&engine).prefix(&name);
        ImageSpec::cpu_burner().build(&engine, &name);
        let id = run(&engine, &name);
        let proxy = SocketProxy::start(engine.host());
        // Stored sampling stays out of the way.
        let setup = Setup::new(&data.path().join("d"), &proxy.address());
        let server = setup.tick("1h").flags(&["--poll", "1s"]).start();
        Some(Self {
            engine,
            name,
            id,
            proxy,
            server,
            _data: data,
            _cleanup: cleanup,
        })
    }

    fn viewer(&self) -> Client {
        self.server.viewer()
    }

    fn metrics(&self, id: &str, from: &str) -> Value {
        let (status, body) = self
            .viewer()
            .get(&format!("/api/containers/{id}/metrics?from={from}"));
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The first answer with a reading; on a busy machine the engine may need longer than an answer waits.
    fn first_metrics(&self) -> Value {
        let mut first = Value::Null;
        let is_read = || {
            first = self.metrics(&self.id, "0");
            count(&first) > 0
        };
        assert!(wait_until(PATIENCE, is_read));
        first
    }

    fn workload(&self) -> String {
        let (_, workloads) = self.viewer().get("/api/workloads");
        let mut workloads = workloads.as_array().unwrap().iter();
        let found = workloads.find(|workload| workload["name"] == self.name.as_str());
        found.unwrap()["id"].as_str().unwrap().to_owned()
    }

    /// Waits until the container is told to run, or not to.
    #[track_caller]
    fn until_running(&self, id: &str, running: bool) {
        let told = || self.metrics(id, "0")["is_running"] == running;
        assert!(wait_until(PATIENCE, told), "{}", self.metrics(id, "0"));
    }
}

/// Messages up to the one that is looked for.
#[track_caller]
fn until(socket: &mut Socket, is_it: impl Fn(&Value) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    let mut told = Vec::new();
    while !told.last().is_some_and(&is_it) {
        assert!(begun.elapsed() < PATIENCE, "{told:?}");
        let next = message(socket);
        // Who did not read for a while is told how many there were.
        if next["missed"].is_null() {
            told.push(next);
        }
    }
    told
}

/// About what the container may use. A reading soon after a late one sees a part of what the kernel gives in turns.
fn is_a_tenth(cpu_percent: &Value) -> bool {
    cpu_percent.as_f64().is_some_and(|cpu| (3.0..30.0).contains(&cpu))
}

fn count(answer: &Value) -> usize {
    answer["metrics"].as_array().unwrap().len()
}

fn from(answer: &Value) -> String {
    answer["from"].as_str().unwrap().to_owned()
}

#[test]
fn a_container_is_read_at_once_and_goes_on_from_a_cursor() {
    let Some(scene) = Scene::new() else { return };
    let first = scene.first_metrics();
    assert_eq!(first["is_running"], true, "{first}");
    assert_eq!(first["metrics"][0]["cpu"], Value::Null);
    assert!(first["metrics"][0]["mem"].as_u64().is_some_and(|bytes| bytes > 0));
    let mut cursor = from(&first);
    let mut read = Vec::new();
    let burning = || {
        let next = scene.metrics(&scene.id, &cursor);
        cursor = from(&next);
        assert_eq!(next["missed"], 0);
        read.extend(next["metrics"].as_array().unwrap().clone());
        read.len() >= 3
    };
    assert!(wait_until(PATIENCE, burning));
    let times: Vec<i64> = read
        .iter()
        .map(|metric| metric["timestamp"].as_i64().unwrap())
        .collect();
    assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
    assert!(read.iter().any(|metric| is_a_tenth(&metric["cpu"])), "{read:?}");
    let all = scene.metrics(&scene.id, "0");
    assert!(count(&all) > read.len());
}

#[test]
fn pause_stop_restart_and_removal_are_followed() {
    let Some(scene) = Scene::new() else { return };
    let docker = |args: &[&str]| scene.engine.docker(args);
    let id = scene.id.as_str();
    let before = scene.metrics(id, "0");
    scene.engine.pause(id);
    scene.until_running(id, false);
    assert_eq!(scene.metrics(id, &from(&before))["from"], before["from"]);
    docker(&["unpause", id]);
    scene.until_running(id, true);
    docker(&["restart", "--time", "1", id]);
    let beyond = || count(&scene.metrics(id, &from(&before))) >= 2;
    assert!(wait_until(PATIENCE, beyond));
    docker(&["stop", "--time", "1", id]);
    scene.until_running(id, false);
    assert_eq!(count(&scene.metrics(id, "0")), 0);
    docker(&["start", id]);
    scene.until_running(id, true);

    docker(&["rm", "--force", id]);
    scene.until_running(id, false);
    let anew = run(&scene.engine, &scene.name);
    scene.until_running(&anew, true);
    let read = || count(&scene.metrics(&anew, &from(&before))) >= 1;
    assert!(wait_until(PATIENCE, read));
    assert_eq!(
        scene.metrics(id, "0"),
        json!({"metrics": [], "from": "0", "missed": 0, "is_running": false})
    );
}

#[test]
fn a_stream_tells_each_tick_also_of_a_container_made_anew() {
    let Some(scene) = Scene::new() else { return };
    let workload = scene.workload();
    let path = format!("/api/workloads/{workload}/ws/stats");
    let bearer = format!("Bearer {VIEWER}");
    let mut socket = open_socket(&scene.server.address, &path, &[("authorization", &bearer)]).unwrap();
    until(&mut socket, |told| told["containers"] == 1);
    let points = until(&mut socket, |told| is_a_tenth(&told["cpu_percent"]));
    // One that was late and the next one may be of the same second.
    assert!(
        points
            .windows(2)
            .all(|pair| pair[0]["ts"].as_i64() <= pair[1]["ts"].as_i64()),
        "{points:?}"
    );
    let (_, live) = scene
        .viewer()
        .get(&format!("/api/workloads/{workload}/stats/live"));
    assert_eq!(
        (&live["live"], &live["point"]["containers"]),
        (&json!(true), &json!(1)),
        "{live}"
    );
    assert!(live["age_ms"].as_u64().is_some_and(|age| age < 30_000), "{live}");

    scene.engine.docker(&["rm", "--force", &scene.id]);
    until(&mut socket, |told| told["containers"] == 0);
    run(&scene.engine, &scene.name);
    until(&mut socket, |told| told["cpu_percent"].is_number());
}

#[test]
fn a_ticket_opens_its_stream_and_the_end_of_the_server_closes_it() {
    let Some(scene) = Scene::new() else { return };
    let address = scene.server.address.clone();
    let usage = "/api/ws/usage";
    assert_eq!(open_socket(&address, usage, &[]).unwrap_err(), 401);
    assert_eq!(scene.viewer().get(usage).0, 426);
    let (status, ticket) = scene.viewer().post("/api/tickets", &json!({"path": usage}));
    assert_eq!(status, 200, "{ticket}");
    let query = format!("?ticket={}", ticket["ticket"].as_str().unwrap());
    let other = format!("/api/workloads/{}/ws/stats{query}", scene.workload());
    assert_eq!(open_socket(&address, &other, &[]).unwrap_err(), 401);
    let mut sockets = [0, 1].map(|_| open_socket(&address, &format!("{usage}{query}"), &[]).unwrap());
    let workload = scene.workload();
    for socket in &mut sockets {
        let ours = |told: &Value| {
            let mut workloads = told["workloads"].as_array().into_iter().flatten();
            workloads
                .find(|each| each["workload_id"] == workload.as_str())
                .map(|each| each["point"].clone())
        };
        let told = until(socket, |told| {
            ours(told).is_some_and(|point| point["containers"] == 1)
        });
        let told = told.last().unwrap();
        assert!(
            told["total"]["memory_usage"].as_u64() >= ours(told).unwrap()["memory_usage"].as_u64(),
            "{told}"
        );
    }
    let bearer = format!("Bearer {ADMIN}");
    assert!(open_socket(&address, usage, &[("authorization", &bearer)]).is_ok());

    let begun = Instant::now();
    let [mut socket, _] = sockets;
    let closed = std::thread::spawn(move || {
        loop {
            match socket.read() {
                Ok(tungstenite::Message::Close(frame)) => return frame.map(|frame| u16::from(frame.code)),
                Ok(_) => {}
                Err(error) => panic!("{error}"),
            }
        }
    });
    let Scene { server, .. } = scene;
    assert_eq!(server.terminate().code(), Some(0));
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(closed.join().unwrap(), Some(1001));
}

#[test]
fn live_numbers_go_on_without_the_engine_and_with_it_again() {
    let Some(scene) = Scene::new() else { return };
    scene.until_running(&scene.id, true);
    // They come from the kernel's own files, so an engine that is gone or hangs takes nothing away.
    let grows = |what: &str| {
        let before = count(&scene.metrics(&scene.id, "0"));
        let told = || count(&scene.metrics(&scene.id, "0")) >= before + 5;
        assert!(
            wait_until(Duration::from_secs(60), told),
            "{what}: {}",
            scene.metrics(&scene.id, "0")
        );
    };
    for fail in [SocketProxy::cut as fn(&SocketProxy), SocketProxy::hang] {
        fail(&scene.proxy);
        grows("away");
        scene.proxy.restore();
        grows("back");
    }
    assert_eq!(scene.metrics(&scene.id, "0")["is_running"], true);
}

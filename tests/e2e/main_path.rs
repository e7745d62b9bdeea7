//! The main job, whole: deploy, fail without losing anything, roll back, chart.

use std::time::Duration;

use serde_json::{Value, json};
use shipslog_test_support::{
    Cleanup, Engine, ImageSpec, Pushed, Registry, SocketProxy, engine, free_port, http_get, unique,
    wait_until,
};
use tempfile::TempDir;

use crate::harness::{Client, Setup, data_dir, outcome, web_spec};

fn page(port: u16) -> String {
    http_get(&format!("127.0.0.1:{port}"), "/").1.trim().to_owned()
}

/// A server behind a proxy to the engine, with one workload whose image has a tag that moves.
struct Yard {
    engine: Engine,
    tag: String,
    port: u16,
    proxy: SocketProxy,
    registry: Registry,
    setup: Setup,
    _data: TempDir,
    _cleanup: Cleanup,
}

impl Yard {
    fn new() -> Option<Self> {
        let engine = engine()?;
        let (name, data) = (unique("main"), data_dir());
        let cleanup = Cleanup::new(&engine).prefix(&name);
        let registry = Registry::shared();
        let proxy = SocketProxy::start(engine.host());
        let setup =
            Setup::new(&data.path().join("d"), &proxy.address()).docker_config(registry.docker_config());
        let tag = format!("{name}:1");
        Some(Self {
            engine,
            tag,
            port: free_port(),
            proxy,
            registry,
            setup,
            _data: data,
            _cleanup: cleanup,
        })
    }

    fn publish(&self, image: ImageSpec) -> Pushed {
        image
            .build(&self.engine, &self.tag)
            .push(&self.registry, &self.tag)
    }

    fn name(&self) -> &str {
        self.tag.trim_end_matches(":1")
    }

    /// Version 1, version 2, one that fails, and back to version 1.
    fn deploy_and_roll_back(&self, admin: &Client) -> String {
        let v1 = self.publish(ImageSpec::web("v1"));
        let id = admin.create(&web_spec(self.name(), v1.reference(), self.port));
        let first = admin.deploy(&id);
        assert_eq!(outcome(&first), ("succeeded", None), "{first}");
        assert_eq!(
            (&first["requested"], &first["reference"]),
            (&json!(v1.reference()), &json!(v1.pinned()))
        );
        assert_eq!(
            (&first["current"], &first["strategy"]),
            (&json!(true), &json!("verify_then_swap"))
        );
        assert_eq!(
            (&first["triggered_by"], &first["reason"]),
            (&json!("admin"), &json!("manual"))
        );
        assert_eq!(page(self.port), "v1");

        // The tag moves under us.
        self.publish(ImageSpec::web("v2"));
        assert_eq!(outcome(&admin.deploy(&id)).0, "succeeded");
        assert_eq!(page(self.port), "v2");

        self.publish(ImageSpec::exits(3));
        let failed = admin.deploy(&id);
        assert_eq!(outcome(&failed), ("failed", Some("exited_at_once")));
        assert_eq!(
            (page(self.port).as_str(), &failed["current"]),
            ("v2", &json!(false))
        );

        let back = admin.roll_back(&id, &first);
        assert_eq!(outcome(&back).0, "succeeded", "{back}");
        assert_eq!(
            (&back["rollback_of"], &back["reason"]),
            (&first["id"], &json!("rollback"))
        );
        assert_eq!(
            (page(self.port).as_str(), &back["reference"]),
            ("v1", &first["reference"])
        );
        id
    }
}

#[test]
fn an_image_is_deployed_fails_rolls_back_and_is_charted() {
    let Some(yard) = Yard::new() else { return };
    let server = yard.setup.start();
    let admin = server.admin();
    let id = yard.deploy_and_roll_back(&admin);
    let currents: Vec<Value> = admin
        .ledger(&id)
        .iter()
        .map(|row| row["current"].clone())
        .collect();
    assert_eq!(currents, [json!(true), json!(false), json!(false), json!(false)]);
    let path = history(&id);
    assert!(
        wait_until(Duration::from_secs(60), || charted(&admin.get(&path).1)),
        "{:?}",
        admin.get(&path)
    );

    let running = &admin.get(&format!("/api/workloads/{id}")).1["containers"][0];
    assert_eq!(running["restarts"], 0, "{running}");
    // The list tells of creations in whole seconds.
    let second = |time: &str| running[time].as_str().map(|time| time[..19].to_owned());
    assert!(second("started_at") >= second("created_at"), "{running}");
    assert!(second("started_at").is_some(), "{running}");
    assert!(
        running["image_id"]
            .as_str()
            .is_some_and(|id| id.starts_with("sha256:")),
        "{running}"
    );

    let collector = &admin.get("/api/system").1["collector"];
    assert_eq!(collector["kind"], "cgroup", "{collector}");
    assert!(collector["reason"].is_string() && collector["shares"][0]["containers"].as_u64() >= Some(1));

    // History outlives the engine and the server.
    yard.proxy.cut();
    assert_eq!(server.terminate().code(), Some(0));
    let server = yard.setup.start();
    let viewer = server.viewer();
    assert!(charted(&viewer.get(&path).1));
    assert_eq!(viewer.ledger(&id).len(), 4);
    let (_, system) = viewer.get("/api/system");
    assert_eq!(system["engine"]["available"], false, "{system}");
    assert!(
        system["engine"]["reason"]
            .as_str()
            .is_some_and(|reason| !reason.is_empty())
    );
    yard.proxy.restore();
    assert!(wait_until(Duration::from_secs(60), || viewer
        .get("/api/system")
        .1["engine"]["available"]
        == true));
    assert_eq!(server.admin().delete(&format!("/api/workloads/{id}")).0, 204);
    let filter = format!("label=shipslog.workload={id}");
    assert_eq!(yard.engine.docker(&["ps", "-aq", "--filter", &filter]), "");
    assert_eq!(viewer.get(&path).0, 404);
}

fn history(id: &str) -> String {
    format!("/api/workloads/{id}/stats/history?window=5m")
}

/// At least two points, the newest with processor and memory use of exactly one container.
fn charted(points: &Value) -> bool {
    let Some(points) = points.as_array() else {
        return false;
    };
    let in_order = points
        .windows(2)
        .all(|pair| pair[0]["ts"].as_i64() < pair[1]["ts"].as_i64());
    let newest = points.last();
    let known = newest.is_some_and(|point| {
        point["cpu_percent"].is_number()
            && point["memory_usage"].as_u64().is_some_and(|bytes| bytes > 0)
            && point["network_rx"].is_number()
            && point["memory_limit"] == 0
            && point["containers"] == 1
    });
    points.len() >= 2 && in_order && known
}

/// Two containers of one Compose project and one on its own, each on a tenth of a core; the project's name.
fn run_burners(engine: &Engine, name: &str) -> String {
    ImageSpec::cpu_burner().build(engine, name);
    let project = format!("{name}-project");
    let label = format!("com.docker.compose.project={project}");
    for replica in ["a", "b"] {
        let container = format!("{name}-{replica}");
        engine.docker(&[
            "run", "-d", "--cpus", "0.1", "--label", &label, "--name", &container, name,
        ]);
    }
    engine.docker(&[
        "run",
        "-d",
        "--cpus",
        "0.1",
        "--name",
        &format!("{name}-alone"),
        name,
    ]);
    project
}

fn find(viewer: &Client, name: &str) -> Value {
    let (_, workloads) = viewer.get("/api/workloads");
    let mut workloads = workloads.as_array().unwrap().iter();
    workloads
        .find(|workload| workload["name"] == name)
        .cloned()
        .unwrap()
}

#[test]
fn containers_that_run_already_appear_with_numbers() {
    let Some(engine) = engine() else { return };
    let (name, data) = (unique("seen"), data_dir());
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let project = run_burners(&engine, &name);
    let server = Setup::new(&data.path().join("d"), engine.host()).start();
    let viewer = server.viewer();
    let (pair, alone) = (find(&viewer, &project), find(&viewer, &format!("{name}-alone")));
    assert_eq!(
        (&pair["managed"], &pair["state"]),
        (&json!(false), &json!("running"))
    );
    let count = |workload: &Value| workload["containers"].as_array().unwrap().len();
    assert_eq!((count(&pair), count(&alone)), (2, 1));
    let path = format!("/api/workloads/{}", pair["id"].as_str().unwrap());
    let history = format!("{path}/stats/history?window=5m");
    let burning = || {
        let (_, points) = viewer.get(&history);
        let newest = points
            .as_array()
            .and_then(|points| points.last().cloned())
            .unwrap_or_default();
        newest["containers"] == 2
            && newest["cpu_percent"]
                .as_f64()
                .is_some_and(|cpu| (5.0..45.0).contains(&cpu))
    };
    assert!(
        wait_until(Duration::from_secs(30), burning),
        "{:?}",
        viewer.get(&history)
    );
    let (status, refusal) = server.admin().post(&format!("{path}/deploys"), &json!({}));
    assert_eq!(status, 409);
    assert!(
        refusal["detail"].as_str().unwrap().contains("observed"),
        "{refusal}"
    );
    assert_eq!(server.admin().delete(&path).0, 409);
}

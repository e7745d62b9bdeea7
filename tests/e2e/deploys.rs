//! Deploys that go wrong, on the real engine: each gives its marker, one closed row, and leaves the old container serving.

use std::io::Read as _;
use std::net::TcpListener;
use std::time::Duration;

use serde_json::{Value, json};
use shipslog_test_support::{
    Cleanup, Engine, Health, Image, ImageSpec, Registry, SocketProxy, StubRegistry, engine, free_port,
    http_get, try_http_get, unique, wait_until,
};
use tempfile::TempDir;

use crate::harness::{Client, Server, Setup, data_dir, outcome, spec, web_spec};

/// A server with one workload, whose version 1 serves.
struct Site {
    engine: Engine,
    name: String,
    port: u16,
    id: String,
    registry: Registry,
    config: TempDir,
    proxy: SocketProxy,
    server: Server,
    admin: Client,
    first: Value,
    /// The container that serves version 1.
    container: String,
    _data: TempDir,
    _cleanup: Cleanup,
}

/// What served at one moment, to be compared with later.
struct Serving {
    version: &'static str,
    container: String,
    ledger: Vec<Value>,
}

impl Site {
    fn new() -> Option<Self> {
        let engine = engine()?;
        let (name, port, data, config) = (unique("site"), free_port(), data_dir(), data_dir());
        let cleanup = Cleanup::new(&engine).prefix(&name);
        let registry = Registry::start();
        registry.write_docker_config(config.path(), None);
        let proxy = SocketProxy::start(engine.host());
        let tag = format!("{name}:1");
        let v1 = ImageSpec::web("v1").build(&engine, &tag).push(&registry, &tag);
        let server = Setup::new(&data.path().join("d"), &proxy.address())
            .docker_config(config.path())
            .start();
        let admin = server.admin();
        let id = admin.create(&web_spec(&name, v1.reference(), port));
        let first = admin.deploy(&id);
        assert_eq!(outcome(&first).0, "succeeded", "{first} {}", server.log_text());
        let mut site = Self {
            engine,
            name,
            port,
            id,
            registry,
            config,
            proxy,
            server,
            admin,
            first,
            container: String::new(),
            _data: data,
            _cleanup: cleanup,
        };
        site.container = site.serving("v1").container;
        Some(site)
    }

    fn build(&self, image: ImageSpec, tag: &str) -> Image {
        image.build(&self.engine, &format!("{}:{tag}", self.name))
    }

    fn push(&self, image: ImageSpec, tag: &str) -> String {
        self.build(image, tag)
            .push(&self.registry, &format!("{}:{tag}", self.name))
            .reference()
            .to_owned()
    }

    /// A container that was put back may have been started a moment ago and not listen yet.
    #[track_caller]
    fn serves(&self, version: &str) {
        let address = format!("127.0.0.1:{}", self.port);
        let listens = wait_until(Duration::from_secs(60), || try_http_get(&address, "/").is_ok());
        assert!(listens, "nobody listens at {address}");
        let (status, page) = http_get(&address, "/");
        assert_eq!((status, page.trim()), (200, version));
    }

    /// Containers of the workload that run.
    fn running(&self) -> Vec<String> {
        let filter = format!("label=shipslog.workload={}", self.id);
        self.engine
            .docker(&["ps", "-q", "--filter", &filter])
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// Of the workload's containers, one alone runs, and it serves this version.
    #[track_caller]
    fn serving(&self, version: &'static str) -> Serving {
        self.serves(version);
        let mut running = self.running();
        assert_eq!(running.len(), 1, "{running:?}");
        Serving {
            version,
            container: running.remove(0),
            ledger: self.admin.ledger(&self.id),
        }
    }

    /// The newest row failed with this marker, version 1 serves alone, from the container that served it before, and
    /// the ledger has exactly two rows, both closed.
    #[track_caller]
    fn failed_with(&self, row: &Value, marker: &str) {
        let before = Serving {
            version: "v1",
            container: self.container.clone(),
            ledger: vec![
                self.admin
                    .get(&format!("/api/deploys/{}", text(&self.first["id"])))
                    .1,
            ],
        };
        self.failed_back_to(&before, row, marker);
    }

    /// The newest row failed with this marker and is the only one that came to the ledger; what served before serves.
    #[track_caller]
    fn failed_back_to(&self, before: &Serving, row: &Value, marker: &str) {
        assert_eq!(
            outcome(row),
            ("failed", Some(marker)),
            "{row} {}",
            self.server.log_text()
        );
        let now = self.serving(before.version);
        assert_eq!(now.container, before.container);
        assert_eq!(now.ledger[1..], before.ledger);
        assert_eq!(now.ledger[0]["id"], row["id"]);
        assert_eq!(now.ledger[0]["current"], false);
        assert!(now.ledger[0]["finished_at"].is_string());
        let current = now.ledger.iter().filter(|row| row["current"] == true).count();
        assert_eq!(current, 1, "what serves is in the ledger");
    }

    /// Dispatches, and lets somebody else at the engine before the dispatch has got to the service's own container.
    /// Answers the closed row.
    #[track_caller]
    fn interfered(&self, path: &str, body: &Value, interfere: impl FnOnce(&Value)) -> Value {
        let path = format!("/api/workloads/{}/{path}", self.id);
        let (status, row) = self.admin.post(&path, body);
        assert_eq!(status, 202, "{row}");
        // The trial takes a second to count as healthy; until then nothing else is made.
        self.proxy.hang();
        interfere(&row);
        self.proxy.restore();
        closed(&self.admin, &row)
    }

    /// A container that is none of ours takes the name that the deploy's own would have. Answers its id.
    fn take_name(&self, row: &Value) -> String {
        let id = text(&row["id"]);
        let name = format!("{}-{}", self.name, &id[id.len() - 8..]);
        let image = text(&self.first["reference"]);
        self.engine.docker(&["create", "--name", &name, image])
    }

    /// A container of another image passes for one of the deploy.
    fn pass_for(&self, row: &Value, image: &str) {
        let labels = [
            format!("shipslog.workload={}", self.id),
            format!("shipslog.deploy={}", text(&row["id"])),
        ];
        let name = format!("{}-impostor", self.name);
        self.engine.docker(&[
            "run", "-d", "--name", &name, "--label", &labels[0], "--label", &labels[1], image,
        ]);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

#[test]
fn a_version_that_never_gets_healthy_is_unhealthy() {
    let Some(site) = Site::new() else { return };
    let reference = site.push(ImageSpec::web("v3").health(Health::Never), "3");
    site.failed_with(&site.admin.deploy_reference(&site.id, &reference), "unhealthy");
}

#[test]
fn a_version_that_is_still_starting_at_the_deadline_timed_out() {
    let Some(site) = Site::new() else { return };
    let mut spec = web_spec(&site.name, "", site.port);
    spec["rollout"]["health_timeout_s"] = json!(2);
    spec["source"]["reference"] = json!(site.push(
        ImageSpec::web("v3").health(Health::After(Duration::from_secs(3600))),
        "3"
    ));
    assert_eq!(
        site.admin.put(&format!("/api/workloads/{}", site.id), &spec).0,
        200
    );
    site.failed_with(&site.admin.deploy(&site.id), "health_timeout");
}

#[test]
fn a_port_that_a_foreign_process_holds_is_taken() {
    let Some(site) = Site::new() else { return };
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let spec = web_spec(
        &site.name,
        site.first["requested"].as_str().unwrap(),
        foreign.local_addr().unwrap().port(),
    );
    assert_eq!(
        site.admin.put(&format!("/api/workloads/{}", site.id), &spec).0,
        200
    );
    site.failed_with(&site.admin.deploy(&site.id), "port_taken");
}

#[test]
fn a_tag_that_does_not_exist_is_not_found() {
    let Some(site) = Site::new() else { return };
    let reference = format!("{}/{}:nosuch", site.registry.host(), site.name);
    site.failed_with(
        &site.admin.deploy_reference(&site.id, &reference),
        "image_not_found",
    );
}

#[test]
fn a_wrong_password_is_denied() {
    let Some(site) = Site::new() else { return };
    let reference = site.push(ImageSpec::web("v3"), "3");
    site.registry
        .write_docker_config(site.config.path(), Some("not the password"));
    site.failed_with(
        &site.admin.deploy_reference(&site.id, &reference),
        "registry_denied",
    );
}

#[test]
fn a_registry_that_is_down_is_unreachable() {
    let Some(mut site) = Site::new() else { return };
    let reference = site.push(ImageSpec::web("v3"), "3");
    site.registry.stop();
    site.failed_with(
        &site.admin.deploy_reference(&site.id, &reference),
        "registry_unreachable",
    );
}

#[test]
fn a_registry_that_echoes_the_credentials_is_denied_and_leaks_nothing() {
    let Some(site) = Site::new() else { return };
    let stub = StubRegistry::basic();
    let password = "c4n4ry+echo/of=the:registry";
    shipslog_test_support::write_docker_config(site.config.path(), stub.host(), "canary-user", password);
    let row = site
        .admin
        .deploy_reference(&site.id, &format!("{}/app:1", stub.host()));
    site.failed_with(&row, "registry_denied");
    assert!(!stub.seen().is_empty(), "the stub was asked with the credentials");
    let log = site.server.log_text();
    assert!(
        log.contains("registry_denied") && !log.contains(password),
        "{log}"
    );
}

#[test]
fn a_name_that_a_foreign_container_has_is_a_conflict_and_the_foreign_one_is_left_alone() {
    let Some(site) = Site::new() else { return };
    let reference = site.push(ImageSpec::web("v2"), "2");
    let mut foreign = String::new();
    let row = site.interfered("deploys", &json!({ "reference": reference }), |row| {
        foreign = site.take_name(row);
    });
    site.failed_with(&row, "name_conflict");
    let format = ["inspect", "--format", "{{.State.Status}}"];
    assert_eq!(
        site.engine.docker(&[&format[..], &[&foreign]].concat()),
        "created"
    );

    assert_eq!(
        outcome(&site.admin.deploy_reference(&site.id, &reference)).0,
        "succeeded"
    );
    let before = site.serving("v2");
    let row = site.interfered("rollback", &json!({"deploy_id": site.first["id"]}), |row| {
        foreign = site.take_name(row);
    });
    site.failed_back_to(&before, &row, "name_conflict");
    assert_eq!(row["rollback_of"], site.first["id"]);
    assert_eq!(
        site.engine.docker(&[&format[..], &[&foreign]].concat()),
        "created"
    );
}

#[test]
fn what_runs_beside_the_pin_in_a_deploys_name_is_a_mismatch() {
    let Some(site) = Site::new() else { return };
    let other = site.build(ImageSpec::sleeper(), "other");
    let reference = site.push(ImageSpec::web("v2"), "2");
    let row = site.interfered("deploys", &json!({ "reference": reference }), |row| {
        site.pass_for(row, other.tag());
    });
    site.failed_with(&row, "image_mismatch");

    assert_eq!(
        outcome(&site.admin.deploy_reference(&site.id, &reference)).0,
        "succeeded"
    );
    let before = site.serving("v2");
    let row = site.interfered("rollback", &json!({"deploy_id": site.first["id"]}), |row| {
        site.pass_for(row, other.tag());
    });
    site.failed_back_to(&before, &row, "image_mismatch");
    assert_eq!(row["rollback_of"], site.first["id"]);
}

#[test]
fn an_engine_lost_in_the_middle_of_a_pull_is_unavailable_and_taken_up_again() {
    let Some(site) = Site::new() else { return };
    let slow = SocketProxy::start(site.registry.host());
    slow.limit(1024 * 1024);
    let host = slow.address();
    let host = host.trim_start_matches("tcp://");
    shipslog_test_support::write_docker_config(
        site.config.path(),
        host,
        site.registry.user(),
        site.registry.password(),
    );
    let image = site.build(ImageSpec::web("v3").payload_mib(24), "3");
    image.push(&site.registry, &format!("{}:3", site.name));
    image.remove();
    let body = json!({ "reference": format!("{host}/{}:3", site.name) });
    let (status, row) = site
        .admin
        .post(&format!("/api/workloads/{}/deploys", site.id), &body);
    assert_eq!((status, &row["outcome"]), (202, &json!("running")), "{row}");
    assert!(
        wait_until(Duration::from_secs(30), || slow.passed() > 2 * 1024 * 1024),
        "the pull does not begin"
    );
    site.proxy.cut();
    let row = closed(&site.admin, &row);
    assert_eq!(outcome(&row), ("failed", Some("engine_unavailable")), "{row}");
    site.serves("v1");
    site.proxy.restore();
    site.failed_with(&row, "engine_unavailable");
    let reference = site.push(ImageSpec::web("v4"), "4");
    assert!(wait_until(Duration::from_secs(60), || site
        .admin
        .get("/api/system")
        .1["engine"]["available"]
        == true));
    site.registry.write_docker_config(site.config.path(), None);
    assert_eq!(
        outcome(&site.admin.deploy_reference(&site.id, &reference)).0,
        "succeeded"
    );
    site.serves("v4");
}

/// The row once it is closed.
fn closed(admin: &Client, row: &Value) -> Value {
    let path = format!("/api/deploys/{}", row["id"].as_str().unwrap());
    let mut row = Value::Null;
    let done = wait_until(Duration::from_secs(60), || {
        row = admin.get(&path).1;
        row["outcome"] != "running"
    });
    assert!(done, "{row}");
    row
}

#[test]
fn a_digest_that_is_gone_everywhere_is_refused_and_nothing_is_touched() {
    let Some(site) = Site::new() else { return };
    let second = site
        .admin
        .deploy_reference(&site.id, &site.push(ImageSpec::web("v2"), "2"));
    assert_eq!(outcome(&second).0, "succeeded");
    let pinned = site.first["reference"].as_str().unwrap();
    let digest = pinned.split_once('@').unwrap().1;
    site.registry.delete_manifest(&site.name, digest);
    let image = site
        .engine
        .docker(&["image", "inspect", "--format", "{{.Id}}", pinned]);
    site.engine.docker(&["rmi", "-f", &image]);
    let path = format!("/api/workloads/{}/rollback", site.id);
    let (status, problem) = site.admin.post(&path, &json!({"deploy_id": site.first["id"]}));
    assert_eq!(status, 409, "{problem}");
    assert!(problem["detail"].as_str().unwrap().contains("image"), "{problem}");
    site.serves("v2");
    assert_eq!(site.admin.ledger(&site.id).len(), 2);
}

#[test]
fn a_rollback_pulls_by_digest_what_was_removed_from_the_host() {
    let Some(site) = Site::new() else { return };
    assert_eq!(
        outcome(
            &site
                .admin
                .deploy_reference(&site.id, &site.push(ImageSpec::web("v2"), "1"))
        )
        .0,
        "succeeded"
    );
    site.serves("v2");
    let pinned = site.first["reference"].as_str().unwrap();
    let image = site
        .engine
        .docker(&["image", "inspect", "--format", "{{.Id}}", pinned]);
    site.engine.docker(&["rmi", "-f", &image]);
    let back = site.admin.roll_back(&site.id, &site.first);
    assert_eq!(outcome(&back).0, "succeeded", "{back}");
    site.serves("v1");
    let container = site.running().remove(0);
    assert_eq!(
        site.engine
            .docker(&["inspect", "--format", "{{.Image}}", &container]),
        image
    );
}

#[test]
fn an_image_that_exists_only_here_needs_no_registry() {
    let Some(site) = Site::new() else { return };
    let image = site.build(ImageSpec::web("local"), "only-here");
    let row = site.admin.deploy_reference(&site.id, image.tag());
    assert_eq!(outcome(&row).0, "succeeded", "{row} {}", site.server.log_text());
    assert_eq!(row["reference"], image.id());
    site.serves("local");
}

#[test]
fn events_tell_a_pull_with_its_bytes_and_end_with_the_outcome() {
    let Some(site) = Site::new() else { return };
    let image = site.build(ImageSpec::web("v3").payload_mib(8), "3");
    let reference = image
        .push(&site.registry, &format!("{}:3", site.name))
        .reference()
        .to_owned();
    image.remove();
    let _ = site.engine.try_docker(&["rmi", "-f", &reference]);
    let (_, row) = site.admin.post(
        &format!("/api/workloads/{}/deploys", site.id),
        &json!({ "reference": reference }),
    );
    let stream = site
        .admin
        .open(&format!("/api/deploys/{}/events", row["id"].as_str().unwrap()))
        .unwrap();
    let mut text = String::new();
    stream
        .into_body()
        .into_reader()
        .read_to_string(&mut text)
        .unwrap();
    let data = |event: &str| -> Vec<Value> {
        let blocks = text
            .split("\n\n")
            .filter(|block| block.contains(&format!("event: {event}\n")));
        let lines = blocks.filter_map(|block| block.lines().find_map(|line| line.strip_prefix("data: ")));
        lines.map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let steps = data("step");
    let pulled = steps
        .iter()
        .rfind(|step| step["step"] == "pulling")
        .unwrap_or_else(|| panic!("{text}"));
    assert!(pulled["bytes_total"].as_u64().unwrap() > 8_000_000, "{pulled}");
    for step in [
        "resolving",
        "creating",
        "starting",
        "waiting_for_health",
        "swapping",
        "verifying",
    ] {
        assert!(
            steps.iter().any(|told| told["step"] == step),
            "{step} is missing: {text}"
        );
    }
    let outcomes = data("outcome");
    assert_eq!(
        (outcomes.len(), &outcomes[0]["outcome"]),
        (1, &json!("succeeded"))
    );
    assert!(text.trim_end().ends_with(&format!(
        "data: {}",
        text.rsplit("data: ").next().unwrap().trim_end()
    )));
}

#[test]
fn without_a_port_the_new_starts_before_the_old_stops_and_replicas_are_all_replaced() {
    let Some(engine) = engine() else { return };
    let (name, data) = (unique("pair"), data_dir());
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let registry = Registry::shared();
    let server = Setup::new(&data.path().join("d"), engine.host())
        .docker_config(registry.docker_config())
        .start();
    let admin = server.admin();
    let mut reference = String::new();
    let mut push = |version: &str| {
        let tag = format!("{name}:{version}");
        reference = ImageSpec::web(version)
            .health(Health::Always)
            .build(&engine, &tag)
            .push(&registry, &tag)
            .reference()
            .to_owned();
        reference.clone()
    };
    let mut pair = spec(&name, &push("1"));
    pair["replicas"] = json!(2);
    let id = admin.create(&pair);
    for reference in [push("1"), push("2")] {
        let row = admin.deploy_reference(&id, &reference);
        assert_eq!(
            (outcome(&row).0, &row["strategy"]),
            ("succeeded", &json!("start_then_stop")),
            "{row}"
        );
        let (_, view) = admin.get(&format!("/api/workloads/{id}"));
        assert_eq!(
            (&view["state"], &view["current_deploy"]["id"]),
            (&json!("running"), &row["id"]),
            "{view}"
        );
        let ours = |container: &Value| container["deploy"] == row["id"] && container["state"] == "running";
        let settled = || {
            let (_, view) = admin.get(&format!("/api/workloads/{id}"));
            let containers = view["containers"].as_array().unwrap();
            containers.len() == 2 && containers.iter().all(ours)
        };
        assert!(wait_until(Duration::from_secs(60), settled));
    }
}

#[test]
fn a_watched_version_that_falls_over_later_is_rolled_back_by_itself() {
    let Some(site) = Site::new() else { return };
    let path = format!("/api/workloads/{}", site.id);
    let still_well = "touch /ok; (sleep 15; rm /ok) & httpd -f -p 80 -h /";
    for (image, check, marker) in [
        (
            ImageSpec::script("sleep 15; exit 1"),
            Value::Null,
            "exited_at_once",
        ),
        (
            ImageSpec::script(still_well),
            json!({"command": ["test", "-e", "/ok"], "interval_s": 1, "timeout_s": 10, "retries": 1}),
            "unhealthy",
        ),
    ] {
        let mut spec = web_spec(&site.name, &site.push(image, marker), site.port);
        spec["rollout"]["watch_s"] = json!(120);
        spec["rollout"]["on_unhealthy"] = json!("rollback");
        spec["healthcheck"] = check;
        let (status, body) = site.admin.put(&path, &spec);
        assert_eq!(status, 200, "{body}");
        let before = site.admin.ledger(&site.id);
        let deployed = site.admin.deploy(&site.id);
        assert_eq!(outcome(&deployed).0, "succeeded", "{deployed}");
        let rolled_back = || {
            let ledger = site.admin.ledger(&site.id);
            ledger.len() == before.len() + 2 && ledger[0]["outcome"] == "succeeded"
        };
        assert!(
            wait_until(Duration::from_secs(180), rolled_back),
            "{}",
            site.server.log_text()
        );
        let row = &site.admin.ledger(&site.id)[0];
        assert_eq!(
            (
                &row["reason"],
                &row["triggered_by"],
                &row["note"],
                &row["current"]
            ),
            (
                &json!("auto_rollback"),
                &json!("watch"),
                &json!(marker),
                &json!(true)
            )
        );
        assert_eq!(
            (&row["rollback_of"], &row["reference"]),
            (&before[0]["id"], &site.first["reference"])
        );
        site.serving("v1");
    }
}

//! Canaries are sent through everything that fails on a real engine; then the data, the log and all answers are searched for them.

use std::cell::RefCell;
use std::io::Read as _;
use std::path::Path;

use serde_json::{Value, json};
use shipslog_core::testing::canary::{Canaries, Canary};
use shipslog_test_support::{Cleanup, Image, ImageSpec, StubRegistry, engine, unique, write_docker_config};
use tempfile::TempDir;

use crate::harness::{Client, Server, Setup, data_dir, outcome, spec};

/// A server whose secrets are all canaries, and every answer that it gave.
struct Aviary {
    canaries: Canaries,
    dir: TempDir,
    server: Server,
    admin: Client,
    viewer: Client,
    answers: RefCell<Vec<String>>,
}

impl Aviary {
    fn new(docker: &str) -> Self {
        let (canaries, dir) = (Canaries::random(), data_dir());
        let secret = dir.path().join("db-password");
        std::fs::write(&secret, canaries.env_secret.value()).unwrap();
        let server = Setup::new(&dir.path().join("d"), docker)
            .env("SHIPSLOG_ADMIN_TOKEN", canaries.token.value())
            .docker_config(dir.path())
            .start();
        let admin = Client::new(&server.address, Some(canaries.token.value()));
        let viewer = server.viewer();
        Self {
            canaries,
            dir,
            server,
            admin,
            viewer,
            answers: RefCell::default(),
        }
    }

    fn keep(&self, answer: (u16, Value)) -> (u16, Value) {
        self.answers.borrow_mut().push(answer.1.to_string());
        answer
    }

    /// A workload with all secrets that a spec can hold. The answer is not kept: an admin gets back what an admin wrote.
    fn create(&self, name: &str, image: &str, command: &[&str]) -> String {
        let mut spec = spec(name, image);
        let argument = format!("-p{}", self.canaries.argv_secret.value());
        spec["command"] = command
            .iter()
            .map(|part| json!(part))
            .chain([json!(argument)])
            .collect();
        let secret = format!("file:{}", self.dir.path().join("db-password").display());
        spec["env"] = json!([{"name": "DB_PASSWORD", "secret": secret}, {"name": "TOKEN", "value": self.canaries.token.value()}]);
        spec["healthcheck"] = json!({
            "command": ["sh", "-c", "echo $DB_PASSWORD $TOKEN; exit 1"], "interval_s": 1, "timeout_s": 2, "retries": 1,
        });
        self.admin.create(&spec)
    }

    /// Deploys, follows the events, and keeps all that was heard.
    fn deploy(&self, workload: &str, reference: &str) -> Value {
        let path = format!("/api/workloads/{workload}/deploys");
        let (status, row) = self.keep(self.admin.post(&path, &json!({ "reference": reference })));
        assert_eq!(status, 202, "{row}");
        let id = row["id"].as_str().unwrap();
        let events = self.viewer.open(&format!("/api/deploys/{id}/events")).unwrap();
        let mut heard = String::new();
        events
            .into_body()
            .into_reader()
            .read_to_string(&mut heard)
            .unwrap();
        self.answers.borrow_mut().push(heard);
        for path in [
            format!("/api/deploys/{id}"),
            path,
            format!("/api/workloads/{workload}"),
            "/api/workloads".into(),
        ] {
            self.keep(self.viewer.get(&path));
        }
        self.viewer.get(&format!("/api/deploys/{id}")).1
    }

    #[track_caller]
    fn fails(&self, workload: &str, reference: &str, marker: &str) {
        let row = self.deploy(workload, reference);
        assert_eq!(outcome(&row), ("failed", Some(marker)), "{row}");
    }

    fn refused(&self, body: &Value) {
        let (status, problem) = self.keep(self.admin.post("/api/workloads", body));
        assert!((400..500).contains(&status), "{status} {problem}");
    }

    /// Nothing of what was kept holds a canary in any encoding.
    #[track_caller]
    fn none_got_out(&self) {
        for answer in self.answers.borrow().iter() {
            assert_eq!(self.canaries.find_in(answer.as_bytes()), None, "{answer}");
        }
        let log = self.server.log_text();
        let found = self.canaries.find_in(log.as_bytes());
        assert_eq!(found, None, "the log has {} lines", log.lines().count());
        self.search(&self.dir.path().join("d"));
    }

    fn search(&self, folder: &Path) {
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut searched = 0;
        for path in files.filter(|path| path.is_file()) {
            let found = self.canaries.find_in(&std::fs::read(&path).unwrap());
            assert_eq!(found, None, "{}", path.display());
            searched += 1;
        }
        assert!(searched >= 2, "the database and its journal are there");
    }
}

fn sleeper(engine: &shipslog_test_support::Engine, name: &str) -> Image {
    ImageSpec::sleeper().build(engine, name)
}

fn percent(canary: &Canary) -> String {
    canary
        .value()
        .bytes()
        .map(|byte| format!("%{byte:02X}"))
        .collect()
}

#[test]
fn no_failing_path_lets_a_secret_out() {
    let Some(engine) = engine() else { return };
    let name = unique("canary");
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let aviary = Aviary::new(engine.host());
    let image = sleeper(&engine, &name);
    let exits = ImageSpec::exits(1).build(&engine, &format!("{name}:exits"));

    let workload = aviary.create(&name, image.tag(), &["sh", "-c", "sleep 1000"]);
    aviary.fails(&workload, image.tag(), "unhealthy");
    aviary.fails(
        &workload,
        &format!("127.0.0.1:1/{name}:1"),
        "registry_unreachable",
    );
    for stub in [StubRegistry::basic(), StubRegistry::bearer()] {
        write_docker_config(
            aviary.dir.path(),
            stub.host(),
            "user",
            aviary.canaries.registry_password.value(),
        );
        aviary.fails(&workload, &format!("{}/app:1", stub.host()), "registry_denied");
        assert!(!stub.seen().is_empty(), "the stub was never asked");
    }
    let workload = aviary.create(&format!("{name}-argv"), image.tag(), &["/nonexistent"]);
    aviary.fails(&workload, image.tag(), "start_failed");
    let workload = aviary.create(&format!("{name}-exit"), exits.tag(), &["sh", "-c", "exit 1"]);
    aviary.fails(&workload, exits.tag(), "exited_at_once");

    let userinfo = percent(&aviary.canaries.url_userinfo);
    for reference in [
        format!("https://user:{userinfo}@host/app"),
        format!("user:{userinfo}@host/app:1"),
    ] {
        aviary.refused(&spec("userinfo", &reference));
        let path = format!("/api/workloads/{workload}/deploys");
        assert_eq!(
            aviary
                .keep(aviary.admin.post(&path, &json!({ "reference": reference })))
                .0,
            422
        );
    }
    for canary in aviary.canaries.all() {
        aviary.refused(&json!({"name": {"x": canary.value()}, "source": canary.value()}));
        aviary.refused(&json!({"name": canary.value(), "source": {"kind": "image", "reference": "a"}}));
        aviary.refused(&json!({"name": "x", "source": {"kind": canary.value(), "reference": "a"}, "ports": canary.value()}));
    }
    std::fs::remove_file(aviary.dir.path().join("db-password")).unwrap();
    aviary.fails(&workload, exits.tag(), "secret_missing");
    aviary.none_got_out();
}

//! Canaries are sent through everything that fails on a real engine; then the data, the log and all answers are searched for them.

use std::cell::RefCell;
use std::io::Read as _;
use std::net::TcpListener;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use shipslog_core::testing::canary::{Canaries, Canary, Flock};
use shipslog_test_support::{
    Cleanup, Engine, Image, ImageSpec, Registry, SocketProxy, StubRegistry, engine, unique,
    write_docker_config,
};
use tempfile::TempDir;

use crate::harness::{Client, Server, Setup, data_dir, outcome, spec};

/// A server whose secrets are all canaries, and every answer that it gave.
struct Aviary {
    canaries: Canaries,
    /// Generated ones, as many as a test asked for.
    flock: Flock,
    dir: TempDir,
    server: Server,
    admin: Client,
    viewer: Client,
    answers: RefCell<Vec<String>>,
}

impl Aviary {
    fn new(docker: &str, generated: usize) -> Self {
        let (canaries, dir) = (Canaries::random(), data_dir());
        let seed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        println!("seed {seed}");
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
            flock: Flock::seeded(seed, generated),
            dir,
            server,
            admin,
            viewer,
            answers: RefCell::default(),
        }
    }

    fn arguments(&self) -> &[String] {
        &self.flock.values()[IN_ENV..IN_ENV + IN_ARGV]
    }

    fn programs(&self) -> &[String] {
        &self.flock.values()[IN_ENV + IN_ARGV..][..PROGRAMS]
    }

    fn passwords(&self) -> &[String] {
        &self.flock.values()[IN_ENV + IN_ARGV + PROGRAMS..]
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
        self.is_clean(self.answers.borrow().join("\n").as_bytes(), "an answer");
        self.is_clean(self.server.log_text().as_bytes(), "the log");
        self.search(&self.dir.path().join("d"));
    }

    #[track_caller]
    fn is_clean(&self, bytes: &[u8], what: &str) {
        assert_eq!(self.canaries.find_in(bytes), None, "{what}");
        let found = self.flock.find_in(bytes);
        let line = || {
            bytes
                .split(|byte| *byte == b'\n')
                .find(|line| self.flock.find_in(line).is_some())
        };
        assert_eq!(
            found,
            None,
            "{what}: {}",
            String::from_utf8_lossy(line().unwrap_or_default())
        );
    }

    fn search(&self, folder: &Path) {
        let files = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut searched = 0;
        for path in files.filter(|path| path.is_file()) {
            self.is_clean(&std::fs::read(&path).unwrap(), &path.display().to_string());
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
    let aviary = Aviary::new(engine.host(), 0);
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

/// Generated canaries in one spec: half of these as literal values of the environment, half in files.
const IN_ENV: usize = 120;
/// Of these, a third is arguments of the healthcheck.
const IN_ARGV: usize = 114;
/// One at a time: the program to be started, which the engine quotes when there is none of that name.
const PROGRAMS: usize = 9;
/// One at a time: passwords that a registry quotes.
const PASSWORDS: usize = 18;

/// A workload whose spec carries hundreds of generated canaries into each of its dispatches.
struct Carrier<'a> {
    aviary: &'a Aviary,
    name: String,
    image: String,
    id: String,
    /// How many canaries the spec holds.
    carried: usize,
    /// How many went through how many failing paths.
    cases: usize,
}

impl<'a> Carrier<'a> {
    fn new(aviary: &'a Aviary, name: &str, image: &str) -> Self {
        let id = aviary.admin.create(&spec(name, image));
        Self {
            aviary,
            name: name.to_owned(),
            image: image.to_owned(),
            id,
            carried: 0,
            cases: 0,
        }
    }

    fn env(&self) -> Vec<Value> {
        let values = self.aviary.flock.values().iter().take(IN_ENV).enumerate();
        let var = |(n, value): (usize, &String)| match n % 2 {
            0 => json!({"name": format!("V{n}"), "value": value}),
            _ => json!({"name": format!("V{n}"), "secret": format!("file:{}", self.keep(n, value))}),
        };
        values.map(var).collect()
    }

    fn keep(&self, n: usize, value: &str) -> String {
        let path = self.aviary.dir.path().join(format!("secret-{n}"));
        std::fs::write(&path, value).unwrap();
        path.display().to_string()
    }

    /// Runs this command, with canaries as arguments, and probes with others. Both print all that they have.
    fn run(&mut self, command: &[&str], change: &Value) {
        let (argv, probed) = self.aviary.arguments().split_at(IN_ARGV * 2 / 3);
        let mut spec = spec(&self.name, &self.image);
        spec["command"] = command
            .iter()
            .copied()
            .chain(argv.iter().map(String::as_str))
            .collect();
        let probe = ["sh", "-c", "env; echo \"$@\"; exit 1", "probe"];
        let probe: Vec<&str> = probe
            .into_iter()
            .chain(probed.iter().map(String::as_str))
            .collect();
        spec["env"] = json!(self.env());
        spec["healthcheck"] = json!({"command": probe, "interval_s": 1, "timeout_s": 2, "retries": 1});
        spec.as_object_mut()
            .unwrap()
            .extend(change.as_object().unwrap().clone());
        let probes = if spec["healthcheck"].is_null() {
            0
        } else {
            probed.len()
        };
        self.carried = IN_ENV + argv.len() + probes;
        let path = format!("/api/workloads/{}", self.id);
        let (status, problem) = self.aviary.admin.put(&path, &spec);
        assert_eq!(status, 200, "{problem}");
    }

    #[track_caller]
    fn fails(&mut self, reference: &str, marker: &str) {
        self.aviary.fails(&self.id, reference, marker);
        self.cases += self.carried;
    }

    /// The path where a program is not found, with a canary for its name.
    #[track_caller]
    fn fails_to_start(&mut self, program: &str) {
        self.run(&[program], &json!({}));
        self.fails(&self.image.clone(), "start_failed");
        self.cases += 1;
    }

    /// The path where a registry, or its token server, quotes the credentials.
    #[track_caller]
    fn is_denied_everywhere(&mut self) {
        let stubs = [StubRegistry::basic(), StubRegistry::bearer()];
        for (n, password) in self.aviary.passwords().iter().enumerate() {
            self.is_denied(&stubs[n % stubs.len()], password);
        }
    }

    #[track_caller]
    fn is_denied(&mut self, stub: &StubRegistry, password: &str) {
        write_docker_config(self.aviary.dir.path(), stub.host(), "user", password);
        let asked = stub.seen().len();
        self.fails(&format!("{}/app:1", stub.host()), "registry_denied");
        assert!(stub.seen().len() > asked, "the stub was never asked");
        self.cases += 1;
    }
}

/// Whether the values stand in what the engine says of the newest container of the workload.
fn arrived(engine: &Engine, workload: &str, values: &[String]) -> bool {
    let filter = format!("label=shipslog.workload={workload}");
    let container = engine.docker(&["ps", "-aq", "-n", "1", "--filter", &filter]);
    let config = engine.docker(&["inspect", "--format", "{{json .Config}}", &container]);
    let config: Value = serde_json::from_str(&config).unwrap();
    let given = |key: &str| config[key].as_array().cloned().unwrap_or_default();
    let words: Vec<Value> = [given("Env"), given("Cmd"), given("Entrypoint")].concat();
    let words: Vec<&str> = words.iter().filter_map(Value::as_str).collect();
    values.iter().all(|value| {
        words
            .iter()
            .any(|word| word == value || word.ends_with(&format!("={value}")))
    })
}

#[test]
fn hundreds_of_generated_secrets_on_every_failing_path_and_none_gets_out() {
    let Some(engine) = engine() else { return };
    let name = unique("flock");
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let proxy = SocketProxy::start(engine.host());
    let aviary = Aviary::new(&proxy.address(), IN_ENV + IN_ARGV + PROGRAMS + PASSWORDS);
    let image = sleeper(&engine, &name);
    let mut carrier = Carrier::new(&aviary, &name, image.tag());
    let sleep = ["sh", "-c", "sleep 1000", "sleep"];
    let healthy = json!({"healthcheck": null});

    // Something to go back to, and proof that the canaries get as far as the engine.
    let folder = data_dir();
    let mount = json!({"healthcheck": null, "mounts": [{"source": folder.path(), "target": "/data"}]});
    carrier.run(&sleep, &mount);
    let first = aviary.deploy(&carrier.id, image.tag());
    assert_eq!(outcome(&first).0, "succeeded", "{first}");
    let carried = &aviary.flock.values()[..IN_ENV + IN_ARGV * 2 / 3];
    assert!(
        arrived(&engine, &carrier.id, carried),
        "the engine was not given all canaries"
    );
    let (_, spec) = aviary.admin.get(&format!("/api/workloads/{}", carrier.id));
    assert!(
        aviary.flock.find_in(spec.to_string().as_bytes()).is_some(),
        "the search finds nothing"
    );
    drop(folder);
    let path = format!("/api/workloads/{}/rollback?wait=true", carrier.id);
    let (_, back) = aviary.keep(aviary.admin.post(&path, &json!({"deploy_id": first["id"]})));
    assert_eq!(outcome(&back), ("failed", Some("create_failed")), "{back}");
    carrier.cases += carrier.carried;

    carrier.run(&sleep, &json!({}));
    carrier.fails(image.tag(), "unhealthy");
    carrier.run(&["sh", "-c", "env; echo \"$@\" >&2; exit 1", "exits"], &healthy);
    carrier.fails(image.tag(), "exited_at_once");
    carrier.run(&sleep, &mount);
    carrier.fails(image.tag(), "create_failed");
    let foreign = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = foreign.local_addr().unwrap().port();
    carrier.run(
        &sleep,
        &json!({"ports": [{"host": port, "container": 80, "host_ip": "127.0.0.1"}]}),
    );
    carrier.fails(image.tag(), "port_taken");
    for program in aviary.programs() {
        carrier.fails_to_start(program);
    }

    carrier.run(&sleep, &healthy);
    carrier.fails(&format!("127.0.0.1:1/{name}:1"), "registry_unreachable");
    proxy.cut();
    carrier.fails(image.tag(), "engine_unavailable");
    proxy.restore();
    let registry = Registry::shared();
    registry.write_docker_config(aviary.dir.path(), None);
    carrier.fails(&format!("{}/{name}:nosuch", registry.host()), "image_not_found");
    carrier.is_denied_everywhere();
    std::fs::remove_file(aviary.dir.path().join("secret-1")).unwrap();
    carrier.fails(image.tag(), "secret_missing");

    println!("{} cases", carrier.cases);
    assert!(carrier.cases >= 1_000, "{} cases", carrier.cases);
    aviary.none_got_out();
}

//! The example server as a child process, and a client for it.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use shipslog_test_support::wait_until;
use tempfile::TempDir;
use tungstenite::client::IntoClientRequest as _;
use tungstenite::http::HeaderName;
use tungstenite::{Error, HandshakeError, Message, WebSocket};
use ureq::http::Response;
use ureq::{Agent, Body};

pub(crate) const ADMIN: &str = "admin-token-of-the-end-to-end-tests";
pub(crate) const VIEWER: &str = "viewer-token-of-the-end-to-end-tests";

/// A server to be started: data directory, engine, and environment.
pub(crate) struct Setup {
    data: PathBuf,
    docker: String,
    env: Vec<(String, String)>,
    flags: Vec<String>,
    log: PathBuf,
}

impl Setup {
    pub(crate) fn new(data: &Path, docker: &str) -> Self {
        let flags = ["--listen", "127.0.0.1:0", "--tick", "1s"]
            .map(str::to_owned)
            .to_vec();
        let tokens = [("SHIPSLOG_ADMIN_TOKEN", ADMIN), ("SHIPSLOG_VIEWER_TOKEN", VIEWER)];
        let env = tokens
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec();
        Self {
            data: data.to_owned(),
            docker: docker.to_owned(),
            env,
            flags,
            log: data.with_extension("log"),
        }
    }

    /// Writes the log elsewhere than beside the data.
    pub(crate) fn log_to(mut self, path: &Path) -> Self {
        path.clone_into(&mut self.log);
        self
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn docker_config(self, folder: &Path) -> Self {
        self.env("DOCKER_CONFIG", &folder.display().to_string())
    }

    pub(crate) fn without_tokens(mut self) -> Self {
        self.env.retain(|(name, _)| !name.ends_with("_TOKEN"));
        self
    }

    pub(crate) fn listen(mut self, address: &str) -> Self {
        self.flags[1] = address.to_owned();
        self
    }

    pub(crate) fn tick(mut self, tick: &str) -> Self {
        self.flags[3] = tick.to_owned();
        self
    }

    pub(crate) fn flags(mut self, flags: &[&str]) -> Self {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
        self
    }

    /// The server's program, which `cargo test` builds beside the tests when it is not told what to test.
    pub(crate) fn program() -> PathBuf {
        let tests = std::env::current_exe().unwrap();
        let target = tests.parent().and_then(Path::parent).unwrap();
        let program = target.join("examples/server");
        assert!(
            is_up_to_date(&program),
            "{} is not what the sources say: run cargo build --example server",
            program.display()
        );
        program
    }

    fn command(&self) -> Command {
        let mut command = Command::new(Self::program());
        for name in [
            "SHIPSLOG_ADMIN_TOKEN",
            "SHIPSLOG_VIEWER_TOKEN",
            "SHIPSLOG_LISTEN",
            "SHIPSLOG_DATA",
            "DOCKER_HOST",
        ] {
            command.env_remove(name);
        }
        command
            .args(["--data".as_ref(), self.data.as_os_str()])
            .args(["--docker", &self.docker])
            .args(&self.flags);
        command
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .env("RUST_LOG", "debug,hyper=info,h2=info");
        let log = File::options().append(true).create(true).open(&self.log).unwrap();
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(log);
        command
    }

    /// Starts the server and waits until it listens.
    #[track_caller]
    pub(crate) fn start(&self) -> Server {
        let before = fs::metadata(&self.log).map_or(0, |log| log.len());
        let child = self.command().spawn().unwrap();
        let mut server = Server {
            child,
            address: String::new(),
            log: self.log.clone(),
        };
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(60) {
            if let Some(address) = listening(&server.log, before) {
                server.address = address;
                return server;
            }
            assert!(
                server.child.try_wait().unwrap().is_none(),
                "the server ended: {}",
                server.log_text()
            );
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("the server does not listen: {}", server.log_text());
    }

    /// Runs a server that is expected to end by itself: its status and what it wrote to stderr.
    pub(crate) fn run_to_end(&self) -> (ExitStatus, String) {
        let _ = fs::remove_file(&self.log);
        let mut child = self.command().spawn().unwrap();
        let ended = wait_until(Duration::from_secs(60), || child.try_wait().unwrap().is_some());
        if !ended {
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        let text = fs::read_to_string(&self.log).unwrap();
        assert!(ended, "the server goes on: {text}");
        (status, text)
    }
}

/// Whether the program is there, and none of its sources was changed since. Its dependency file names them.
fn is_up_to_date(program: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified());
    let (Ok(built), Ok(sources)) = (changed(program), fs::read_to_string(program.with_extension("d"))) else {
        return false;
    };
    let sources = sources.split_once(": ").map_or("", |(_, sources)| sources);
    sources
        .split_whitespace()
        .all(|source| changed(Path::new(source)).is_ok_and(|source| source <= built))
}

fn listening(log: &Path, from: u64) -> Option<String> {
    let text = fs::read(log).ok()?;
    let text = String::from_utf8_lossy(text.get(from as usize..)?).into_owned();
    let (_, rest) = text.split_once("listening on http://")?;
    rest.split_once('\n')
        .map(|(address, _)| address.trim().to_owned())
}

/// A server that runs; killed when dropped.
pub(crate) struct Server {
    child: Child,
    pub(crate) address: String,
    log: PathBuf,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Server {
    pub(crate) fn log_text(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).unwrap()).into_owned()
    }

    /// The first line on its stdout.
    pub(crate) fn first_line(&mut self) -> String {
        let mut line = String::new();
        BufReader::new(self.child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        line
    }

    /// `kill -9`, and waits for the end.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM, and waits for the end.
    pub(crate) fn terminate(mut self) -> ExitStatus {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        let ended = wait_until(Duration::from_secs(90), || {
            self.child.try_wait().unwrap().is_some()
        });
        assert!(ended, "the server does not stop: {}", self.log_text());
        self.child.wait().unwrap()
    }

    pub(crate) fn admin(&self) -> Client {
        Client::new(&self.address, Some(ADMIN))
    }

    pub(crate) fn viewer(&self) -> Client {
        Client::new(&self.address, Some(VIEWER))
    }
}

/// A client with a token.
#[derive(Clone)]
pub(crate) struct Client {
    agent: Agent,
    base: String,
    token: Option<String>,
}

/// An open WebSocket.
pub(crate) type Socket = WebSocket<TcpStream>;

/// Opens the WebSocket at a path, with these headers; the status when it is refused.
pub(crate) fn open_socket(address: &str, path: &str, headers: &[(&str, &str)]) -> Result<Socket, u16> {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    match tungstenite::client(request, stream) {
        Ok((socket, _)) => Ok(socket),
        Err(HandshakeError::Failure(Error::Http(answer))) => Err(answer.status().as_u16()),
        Err(error) => panic!("{path}: {error}"),
    }
}

/// The next message of a WebSocket.
#[track_caller]
pub(crate) fn message(socket: &mut Socket) -> Value {
    loop {
        match socket.read().unwrap() {
            Message::Text(text) => return serde_json::from_str(&text).unwrap(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("not a message: {other:?}"),
        }
    }
}

/// Status and body; the body is `null` where there is none.
pub(crate) type Answer = (u16, Value);

impl Client {
    pub(crate) fn new(address: &str, token: Option<&str>) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0);
        let agent = config
            .timeout_global(Some(Duration::from_secs(180)))
            .build()
            .into();
        Self {
            agent,
            base: format!("http://{address}"),
            token: token.map(str::to_owned),
        }
    }

    fn bearer(&self) -> String {
        self.token
            .as_ref()
            .map(|token| format!("Bearer {token}"))
            .unwrap_or_default()
    }

    /// The answer as it comes: for streams and headers.
    pub(crate) fn open(&self, path: &str) -> Result<Response<Body>, ureq::Error> {
        self.agent
            .get(format!("{}{path}", self.base))
            .header("Authorization", self.bearer())
            .call()
    }

    pub(crate) fn get(&self, path: &str) -> Answer {
        answer(self.open(path))
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Answer {
        self.try_post(path, body)
            .unwrap_or_else(|error| panic!("POST {path}: {error}"))
    }

    /// The answer, or an error when the server went away.
    pub(crate) fn try_post(&self, path: &str, body: &Value) -> Result<Answer, ureq::Error> {
        let request = self
            .agent
            .post(format!("{}{path}", self.base))
            .header("Authorization", self.bearer());
        read(request.send_json(body)?)
    }

    pub(crate) fn put(&self, path: &str, body: &Value) -> Answer {
        let request = self
            .agent
            .put(format!("{}{path}", self.base))
            .header("Authorization", self.bearer());
        answer(request.send_json(body))
    }

    pub(crate) fn delete(&self, path: &str) -> Answer {
        let request = self
            .agent
            .delete(format!("{}{path}", self.base))
            .header("Authorization", self.bearer());
        answer(request.call())
    }

    /// Creates a workload and answers its id.
    #[track_caller]
    pub(crate) fn create(&self, spec: &Value) -> String {
        let (status, body) = self.post("/api/workloads", spec);
        assert_eq!(status, 201, "{body}");
        body["id"].as_str().unwrap().to_owned()
    }

    /// Tries to create a workload that is to be refused.
    pub(crate) fn create_refused(&self, spec: &Value) -> Answer {
        self.post("/api/workloads", spec)
    }

    /// Deploys what the spec says, waits, and answers the closed row.
    #[track_caller]
    pub(crate) fn deploy(&self, workload: &str) -> Value {
        self.deploy_with(workload, &json!({}))
    }

    #[track_caller]
    pub(crate) fn deploy_reference(&self, workload: &str, reference: &str) -> Value {
        self.deploy_with(workload, &json!({ "reference": reference }))
    }

    #[track_caller]
    fn deploy_with(&self, workload: &str, body: &Value) -> Value {
        let (status, row) = self.post(&format!("/api/workloads/{workload}/deploys?wait=true"), body);
        assert_eq!(status, 200, "{row}");
        row
    }

    #[track_caller]
    pub(crate) fn roll_back(&self, workload: &str, deploy: &Value) -> Value {
        let (status, row) = self.post(
            &format!("/api/workloads/{workload}/rollback?wait=true"),
            &json!({"deploy_id": deploy["id"]}),
        );
        assert_eq!(status, 200, "{row}");
        row
    }

    /// The ledger, newest first.
    #[track_caller]
    pub(crate) fn ledger(&self, workload: &str) -> Vec<Value> {
        let (status, rows) = self.get(&format!("/api/workloads/{workload}/deploys"));
        assert_eq!(status, 200, "{rows}");
        rows.as_array().unwrap().clone()
    }
}

#[track_caller]
fn answer(response: Result<Response<Body>, ureq::Error>) -> Answer {
    response.and_then(read).unwrap()
}

fn read(mut response: Response<Body>) -> Result<Answer, ureq::Error> {
    let mut text = String::new();
    response.body_mut().as_reader().read_to_string(&mut text)?;
    let body = serde_json::from_str(&text)
        .unwrap_or_else(|_| if text.is_empty() { Value::Null } else { json!(text) });
    Ok((response.status().as_u16(), body))
}

/// The outcome of a row, with its marker if it has one.
pub(crate) fn outcome(row: &Value) -> (&str, Option<&str>) {
    (
        row["outcome"].as_str().unwrap_or("none"),
        row["error"]["marker"].as_str(),
    )
}

/// A directory for a server's data.
pub(crate) fn data_dir() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// A spec of an image, with short limits so that tests are quick.
pub(crate) fn spec(name: &str, reference: &str) -> Value {
    json!({
        "name": name,
        "source": {"kind": "image", "reference": reference},
        "rollout": {"min_healthy_s": 1, "stop_timeout_s": 2, "health_timeout_s": 10},
    })
}

/// The same with a port published on loopback.
pub(crate) fn web_spec(name: &str, reference: &str, port: u16) -> Value {
    let mut spec = spec(name, reference);
    spec["ports"] = json!([{"host": port, "container": 80, "host_ip": "127.0.0.1"}]);
    spec
}

//! Registries that want a password: the run's shared one, or a throw-away one per test.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;

use crate::docker_config::{basic_credentials, write_docker_config};
use crate::http::request;
use crate::names::random_hex;
use crate::wait::wait_until;

const START_TIMEOUT: Duration = Duration::from_secs(30);

/// A registry on a loopback port, with HTTP Basic credentials and deletion enabled.
///
/// One that was started by [`Registry::start`] ends with the value.
#[derive(Debug)]
pub struct Registry {
    host: String,
    user: String,
    password: String,
    docker_config: TempDir,
    server: Option<Server>,
}

impl Registry {
    /// The registry of this test run, from `SHIPSLOG_TEST_REGISTRY` and its two companions.
    /// Panics when one of them is unset: where there is an engine, there is a registry.
    pub fn shared() -> Self {
        let [host, user, password] = ["", "_USER", "_PASSWORD"].map(|suffix| {
            let name = format!("SHIPSLOG_TEST_REGISTRY{suffix}");
            std::env::var(&name).unwrap_or_else(|_| panic!("{name} is not set; `make test` sets it"))
        });
        Self::new(host, user, password, None)
    }

    /// Starts a `docker-registry` with an empty storage and random credentials, on a free port.
    pub fn start() -> Self {
        let (user, password) = ("test".to_owned(), random_hex(16));
        let server = Server::start(&user, &password);
        Self::new(server.address.clone(), user, password, Some(server))
    }

    fn new(host: String, user: String, password: String, server: Option<Server>) -> Self {
        let docker_config = TempDir::new().expect("a temporary folder can be made");
        write_docker_config(docker_config.path(), &host, &user, &password);
        Self {
            host,
            user,
            password,
            docker_config,
            server,
        }
    }

    /// `host:port`, as an image reference begins.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Who may push, pull and delete.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The password of [`Registry::user`].
    pub fn password(&self) -> &str {
        &self.password
    }

    /// A client configuration folder with this registry's credentials. It ends with the value.
    pub fn docker_config(&self) -> &Path {
        self.docker_config.path()
    }

    /// Writes `folder/config.json` with this registry's user and its password, or another one.
    pub fn write_docker_config(&self, folder: &Path, password_override: Option<&str>) {
        let password = password_override.unwrap_or(&self.password);
        write_docker_config(folder, &self.host, &self.user, password);
    }

    /// Deletes the manifest `digest` (`sha256:...`) of `repository`; panics unless it was there.
    /// Tags that named it are gone with it.
    pub fn delete_manifest(&self, repository: &str, digest: &str) {
        let path = format!("/v2/{repository}/manifests/{digest}");
        let credentials = basic_credentials(&self.user, &self.password);
        let header = ("Authorization", format!("Basic {credentials}"));
        let (status, body) = request("DELETE", &self.host, &path, &[(header.0, &header.1)])
            .unwrap_or_else(|error| panic!("DELETE {path}: {error}"));
        assert_eq!(status, 202, "DELETE {path}: {body}");
    }

    /// Stops a registry that [`Registry::start`] started: connections are refused from here on.
    /// Panics for the shared one, which other tests use.
    pub fn stop(&mut self) {
        self.server
            .take()
            .expect("only a registry of the test's own can be stopped");
    }
}

/// A `docker-registry` process and its files. Killed on drop.
#[derive(Debug)]
struct Server {
    process: Child,
    address: String,
    _folder: TempDir,
}

impl Server {
    fn start(user: &str, password: &str) -> Self {
        let folder = TempDir::new().expect("a temporary folder can be made");
        let log = folder.path().join("log");
        fs::write(folder.path().join("htpasswd"), htpasswd(user, password)).expect("htpasswd can be written");
        fs::write(folder.path().join("config.yml"), configuration(folder.path()))
            .expect("config can be written");
        let mut process = spawn(folder.path(), &log);
        let mut address = None;
        let _ = wait_until(START_TIMEOUT, || {
            address = listening_address(&log);
            address.is_some() || process.try_wait().is_ok_and(|status| status.is_some())
        });
        let Some(address) = address else {
            let _ = process.kill();
            panic!(
                "docker-registry did not start: {}",
                fs::read_to_string(&log).unwrap_or_default()
            );
        };
        Self {
            process,
            address,
            _folder: folder,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn spawn(folder: &Path, log: &Path) -> Child {
    let log = File::create(log).expect("the log can be created");
    Command::new("docker-registry")
        .args(["serve", "config.yml"])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .expect("docker-registry can be run")
}

/// The configuration file is YAML, of which JSON is a part.
fn configuration(folder: &Path) -> String {
    json!({
        "version": "0.1",
        "log": { "level": "info" },
        "storage": { "filesystem": { "rootdirectory": folder.join("storage") }, "delete": { "enabled": true } },
        "http": { "addr": "127.0.0.1:0", "secret": random_hex(16) },
        "auth": { "htpasswd": { "realm": "shipslog test", "path": folder.join("htpasswd") } },
    })
    .to_string()
}

/// The registry picks its own free port and says so in its log once it listens.
fn listening_address(log: &Path) -> Option<String> {
    let log = fs::read_to_string(log).ok()?;
    let (_, rest) = log.split_once("listening on ")?;
    let (address, _) = rest.split_once('"')?;
    Some(address.to_owned())
}

/// One line of an htpasswd file. The password goes in by stdin: arguments are for all to see.
fn htpasswd(user: &str, password: &str) -> Vec<u8> {
    let mut process = Command::new("htpasswd")
        .args(["-n", "-i", "-B", "-C", "4", user])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("htpasswd can be run");
    let mut stdin = process.stdin.take().expect("stdin is piped");
    stdin
        .write_all(password.as_bytes())
        .expect("htpasswd reads its stdin");
    drop(stdin);
    process.wait_with_output().expect("htpasswd ends").stdout
}

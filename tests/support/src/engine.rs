//! The container engine under test, driven through the `docker` command.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::wait_until;

const VARIABLE: &str = "SHIPSLOG_TEST_ENGINE";

/// The engine that `SHIPSLOG_TEST_ENGINE` names.
///
/// `None` when the variable is unset or empty, after a message on the real stderr (which the test
/// harness does not capture): the caller returns and thereby skips. Panics when the variable is
/// set but no engine answers there.
pub fn engine() -> Option<Engine> {
    match std::env::var(VARIABLE) {
        Ok(host) if !host.is_empty() => Some(Engine::reachable_at(&host)),
        _ => {
            announce_skip();
            None
        }
    }
}

fn announce_skip() {
    let thread = std::thread::current();
    let test = thread.name().unwrap_or("a test");
    let _ = writeln!(
        std::io::stderr(),
        "SKIPPED {test}: {VARIABLE} is not set; `make test` provides an engine"
    );
}

/// A container engine, and the client configuration it is spoken to with.
#[derive(Debug, Clone)]
pub struct Engine {
    host: String,
    docker_config: Option<PathBuf>,
}

impl Engine {
    /// The engine at `host`, such as `unix:///var/run/docker.sock`. Nothing is contacted yet.
    pub fn at(host: &str) -> Self {
        Self {
            host: host.to_owned(),
            docker_config: None,
        }
    }

    fn reachable_at(host: &str) -> Self {
        let engine = Self::at(host);
        if let Err(output) = engine.try_docker(&["version", "--format", "{{.Server.Version}}"]) {
            panic!("{VARIABLE} is set but no engine answers at {host}: {output}");
        }
        engine
    }

    /// The same engine, spoken to with the `config.json` in `folder` instead of the caller's own.
    #[must_use]
    pub fn with_docker_config(&self, folder: &Path) -> Self {
        Self {
            docker_config: Some(folder.to_owned()),
            ..self.clone()
        }
    }

    /// Its address as `DOCKER_HOST` wants it.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The socket file behind [`Engine::host`]. Panics when the address is not a `unix://` one.
    pub fn socket(&self) -> &Path {
        let path = self.host.strip_prefix("unix://");
        Path::new(path.unwrap_or_else(|| panic!("{} is not a unix socket", self.host)))
    }

    /// Runs `docker` with `args` and returns its trimmed stdout; panics with all output on failure.
    #[track_caller]
    pub fn docker(&self, args: &[&str]) -> String {
        self.try_docker(args)
            .unwrap_or_else(|output| panic!("`docker {}` failed: {output}", args.join(" ")))
    }

    /// Pauses a container. On a busy machine with cgroup v1, runc gives up on one whose processor time is throttled: then again.
    #[track_caller]
    pub fn pause(&self, id: &str) {
        let paused = wait_until(Duration::from_secs(60), || {
            self.try_docker(&["pause", id]).is_ok()
        });
        assert!(paused, "{id} could not be paused");
    }

    /// Runs `docker` with `args`: its trimmed stdout, or on failure its trimmed stderr and stdout.
    pub fn try_docker(&self, args: &[&str]) -> Result<String, String> {
        let output = self
            .command(args)
            .output()
            .expect("the docker command can be run");
        let stdout = String::from_utf8_lossy(&output.stdout);
        if output.status.success() {
            return Ok(stdout.trim().to_owned());
        }
        let stderr = String::from_utf8_lossy(&output.stderr);
        Err(format!("{}\n{}", stderr.trim(), stdout.trim()).trim().to_owned())
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("docker");
        command.args(args).stdin(Stdio::null());
        command
            .env("DOCKER_HOST", &self.host)
            .env_remove("DOCKER_CONTEXT");
        if let Some(folder) = &self.docker_config {
            command.env("DOCKER_CONFIG", folder);
        }
        command
    }
}

//! The engine's own Compose.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;
use tokio::sync::Mutex;

use super::super::child::{self, Limit, Output};

/// How long a tool may take to say its version; the older one has to start an interpreter first.
const VERSION_LIMIT: Duration = Duration::from_secs(20);

/// What a tool is told of this process's environment, besides `PATH`.
const KEPT_VARIABLES: [&str; 4] = ["HOME", "DOCKER_CONFIG", "XDG_RUNTIME_DIR", "TMPDIR"];

/// The oldest of the first generation that has all the options which are used.
const OLDEST: (u32, u32) = (1, 28);
/// Since this version of the engine's API, images no longer tell what the first generation asks of them when it replaces a container.
const NO_CONTAINER_CONFIG: (u32, u32) = (1, 45);

const TOO_OLD: &str = "This docker-compose is too old: install version 1.28 or later, or the Compose plugin from docs.docker.com/compose/install.";
const OUTLIVED: &str = "docker-compose 1 cannot replace containers of this engine: install the package docker-compose-v2 of the distribution, \
                        or the Compose plugin from docs.docker.com/compose/install.";

/// How a Compose is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Call {
    name: &'static str,
    /// What stands before its own arguments.
    prefix: &'static [&'static str],
    /// What it is told besides.
    env: &'static [(&'static str, &'static str)],
}

/// The plugin of the Docker client.
const PLUGIN: Call = Call {
    name: "docker",
    prefix: &["compose"],
    env: &[],
};

/// The program of its own.
const PROGRAM: Call = Call {
    name: "docker-compose",
    prefix: &[],
    env: &[],
};

/// The same, without having its Python load setuptools in the place of its own distutils, which takes nearly half of the time of a call that does
/// little. Pythons since 3.12 have none of their own: it does not start there.
const QUICK_PROGRAM: Call = Call {
    env: &[("SETUPTOOLS_USE_DISTUTILS", "stdlib")],
    ..PROGRAM
};

/// The first that can say its version is taken.
const CANDIDATES: [Call; 3] = [PLUGIN, QUICK_PROGRAM, PROGRAM];

/// A Compose that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tool {
    call: Call,
    program: PathBuf,
    version: String,
}

impl Tool {
    /// For people: `docker-compose 1.29.2`.
    pub(super) fn name(&self) -> String {
        let words = std::iter::once(self.call.name).chain(self.call.prefix.iter().copied());
        let name: Vec<&str> = words.collect();
        format!("{} {}", name.join(" "), self.version)
    }

    /// Whether it is the first generation, which has other options.
    pub(super) fn is_first_generation(&self) -> bool {
        self.version.starts_with("1.")
    }

    /// Why it cannot work with an engine of this API, and what there is to do.
    pub(super) fn lack(&self, engine: Option<&str>) -> Option<&'static str> {
        match self.is_first_generation() {
            true if numbers(&self.version) < Some(OLDEST) => Some(TOO_OLD),
            true if engine.and_then(numbers) >= Some(NO_CONTAINER_CONFIG) => Some(OUTLIVED),
            _ => None,
        }
    }
}

/// Where the tool is looked for, and what was found.
#[derive(Debug, Clone, Default)]
pub(super) struct Toolbox {
    path: Option<OsString>,
    /// Where the Docker client has its settings, and plugins of a user's own.
    docker_config: Option<PathBuf>,
    found: Arc<Mutex<Option<Tool>>>,
}

impl Toolbox {
    pub(super) fn in_path(mut self, path: OsString) -> Self {
        self.path = Some(path);
        self.found = Arc::default();
        self
    }

    pub(super) fn with_docker_config(mut self, folder: PathBuf) -> Self {
        self.docker_config = Some(folder);
        self.found = Arc::default();
        self
    }

    /// The tool, looked for until it is found once.
    pub(super) async fn tool(&self) -> Option<Tool> {
        let own = self.clone();
        // Goes on when whoever asked has no more time, so that a slow tool is known when it is asked for again.
        let looking = tokio::spawn(async move { own.look().await });
        looking.await.ok().flatten()
    }

    async fn look(&self) -> Option<Tool> {
        let mut found = self.found.lock().await;
        if found.is_none() {
            *found = self.find().await;
        }
        found.clone()
    }

    async fn find(&self) -> Option<Tool> {
        for call in CANDIDATES {
            let Some(program) = self.locate(call.name) else {
                continue;
            };
            let mut tool = Tool {
                call,
                program,
                version: String::new(),
            };
            if let Some(version) = self.version(&tool).await {
                tool.version = version;
                return Some(tool);
            }
        }
        None
    }

    /// Only an answer that is a version counts: a Docker client without the plugin answers something else.
    async fn version(&self, tool: &Tool) -> Option<String> {
        let mut command = self.command(tool);
        command.args(["version", "--short"]).stdin(Stdio::null());
        let ended = child::run(command, Limit::Total(VERSION_LIMIT), Output::Kept(4096), |_| {});
        let ended = ended.await.ok()?;
        let text = String::from_utf8(ended.output).ok()?;
        let version = text.trim().trim_start_matches('v');
        let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'+');
        let ok = version.starts_with(|c: char| c.is_ascii_digit()) && version.bytes().all(plain);
        (ok && version.len() <= 64 && ended.status.success()).then(|| version.to_owned())
    }

    /// A command that runs the tool, with nothing of this process's environment but what says where things are.
    pub(super) fn command(&self, tool: &Tool) -> Command {
        let mut command = Command::new(&tool.program);
        command.args(tool.call.prefix).env_clear();
        for name in KEPT_VARIABLES {
            command.envs(std::env::var_os(name).map(|value| (name, value)));
        }
        command.envs(tool.call.env.iter().copied());
        command.envs(self.docker_config.iter().map(|folder| ("DOCKER_CONFIG", folder)));
        command.env("PATH", self.path());
        command
    }

    fn locate(&self, name: &str) -> Option<PathBuf> {
        let folders = self.path();
        let mut files = std::env::split_paths(&folders).map(|folder| folder.join(name));
        files.find(|file| file.is_file())
    }

    fn path(&self) -> OsString {
        let own = self.path.clone().or_else(|| std::env::var_os("PATH"));
        own.unwrap_or_default()
    }
}

/// The first two of a version's numbers.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut numbers = version.split('.').map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lack(version: &str, engine: Option<&str>) -> Option<&'static str> {
        let tool = Tool {
            call: PROGRAM,
            program: PathBuf::new(),
            version: version.to_owned(),
        };
        tool.lack(engine)
    }

    #[test]
    fn a_compose_that_cannot_work_with_the_engine_says_so() {
        for (version, engine) in [
            ("1.28.0", Some("1.41")),
            ("1.29.2", Some("1.44")),
            ("1.29.2", None),
            ("1.29.2", Some("?")),
            ("2.29.1", Some("1.47")),
            ("5.0.0-rc.1", Some("1.52")),
        ] {
            assert_eq!(lack(version, engine), None, "{version} {engine:?}");
        }
        assert_eq!(lack("1.25.0", Some("1.41")), Some(TOO_OLD));
        assert_eq!(lack("1.29.2", Some("1.45")), Some(OUTLIVED));
        assert_eq!(lack("1.29.2", Some("2.0")), Some(OUTLIVED));
    }
}

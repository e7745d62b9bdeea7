//! What a test image is to contain and do.

use std::time::Duration;

use serde_json::json;

use super::Image;
use super::root::Root;
use crate::engine::Engine;
use crate::names::run_id;

const ON_SIGTERM: &str = "trap 'exit 0' TERM";

/// An image in the making: `ImageSpec::web("v1").health(Health::Always).build(&engine, "web:1")`.
///
/// It consists of a static busybox, whose commands are in `/bin`, and of what its constructor says.
/// It has the label `shipslog.test=<run id>`. Each build gives a new image id and, when pushed, a
/// new digest, even from an equal spec.
#[derive(Debug, Clone)]
pub struct ImageSpec {
    command: Vec<String>,
    entrypoint: Vec<String>,
    page: Option<String>,
    probe: &'static str,
    health: Option<Health>,
    labels: Vec<(String, String)>,
    payload_mib: u64,
}

/// What the image's own health check finds. It runs twice a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// Healthy at the first check. A [`ImageSpec::web`] image is asked for its page.
    Always,
    /// Unhealthy after two checks.
    Never,
    /// `starting` until the container has run for so long (whole seconds), then as `Always`.
    /// A restart counts anew. With an hour: a container that stays `starting`.
    After(Duration),
}

impl ImageSpec {
    /// Serves `version` as the body of `GET /` on port 80, and ends with 0 on SIGTERM.
    pub fn web(version: &str) -> Self {
        let mut spec = Self::script(&format!("{ON_SIGTERM}; httpd -f -p 80 -h /www & wait"));
        spec.page = Some(version.to_owned());
        spec.probe = "wget -q -O /dev/null http://127.0.0.1/";
        spec
    }

    /// Does nothing, and ends with 0 on SIGTERM.
    pub fn sleeper() -> Self {
        Self::script(&format!("{ON_SIGTERM}; sleep 2147483647 & wait"))
    }

    /// Keeps one core busy, and ends with 0 on SIGTERM.
    pub fn cpu_burner() -> Self {
        Self::script(&format!("{ON_SIGTERM}; while :; do :; done"))
    }

    /// Ends at once with exit status `code`.
    pub fn exits(code: u8) -> Self {
        Self::script(&format!("exit {code}"))
    }

    /// Runs `script` with `sh -c`. As process 1 it ignores SIGTERM unless it traps it.
    pub fn script(script: &str) -> Self {
        Self::command(&["sh", "-c", script])
    }

    /// Runs `command`, without a shell.
    pub fn command(command: &[&str]) -> Self {
        Self {
            command: owned(command),
            entrypoint: Vec::new(),
            page: None,
            probe: "true",
            health: None,
            labels: vec![("shipslog.test".to_owned(), run_id().to_owned())],
            payload_mib: 0,
        }
    }

    /// Sets the entry point, to which the command becomes the arguments.
    #[must_use]
    pub fn entrypoint(mut self, entrypoint: &[&str]) -> Self {
        self.entrypoint = owned(entrypoint);
        self
    }

    /// Gives the image a health check of its own; without this it has none.
    #[must_use]
    pub fn health(mut self, health: Health) -> Self {
        self.health = Some(health);
        self
    }

    /// Adds a label, which the image's containers inherit.
    #[must_use]
    pub fn label(mut self, key: &str, value: &str) -> Self {
        self.labels.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Adds a file of so many MiB that does not compress, so that a pull takes its time.
    #[must_use]
    pub fn payload_mib(mut self, mib: u64) -> Self {
        self.payload_mib = mib;
        self
    }

    /// Makes the image on `engine` and tags it `tag` (`name` or `name:tag`). A tag that named
    /// another image is moved.
    pub fn build(&self, engine: &Engine, tag: &str) -> Image {
        let archive = Root::new()
            .page(self.page.as_deref())
            .payload(self.payload_mib)
            .archive();
        let archive = archive
            .path()
            .to_str()
            .expect("temporary folders have plain names");
        let instructions = self.instructions();
        let mut arguments = vec!["import"];
        arguments.extend(
            instructions
                .iter()
                .flat_map(|instruction| ["--change", instruction]),
        );
        arguments.extend([archive, tag]);
        let id = engine.docker(&arguments);
        Image::new(engine.clone(), tag.to_owned(), id)
    }

    fn instructions(&self) -> Vec<String> {
        let labels = self
            .labels
            .iter()
            .map(|(key, value)| format!("LABEL {key}={}", json!(value)));
        let mut instructions: Vec<String> = labels.collect();
        if !self.entrypoint.is_empty() {
            instructions.push(format!("ENTRYPOINT {}", json!(self.entrypoint)));
        }
        instructions.push(format!("CMD {}", json!(self.command)));
        instructions.extend(self.health.map(|health| health.instruction(self.probe)));
        instructions
    }
}

impl Health {
    fn instruction(self, probe: &str) -> String {
        let (options, check) = match self {
            Self::Always => ("--retries=20".to_owned(), probe.to_owned()),
            Self::Never => ("--retries=2".to_owned(), "exit 1".to_owned()),
            Self::After(delay) => {
                let start_period = delay.as_secs() + 60;
                (
                    format!("--retries=20 --start-period={start_period}s"),
                    check_after(delay, probe),
                )
            }
        };
        let command = json!(["sh", "-c", check]);
        format!("HEALTHCHECK --interval=500ms --timeout=10s {options} CMD {command}")
    }
}

/// Compares process 1's start with the kernel's clock (seconds, and hundredths, since boot): that
/// needs nothing from the command and survives a restart of the container.
fn check_after(delay: Duration, probe: &str) -> String {
    format!(
        "now=$(cut -d. -f1 /proc/uptime); born=$(cut -d' ' -f22 /proc/1/stat); \
         [ $((now - born / 100)) -ge {} ] && {probe}",
        delay.as_secs()
    )
}

fn owned(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

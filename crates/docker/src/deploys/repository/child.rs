//! Git as a child process: hardened, bounded, and ended with whoever waits for it.

use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::{Access, RepositoryUrl};

/// What git may print before it is taken for mad.
const MAX_OUTPUT: usize = 4 * 1024 * 1024;
/// What is kept of what it prints beside that: its last words say why it failed.
const KEPT_WORDS: usize = 8 * 1024;
/// Variables that say how the network is reached and where programs are; nothing else of the environment is handed on.
const HANDED_ON: [&str; 14] = [
    "PATH",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "GIT_SSL_CAPATH",
];
/// Settings of every command. There are no others: neither those of the host nor those of its users are read.
const SETTINGS: [(&str, &str); 17] = [
    ("protocol.allow", "never"),
    ("protocol.http.allow", "always"),
    ("protocol.https.allow", "always"),
    ("core.hooksPath", "/dev/null"),
    ("core.attributesFile", "/dev/null"),
    ("core.excludesFile", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.askPass", ""),
    ("credential.helper", ""),
    ("safe.directory", "*"),
    ("submodule.recurse", "false"),
    ("fetch.recurseSubmodules", "false"),
    // A pack appears as a whole or not at all: what is there of a commit is then all of it.
    ("transfer.unpackLimit", "1"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("http.lowSpeedLimit", "1"),
    ("http.lowSpeedTime", "120"),
];

/// Why a command gave no answer.
#[derive(Debug)]
pub(super) enum ChildFault {
    /// There is no such program, or it may not be run.
    NotStarted(io::ErrorKind),
    /// It said nothing for too long, and was ended.
    Silent,
    /// It printed more than makes sense, and was ended.
    Flood,
    /// It failed. Its last words may quote a server, which may quote what it was sent.
    Failed { words: String },
}

/// How git is run.
#[derive(Debug, Clone)]
pub(super) struct Git {
    pub(super) program: PathBuf,
    /// How long it may say nothing.
    pub(super) silence: Duration,
    /// Stands for the home folder, where no settings and no passwords are.
    pub(super) home: PathBuf,
}

impl Git {
    /// A command that touches no network, in the repository at `folder`.
    pub(super) fn local(&self, folder: &Path) -> GitCommand {
        let mut command = self.bare();
        command.inner.arg("--git-dir").arg(folder);
        command
    }

    /// A command that may ask the server of `url`, and shows it what `access` has for it. With a token no redirection is followed: git would
    /// take the token along.
    pub(super) fn remote(&self, folder: &Path, url: &RepositoryUrl, access: &Access) -> GitCommand {
        let mut command = self.local(folder);
        match access.header(url) {
            Some(header) => {
                command.setting("http.followRedirects", "false");
                command.setting(&format!("http.{}.extraHeader", url.origin()), header.expose());
            }
            None => command.setting("http.followRedirects", "initial"),
        }
        command
    }

    /// A command without a repository.
    pub(super) fn bare(&self) -> GitCommand {
        let mut inner = Command::new(&self.program);
        inner.env_clear().current_dir("/");
        for name in HANDED_ON {
            if let Some(value) = std::env::var_os(name) {
                inner.env(name, value);
            }
        }
        inner.envs([
            ("LC_ALL", "C"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_SYSTEM", "/dev/null"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_ALLOW_PROTOCOL", "http:https"),
            ("GIT_PROTOCOL_FROM_USER", "0"),
            ("GIT_LITERAL_PATHSPECS", "1"),
            ("GIT_OPTIONAL_LOCKS", "0"),
        ]);
        inner.env("HOME", &self.home).env("XDG_CONFIG_HOME", &self.home);
        let mut command = GitCommand {
            inner,
            settings: 0,
            silence: self.silence,
        };
        SETTINGS
            .iter()
            .for_each(|(key, value)| command.setting(key, value));
        command
    }
}

/// A command in the making. It has no `Debug`: its environment may hold a token.
pub(super) struct GitCommand {
    inner: Command,
    settings: usize,
    silence: Duration,
}

impl GitCommand {
    /// Sets a setting for this command, through its environment, which other users of the host cannot read.
    fn setting(&mut self, key: &str, value: &str) {
        let n = self.settings;
        self.settings += 1;
        self.inner
            .env(format!("GIT_CONFIG_KEY_{n}"), key)
            .env(format!("GIT_CONFIG_VALUE_{n}"), value)
            .env("GIT_CONFIG_COUNT", self.settings.to_string());
    }

    pub(super) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.inner.args(args);
        self
    }

    pub(super) fn env(mut self, name: &str, value: &Path) -> Self {
        self.inner.env(name, value);
        self
    }

    /// Runs it to its end, and answers what it printed. It is ended, with all that it started, when this is dropped.
    pub(super) async fn run(mut self) -> Result<String, ChildFault> {
        self.inner
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let child = self
            .inner
            .spawn()
            .map_err(|error| ChildFault::NotStarted(error.kind()))?;
        Group(child).listen(self.silence).await
    }
}

/// A child and what it started, all of which end with this value.
#[derive(Debug)]
struct Group(Child);

impl Group {
    async fn listen(mut self, silence: Duration) -> Result<String, ChildFault> {
        let (mut stdout, mut stderr) = (self.0.stdout.take(), self.0.stderr.take());
        let (mut printed, mut words) = (Vec::new(), Vec::new());
        while stdout.is_some() || stderr.is_some() {
            let read = async {
                tokio::select! {
                    more = read_some(&mut stdout, &mut printed), if stdout.is_some() => more,
                    more = read_some(&mut stderr, &mut words), if stderr.is_some() => more,
                }
            };
            timeout(silence, read).await.map_err(|_| ChildFault::Silent)?;
            if printed.len() > MAX_OUTPUT {
                return Err(ChildFault::Flood);
            }
            words.drain(..words.len().saturating_sub(KEPT_WORDS));
        }
        let ended = timeout(silence, self.0.wait())
            .await
            .map_err(|_| ChildFault::Silent)?;
        if ended.is_ok_and(|status| status.success()) {
            return Ok(String::from_utf8_lossy(&printed).into_owned());
        }
        let words = String::from_utf8_lossy(&words).into_owned();
        Err(ChildFault::Failed { words })
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // `None` once it was waited for: its number may be another's by now.
        let pid = self
            .0
            .id()
            .and_then(|id| i32::try_from(id).ok())
            .and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended by itself a moment ago.
            let _ = kill_process_group(pid, Signal::KILL);
        }
    }
}

/// Reads what there is; a pipe at its end is taken away.
async fn read_some<R: AsyncRead + Unpin>(pipe: &mut Option<R>, into: &mut Vec<u8>) {
    let Some(open) = pipe else { return };
    if !matches!(open.read_buf(into).await, Ok(1..)) {
        *pipe = None;
    }
}

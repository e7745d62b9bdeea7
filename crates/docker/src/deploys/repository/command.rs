//! Git as a child process: it reads no settings, asks nobody, and speaks to no server but those it is sent to.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use super::super::child::{self, Limit, Output, Unended};
use super::{Access, RepositoryUrl};

/// What git may print before it is taken for mad.
const MAX_OUTPUT: usize = 4 * 1024 * 1024;
/// How long work on this machine may go on without a word: writing the files of a large commit to a slow disk takes its time, and git does not
/// tell of it.
const LOCAL_SILENCE: Duration = Duration::from_secs(60 * 60);
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
const SETTINGS: [(&str, &str); 20] = [
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
    // Trees that no git would write are made to lead others astray. What old tools wrote by mistake is let through where it can do no harm.
    ("fetch.fsckObjects", "true"),
    ("fetch.fsck.zeroPaddedFilemode", "ignore"),
    ("fetch.fsck.missingSpaceBeforeDate", "ignore"),
    ("fetch.fsck.badTimezone", "ignore"),
    ("gc.auto", "0"),
    ("maintenance.auto", "false"),
    ("http.lowSpeedLimit", "1"),
];

/// The unit of `ulimit -f`, which POSIX defines, in bytes.
const ULIMIT_BLOCK: u64 = 512;
/// Sets bounds and becomes the command that follows.
const BOUNDED: &str = r#"ulimit -c 0 && ulimit -f "$0" && exec "$@""#;

/// Why a command gave no answer.
#[derive(Debug)]
pub(super) enum Fault {
    /// It did not end by itself.
    Unended(Unended),
    /// The server kept it waiting.
    Unheard,
    /// The server sent more than it may.
    TooLarge,
    /// It failed. Its last words may quote a server, which may quote what it was sent.
    Failed { words: String },
}

/// How git is run.
#[derive(Debug, Clone)]
pub(super) struct Git {
    pub(super) program: PathBuf,
    /// How long it may say nothing while it talks to a server.
    pub(super) silence: Duration,
    /// How many bytes a server may send as one pack, and the files of a commit may have.
    pub(super) most: u64,
    /// Stands for the home folder, where no settings and no passwords are.
    pub(super) home: PathBuf,
}

impl Git {
    /// A command that touches no network, in the repository at `folder`.
    pub(super) fn local(&self, folder: &Path) -> GitCommand {
        self.of(Command::new(&self.program)).within(folder)
    }

    /// A command that may ask the server of `url`, and shows it what `access` has for it. With a token no redirection is followed: git would
    /// take the token along.
    pub(super) fn remote(&self, folder: &Path, url: &RepositoryUrl, access: &Access) -> GitCommand {
        let mut command = self.of(self.bounded()).within(folder);
        command.server_silence = Some(self.silence);
        command.setting("http.lowSpeedTime", &self.silence.as_secs().max(1).to_string());
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
        self.of(Command::new(&self.program))
    }

    /// Git, with a bound to the files that it and all that it starts may write. Where one goes on it is ended by a signal, without a picture of
    /// its memory, which holds the token.
    fn bounded(&self) -> Command {
        let mut shell = Command::new("/bin/sh");
        let blocks = self.most.div_ceil(ULIMIT_BLOCK).to_string();
        shell.args(["-c", BOUNDED, blocks.as_str()]).arg(&self.program);
        shell
    }

    fn of(&self, mut inner: Command) -> GitCommand {
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
            ("GIT_NO_LAZY_FETCH", "1"),
        ]);
        inner.env("HOME", &self.home).env("XDG_CONFIG_HOME", &self.home);
        inner.stdin(Stdio::null());
        let mut command = GitCommand {
            inner,
            settings: 0,
            server_silence: None,
            output_limit: MAX_OUTPUT,
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
    /// How long a server may keep it waiting, if it talks to one.
    server_silence: Option<Duration>,
    output_limit: usize,
}

impl GitCommand {
    fn within(mut self, folder: &Path) -> Self {
        self.inner.arg("--git-dir").arg(folder);
        self
    }

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

    /// Has git hold a lock for as long as it runs, even if this process ends before it: as its standard input, which it does not read.
    pub(super) fn holding(mut self, lock: &File) -> Self {
        // A process that has no number left for a file cannot start git either.
        if let Ok(lock) = lock.try_clone() {
            self.inner.stdin(Stdio::from(lock));
        }
        self
    }

    /// Lets it print so many bytes.
    pub(super) fn printing(mut self, bytes: usize) -> Self {
        self.output_limit = bytes;
        self
    }

    pub(super) fn env(mut self, name: &str, value: &Path) -> Self {
        self.inner.env(name, value);
        self
    }

    /// Runs it to its end, and answers what it printed. It is ended, with all that it started, when this is dropped.
    pub(super) async fn run(self) -> Result<String, Fault> {
        let limit = Limit::Silence(self.server_silence.unwrap_or(LOCAL_SILENCE));
        let ended = child::run(self.inner, limit, Output::Kept(self.output_limit), |_| {}).await;
        let ended = ended.map_err(|unended| match unended {
            Unended::TimedOut if self.server_silence.is_some() => Fault::Unheard,
            unended => Fault::Unended(unended),
        })?;
        match ended.status.success() {
            true => Ok(String::from_utf8_lossy(&ended.output).into_owned()),
            false => Err(Fault::Failed { words: ended.said }),
        }
    }
}

//! Running a tool: without a shell, for a bounded time, with bounded output, and never longer than whoever wants it.

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// The longest line that is told of; what is longer is cut.
const MAX_LINE: usize = 2048;
/// The lines that are kept of what a tool says, for the log if it fails.
const KEPT_LINES: usize = 24;

/// How a tool ended.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) status: ExitStatus,
    /// What it printed, if that was asked for.
    pub(super) output: Vec<u8>,
    /// The last lines of what it said, which may hold secrets.
    pub(super) said: String,
}

/// Why a tool did not end by itself.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unended {
    #[error("it could not be run: {0}")]
    NotRun(io::ErrorKind),
    #[error("it took too long")]
    TimedOut,
    #[error("it printed too much")]
    TooMuch,
}

/// What is done with the standard output of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// It is for people, as the standard error is.
    Said,
    /// It is kept, up to so many bytes.
    Kept(usize),
}

/// Runs a tool to its end. Its lines are told as they come. When this is dropped, or takes longer than `limit`, the tool is killed with all that
/// it started.
pub(super) async fn run(
    mut command: Command,
    limit: Duration,
    output: Output,
    mut told: impl FnMut(&str) + Send,
) -> Result<Ended, Unended> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let child = command.spawn().map_err(|error| Unended::NotRun(error.kind()))?;
    // It may hold what the child is to be the only one to have.
    drop(command);
    let mut group = Group(child);
    let ended = tokio::time::timeout(limit, follow(&mut group.0, output, &mut told)).await;
    ended.unwrap_or(Err(Unended::TimedOut))
}

async fn follow(
    child: &mut Child,
    output: Output,
    told: &mut (impl FnMut(&str) + Send),
) -> Result<Ended, Unended> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let told = std::sync::Mutex::new((Tail::default(), told));
    let tell = |line: &str| {
        let mut told = told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        told.0.push(line);
        (told.1)(line);
    };
    let printed = async {
        match output {
            Output::Said => lines(stdout, tell).await.map(|()| Vec::new()),
            Output::Kept(most) => all(stdout, most).await,
        }
    };
    let (output, ()) = tokio::try_join!(printed, lines(stderr, tell))?;
    let status = child
        .wait()
        .await
        .map_err(|error| Unended::NotRun(error.kind()))?;
    let (tail, _) = told
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Ended {
        status,
        output,
        said: tail.text(),
    })
}

async fn all(stream: Option<impl AsyncRead + Unpin>, most: usize) -> Result<Vec<u8>, Unended> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
        let read = stream.take(limit).read_to_end(&mut bytes).await;
        read.map_err(|error| Unended::NotRun(error.kind()))?;
    }
    if bytes.len() > most {
        return Err(Unended::TooMuch);
    }
    Ok(bytes)
}

async fn lines(stream: Option<impl AsyncRead + Unpin>, tell: impl Fn(&str)) -> Result<(), Unended> {
    let Some(mut stream) = stream else { return Ok(()) };
    let (mut buffer, mut line) = ([0; 4096], Line::default());
    loop {
        let read = stream.read(&mut buffer).await;
        let count = read.map_err(|error| Unended::NotRun(error.kind()))?;
        buffer[..count].iter().for_each(|&byte| line.take(byte, &tell));
        if count == 0 {
            line.end(&tell);
            return Ok(());
        }
    }
}

/// A line that is not complete yet.
#[derive(Debug, Default)]
struct Line(Vec<u8>);

impl Line {
    fn take(&mut self, byte: u8, tell: &impl Fn(&str)) {
        match byte {
            b'\n' | b'\r' => self.end(tell),
            _ if self.0.len() < MAX_LINE => self.0.push(byte),
            _ => {}
        }
    }

    fn end(&mut self, tell: &impl Fn(&str)) {
        let text = String::from_utf8_lossy(&self.0);
        let text = text.trim();
        if !text.is_empty() {
            tell(text);
        }
        self.0.clear();
    }
}

#[derive(Debug, Default)]
struct Tail(VecDeque<String>);

impl Tail {
    fn push(&mut self, line: &str) {
        if self.0.len() == KEPT_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.to_owned());
    }

    fn text(self) -> String {
        Vec::from(self.0).join("\n")
    }
}

/// A child that leads a process group; dropped before it ended, it is killed with all of them.
#[derive(Debug)]
struct Group(Child);

impl Drop for Group {
    fn drop(&mut self) {
        // Once it was waited for, the id may belong to somebody else.
        #[cfg(target_os = "linux")]
        if let Some(leader) = self
            .0
            .id()
            .and_then(|id| rustix::process::Pid::from_raw(id.cast_signed()))
        {
            // It may have ended a moment ago.
            let _ = rustix::process::kill_process_group(leader, rustix::process::Signal::KILL);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    async fn run_shell(script: &str, output: Output) -> (Result<Ended, Unended>, Vec<String>) {
        let mut told = Vec::new();
        let tell = |line: &str| told.push(line.to_owned());
        let ended = run(shell(script), Duration::from_secs(10), output, tell).await;
        (ended, told)
    }

    #[tokio::test]
    async fn lines_are_told_as_they_come_and_the_last_ones_kept() {
        let (ended, told) = run_shell("printf 'a\\rb\\n\\nc'; echo e >&2; exit 3", Output::Said).await;
        let ended = ended.unwrap();
        assert_eq!(ended.status.code(), Some(3));
        let mut sorted = told.clone();
        sorted.sort();
        assert_eq!(sorted, ["a", "b", "c", "e"]);
        assert_eq!(ended.said, told.join("\n"));
    }

    #[tokio::test]
    async fn what_is_printed_is_kept_within_bounds() {
        let (ended, told) = run_shell("printf 1234; echo e >&2", Output::Kept(4)).await;
        assert_eq!(
            (ended.unwrap().output, told),
            (b"1234".to_vec(), vec!["e".to_owned()])
        );
        let (ended, _) = run_shell("printf 12345", Output::Kept(4)).await;
        assert!(matches!(ended, Err(Unended::TooMuch)));
        let (ended, told) = run_shell("head -c 100000 /dev/zero | tr '\\0' x; seq 100", Output::Said).await;
        assert_eq!(told[0].len(), MAX_LINE);
        assert_eq!(ended.unwrap().said.lines().count(), KEPT_LINES);
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 600 & echo $! > {}; wait", file.display());
        let since = Instant::now();
        let ended = run(shell(&script), Duration::from_secs(1), Output::Said, |_| {}).await;
        assert!(matches!(ended, Err(Unended::TimedOut)));
        assert!(since.elapsed() < Duration::from_secs(5));
        let pid = std::fs::read_to_string(file).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        let is_gone = || state().is_empty() || state().contains(") Z ");
        assert!(shipslog_test_support::wait_until(Duration::from_secs(5), is_gone));
    }

    #[tokio::test]
    async fn a_tool_that_is_not_there_is_not_run() {
        let ended = run(
            Command::new("/nosuch"),
            Duration::from_secs(1),
            Output::Said,
            |_| {},
        )
        .await;
        assert!(matches!(ended, Err(Unended::NotRun(io::ErrorKind::NotFound))));
    }
}

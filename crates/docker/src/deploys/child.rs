//! Running a tool: without a shell, for a bounded time, with bounded output, and never longer than whoever wants it.

use std::collections::VecDeque;
use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout_at};

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

/// How long a tool may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limit {
    /// So long in all.
    Total(Duration),
    /// As long as it likes, but never so long without a word.
    Silence(Duration),
}

impl Limit {
    fn since(self, start: Instant) -> Instant {
        match self {
            Self::Total(limit) => start + limit,
            Self::Silence(limit) => Instant::now() + limit,
        }
    }
}

/// What is done with the standard output of a tool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Output {
    /// It is for people, as the standard error is.
    Said,
    /// It is kept, up to so many bytes.
    Kept(usize),
}

/// Runs a tool to its end. Its lines are told as they come. When this is dropped, or the tool takes longer than `limit`, it is killed with all
/// that it started.
pub(super) async fn run(
    mut command: Command,
    limit: Limit,
    output: Output,
    told: impl FnMut(&str) + Send,
) -> Result<Ended, Unended> {
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.process_group(0).kill_on_drop(true);
    let child = command.spawn().map_err(|error| Unended::NotRun(error.kind()))?;
    // It may hold what the child is to be the only one to have.
    drop(command);
    let mut heard = Heard::new(output, told);
    let status = Group(child).follow(limit, &mut heard).await?;
    Ok(Ended {
        status,
        output: heard.kept,
        said: heard.tail.text(),
    })
}

/// A child that leads a process group; dropped before it ended, it is killed with all of them.
#[derive(Debug)]
struct Group(Child);

impl Group {
    async fn follow(
        mut self,
        limit: Limit,
        heard: &mut Heard<impl FnMut(&str) + Send>,
    ) -> Result<ExitStatus, Unended> {
        let (start, late) = (Instant::now(), |_| Unended::TimedOut);
        let (mut stdout, mut stderr) = (self.0.stdout.take(), self.0.stderr.take());
        while stdout.is_some() || stderr.is_some() {
            let (mut printed, mut worded) = ([0; 4096], [0; 4096]);
            let read = async {
                tokio::select! {
                    count = read(&mut stdout, &mut printed), if stdout.is_some() => heard.printed(&printed[..count]),
                    count = read(&mut stderr, &mut worded), if stderr.is_some() => heard.worded(&worded[..count]),
                }
            };
            timeout_at(limit.since(start), read).await.map_err(late)??;
        }
        heard.end();
        let ended = timeout_at(limit.since(start), self.0.wait());
        let ended = ended.await.map_err(late)?;
        ended.map_err(|error| Unended::NotRun(error.kind()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // `None` once it was waited for: its number may be another's by now.
        if let Some(leader) = self.0.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended a moment ago.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Reads what there is; a pipe at its end is taken away.
async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, into: &mut [u8]) -> usize {
    let Some(open) = pipe else { return 0 };
    let count = open.read(into).await.unwrap_or(0);
    if count == 0 {
        *pipe = None;
    }
    count
}

/// What was heard of a tool so far.
#[derive(Debug)]
struct Heard<F> {
    output: Output,
    kept: Vec<u8>,
    lines: [Line; 2],
    tail: Tail,
    told: F,
}

impl<F: FnMut(&str) + Send> Heard<F> {
    fn new(output: Output, told: F) -> Self {
        Self {
            output,
            kept: Vec::new(),
            lines: <[Line; 2]>::default(),
            tail: Tail::default(),
            told,
        }
    }

    fn printed(&mut self, bytes: &[u8]) -> Result<(), Unended> {
        let Output::Kept(most) = self.output else {
            self.said(0, bytes);
            return Ok(());
        };
        self.kept.extend_from_slice(bytes);
        match self.kept.len() > most {
            true => Err(Unended::TooMuch),
            false => Ok(()),
        }
    }

    fn worded(&mut self, bytes: &[u8]) -> Result<(), Unended> {
        self.said(1, bytes);
        Ok(())
    }

    fn said(&mut self, stream: usize, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(line) = self.lines[stream].take(byte) {
                self.tell(&line);
            }
        }
    }

    fn end(&mut self) {
        for stream in 0..self.lines.len() {
            if let Some(line) = self.lines[stream].end() {
                self.tell(&line);
            }
        }
    }

    fn tell(&mut self, line: &str) {
        self.tail.push(line);
        (self.told)(line);
    }
}

/// A line that is not complete yet.
#[derive(Debug, Default)]
struct Line(Vec<u8>);

impl Line {
    /// The line that this byte ends, if it says anything.
    fn take(&mut self, byte: u8) -> Option<String> {
        match byte {
            b'\n' | b'\r' => return self.end(),
            _ if self.0.len() < MAX_LINE => self.0.push(byte),
            _ => {}
        }
        None
    }

    fn end(&mut self) -> Option<String> {
        let bytes = std::mem::take(&mut self.0);
        let line = String::from_utf8_lossy(&bytes).trim().to_owned();
        (!line.is_empty()).then_some(line)
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

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use shipslog_test_support::wait_until;

    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]).stdin(Stdio::null());
        command
    }

    async fn run_shell(script: &str, output: Output) -> (Result<Ended, Unended>, Vec<String>) {
        let mut told = Vec::new();
        let tell = |line: &str| told.push(line.to_owned());
        let ended = run(shell(script), Limit::Total(Duration::from_secs(10)), output, tell).await;
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

    /// A tool that waits for another one, whose number it writes to the file that is answered.
    fn patient() -> (tempfile::TempDir, PathBuf, Command) {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let command = shell(&format!("sleep 600 & echo $! > {}; wait", file.display()));
        (folder, file, command)
    }

    fn assert_ends(file: &Path) {
        let pid = std::fs::read_to_string(file).unwrap();
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
        let is_gone = || state().is_empty() || state().contains(") Z ");
        assert!(wait_until(Duration::from_secs(60), is_gone));
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed_with_all_that_it_started() {
        for limit in [Limit::Total, Limit::Silence] {
            let (_folder, file, command) = patient();
            let since = Instant::now();
            let ended = run(command, limit(Duration::from_secs(3)), Output::Said, |_| {}).await;
            assert!(matches!(ended, Err(Unended::TimedOut)));
            assert!(since.elapsed() < Duration::from_secs(60));
            assert_ends(&file);
        }
    }

    #[tokio::test]
    async fn what_nobody_waits_for_any_more_is_killed_with_all_that_it_started() {
        let (_folder, file, command) = patient();
        let running = tokio::spawn(run(
            command,
            Limit::Total(Duration::from_secs(600)),
            Output::Said,
            |_| {},
        ));
        let is_written = || std::fs::read_to_string(&file).is_ok_and(|pid| pid.ends_with('\n'));
        while !is_written() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        running.abort();
        assert!(running.await.is_err());
        assert_ends(&file);
    }

    #[tokio::test]
    async fn a_tool_that_speaks_now_and_then_is_not_silent() {
        let script = "for i in 1 2 3 4 5 6; do sleep 0.8; echo $i >&2; done; printf end";
        let limit = Limit::Silence(Duration::from_secs(4));
        let ended = run(shell(script), limit, Output::Kept(3), |_| {}).await.unwrap();
        assert_eq!(
            (ended.output.as_slice(), ended.said.as_str()),
            (&b"end"[..], "1\n2\n3\n4\n5\n6")
        );
        let ended = run(
            shell(script),
            Limit::Total(Duration::from_secs(1)),
            Output::Kept(3),
            |_| {},
        )
        .await;
        assert!(matches!(ended, Err(Unended::TimedOut)));
    }

    #[tokio::test]
    async fn a_tool_that_is_not_there_is_not_run() {
        let ended = run(
            Command::new("/nosuch"),
            Limit::Total(Duration::from_secs(1)),
            Output::Said,
            |_| {},
        )
        .await;
        assert!(matches!(ended, Err(Unended::NotRun(io::ErrorKind::NotFound))));
    }
}

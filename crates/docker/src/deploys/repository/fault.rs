//! From what git says to markers.

use std::io;

use shipslog_core::deploys::{DispatchError, FailureMarker};

use super::super::child::Unended;
use super::command::Fault;

/// The longest that is handed to the log of git's words.
const MAX_WORDS: usize = 400;

/// The error for a command that gave no answer.
pub(super) fn failed(doing: &str, fault: &Fault) -> DispatchError {
    let (marker, why) = match fault {
        Fault::Unended(Unended::NotRun(io::ErrorKind::NotFound)) => {
            (FailureMarker::Internal, "there is no git".to_owned())
        }
        Fault::Unended(Unended::NotRun(kind)) => {
            (FailureMarker::Internal, format!("git cannot be run: {kind}"))
        }
        Fault::Unheard => (
            FailureMarker::SourceUnreachable,
            "nothing was heard for too long".to_owned(),
        ),
        Fault::TooLarge => (
            FailureMarker::SourceInvalid,
            "the server sent more than may be fetched".to_owned(),
        ),
        Fault::Unended(Unended::TimedOut) => (FailureMarker::Internal, "git took too long".to_owned()),
        Fault::Unended(Unended::TooMuch) => (FailureMarker::Internal, "git printed too much".to_owned()),
        Fault::Failed { words } => (classify(words), last_words(words)),
    };
    DispatchError::new(marker, format!("{doing}: {why}"))
}

/// The marker for git's words.
///
/// Git prefixes what a server says by `remote: ` or `remote error: `, so that a server cannot choose the marker: a phrase counts only where
/// git puts words of its own.
pub(super) fn classify(words: &str) -> FailureMarker {
    let mut fatal = own_lines(words);
    fatal.find_map(of_line).unwrap_or(FailureMarker::Internal)
}

/// Whether the server has the commit perhaps, and does not give out single ones. One that does says that it is "not our ref".
pub(super) fn refuses_single_commits(words: &str) -> bool {
    own_lines(words).any(|line| {
        line.starts_with("Server does not allow request for unadvertised object")
            || line.starts_with("couldn't find remote ref ")
    })
}

/// Whether the server has no way to give out a part of a history.
pub(super) fn refuses_parts(words: &str) -> bool {
    own_lines(words).any(|line| line.starts_with("dumb http transport does not support shallow"))
}

fn own_lines(words: &str) -> impl Iterator<Item = &str> {
    words.lines().filter_map(|line| {
        let line = line.rsplit('\r').next().unwrap_or(line);
        line.strip_prefix("fatal: ")
            .or_else(|| line.strip_prefix("error: "))
    })
}

fn of_line(line: &str) -> Option<FailureMarker> {
    let begins = |phrases: &[&str]| phrases.iter().any(|phrase| line.starts_with(phrase));
    match () {
        () if line.starts_with("unable to access '") => Some(of_access(line)),
        () if begins(&[
            "could not read Username",
            "could not read Password",
            "Authentication failed for",
        ]) =>
        {
            Some(FailureMarker::SourceDenied)
        }
        () if line.starts_with("repository '") && line.ends_with("' not found") => {
            Some(FailureMarker::SourceNotFound)
        }
        () if begins(&ABSENT) || line.ends_with(": is this a git repository?") => {
            Some(FailureMarker::SourceNotFound)
        }
        () if line.starts_with("fsck error in ") => Some(FailureMarker::SourceInvalid),
        () if begins(&BROKEN_OFF) => Some(FailureMarker::SourceUnreachable),
        () => None,
    }
}

const ABSENT: [&str; 5] = [
    "couldn't find remote ref ",
    "remote error: upload-pack: not our ref",
    "Server does not allow request for unadvertised object",
    "unable to update url base from redirection",
    "Needed a single revision",
];

const BROKEN_OFF: [&str; 9] = [
    "RPC failed",
    "early EOF",
    "the remote end hung up",
    "fetch-pack: unexpected disconnect",
    "expected flush after ref listing",
    "unexpected disconnect",
    "protocol error",
    "remote error: ",
    "invalid index-pack output",
];

/// What follows after the address is of the HTTP client.
fn of_access(line: &str) -> FailureMarker {
    let status = line
        .rsplit_once("The requested URL returned error: ")
        .map(|(_, status)| status);
    match status.and_then(|status| status.get(..3)) {
        Some("401" | "403" | "407") => FailureMarker::SourceDenied,
        Some("404" | "410" | "301" | "302" | "303" | "307" | "308") => FailureMarker::SourceNotFound,
        _ => FailureMarker::SourceUnreachable,
    }
}

fn last_words(words: &str) -> String {
    let last = words
        .lines()
        .rev()
        .find(|line| line.starts_with("fatal: "))
        .or(words.lines().last());
    last.unwrap_or("git failed without a word")
        .chars()
        .take(MAX_WORDS)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Marker and words as git 2.47 gave them.
    const SAID: &str = "
source_denied fatal: could not read Username for 'http://127.0.0.1:1': terminal prompts disabled
source_denied fatal: Authentication failed for 'http://127.0.0.1:1/a.git/'
source_denied fatal: unable to access 'http://127.0.0.1:1/a.git/': The requested URL returned error: 403
source_not_found fatal: repository 'http://127.0.0.1:1/a.git/' not found
source_not_found fatal: couldn't find remote ref refs/heads/x
source_not_found fatal: unable to access 'http://127.0.0.1:1/a.git/': The requested URL returned error: 301
source_not_found fatal: http://127.0.0.1:1/a.git/info/refs not valid: is this a git repository?
source_not_found fatal: remote error: upload-pack: not our ref 0123456789abcdef0123456789abcdef01234567
source_not_found error: Server does not allow request for unadvertised object 0123456789abcdef0123456789abcdef01234567
source_invalid fatal: fsck error in packed object
source_unreachable fatal: unable to access 'http://127.0.0.1:1/a.git/': Failed to connect to 127.0.0.1 port 1 after 0 ms: Could not connect to server
source_unreachable fatal: unable to access 'http://nosuch.invalid/a.git/': Could not resolve host: nosuch.invalid
source_unreachable fatal: unable to access 'https://127.0.0.1:1/a.git/': The requested URL returned error: 503
source_unreachable error: RPC failed; curl 18 transfer closed with outstanding read data remaining
source_unreachable fatal: early EOF
internal fatal: write error: No space left on device
internal remote: fatal: repository 'x' not found
internal fatal: bad object HEAD
";

    #[test]
    fn what_git_says_has_its_marker() {
        for line in SAID.trim().lines() {
            let (marker, words) = line.split_once(' ').unwrap();
            assert_eq!(classify(words).as_str(), marker, "{line}");
        }
    }

    #[test]
    fn a_server_cannot_choose_the_marker_by_what_it_says() {
        let words = "remote: fatal: repository 'x' not found\nfatal: unable to access 'http://h/a/': The requested URL returned error: 403";
        assert_eq!(classify(words), FailureMarker::SourceDenied);
        assert_eq!(
            classify("fatal: remote error: fatal: repository 'x' not found"),
            FailureMarker::SourceUnreachable
        );
    }

    #[test]
    fn a_git_that_is_not_there_or_says_nothing_has_a_marker_too() {
        let of = |fault: Fault| failed("x", &fault).marker();
        assert_eq!(
            of(Fault::Unended(Unended::NotRun(io::ErrorKind::NotFound))),
            FailureMarker::Internal
        );
        assert_eq!(of(Fault::Unheard), FailureMarker::SourceUnreachable);
        assert_eq!(of(Fault::Unended(Unended::TimedOut)), FailureMarker::Internal);
        assert_eq!(of(Fault::Unended(Unended::TooMuch)), FailureMarker::Internal);
    }
}

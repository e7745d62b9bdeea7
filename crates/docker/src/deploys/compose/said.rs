//! What the tool says, and what that means.

use shipslog_core::deploys::{DeployStep, DispatchError, FailureMarker, Progress};

use super::super::classify::{self, Phase, classify};
use crate::engine::Fault;

/// What the tool is asked to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Doing {
    Reading,
    Building,
    Replacing,
}

/// The error for a tool that failed; its detail is what it said.
pub(super) fn failed(doing: Doing, said: &str) -> DispatchError {
    let marker = match doing {
        Doing::Reading => FailureMarker::SourceInvalid,
        Doing::Building => FailureMarker::BuildFailed,
        Doing::Replacing => said
            .lines()
            .rev()
            .find_map(marker)
            .unwrap_or(FailureMarker::CreateFailed),
    };
    DispatchError::new(marker, said)
}

/// What stands before the engine's own words, and what the engine was asked for then. The newer tool does not say that.
const INTRODUCTIONS: [(&str, Option<Phase>); 3] = [
    ("Cannot start service ", Some(Phase::Start)),
    ("Cannot create container for service ", Some(Phase::Create)),
    ("Error response from daemon: ", None),
];

fn marker(line: &str) -> Option<FailureMarker> {
    let found = INTRODUCTIONS
        .iter()
        .find_map(|(words, phase)| Some((line.split_once(words)?.1, phase)));
    let (rest, phase) = found?;
    let Some(phase) = *phase else {
        return Some(guess(rest));
    };
    let (_service, message) = rest.split_once(": ")?;
    Some(engine_said(phase, message))
}

/// A refusal to create is known by its words; all else was a start.
fn guess(message: &str) -> FailureMarker {
    match engine_said(Phase::Create, message) {
        FailureMarker::CreateFailed => engine_said(Phase::Start, message),
        marker => marker,
    }
}

fn engine_said(phase: Phase, message: &str) -> FailureMarker {
    let message = message.trim().trim_matches('"');
    // The newer tool makes a container under another name first.
    let message = message
        .strip_prefix("Error when allocating new name: ")
        .unwrap_or(message)
        .to_owned();
    // The tools leave out the status, which two answers to a creation have to themselves.
    let status = match message.as_str() {
        text if text.starts_with("Conflict. ") => 409,
        text if text.starts_with("No such image: ") => 404,
        _ => 500,
    };
    classify(phase, &Fault::Answer { status, message })
}

/// Whether a line of the first generation tells that a build failed because a cached step vanished.
pub(super) fn has_lost_a_step(line: &str) -> bool {
    let failed = line.strip_prefix("ERROR: Service '");
    failed
        .and_then(|rest| rest.split_once("' failed to build : "))
        .is_some_and(|(_service, error)| classify::has_lost_a_step(error))
}

/// How far a build is, read from its lines.
#[derive(Debug)]
pub(super) struct BuildSteps<'a> {
    progress: &'a Progress,
    told: (u32, u32),
}

impl<'a> BuildSteps<'a> {
    pub(super) fn new(progress: &'a Progress) -> Self {
        Self {
            progress,
            told: (0, 0),
        }
    }

    pub(super) fn note(&mut self, line: &str) {
        let Some((step, total)) = step_of(line) else {
            return;
        };
        let now = (step.saturating_sub(1), total);
        if now != self.told {
            self.told = now;
            self.progress.step(DeployStep::Building {
                steps_done: now.0,
                steps_total: now.1,
            });
        }
    }
}

/// `Step 2/5 : RUN …` of the one builder, `#7 [web 2/5] RUN …` of the other.
fn step_of(line: &str) -> Option<(u32, u32)> {
    let counted = match line.strip_prefix("Step ") {
        Some(rest) => rest.split_whitespace().next()?,
        None => {
            let inside = line.strip_prefix('#')?.split_once(" [")?.1.split_once(']')?.0;
            inside.split_whitespace().next_back()?
        }
    };
    let (step, total) = counted.split_once('/')?;
    let (step, total) = (step.parse().ok()?, total.parse().ok()?);
    (step <= total && total <= 10_000).then_some((step, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_said_through_the_tool_has_its_marker() {
        let port = "driver failed programming external connectivity on endpoint w (c1): Bind for 0.0.0.0:1 failed: port is already allocated";
        let name = "Conflict. The container name \"/web\" is already in use by container \"85c3\". You have to remove (or rename) that container to be able to reuse that name.";
        for (said, expected) in [
            (format!("Creating w ... error\n\nERROR: for w  Cannot start service web: {port}\nEncountered errors while bringing up the project."), FailureMarker::PortTaken),
            (format!("Error response from daemon: {port}"), FailureMarker::PortTaken),
            (format!("ERROR: for w  Cannot create container for service web: {name}"), FailureMarker::NameConflict),
            (format!("Error response from daemon: {name}"), FailureMarker::NameConflict),
            (format!("Error response from daemon: Error when allocating new name: {name}"), FailureMarker::NameConflict),
            ("ERROR: for w  Cannot start service web: OCI runtime create failed: port is already allocated".into(), FailureMarker::StartFailed),
            ("ERROR: for w  Cannot create container for service web: invalid mount".into(), FailureMarker::CreateFailed),
            ("something else".into(), FailureMarker::CreateFailed),
            (String::new(), FailureMarker::CreateFailed),
        ] {
            assert_eq!(failed(Doing::Replacing, &said).marker(), expected, "{said}");
        }
        assert_eq!(
            failed(Doing::Reading, port).marker(),
            FailureMarker::SourceInvalid
        );
        assert_eq!(failed(Doing::Building, port).marker(), FailureMarker::BuildFailed);
    }

    #[test]
    fn only_the_tool_itself_can_say_that_a_step_vanished() {
        let lost = "unable to find image \"sha256:35c6\"";
        assert!(has_lost_a_step(&format!(
            "ERROR: Service 'web' failed to build : {lost}"
        )));
        for other in [
            lost,
            "ERROR: Service 'web' failed to build : The command 'x' returned a non-zero code: 1",
            "ERROR: No such service: web",
        ] {
            assert!(!has_lost_a_step(other), "{other}");
        }
    }

    #[test]
    fn steps_of_a_build_are_read_from_either_builder() {
        assert_eq!(step_of("Step 2/5 : RUN x"), Some((2, 5)));
        assert_eq!(step_of("#7 [web 2/5] RUN x"), Some((2, 5)));
        assert_eq!(step_of("#7 [2/5] RUN x"), Some((2, 5)));
        for other in [
            "",
            "Step ",
            "Step 7/5",
            "#7 [internal] load",
            "Step 1/99999999",
            "2/5",
        ] {
            assert_eq!(step_of(other), None, "{other}");
        }
    }
}

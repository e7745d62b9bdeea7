//! From what a swarm says to markers.

use bollard::models::TaskState;
use shipslog_core::deploys::{DispatchError, FailureMarker};

use super::tasks::ServiceTask;
use crate::deploys::classify::{Phase, classify};
use crate::engine::Fault;

/// The error for a service that was refused; its detail is the engine's answer.
pub(super) fn refused(fault: &Fault) -> DispatchError {
    DispatchError::new(marker_of_service(fault), fault.detail())
}

/// Names of services and networks are quoted in these answers, so a phrase counts only where the engine puts its own words.
fn marker_of_service(fault: &Fault) -> FailureMarker {
    let Fault::Answer { message, .. } = fault else {
        return FailureMarker::EngineUnavailable;
    };
    let (code, text) = of_manager(message);
    match code {
        "AlreadyExists" if text.starts_with("name conflicts with an existing object") => {
            FailureMarker::NameConflict
        }
        "InvalidArgument"
            if text.starts_with("port '") && text.contains("' is already in use by service '") =>
        {
            FailureMarker::PortTaken
        }
        "Unavailable" | "DeadlineExceeded" => FailureMarker::EngineUnavailable,
        _ if text.starts_with("The swarm does not have a leader") => FailureMarker::EngineUnavailable,
        _ => FailureMarker::CreateFailed,
    }
}

/// Whether the version that an update named is no longer the newest.
pub(super) fn is_outdated(fault: &Fault) -> bool {
    matches!(fault, Fault::Answer { message, .. } if of_manager(message).1.starts_with("update out of sequence"))
}

/// The manager's code and words: `rpc error: code = AlreadyExists desc = …`.
fn of_manager(message: &str) -> (&str, &str) {
    let coded = message.trim().strip_prefix("rpc error: code = ");
    coded
        .and_then(|rest| rest.split_once(" desc = "))
        .unwrap_or(("", message.trim()))
}

/// What a task that ended says of why. Programs and registries have no say in the first words.
pub(super) fn marker_of_task(task: &ServiceTask) -> FailureMarker {
    let answer = |message: &str, status: u16| Fault::Answer {
        status,
        message: message.to_owned(),
    };
    let why = task.why.trim();
    if let Some(why) = why.strip_prefix("starting container failed: ") {
        return classify(Phase::Start, &answer(why, 500));
    }
    match task.state {
        TaskState::REJECTED if why.starts_with("No such image: ") => FailureMarker::ImageNotFound,
        TaskState::REJECTED => classify(Phase::Create, &answer(why, 400)),
        _ if why.starts_with("task: non-zero exit (") && why.ends_with("dockerexec: unhealthy container") => {
            FailureMarker::Unhealthy
        }
        _ => FailureMarker::ExitedAtOnce,
    }
}

/// What a task says that found no node.
pub(super) fn marker_of_waiting(task: &ServiceTask) -> FailureMarker {
    let full =
        task.why.starts_with("no suitable node (") && task.why.contains("host-mode port already in use on ");
    match full {
        true => FailureMarker::PortTaken,
        false => FailureMarker::StartFailed,
    }
}

#[cfg(test)]
mod tests {
    use FailureMarker as M;
    use serde_json::json;

    use super::*;
    use crate::deploys::swarm::tasks::task;

    #[test]
    fn what_managers_answer_has_its_marker() {
        let id = "08y1ivhyb71nivlmzofwg66l6";
        for (expected, message) in [
            (M::NameConflict, "rpc error: code = AlreadyExists desc = name conflicts with an existing object: service web already exists".to_owned()),
            (M::PortTaken, format!("rpc error: code = InvalidArgument desc = port '18999' is already in use by service 'web' ({id}) as an ingress port")),
            (M::CreateFailed, "rpc error: code = InvalidArgument desc = name must be valid as a DNS name component".to_owned()),
            (M::CreateFailed, "network port 'x' is already in use by service 'y' not found".to_owned()),
            (M::EngineUnavailable, "rpc error: code = DeadlineExceeded desc = context deadline exceeded".to_owned()),
            (M::EngineUnavailable, "rpc error: code = Unknown desc = The swarm does not have a leader. It's possible that too few managers are online.".to_owned()),
        ] {
            let fault = Fault::Answer { status: 500, message };
            assert_eq!(marker_of_service(&fault), expected, "{}", fault.detail());
        }
        let outdated = "rpc error: code = Unknown desc = update out of sequence".to_owned();
        assert!(is_outdated(&Fault::Answer {
            status: 500,
            message: outdated
        }));
    }

    #[test]
    fn what_tasks_say_has_its_marker() {
        use TaskState::{COMPLETE, FAILED, REJECTED};
        for (expected, state, why) in [
            (
                M::CreateFailed,
                REJECTED,
                r#"invalid mount config for type "bind": bind source path does not exist: /nosuch/x"#,
            ),
            (
                M::CreateFailed,
                REJECTED,
                "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available",
            ),
            (
                M::ImageNotFound,
                REJECTED,
                "No such image: 127.0.0.1:5/nosuch@sha256:11",
            ),
            (
                M::StartFailed,
                FAILED,
                r#"starting container failed: failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "/nosuchcmd": stat /nosuchcmd: no such file or directory: unknown"#,
            ),
            (
                M::StartFailed,
                FAILED,
                "starting container failed: unable to find user nobody2: no matching entries in passwd file",
            ),
            (
                M::PortTaken,
                FAILED,
                "starting container failed: driver failed programming external connectivity on endpoint web.1.py1e (ac82): Error starting userland proxy: listen tcp4 0.0.0.0:18997: bind: address already in use",
            ),
            (M::ExitedAtOnce, FAILED, "task: non-zero exit (3)"),
            (
                M::Unhealthy,
                FAILED,
                "task: non-zero exit (143): dockerexec: unhealthy container",
            ),
            (M::ExitedAtOnce, COMPLETE, ""),
        ] {
            let task = task(json!({"Status": {"State": state, "Err": why}}));
            assert_eq!(marker_of_task(&task), expected, "{why}");
        }
    }

    #[test]
    fn a_task_without_a_node_says_whether_it_is_for_its_port() {
        for (expected, why) in [
            (
                M::PortTaken,
                "no suitable node (host-mode port already in use on 1 node)",
            ),
            (
                M::StartFailed,
                "no suitable node (scheduling constraints not satisfied on 1 node)",
            ),
            (M::StartFailed, ""),
        ] {
            let task = task(json!({"Status": {"State": "pending", "Err": why}}));
            assert_eq!(marker_of_waiting(&task), expected, "{why}");
        }
    }
}

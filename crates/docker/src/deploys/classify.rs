//! From the engine's answers to markers.

use shipslog_core::deploys::{DispatchError, FailureMarker};

use crate::engine::Fault;

/// What the engine was asked to do when it refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// To fetch an image, or ask a registry about one.
    Pull,
    /// To create a container.
    Create,
    /// To start a container.
    Start,
    /// To look, stop or remove.
    Manage,
}

/// The error for a refusal; its detail is the engine's answer.
pub(super) fn failed(phase: Phase, fault: &Fault) -> DispatchError {
    DispatchError::new(classify(phase, fault), fault.detail())
}

/// The marker for a refusal.
///
/// Engines give the same status for many reasons, so the text decides. Parts of it come from registries,
/// images and specs, which may say what they like: a phrase counts only at the place where the engine, or its
/// registry client, puts its own words.
pub(super) fn classify(phase: Phase, fault: &Fault) -> FailureMarker {
    let Fault::Answer { status, message } = fault else {
        return FailureMarker::EngineUnavailable;
    };
    let message = message.trim();
    match phase {
        Phase::Pull => pull(*status, message),
        Phase::Create => create(*status, message),
        Phase::Start => start(message),
        Phase::Manage => FailureMarker::Internal,
    }
}

/// The registry wants credentials, or others. The first words are the registry client's names for the
/// registry's error codes.
const DENIED: [&str; 6] = [
    "pull access denied",
    "unauthorized",
    "denied",
    "no basic auth credentials",
    "login attempt to ",
    "errors:\ndenied: ",
];

/// The registry answered that it has no such thing.
const ABSENT: [&str; 5] = [
    "manifest unknown",
    "name unknown",
    "no such manifest",
    "no matching manifest for ",
    "errors:\nmanifest unknown",
];

/// There was no answer of a registry, or only that of a proxy before it.
const UNANSWERED: [&str; 14] = [
    "dial tcp",
    "lookup ",
    "proxyconnect ",
    "read tcp ",
    "write tcp ",
    "net/http: ",
    "http: server gave HTTP response to HTTPS client",
    "context deadline exceeded",
    "EOF",
    "x509: ",
    "tls: ",
    "remote error: tls: ",
    "received unexpected HTTP status: 5",
    "failed to do request: ",
];

fn pull(status: u16, message: &str) -> FailureMarker {
    let cause = cause(message);
    let begins = |phrases: &[&str]| phrases.iter().any(|phrase| cause.starts_with(phrase));
    let no_manifest = message.starts_with("manifest for ") && message.contains(" not found: ");
    let unresolved = status == 404 && message.ends_with(": not found");
    match () {
        () if status == 400 && message.contains("invalid reference format") => {
            FailureMarker::ReferenceInvalid
        }
        () if begins(&DENIED) || is_refused_status(cause) => FailureMarker::RegistryDenied,
        () if no_manifest || unresolved || begins(&ABSENT) => FailureMarker::ImageNotFound,
        () if begins(&UNANSWERED) => FailureMarker::RegistryUnreachable,
        () => FailureMarker::ImagePullFailed,
    }
}

/// What follows after the names of the attempt and of the request: `Get "http://host/v2/": dial tcp …` is
/// about `dial tcp …`.
fn cause(message: &str) -> &str {
    let mut cause = message
        .strip_prefix("error pulling image configuration: ")
        .unwrap_or(message);
    for attempt in [
        "download failed after attempts=",
        "failed to resolve reference \"",
        "Get \"",
        "Head \"",
        "Post \"",
    ] {
        let named = cause.strip_prefix(attempt).and_then(|rest| rest.split_once(": "));
        cause = named.map_or(cause, |(_, rest)| rest);
    }
    cause
}

/// The newer registry client quotes a status: `unexpected status from HEAD request to …: 403 Forbidden`.
fn is_refused_status(cause: &str) -> bool {
    let quoted = cause.starts_with("unexpected status from ") || cause.starts_with("failed to authorize: ");
    quoted && (cause.ends_with("401 Unauthorized") || cause.ends_with("403 Forbidden"))
}

fn create(status: u16, message: &str) -> FailureMarker {
    match status {
        409 if message.contains("is already in use by container") => FailureMarker::NameConflict,
        404 if message.starts_with("No such image: ") => FailureMarker::ImageNotFound,
        _ => FailureMarker::CreateFailed,
    }
}

/// The endings are those of the network driver. A program's own words would be in the middle, after `OCI
/// runtime create failed`.
fn start(message: &str) -> FailureMarker {
    let of_network = message.contains("driver failed programming external connectivity")
        || message.starts_with("failed to set up container networking");
    let taken = message.ends_with("port is already allocated") || message.ends_with("address already in use");
    // An engine in a swarm asks the swarm as well.
    let names_network = ["network ", "Could not attach to network "]
        .iter()
        .any(|words| message.starts_with(words));
    let no_network = message.ends_with(" not found") || message.ends_with(" not manually attachable");
    match () {
        () if of_network && taken && !message.contains("OCI runtime") => FailureMarker::PortTaken,
        () if names_network && no_network => FailureMarker::CreateFailed,
        () => FailureMarker::StartFailed,
    }
}

/// How often a build is tried in which a cached step vanished.
pub(super) const BUILD_ATTEMPTS: u32 = 5;

/// How the builder from before `BuildKit` reports that somebody removed an image, any that has the same base, while it looked for steps that it
/// need not do again: moby lists the candidates first and reads them one by one afterwards.
const VANISHED: [&str; 4] = [
    "unable to find image \"sha256:",
    "unknown parent image ID sha256:",
    "No such image: sha256:",
    "failed to export image: failed to create image: failed to get layer sha256:",
];

/// Whether a build failed, not by what it does, but because a cached step vanished beneath it. Begun again it does not find that one any more.
pub(super) fn has_lost_a_step(message: &str) -> bool {
    VANISHED.iter().any(|words| message.starts_with(words))
}

#[cfg(test)]
mod tests {
    use FailureMarker as M;

    use super::*;
    use crate::engine::Unreachable;

    fn marker(phase: Phase, status: u16, message: &str) -> M {
        classify(
            phase,
            &Fault::Answer {
                status,
                message: message.to_owned(),
            },
        )
    }

    #[test]
    fn silence_is_the_engines_whatever_it_was_asked() {
        for why in [
            Unreachable::Lost,
            Unreachable::TimedOut,
            Unreachable::Garbled,
            Unreachable::Refused("x".to_owned()),
        ] {
            for phase in [Phase::Pull, Phase::Create, Phase::Start, Phase::Manage] {
                assert_eq!(
                    classify(phase, &Fault::Unreachable(why.clone())),
                    M::EngineUnavailable,
                    "{why:?}"
                );
            }
        }
    }

    /// Marker, status and message as engines gave them.
    const REGISTRIES: &str = r#"
registry_denied 500 Head "http://127.0.0.1:5067/v2/tok/manifests/1": unauthorized: bad creds: Basic cmVsdXNlcjpTRUNSRVQxMQ==
registry_denied 404 pull access denied for 127.0.0.1:5068/html, repository does not exist or may require 'docker login': denied: denied for Basic cmVs
registry_denied 500 unauthorized: authentication required
registry_denied 500 Head "http://127.0.0.1:5055/v2/app/manifests/1": unauthorized: authentication required
registry_denied 401 unauthorized: no
registry_denied 403 denied: connection refused dial tcp
registry_denied 500 Head "http://127.0.0.1:5055/v2/app/manifests/1": no basic auth credentials
registry_denied 500 login attempt to http://127.0.0.1:5055/v2/ failed with status: 401 Unauthorized
registry_denied 500 failed to resolve reference "r.io/app:1": unexpected status from HEAD request to https://r.io/v2/app/manifests/1: 403 Forbidden
reference_invalid 400 invalid reference format
image_not_found 404 manifest for R@sha256:ab not found: manifest unknown: manifest unknown
image_not_found 404 manifest for 127.0.0.1:5000/app:1 not found: manifest unknown: x
image_not_found 404 manifest unknown: x
image_not_found 500 name unknown
image_not_found 404 no matching manifest for linux/arm64/v8 in the manifest list entries
image_not_found 404 failed to resolve reference "docker.io/library/x:y": docker.io/library/x:y: not found
registry_unreachable 500 Get "http://127.0.0.1:1/v2/": dial tcp 127.0.0.1:1: connect: connection refused
registry_unreachable 500 Get "https://nosuch.invalid/v2/": dial tcp: lookup nosuch.invalid on 10.0.0.1:53: no such host
registry_unreachable 500 Get "https://r.io/v2/": net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)
registry_unreachable 500 Get "https://127.0.0.1:5000/v2/": http: server gave HTTP response to HTTPS client
registry_unreachable 500 Get "https://r.io/v2/": x509: certificate signed by unknown authority
registry_unreachable 500 Head "http://127.0.0.1:33529/v2/app/manifests/1": EOF
registry_unreachable 500 received unexpected HTTP status: 503 Service Unavailable
registry_unreachable 200 dial tcp 127.0.0.1:1: connect: connection refused
registry_unreachable 200 error pulling image configuration: download failed after attempts=6: dial tcp 127.0.0.1:1: connect: connection refused
registry_unreachable 500 failed to resolve reference "r.io/app:1": failed to do request: Head "https://r.io/v2/app/manifests/1": dial tcp: lookup r.io: no such host
image_pull_failed 500 error parsing HTTP 400 response body: unexpected end of JSON input: ""
image_pull_failed 500 toomanyrequests: You have reached your pull rate limit
image_pull_failed 200 error pulling image configuration: download failed after attempts=1: unknown blob
image_pull_failed 200 unexpected EOF
image_pull_failed 200 failed to register layer: write /payload: no space left on device
image_pull_failed 500 mediaType in manifest should be 'application/vnd.docker.distribution.manifest.v2+json' not ''
"#;

    const CREATING: &str = r#"
name_conflict 409 Conflict. The container name "/web" is already in use by container "85c3". You have to remove (or rename) that container to be able to reuse that name.
image_not_found 404 No such image: sha256:aa
create_failed 400 invalid mount config for type "bind": bind source path does not exist: /nosuch/x
create_failed 400 invalid environment variable: =SECRET21
create_failed 400 Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available
create_failed 500 Cannot mkdir: /bin/busybox is not a directory
"#;

    const STARTING: &str = r#"
port_taken 500 driver failed programming external connectivity on endpoint rel-new (c17b95): Bind for 0.0.0.0:18555 failed: port is already allocated
port_taken 500 driver failed programming external connectivity on endpoint rel-new (c17b95): Error starting userland proxy: listen tcp4 0.0.0.0:18556: bind: address already in use
port_taken 500 failed to set up container networking: driver failed programming external connectivity on endpoint rel-new (c17b95): failed to bind host port 0.0.0.0:80/tcp: address already in use
start_failed 500 driver failed programming external connectivity on endpoint rel-new (c17b95): Error starting userland proxy: listen tcp4 10.9.9.9:18556: bind: cannot assign requested address
start_failed 400 failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "mysql -pSECRET25": executable file not found in $PATH: unknown
start_failed 400 failed to create shim task: OCI runtime create failed: runc create failed: unable to start container process: exec: "driver failed programming external connectivity: port is already allocated
start_failed 500 unable to find user nobody2: no matching entries in passwd file
create_failed 404 network nosuchnet not found
create_failed 404 Could not attach to network nosuchnet: rpc error: code = NotFound desc = network nosuchnet not found
create_failed 403 Could not attach to network private: rpc error: code = PermissionDenied desc = network private not manually attachable
"#;

    #[test]
    fn what_engines_answer_has_its_marker() {
        for (phase, answers) in [
            (Phase::Pull, REGISTRIES),
            (Phase::Create, CREATING),
            (Phase::Start, STARTING),
        ] {
            for answer in answers.trim().lines() {
                let [name, status, message] = answer.splitn(3, ' ').collect::<Vec<_>>()[..] else {
                    panic!("{answer}")
                };
                let expected = M::from_name(name).unwrap();
                assert_eq!(
                    marker(phase, status.parse().unwrap(), message),
                    expected,
                    "{answer}"
                );
            }
        }
    }

    #[test]
    fn a_registry_cannot_choose_the_marker_by_what_it_says() {
        let quoting = "denied: manifest for x not found: dial tcp: unauthorized: EOF";
        let message = format!(
            "pull access denied for r.io/app, repository does not exist or may require 'docker login': {quoting}"
        );
        assert_eq!(marker(Phase::Pull, 404, &message), M::RegistryDenied);
        assert_eq!(
            marker(Phase::Pull, 500, "unknown: dial tcp: connection refused"),
            M::ImagePullFailed
        );
        assert_eq!(
            marker(Phase::Pull, 500, "toomanyrequests: unauthorized: denied: EOF"),
            M::ImagePullFailed
        );
    }

    #[test]
    fn the_error_holds_the_answer_out_of_sight() {
        let error = failed(
            Phase::Start,
            &Fault::Answer {
                status: 400,
                message: "exec: SECRET".to_owned(),
            },
        );
        assert_eq!(
            format!("{error} {error:?}"),
            "start_failed DispatchError(start_failed)"
        );
    }
}

//! What reaches the log, of texts that engines really gave and of texts made to break the redaction.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a panic is how a test fails"
)]

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use proptest::prelude::*;
use proptest::sample::Index;
use shipslog_core::redact::Redactor;
use shipslog_core::testing::canary::{Alphabet, Canaries, Canary};

/// Without knowing any secret.
fn redact(text: &str) -> String {
    Redactor::default().redact(text)
}

mod texts_of_the_engine {
    use super::redact;

    #[test]
    fn a_token_server_echoes_the_authorization() {
        assert_eq!(
            redact(
                r#"Head "http://127.0.0.1:5067/v2/tok/manifests/1": unauthorized: bad creds: Basic cmVsdXNlcjpTRUNSRVQxMQ=="#
            ),
            r#"Head "http://127.0.0.1:5067/v2/tok/manifests/1": unauthorized: bad creds: [redacted]"#,
        );
    }

    #[test]
    fn a_registry_echoes_the_authorization() {
        assert_eq!(
            redact(
                "pull access denied for 127.0.0.1:5068/html, repository does not exist or may require 'docker login': denied: denied for Basic cmVsdXNlcjpTRUNSRVQxMQ=="
            ),
            "pull access denied for 127.0.0.1:5068/html, repository does not exist or may require 'docker login': denied: denied for Basic [redacted]",
        );
    }

    #[test]
    fn a_download_fails_with_a_status() {
        assert_eq!(
            redact(
                "failed to GET http://user:SECRET5@127.0.0.1:5055/x.tar?token=SECRET6 with status 404 Not Found: no such file"
            ),
            "failed to GET http://[redacted]@127.0.0.1:5055/x.tar?token=[redacted] with status 404 Not Found: no such file",
        );
    }

    #[test]
    fn a_download_cannot_be_dialled() {
        assert_eq!(
            redact(
                r#"Get "http://user:***@127.0.0.1:1/x.tar": dial tcp 127.0.0.1:1: connect: connection refused"#
            ),
            r#"Get "http://[redacted]@127.0.0.1:1/x.tar": dial tcp 127.0.0.1:1: connect: connection refused"#,
        );
    }

    #[test]
    fn a_build_context_is_named_masked_and_unmasked() {
        assert_eq!(
            redact(
                r#"error downloading remote context http://user:SECRET37@127.0.0.1:1/ctx.tar: Get "http://user:***@127.0.0.1:1/ctx.tar": dial tcp 127.0.0.1:1: connect: connection refused"#
            ),
            r#"error downloading remote context http://[redacted]@127.0.0.1:1/ctx.tar: Get "http://[redacted]@127.0.0.1:1/ctx.tar": dial tcp 127.0.0.1:1: connect: connection refused"#,
        );
    }

    #[test]
    fn a_volume_cannot_be_mounted() {
        assert_eq!(
            redact(
                "error while mounting volume '/var/lib/docker/volumes/v/_data': failed to mount local volume: mount //127.0.0.1/s:/var/lib/docker/volumes/v/_data, data: username=u,password=SECRET27,addr=127.0.0.1: no such device"
            ),
            "error while mounting volume '/var/lib/docker/volumes/v/_data': failed to mount local volume: mount //127.0.0.1/s:/var/lib/docker/volumes/v/_data, data: username=u,password=[redacted],addr=127.0.0.1: no such device",
        );
    }

    #[test]
    fn an_environment_variable_is_invalid() {
        assert_eq!(
            redact("invalid environment variable: =SECRET21"),
            "invalid environment variable: [redacted]"
        );
    }

    #[test]
    fn a_program_is_not_found() {
        assert_eq!(
            redact(
                r#"OCI runtime create failed: container_linux.go:367: starting container process caused: exec: "mysql -pSECRET25": executable file not found in $PATH: unknown"#
            ),
            r#"OCI runtime create failed: container_linux.go:367: starting container process caused: exec: "[redacted]": executable file not found in $PATH: unknown"#,
        );
    }

    #[test]
    fn a_program_without_arguments_is_named() {
        let text = r#"exec: "/bin/sh": stat /bin/sh: no such file or directory"#;
        assert_eq!(redact(text), text);
    }

    #[test]
    fn a_bind_path_is_relative() {
        assert_eq!(
            redact(
                "invalid volume specification: '/secretpath/SECRET28:relative': invalid mount path: 'relative' mount path must be absolute"
            ),
            "invalid volume specification: '[redacted]': invalid mount path: 'relative' mount path must be absolute",
        );
    }

    #[test]
    fn an_image_tag_is_unknown() {
        assert_eq!(
            redact("No such image: nosuch/img:SECRETtag"),
            "No such image: nosuch/img:[redacted]"
        );
    }

    #[test]
    fn an_image_digest_is_unknown() {
        let text = format!("No such image: 127.0.0.1:5000/app@sha256:{}", "5f".repeat(32));
        assert_eq!(redact(&text), text);
    }

    #[test]
    fn an_event_names_the_command_that_was_run() {
        for status in ["exec_create", "exec_start"] {
            let text = format!(r#"{{"id":"0123456789ab","status":"{status}: mysql -pSECRET31"}}"#);
            let redacted = format!(r#"{{"id":"0123456789ab","status":"{status}: [redacted]"#);
            assert_eq!(redact(&text), redacted);
        }
    }

    #[test]
    fn a_build_step_fails() {
        assert_eq!(
            redact(
                "The command '/bin/busybox sh -c echo 'user:SECRET33'; exit 3' returned a non-zero code: 3"
            ),
            "The command '[redacted]' returned a non-zero code: 3",
        );
    }

    #[test]
    fn a_health_check_logs_what_the_probe_printed() {
        assert_eq!(
            redact(r#"{"Health":{"Log":[{"ExitCode":1,"Output":"login u SECRET34 refused"}]}}"#),
            r#"{"Health":{"Log":[{"ExitCode":1,"Output":"[redacted]"}]}}"#,
        );
    }

    #[test]
    fn a_client_library_formats_its_credentials() {
        assert_eq!(
            redact(
                r#"DockerCredentials { username: Some("u"), password: Some("SECRET50"), auth: None, serveraddress: None }"#
            ),
            r#"DockerCredentials { username: Some("u"), password: Some("[redacted]"), auth: [redacted], serveraddress: None }"#,
        );
    }

    #[test]
    fn texts_without_a_secret_stay_as_they_are() {
        for text in [
            "unauthorized: authentication required",
            r#"Head "https://registry.example.org/v2/team/app/manifests/1.4": no basic auth credentials"#,
            "login attempt to http://127.0.0.1:5055/v2/ failed with status: 401 Unauthorized",
            r#"error parsing HTTP 400 response body: unexpected end of JSON input: """#,
            "dial tcp 127.0.0.1:1: connect: connection refused",
            "invalid reference format",
            "manifest for 127.0.0.1:5000/app:2 not found: manifest unknown: manifest unknown",
            "driver failed programming external connectivity on endpoint rel-new (0123456789ab): Bind for 0.0.0.0:18555 failed: port is already allocated",
            "Error starting userland proxy: listen tcp4 0.0.0.0:18556: bind: address already in use",
            r#"Conflict. The container name "/web" is already in use by container "0123456789ab". You have to remove (or rename) that container to be able to reuse that name."#,
            "configured logging driver does not support reading",
            "Get \"https://registry.example.org/v2/\": x509: certificate signed by unknown authority",
        ] {
            assert_eq!(redact(text), text);
        }
    }
}

/// A message as an engine or a tool writes it, with a secret in it.
#[derive(Debug)]
struct Message {
    text: String,
    /// What must still be readable.
    useful: Vec<String>,
}

/// What messages are about beside secrets.
#[derive(Debug, Clone)]
struct Scene {
    host: String,
    port: u16,
    repository: String,
    status: u16,
}

fn scenes() -> impl Strategy<Value = Scene> {
    (
        "[a-z]{3,8}(-[a-z]{2,5})?\\.example\\.(org|com)",
        1_024..u16::MAX,
        "[a-z]{2,8}/[a-z]{2,8}(-[a-z]{2,4})?",
        400..600_u16,
    )
        .prop_map(|(host, port, repository, status)| Scene {
            host,
            port,
            repository,
            status,
        })
}

fn message(text: String, useful: &[&str]) -> Message {
    Message {
        text,
        useful: useful.iter().map(|&part| part.to_owned()).collect(),
    }
}

/// Messages with the secret where nothing says that there is one.
fn vague_messages(scene: &Scene, secret: &str) -> Vec<Message> {
    let Scene {
        host,
        port,
        repository,
        status,
    } = scene;
    let place = format!("{host}:{port}");
    let status = &status.to_string();
    vec![
        message(
            format!(
                "pull access denied for {place}/{repository}: denied: denied for {secret} (status {status})"
            ),
            &[&place, repository, "pull access denied", status],
        ),
        message(
            format!("{repository}: starting container process caused: exec: {secret:?}: file not found"),
            &[repository, "starting container process"],
        ),
        message(
            format!("{repository} printed {secret} and {secret}{secret}"),
            &[repository],
        ),
        message(
            serde_json::json!({"host": place, "status": status, "note": [secret], "said": secret})
                .to_string(),
            &[&place, status],
        ),
    ]
}

/// Messages with the secret where it is recognised by its place.
fn telling_messages(scene: &Scene, secret: &str) -> Vec<Message> {
    let Scene {
        host,
        port,
        repository,
        status,
    } = scene;
    let place = format!("{host}:{port}");
    let status = &status.to_string();
    vec![
        message(
            format!("Head \"http://{place}/v2/{repository}/manifests/1\": unauthorized: bad creds: {secret}"),
            &[&place, repository, "unauthorized"],
        ),
        message(
            format!("{status} from {place}: header was Authorization: Bearer {secret}"),
            &[status, &place],
        ),
        message(
            format!("status {status}: invalid environment variable: ={secret}"),
            &[status],
        ),
        message(
            format!(
                "{repository}: process caused: exec: {:?}: file not found",
                format!("mysql -p{secret}")
            ),
            &[repository, "process caused"],
        ),
        message(
            format!("volume of {repository}: invalid volume specification: '/{secret}:relative'"),
            &[repository, "invalid volume specification"],
        ),
        message(
            format!("{{\"from\":\"{repository}\",\"status\":\"exec_create: sh {secret}\"}}"),
            &[repository],
        ),
        message(
            format!("The command '/bin/sh -c {secret}' returned a non-zero code: 3"),
            &["code: 3"],
        ),
        message(
            serde_json::json!({"at": place, "auth": secret, "status": status}).to_string(),
            &[&place, status],
        ),
        message(
            format!("Login {{ at: Some({place:?}), password: Some({secret:?}) }}"),
            &[&place],
        ),
    ]
}

/// Messages with the secret in a URL or a list of fields. One with a character that ends its place may take
/// what follows with it.
fn delimited_messages(scene: &Scene, secret: &str) -> Vec<Message> {
    let Scene {
        host, port, status, ..
    } = scene;
    let place = format!("{host}:{port}");
    let fits = secret
        .bytes()
        .all(|byte| byte.is_ascii_alphanumeric() || b"-._~%".contains(&byte));
    let if_it_fits = |text: String, useful: &[&str]| message(text, if fits { useful } else { &[] });
    vec![
        if_it_fits(
            format!("failed to GET http://user:{secret}@{place}/x.tar?token={secret} with status {status}"),
            &[&place, "x.tar", &status.to_string()],
        ),
        if_it_fits(
            format!("mount //{host}/s:/data, data: username=u,password={secret},addr={host}: no such device"),
            &["no such device", &format!("addr={host}")],
        ),
    ]
}

/// What the rules go by, to be put together in ways that nobody thought of.
const DELIMITERS: &[&str] = &[
    "\"",
    "'",
    "`",
    "\\",
    "\\\"",
    ":",
    "=",
    " ",
    ",",
    "@",
    "?",
    "#",
    "&",
    ";",
    "/",
    "://",
    "[",
    "]",
    "{",
    "}",
    "(",
    "<",
    "%",
    "%2",
    "\\u",
    "\\u00",
    "\\ud83d",
    "\\x",
    "&#",
    "&amp",
    "password",
    "token=",
    "--key",
    "Basic",
    "exec: ",
    "The command '",
    "' returned",
    "No such image: ",
    "sha256:",
    "@sha256:",
    "eyJ",
    ".",
    "a",
    "Z",
    "0",
    "é",
    "☃",
    "+",
    "specification: '",
    "exec_create:",
    "Some(",
    "cmd:",
    "\n",
    "\u{200b}",
];

/// The canary in one of its forms, or in the midst of a longer text that is encoded as a whole.
fn written(canary: &Canary, form: Index, around: &str) -> String {
    let forms = canary.forms();
    let whole = format!("{around}:{}{around}", canary.value());
    let choices = forms.len() + 4;
    match form.index(choices).checked_sub(forms.len()) {
        None => String::from_utf8(forms[form.index(choices)].clone()).unwrap(),
        Some(0) => BASE64_STANDARD.encode(whole),
        Some(1) => BASE64_URL_SAFE_NO_PAD.encode(whole),
        Some(2) => BASE64_STANDARD.encode(BASE64_STANDARD.encode(whole)),
        Some(_) => whole.bytes().map(|byte| format!("{byte:02x}")).collect(),
    }
}

/// A failing case prints its seed; nothing is written beside the sources.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig {
        cases,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(1_200))]

    #[test]
    fn a_known_secret_is_never_shown_and_the_useful_part_is(
        seed: u64,
        scene in scenes(),
        which: Index,
        form: Index,
        message: Index,
        around in "[a-z ]{0,4}",
    ) {
        let canaries = Canaries::seeded(seed);
        let canary = canaries.all()[which.index(5)];
        let written = written(canary, form, &around);
        let mut messages = vague_messages(&scene, &written);
        messages.extend(telling_messages(&scene, &written));
        messages.extend(delimited_messages(&scene, &written));
        let message = message.get(&messages);
        let redacted = canaries.redactor().redact(&message.text);
        prop_assert_eq!(canary.find_in(redacted.as_bytes()), None, "{} in {}", written, redacted);
        for part in &message.useful {
            prop_assert!(redacted.contains(part), "{:?} of {:?} in {:?}", part, message.text, redacted);
        }
    }
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn no_order_of_delimiters_brings_a_known_secret_to_light(
        seed: u64,
        form: Index,
        before in proptest::collection::vec(proptest::sample::select(DELIMITERS), 0..20),
        after in proptest::collection::vec(proptest::sample::select(DELIMITERS), 0..20),
    ) {
        let canary = Canary::seeded("any", Alphabet::Any, seed);
        let mut redactor = Redactor::default();
        redactor.hide(canary.value());
        let text = format!("{}{}{}", before.concat(), written(&canary, form, " "), after.concat());
        let redacted = redactor.redact(&text);
        prop_assert_eq!(canary.find_in(redacted.as_bytes()), None, "{} in {}", text, redacted);
    }

    #[test]
    fn an_unknown_secret_in_a_telling_place_is_never_shown(seed: u64, scene in scenes(), message: Index) {
        let canary = Canary::seeded("unknown", Alphabet::Word, seed);
        let basic = BASE64_STANDARD.encode(format!("user:{}", canary.value()));
        let mut messages = vague_messages(&scene, &basic);
        messages.extend(telling_messages(&scene, &basic));
        messages.extend(telling_messages(&scene, canary.value()));
        messages.extend(delimited_messages(&scene, canary.value()));
        let message = message.get(&messages);
        let redacted = redact(&message.text);
        prop_assert_eq!(canary.find_in(redacted.as_bytes()), None, "{}", redacted);
        for part in &message.useful {
            prop_assert!(redacted.contains(part), "{:?} of {:?} in {:?}", part, message.text, redacted);
        }
    }

    #[test]
    fn any_text_gives_one_short_line(text in "\\PC{0,300}|[\\s\\S]{0,300}") {
        let redacted = redact(&text);
        prop_assert!(redacted.chars().count() <= 2_000);
        prop_assert!(!redacted.contains(char::is_control));
    }
}

proptest! {
    #![proptest_config(cases(100))]

    #[test]
    fn a_text_of_any_length_and_any_characters_hides_what_is_known(
        // What begins a sequence for the terminal may take the begin of a value with it, as the terminal
        // does.
        before in "[^\\x1b\\x90-\\x9f]{0,60}",
        repeated in 0..400_usize,
        after in "[\\s\\S]{0,60}",
        seed: u64,
    ) {
        let canary = Canary::seeded("any", Alphabet::Any, seed);
        let mut redactor = Redactor::default();
        redactor.hide(canary.value());
        let text = format!("{}{}{after}", before.repeat(repeated), canary.value());
        prop_assert_eq!(canary.find_in(redactor.redact(&text).as_bytes()), None);
    }
}

#[test]
fn a_hostile_text_of_a_megabyte_costs_no_more_than_a_short_one() {
    let mut redactor = Canaries::seeded(1).redactor();
    redactor.hide("aaaa");
    let hostile = [
        "a",
        "\\",
        "\"",
        "\\\"",
        "://",
        "@",
        ":",
        "=",
        "key=",
        "key:[",
        "?a=",
        "%41",
        "%25",
        "&amp;",
        "\\\\u0041",
        "\u{1b}[",
        "\u{1b}]",
        "Basic ",
        "exec: \"a ",
        "'a ",
        "eyJ.",
        "YTph",
        "4141",
        "no such image: a:",
        "http://a:b@",
        "\u{200b}",
        "☃",
        "+",
    ];
    for part in hostile {
        let text = part.repeat(1_000_000 / part.len());
        let start = Instant::now();
        let redacted = redactor.redact(&text);
        assert!(redacted.chars().count() <= 2_000, "{part:?}");
        assert!(
            start.elapsed() < Duration::from_secs(30),
            "{part:?} took {:?}",
            start.elapsed()
        );
    }
}

#[test]
fn a_hostile_text_cannot_forge_a_line() {
    let forged =
        "denied\n2027-01-15T00:00:00Z  INFO all is well\r\u{1b}[2K\u{1b}[1A\u{9b}2J\u{2028}\u{202e}ok";
    let redacted = redact(forged);
    assert_eq!(redacted, "denied 2027-01-15T00:00:00Z  INFO all is well  ok");
}

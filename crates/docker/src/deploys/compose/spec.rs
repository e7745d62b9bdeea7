//! What a spec may say for a Compose file.

use serde::Deserialize;
use shipslog_core::secret::SecretRef;
use shipslog_core::workloads::{EnvVar, FieldError, RestartPolicy, Spec, StrategyChoice};

use super::file::{ComposeFile, Origin};
use super::source::Location;
use super::variables::Known;

/// The options of the source.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ComposeOptions {
    /// The file itself, for the reference `inline`.
    #[serde(default)]
    pub(super) file: Option<String>,
    /// What a Git server is shown, for a reference to a repository.
    #[serde(default)]
    pub(super) token: Option<SecretRef>,
}

/// Variables that would change what the tool does, not what the file says.
const TAKEN: [&str; 15] = [
    "PATH",
    "HOME",
    "TMPDIR",
    "XDG_RUNTIME_DIR",
    "DOCKER_API_VERSION",
    "DOCKER_AUTH_CONFIG",
    "DOCKER_BUILDKIT",
    "DOCKER_CERT_PATH",
    "DOCKER_CONFIG",
    "DOCKER_CONTENT_TRUST",
    "DOCKER_CONTEXT",
    "DOCKER_DEFAULT_PLATFORM",
    "DOCKER_HOST",
    "DOCKER_TLS",
    "DOCKER_TLS_VERIFY",
];
const TAKEN_BEGINNINGS: [&str; 6] = ["COMPOSE_", "DOCKER_CLI_", "BUILDKIT_", "BUILDX_", "LD_", "PYTHON"];

/// Checks all that can be known without looking at the host.
pub(super) fn check(spec: &Spec) -> Result<(), FieldError> {
    refuse_what_the_file_says(spec)?;
    check_env(spec)?;
    let options: ComposeOptions = spec.source.options.read()?;
    let location = Location::parse(&spec.source.reference)?;
    if options.token.is_some() && !matches!(location, Location::Repository(_)) {
        let message = "can only be given with the reference of a Git repository";
        return Err(FieldError::new("source.options.token", message));
    }
    match (location, options.file) {
        (Location::Inline, Some(file)) => check_file(&file, spec),
        (Location::Inline, None) => Err(FieldError::new(
            "source.options.file",
            "must hold the Compose file",
        )),
        (_, Some(_)) => Err(FieldError::new(
            "source.options.file",
            "can only be given with the reference inline",
        )),
        (_, None) => Ok(()),
    }
}

fn check_file(text: &str, spec: &Spec) -> Result<(), FieldError> {
    let value_of = |name: &str| match spec.env.iter().find(|var| var.name == name) {
        Some(EnvVar {
            value: Some(value), ..
        }) => Known::Value(value.as_str()),
        Some(_) => Known::Secret,
        None => Known::Unset,
    };
    let checked = ComposeFile::parse(text, Origin::Inline).and_then(|file| {
        file.check_variables(&spec.env)?;
        file.check_filled(&value_of)
    });
    checked.map_err(|error| FieldError::new("source.options.file", error.to_string()))
}

fn refuse_what_the_file_says(spec: &Spec) -> Result<(), FieldError> {
    let given = [
        ("command", !spec.command.is_empty()),
        ("ports", !spec.ports.is_empty()),
        ("mounts", !spec.mounts.is_empty()),
        ("networks", !spec.networks.is_empty()),
        ("labels", !spec.labels.is_empty()),
        ("replicas", spec.replicas != 1),
        ("memory_limit", spec.memory_limit.is_some()),
        ("cpus", spec.cpus.is_some()),
        ("restart", spec.restart != RestartPolicy::default()),
        ("healthcheck", spec.healthcheck.is_some()),
    ];
    if let Some((field, _)) = given.into_iter().find(|(_, is_given)| *is_given) {
        return Err(FieldError::new(
            field,
            "belongs in the Compose file, to each service its own",
        ));
    }
    match spec.rollout.strategy {
        StrategyChoice::Auto | StrategyChoice::Recreate => Ok(()),
        _ => Err(FieldError::new(
            "rollout.strategy",
            "must be auto or recreate: Compose stops a service before it starts it anew",
        )),
    }
}

fn check_env(spec: &Spec) -> Result<(), FieldError> {
    let is_taken = |name: &str| {
        TAKEN.contains(&name)
            || TAKEN_BEGINNINGS
                .iter()
                .any(|beginning| name.starts_with(beginning))
    };
    match spec.env.iter().position(|var| is_taken(&var.name)) {
        Some(i) => Err(FieldError::new(
            format!("env[{i}].name"),
            "would change how Compose itself works: choose another name",
        )),
        None => Ok(()),
    }
}

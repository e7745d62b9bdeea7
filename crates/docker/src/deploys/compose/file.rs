//! What a Compose file says, as far as it has to be known before the engine's own Compose reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};
use serde_saphyr::{Budget, Error, Options};
use sha2::{Digest as _, Sha256};
use shipslog_core::deploys::PartName;
use shipslog_core::workloads::EnvVar;

use super::rules::{self, Place};
use super::variables::variables_of;

/// The largest file that is read, in bytes.
pub(super) const MAX_FILE: usize = 1024 * 1024;
/// The most nodes that a file may have once its aliases are replaced by what they stand for.
const MAX_NODES: usize = 50_000;
/// How deep its lists and mappings may be nested.
const MAX_DEPTH: usize = 64;

/// Sections in which Compose puts the values of variables.
const SECTIONS: [&str; 5] = ["services", "volumes", "networks", "secrets", "configs"];

/// What is wrong with a file, and where. It quotes no values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileError {
    place: String,
    problem: &'static str,
    service: Option<PartName>,
}

impl FileError {
    pub(super) fn new(place: impl Into<String>, problem: &'static str) -> Self {
        Self {
            place: place.into(),
            problem,
            service: None,
        }
    }

    pub(super) fn of_service(mut self, service: Option<PartName>) -> Self {
        self.service = service;
        self
    }

    /// The service that it is about.
    pub(super) fn service(&self) -> Option<&PartName> {
        self.service.as_ref()
    }
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.place.as_str() {
            "" => f.write_str(self.problem),
            place => write!(f, "{place} {}", self.problem),
        }
    }
}

/// Whether the file has a folder, to which what it names can be relative.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It has none.
    Inline,
    /// It has one on the host.
    Folder,
    /// It has one for as long as the tool is at work.
    Repository,
}

/// A service that is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Service {
    /// Which have to work before it is started.
    pub(super) needs: BTreeSet<PartName>,
    /// Which of those have to run to their end.
    pub(super) awaits_end_of: BTreeSet<PartName>,
    /// Whose network, processes or volumes it shares, so that it has to be made anew when they are.
    pub(super) shares: BTreeSet<PartName>,
    /// Whether the file names its image.
    pub(super) has_image: bool,
    /// Whether its image is built.
    pub(super) is_built: bool,
    /// Whether it says itself how long it may take to stop.
    pub(super) has_grace: bool,
}

/// A Compose file.
#[derive(Debug, Clone)]
pub(super) struct ComposeFile {
    root: Map<String, Value>,
    /// The commit that it is of.
    commit: Option<String>,
    /// Those that run: services with a profile do not.
    pub(super) services: BTreeMap<PartName, Service>,
}

impl ComposeFile {
    /// Reads and checks a file.
    pub(super) fn parse(text: &str, origin: Origin) -> Result<Self, FileError> {
        let root = read(text)?;
        let services = rules::check(&root, origin)?;
        let file = Self {
            root,
            commit: None,
            services,
        };
        file.order().map(|_| file)
    }

    /// The same file as one of this commit.
    pub(super) fn at(mut self, commit: Option<String>) -> Self {
        self.commit = commit;
        self
    }

    /// Every service, whether it is to run or not.
    pub(super) fn all_services(&self) -> impl Iterator<Item = (&str, &Map<String, Value>)> {
        let listed = self.root.get("services").and_then(Value::as_object);
        listed
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_object()?)))
    }

    /// Whether the tool has to find other files beside it to run what was pinned.
    pub(super) fn needs_folder(&self) -> bool {
        self.all_services().any(|(_, service)| reads_files(service))
    }

    /// Whether a service's image is built.
    pub(super) fn is_built(&self, service: &Map<String, Value>) -> bool {
        let listed = self.root.get("services").and_then(Value::as_object);
        listed.is_some_and(|all| rules::says(all, service, "build"))
    }

    /// What stands under `version`, which every file of a project has to repeat.
    pub(super) fn version(&self) -> Option<&str> {
        self.root.get("version")?.as_str()
    }

    /// The networks or volumes that the file makes, the one that Compose makes by itself included.
    pub(super) fn own(&self, section: &str) -> Vec<&str> {
        let made = |(name, value): (&'_ String, &Value)| !is_external(value) && !name.starts_with("x-");
        let listed = self.root.get(section).and_then(Value::as_object);
        let mut own: Vec<&str> = listed
            .into_iter()
            .flatten()
            .filter(|&(name, value)| made((name, value)))
            .map(|(name, _)| name.as_str())
            .collect();
        let is_given = listed.is_some_and(|listed| listed.contains_key("default"));
        if section == "networks" && !is_given {
            own.push("default");
        }
        own
    }

    /// The services, each after those that it needs.
    pub(super) fn order(&self) -> Result<Vec<PartName>, FileError> {
        let mut ordered: Vec<PartName> = Vec::new();
        while ordered.len() < self.services.len() {
            let is_ready = |service: &Service| service.needs.iter().all(|need| ordered.contains(need));
            let left = |name: &PartName| !ordered.contains(name);
            let next = self
                .services
                .iter()
                .find(|(name, service)| left(name) && is_ready(service));
            match next {
                Some((name, _)) => ordered.push(name.clone()),
                None => return Err(self.circle(&ordered)),
            }
        }
        Ok(ordered)
    }

    fn circle(&self, ordered: &[PartName]) -> FileError {
        let stuck = self.services.keys().find(|name| !ordered.contains(name));
        let place = stuck.map_or_else(String::new, |name| format!("services.{name}.depends_on"));
        FileError::new(place, "leads in a circle").of_service(stuck.cloned())
    }

    /// Whether it has to run to its end before others are started.
    pub(super) fn must_end(&self, name: &PartName) -> bool {
        self.services
            .values()
            .any(|service| service.awaits_end_of.contains(name))
    }

    /// Requires that every variable has a value, a default, or is not needed: Compose puts nothing in place of one that is missing.
    pub(super) fn check_variables(&self, env: &[EnvVar]) -> Result<(), FileError> {
        let is_set = |name: &str| env.iter().any(|var| var.name == name);
        for section in SECTIONS {
            if let Some(value) = self.root.get(section) {
                check_variables(&Place::root(section), value, &is_set)?;
            }
        }
        Ok(())
    }

    /// A digest of all that the file and the environment say of a service, secrets as the references that they are. Two that differ
    /// make two different containers.
    pub(super) fn definition(&self, name: &PartName, env: &[EnvVar]) -> String {
        let services = self.root.get("services").and_then(Value::as_object);
        let own = services.and_then(|services| services.get(name.as_str()));
        let extends = own.is_some_and(|own| own.get("extends").is_some());
        let said = if extends { self.root.get("services") } else { own };
        let mut used = BTreeSet::new();
        said.into_iter()
            .for_each(|value| collect_variables(value, &mut used));
        let used: Vec<&EnvVar> = env.iter().filter(|var| used.contains(&var.name)).collect();
        // What is in such a file is the commit's, too.
        let has_files = own.and_then(Value::as_object).is_some_and(reads_files);
        let commit = self.commit.as_ref().filter(|_| has_files || extends);
        digest(serde_json::json!([said, used, commit]).to_string().as_bytes())
    }
}

fn reads_files(service: &Map<String, Value>) -> bool {
    ["env_file", "label_file"]
        .iter()
        .any(|field| service.contains_key(*field))
}

/// `sha256:` and 64 digits.
pub(super) fn digest(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    let hex = hash
        .iter()
        .fold(String::new(), |hex, byte| format!("{hex}{byte:02x}"));
    format!("sha256:{hex}")
}

fn is_external(value: &Value) -> bool {
    let external = value.get("external");
    external.is_some_and(|external| *external != Value::Bool(false))
}

fn read(text: &str) -> Result<Map<String, Value>, FileError> {
    if text.len() > MAX_FILE {
        return Err(FileError::new("", "must not be longer than 1 MiB"));
    }
    match serde_saphyr::from_str_with_options(text, limits()) {
        Ok(Value::Object(root)) => Ok(root),
        Ok(_) => Err(FileError::new("", "must be a mapping with services in it")),
        Err(error) => Err(explain(&error)),
    }
}

pub(super) fn limits() -> Options {
    let mut budget = Budget::default();
    budget.max_nodes = MAX_NODES;
    budget.max_depth = MAX_DEPTH;
    let mut options = Options::default();
    options.alias_limits.max_total_replayed_events = 2 * MAX_NODES;
    options.budget = Some(budget);
    options.with_snippet = false;
    options
}

/// The reader's own words quote the file.
fn explain(error: &Error) -> FileError {
    let place = error.location().map(|at| format!("line {}", at.line()));
    let problem = match is_too_much(error) {
        true => "is too much: too many nodes, anchors or levels",
        false => "is not valid YAML",
    };
    FileError::new(place.unwrap_or_default(), problem)
}

fn is_too_much(error: &Error) -> bool {
    match error.without_snippet() {
        Error::AliasError { error, .. } => is_too_much(error),
        Error::Budget { .. }
        | Error::AliasReplayCounterOverflow { .. }
        | Error::AliasReplayLimitExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. } => true,
        _ => false,
    }
}

fn check_variables(place: &Place<'_>, value: &Value, is_set: &dyn Fn(&str) -> bool) -> Result<(), FileError> {
    match value {
        Value::String(text) => {
            let unreadable =
                |_| place.error("has a $ that begins no variable: write $$ for a dollar that means itself");
            let variables = variables_of(text).map_err(unreadable)?;
            match variables.iter().any(|var| var.is_required && !is_set(&var.name)) {
                true => Err(place.error("uses a variable that is not in env")),
                false => Ok(()),
            }
        }
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| check_variables(&place.item(i), item, is_set)),
        Value::Object(fields) => fields
            .iter()
            .try_for_each(|(name, field)| check_variables(&place.field(name), field, is_set)),
        _ => Ok(()),
    }
}

fn collect_variables(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::String(text) => {
            let found = variables_of(text).unwrap_or_default();
            into.extend(found.into_iter().map(|variable| variable.name));
        }
        Value::Array(items) => items.iter().for_each(|item| collect_variables(item, into)),
        Value::Object(fields) => fields.values().for_each(|field| collect_variables(field, into)),
        _ => {}
    }
}

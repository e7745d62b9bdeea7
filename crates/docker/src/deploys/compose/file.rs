//! What a Compose file says, as far as it has to be known before the engine's own Compose reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Map, Value};
use serde_saphyr::{Budget, Error, Options};
use sha2::{Digest as _, Sha256};
use shipslog_core::deploys::PartName;
use shipslog_core::workloads::EnvVar;

use super::rules::{self, Place};
use super::variables::{Known, filled, has_nested, variables_of};

/// The largest file that is read, in bytes.
pub(super) const MAX_FILE: usize = 1024 * 1024;
/// The most nodes that a file may have once its aliases are replaced by what they stand for.
const MAX_NODES: usize = 50_000;
/// How deep its lists and mappings may be nested.
const MAX_DEPTH: usize = 64;

/// Sections besides the services, in which Compose puts the values of variables as well.
const SECTIONS: [&str; 4] = ["volumes", "networks", "secrets", "configs"];

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
    /// Whose network or processes it has, which are others each time that those are started.
    pub(super) joins: BTreeSet<PartName>,
    /// Whose volumes it has, which stay until those are made anew.
    pub(super) takes_volumes_of: BTreeSet<PartName>,
    /// Whether the file names its image.
    pub(super) has_image: bool,
    /// Whether its image is built.
    pub(super) is_built: bool,
    /// Whether it says itself how long it may take to stop.
    pub(super) has_grace: bool,
    /// How many containers it has, where it says so itself and not by a variable.
    pub(super) replicas: Option<u64>,
}

/// A Compose file.
#[derive(Debug, Clone)]
pub(super) struct ComposeFile {
    root: Map<String, Value>,
    origin: Origin,
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
            origin,
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
        let listed = self.section("services").into_iter().flatten();
        listed.filter_map(|(name, value)| Some((name.as_str(), value.as_object()?)))
    }

    /// Those that run.
    fn running(&self) -> impl Iterator<Item = (&PartName, &Map<String, Value>)> {
        let of = |name: &PartName| self.section("services")?.get(name.as_str())?.as_object();
        self.services
            .keys()
            .filter_map(move |name| Some((name, of(name)?)))
    }

    fn section(&self, name: &str) -> Option<&Map<String, Value>> {
        self.root.get(name).and_then(Value::as_object)
    }

    /// What the file says of a network or volume that it makes; nothing for the network that Compose makes by itself.
    pub(super) fn entry(&self, section: &str, name: &str) -> Map<String, Value> {
        let entry = self
            .section(section)
            .and_then(|entries| entries.get(name)?.as_object());
        entry.cloned().unwrap_or_default()
    }

    /// Whether the tool has to find other files beside it to run what was pinned.
    pub(super) fn needs_folder(&self) -> bool {
        self.all_services().any(|(_, service)| reads_files(service))
    }

    /// Whether a service's image is built.
    pub(super) fn is_built(&self, service: &Map<String, Value>) -> bool {
        self.section("services")
            .is_some_and(|all| rules::says(all, service, "build"))
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
        let is_set = |name: &str| name == PROJECT_NAME || env.iter().any(|var| var.name == name);
        let services = Place::root("services");
        for (name, fields) in self.running() {
            let place = services.field(name.as_str());
            let text =
                |(field, value): (&String, &Value)| check_variables(&place.field(field), value, &is_set);
            fields.iter().try_for_each(text)?;
            if passed_through(fields).any(|name| !is_set(name)) {
                return Err(place.field("environment").error(NOT_SET));
            }
        }
        for section in SECTIONS {
            if let Some(value) = self.root.get(section) {
                check_variables(&Place::root(section), value, &is_set)?;
            }
        }
        Ok(())
    }

    /// Refuses mounts of what is nowhere, or not for long, once variables are filled in.
    pub(super) fn check_filled<'a>(&self, value_of: &dyn Fn(&str) -> Known<'a>) -> Result<(), FileError> {
        let fill = |text: &str| filled(text, value_of);
        for (name, fields) in self.running() {
            rules::check_filled(name.as_str(), fields, self.origin, &fill)?;
        }
        Ok(())
    }

    /// Refuses what the first generation of Compose reads as something else, without a word.
    pub(super) fn check_first_generation(&self) -> Result<(), FileError> {
        let services = Place::root("services");
        for (name, fields) in self.running() {
            let place = services.field(name.as_str());
            if fields.get("configs").is_some_and(|configs| !is_empty(configs)) {
                return Err(place.field("configs").error(NO_CONFIGS));
            }
            let plain = |(field, value): (&String, &Value)| check_nested(&place.field(field), value);
            fields.iter().try_for_each(plain)?;
        }
        for section in SECTIONS {
            if let Some(value) = self.root.get(section) {
                check_nested(&Place::root(section), value)?;
            }
        }
        Ok(())
    }

    /// A digest of all that the file and the environment say of a service, secrets as the references that they are. Two that differ
    /// make two different containers.
    pub(super) fn definition(&self, name: &PartName, env: &[EnvVar]) -> String {
        let services = self.section("services");
        let own = services.and_then(|services| services.get(name.as_str()));
        let extends = own.is_some_and(|own| own.get("extends").is_some());
        let said = if extends { self.root.get("services") } else { own };
        let shared = self.shared_by(said.unwrap_or(&Value::Null));
        let mut used = BTreeSet::new();
        collect_variables(said.unwrap_or(&Value::Null), &mut used);
        shared
            .iter()
            .for_each(|(_, _, value)| collect_variables(value, &mut used));
        let used: Vec<&EnvVar> = env.iter().filter(|var| used.contains(&var.name)).collect();
        // What is in such a file is the commit's, too.
        let has_files = own.and_then(Value::as_object).is_some_and(reads_files);
        let commit = self.commit.as_ref().filter(|_| has_files || extends);
        digest(
            serde_json::json!([said, shared, used, commit])
                .to_string()
                .as_bytes(),
        )
    }

    /// What a service has with others: networks, volumes, configurations and secrets that it names.
    fn shared_by(&self, service: &Value) -> Vec<(&str, &str, &Value)> {
        let mut shared = Vec::new();
        for section in SECTIONS {
            for (name, value) in self.section(section).into_iter().flatten() {
                if name == "default" || mentions(service, name) {
                    shared.push((section, name.as_str(), value));
                }
            }
        }
        shared
    }
}

/// The variable in which Compose itself puts the name of the project.
pub(super) const PROJECT_NAME: &str = "COMPOSE_PROJECT_NAME";
const NOT_SET: &str = "uses a variable that is not in env";
const NO_CONFIGS: &str = "are not known to docker-compose 1: it needs the plugin of the Docker client";
const NESTED: &str = "has a variable within a variable, which docker-compose 1 reads as something else";

/// Variables that a service has under their own names: `environment: [NAME]` and `{NAME: null}`.
fn passed_through(service: &Map<String, Value>) -> impl Iterator<Item = &str> {
    let (listed, mapped) = match service.get("environment") {
        Some(Value::Array(listed)) => (Some(listed), None),
        Some(Value::Object(mapped)) => (None, Some(mapped)),
        _ => (None, None),
    };
    let listed = listed.into_iter().flatten().filter_map(Value::as_str);
    let mapped = mapped.into_iter().flatten().filter(|(_, value)| value.is_null());
    listed
        .filter(|entry| !entry.contains('='))
        .chain(mapped.map(|(name, _)| name.as_str()))
}

/// Whether a name stands somewhere by itself, or before a `:` as in `volume:/path`.
fn mentions(value: &Value, name: &str) -> bool {
    let is_it =
        |text: &str| text == name || text.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'));
    match value {
        Value::String(text) => is_it(text),
        Value::Array(items) => items.iter().any(|item| mentions(item, name)),
        Value::Object(fields) => fields
            .iter()
            .any(|(key, field)| key == name || mentions(field, name)),
        _ => false,
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

fn check_nested(place: &Place<'_>, value: &Value) -> Result<(), FileError> {
    match value {
        Value::String(text) if has_nested(text) => Err(place.error(NESTED)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(i, item)| check_nested(&place.item(i), item)),
        Value::Object(fields) => fields
            .iter()
            .try_for_each(|(name, field)| check_nested(&place.field(name), field)),
        _ => Ok(()),
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
    // What aliases come to is counted by nodes; many of them are no sign of harm.
    budget.enforce_alias_anchor_ratio = false;
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
                true => Err(place.error(NOT_SET)),
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
        Value::Object(fields) => {
            // The source of a secret is the name of a variable.
            let named = fields.get("environment").and_then(Value::as_str);
            into.extend(passed_through(fields).chain(named).map(str::to_owned));
            fields.values().for_each(|field| collect_variables(field, into));
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn file(value: &Value) -> ComposeFile {
        ComposeFile::parse(&value.to_string(), Origin::Folder).unwrap()
    }

    fn variable(name: &str, value: &str) -> EnvVar {
        serde_json::from_value(json!({"name": name, "value": value})).unwrap()
    }

    fn definition(value: &Value, env: &[EnvVar]) -> String {
        file(value).definition(&"web".parse().unwrap(), env)
    }

    #[test]
    fn a_definition_is_all_that_makes_a_container_what_it_is() {
        let one = [variable("KEY", "1"), variable("OTHER", "1")];
        let (two, other) = (
            [variable("KEY", "2"), variable("OTHER", "1")],
            [variable("KEY", "1"), variable("OTHER", "2")],
        );
        for service in [
            json!({"image": "a", "environment": {"X": "${KEY}"}}),
            json!({"image": "a", "environment": ["KEY"]}),
            json!({"image": "a", "environment": {"KEY": null}}),
            json!({"image": "a", "volumes": ["data:/data"]}),
            json!({"image": "a", "networks": ["back"]}),
            json!({"image": "a", "secrets": [{"source": "key"}]}),
            json!({"extends": "base"}),
        ] {
            let file = json!({
                "services": {"web": service, "base": {"image": "b", "labels": {"k": "$KEY"}}},
                "volumes": {"data": {"driver_opts": {"o": "${KEY}"}}}, "networks": {"back": {"name": "$KEY"}},
                "secrets": {"key": {"environment": "KEY"}},
            });
            assert_ne!(definition(&file, &one), definition(&file, &two), "{service}");
            assert_eq!(definition(&file, &one), definition(&file, &other), "{service}");
        }
    }

    #[test]
    fn what_others_have_is_no_part_of_a_definition() {
        let with = |more: Value| {
            json!({
                "services": {"web": {"image": "a", "volumes": ["data:/data"]}, "db": {"image": "b", "volumes": ["more:/m"]}},
                "volumes": {"data": null, "more": more},
            })
        };
        let (before, after) = (with(json!(null)), with(json!({"driver": "local"})));
        assert_eq!(definition(&before, &[]), definition(&after, &[]));
        let named = |text: &str| file(&before).definition(&text.parse().unwrap(), &[]);
        let changed = file(&after).definition(&"db".parse().unwrap(), &[]);
        assert_ne!(named("db"), changed);
    }

    #[test]
    fn what_the_first_generation_would_read_as_something_else_is_refused() {
        let refusal = |service: Value| {
            let file = file(&json!({"services": {"web": service}, "configs": {"c": {"file": "/c"}}}));
            file.check_first_generation()
                .map_err(|error| error.to_string())
                .err()
        };
        let image = json!({"image": "${A:-${B}}"});
        assert_eq!(refusal(image), Some(format!("services.web.image {NESTED}")));
        let configs = json!({"image": "a", "configs": ["c"]});
        assert_eq!(
            refusal(configs),
            Some(format!("services.web.configs {NO_CONFIGS}"))
        );
        assert_eq!(refusal(json!({"image": "${A:-b}", "configs": []})), None);
    }

    #[test]
    fn anchors_and_merges_are_read_however_many_there_are() {
        let many: String = (0..120).map(|i| format!("  s{i}: *base\n")).collect();
        let text = format!("x-base: &base {{image: a}}\nservices:\n{many}");
        assert_eq!(
            ComposeFile::parse(&text, Origin::Inline).unwrap().services.len(),
            120
        );
        let text = "x-a: &a {image: a}\nx-b: &b {restart: always}\nservices:\n  web: {<<: *a}\n  db: {<<: [*a, *b], restart: no}\n";
        let read = ComposeFile::parse(text, Origin::Inline).unwrap();
        assert!(read.services.values().all(|service| service.has_image));
    }
}

//! The rules that a Compose file must keep to be deployed.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use shipslog_core::deploys::PartName;

use super::file::{FileError, Origin, Service};
use super::paths::{self, is_relative};

/// The most services of a file.
const MAX_SERVICES: usize = 200;

/// Where something stands in the file: `services.web.ports[0]`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    before: Option<&'a Place<'a>>,
    step: Step<'a>,
}

#[derive(Debug, Clone, Copy)]
enum Step<'a> {
    Field(&'a str),
    Item(usize),
}

impl<'a> Place<'a> {
    pub(super) fn root(section: &'a str) -> Self {
        Self {
            before: None,
            step: Step::Field(section),
        }
    }

    pub(super) fn field(&'a self, name: &'a str) -> Self {
        Self {
            before: Some(self),
            step: Step::Field(name),
        }
    }

    pub(super) fn item(&'a self, index: usize) -> Self {
        Self {
            before: Some(self),
            step: Step::Item(index),
        }
    }

    pub(super) fn error(&self, problem: &'static str) -> FileError {
        FileError::new(self.text(), problem).of_service(self.service())
    }

    fn service(&self) -> Option<PartName> {
        let before = self.before?;
        match (before.before, before.step, self.step) {
            (None, Step::Field("services"), Step::Field(name)) => name.parse().ok(),
            _ => before.service(),
        }
    }

    fn text(&self) -> String {
        let before = self.before.map(Place::text);
        match (before, self.step) {
            (None, Step::Field(name)) => name.to_owned(),
            (Some(before), Step::Field(name)) if is_plain(name) => format!("{before}.{name}"),
            // A key may be anything: what is no plain word is not shown.
            (Some(before), Step::Field(_)) => format!("{before}.?"),
            (before, Step::Item(index)) => format!("{}[{index}]", before.unwrap_or_default()),
        }
    }
}

fn is_plain(name: &str) -> bool {
    name.len() <= 63
        && name
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

/// Checks the whole file, and answers the services that are to run.
pub(super) fn check(
    root: &Map<String, Value>,
    origin: Origin,
) -> Result<BTreeMap<PartName, Service>, FileError> {
    if root.contains_key("include") {
        return Err(FileError::new(
            "include",
            "is not supported: all of it must be in one file",
        ));
    }
    check_sources(root, origin)?;
    let place = Place::root("services");
    let listed = root
        .get("services")
        .and_then(Value::as_object)
        .ok_or_else(|| place.error("must be a mapping of services"))?;
    if listed.len() > MAX_SERVICES {
        return Err(place.error("must not be more than 200"));
    }
    let names = running(&place, listed)?;
    let mut services = BTreeMap::new();
    for (name, value) in listed {
        let reader = Reader {
            place: place.field(name),
            fields: value
                .as_object()
                .ok_or_else(|| place.field(name).error("must be a mapping"))?,
            origin,
            names: &names,
            all: listed,
        };
        match names.iter().find(|own| own.as_str() == name) {
            Some(name) => drop(services.insert(name.clone(), reader.service()?)),
            None => reader.check_idle()?,
        }
    }
    match services.is_empty() {
        true => Err(place.error("must hold one that is started, without a profile")),
        false => Ok(services),
    }
}

/// Configurations and secrets that are read from files.
fn check_sources(root: &Map<String, Value>, origin: Origin) -> Result<(), FileError> {
    for section in ["configs", "secrets"] {
        for (name, value) in root.get(section).and_then(Value::as_object).into_iter().flatten() {
            let file = value.get("file").and_then(Value::as_str);
            if let Some(problem) = not_kept(origin).filter(|_| file.is_some_and(is_relative)) {
                let place = Place::root(section);
                return Err(place.field(name).field("file").error(problem));
            }
        }
    }
    Ok(())
}

const NO_FOLDER: &str = "is relative, and a file that is given inline is in no folder";
const NOT_KEPT: &str =
    "is relative, and files of a repository are not kept beside what runs: build them into an image";
/// The first generation takes them from where the file is, which is a copy; the second from the folder of the project.
const SPLIT: &str = "is relative, and other services extend this one: Compose would look for it elsewhere";
const UNKNOWN: &str = "names a service that is not there";

/// What is wrong with files that have to be there for as long as containers run.
fn not_kept(origin: Origin) -> Option<&'static str> {
    match origin {
        Origin::Inline => Some(NO_FOLDER),
        Origin::Repository => Some(NOT_KEPT),
        Origin::Folder => None,
    }
}

/// The names of the services that are started: those without a profile.
fn running(place: &Place<'_>, listed: &Map<String, Value>) -> Result<BTreeSet<PartName>, FileError> {
    let mut names = BTreeSet::new();
    for (name, value) in listed {
        let parsed = name.parse().map_err(|_| {
            place.error(
                "must have names of at most 63 letters, digits, _ . and -, the first a letter or digit",
            )
        })?;
        let profiles = value.get("profiles").and_then(Value::as_array);
        if profiles.is_none_or(Vec::is_empty) {
            names.insert(parsed);
        }
    }
    Ok(names)
}

/// Whether a service says this of itself, or has it from one that it extends.
pub(super) fn says(all: &Map<String, Value>, service: &Map<String, Value>, field: &str) -> bool {
    let own = |fields: &Map<String, Value>| fields.get(field).is_some_and(|value| !value.is_null());
    // One that extends itself in a circle is for the tool to refuse.
    let chain = std::iter::successors(Some(service), |fields| base_of(all, fields));
    chain.take(all.len()).any(own)
}

fn base_of<'a>(all: &'a Map<String, Value>, service: &Map<String, Value>) -> Option<&'a Map<String, Value>> {
    let extends = service.get("extends")?;
    let base = extends.as_str().or_else(|| extends.get("service")?.as_str())?;
    all.get(base)?.as_object()
}

struct Reader<'a> {
    place: Place<'a>,
    fields: &'a Map<String, Value>,
    origin: Origin,
    names: &'a BTreeSet<PartName>,
    all: &'a Map<String, Value>,
}

impl Reader<'_> {
    /// The rules for one that is not started, but which the tool reads all the same.
    fn check_idle(&self) -> Result<(), FileError> {
        self.check_extends()?;
        match self.origin {
            Origin::Repository => self.check_paths(),
            _ => Ok(()),
        }
    }

    fn service(&self) -> Result<Service, FileError> {
        self.check_idle()?;
        self.check_image()?;
        self.check_replicas()?;
        self.check_labels()?;
        if self.origin == Origin::Inline {
            self.check_env_files()?;
        }
        if let Some(problem) = not_kept(self.origin) {
            self.check_volumes(problem)?;
        }
        if self.is_extended() {
            self.check_extended()?;
        }
        let (mut needs, awaits_end_of) = self.depends_on()?;
        let (joins, takes_volumes_of) = (self.joins()?, self.takes_volumes_of()?);
        needs.extend(joins.union(&takes_volumes_of).cloned());
        needs.extend(self.links()?);
        Ok(Service {
            needs,
            awaits_end_of,
            joins,
            takes_volumes_of,
            has_image: self.has("image"),
            is_built: self.has("build"),
            has_grace: self.fields.contains_key("stop_grace_period"),
            replicas: self.replicas(),
        })
    }

    fn error(&self, field: &str, problem: &'static str) -> FileError {
        self.place.field(field).error(problem)
    }

    fn text(&self, field: &str) -> Option<&str> {
        self.fields.get(field)?.as_str()
    }

    fn has(&self, field: &str) -> bool {
        says(self.all, self.fields, field)
    }

    fn check_image(&self) -> Result<(), FileError> {
        let has = |field| self.fields.get(field).is_some_and(|value| !value.is_null());
        match () {
            () if has("build") && self.origin == Origin::Inline => Err(self.error(
                "build",
                "needs a folder to build from: a file that is given inline has none",
            )),
            () if has("build") || has("image") || has("extends") => Ok(()),
            () => Err(self.place.error("needs an image")),
        }
    }

    fn check_extends(&self) -> Result<(), FileError> {
        let Some(extends) = self.fields.get("extends") else {
            return Ok(());
        };
        if extends.get("file").is_some() {
            let place = self.place.field("extends");
            return Err(place
                .field("file")
                .error("is not supported: all of it must be in one file"));
        }
        match base_of(self.all, self.fields) {
            Some(_) => Ok(()),
            None => Err(self.error("extends", UNKNOWN)),
        }
    }

    fn check_replicas(&self) -> Result<(), FileError> {
        match self.replicas() {
            Some(0) => Err(self
                .place
                .error("must not be scaled to none: leave it out instead")),
            _ => Ok(()),
        }
    }

    /// How many containers it has; `None` if a variable or another service says that.
    fn replicas(&self) -> Option<u64> {
        let deploy = self
            .fields
            .get("deploy")
            .and_then(|deploy| deploy.get("replicas"));
        match self.fields.get("scale").or(deploy) {
            Some(count) => count.as_u64(),
            None => (!self.fields.contains_key("extends")).then_some(1),
        }
    }

    fn check_labels(&self) -> Result<(), FileError> {
        let taken = |key: &str| key.starts_with("shipslog.");
        let has_taken = match self.fields.get("labels") {
            Some(Value::Object(labels)) => labels.keys().any(|key| taken(key)),
            Some(Value::Array(labels)) => labels.iter().filter_map(Value::as_str).any(taken),
            _ => false,
        };
        match has_taken {
            true => Err(self.error("labels", "has one that begins with shipslog., which is taken")),
            false => Ok(()),
        }
    }

    fn check_env_files(&self) -> Result<(), FileError> {
        let mut files = paths::listed(self.fields.get("env_file"));
        match files.any(is_relative) {
            true => Err(self.error("env_file", NO_FOLDER)),
            false => Ok(()),
        }
    }

    /// Where a variable would lead is not known when it is looked whether a path stays in the repository.
    fn check_paths(&self) -> Result<(), FileError> {
        let mut found = paths::of_service(self.fields).into_iter();
        match found.find(|path| path.text.contains('$')) {
            Some(path) => Err(self.error(
                path.field,
                "must be a plain path in a repository, without variables",
            )),
            None => Ok(()),
        }
    }

    fn is_extended(&self) -> bool {
        let mut others = self.all.values().filter_map(Value::as_object);
        others.any(|other| base_of(self.all, other).is_some_and(|base| std::ptr::eq(base, self.fields)))
    }

    fn check_extended(&self) -> Result<(), FileError> {
        match paths::of_service(self.fields).first() {
            Some(path) => Err(self.error(path.field, SPLIT)),
            None => self.check_volumes(SPLIT),
        }
    }

    fn check_volumes(&self, problem: &'static str) -> Result<(), FileError> {
        let volumes = self.fields.get("volumes").and_then(Value::as_array);
        let place = self.place.field("volumes");
        for (i, volume) in volumes.into_iter().flatten().enumerate() {
            if is_relative_bind(volume) {
                return Err(place.item(i).error(problem));
            }
        }
        Ok(())
    }

    fn depends_on(&self) -> Result<(BTreeSet<PartName>, BTreeSet<PartName>), FileError> {
        let (mut needs, mut ends) = (BTreeSet::new(), BTreeSet::new());
        match self.fields.get("depends_on") {
            Some(Value::Array(listed)) => {
                for name in listed {
                    needs.insert(self.known("depends_on", name.as_str().unwrap_or_default())?);
                }
            }
            Some(Value::Object(listed)) => {
                for (name, how) in listed {
                    if how.get("required") == Some(&Value::Bool(false)) && !self.is_started(name) {
                        continue;
                    }
                    let name = self.known("depends_on", name)?;
                    let condition = how.get("condition").and_then(Value::as_str);
                    if condition == Some("service_completed_successfully") {
                        ends.insert(name.clone());
                    }
                    needs.insert(name);
                }
            }
            _ => {}
        }
        Ok((needs, ends))
    }

    /// `network_mode: service:name` and its like.
    fn joins(&self) -> Result<BTreeSet<PartName>, FileError> {
        let fields = ["network_mode", "ipc", "pid"].into_iter();
        let named = fields.filter_map(|field| Some((field, self.text(field)?.strip_prefix("service:")?)));
        named.map(|(field, name)| self.known(field, name)).collect()
    }

    /// `volumes_from: [name:ro]`
    fn takes_volumes_of(&self) -> Result<BTreeSet<PartName>, FileError> {
        let listed = self.listed("volumes_from");
        listed
            .filter(|from| !from.starts_with("container:"))
            .map(|from| self.known("volumes_from", before_colon(from)))
            .collect()
    }

    fn links(&self) -> Result<BTreeSet<PartName>, FileError> {
        self.listed("links")
            .map(|link| self.known("links", before_colon(link)))
            .collect()
    }

    fn listed(&self, field: &str) -> impl Iterator<Item = &str> {
        let items = self.fields.get(field).and_then(Value::as_array);
        items.into_iter().flatten().filter_map(Value::as_str)
    }

    fn is_started(&self, name: &str) -> bool {
        self.names.iter().any(|known| known.as_str() == name)
    }

    fn known(&self, field: &str, name: &str) -> Result<PartName, FileError> {
        let known = self.names.iter().find(|known| known.as_str() == name);
        known.cloned().ok_or_else(|| match self.all.contains_key(name) {
            true => self.error(field, "names a service that has a profile, and so is not started"),
            false => self.error(field, UNKNOWN),
        })
    }
}

/// Refuses bind mounts that are relative once variables are filled in, where there is no folder to which they could be.
pub(super) fn check_filled(
    service: &str,
    fields: &Map<String, Value>,
    origin: Origin,
    fill: &dyn Fn(&str) -> Option<String>,
) -> Result<(), FileError> {
    let Some(problem) = not_kept(origin) else {
        return Ok(());
    };
    let (section, volumes) = (
        Place::root("services"),
        fields.get("volumes").and_then(Value::as_array),
    );
    for (i, volume) in volumes.into_iter().flatten().enumerate() {
        let mut filled = volume.clone();
        if let Some(text) = source_of(&mut filled)
            && let Some(path) = fill(text)
        {
            *text = path;
        }
        if is_relative_bind(&filled) {
            return Err(section.field(service).field("volumes").item(i).error(problem));
        }
    }
    Ok(())
}

fn source_of(volume: &mut Value) -> Option<&mut String> {
    match volume {
        Value::String(text) => Some(text),
        Value::Object(fields) => match fields.get_mut("source") {
            Some(Value::String(text)) => Some(text),
            _ => None,
        },
        _ => None,
    }
}

fn before_colon(text: &str) -> &str {
    text.split_once(':').map_or(text, |(before, _)| before)
}

/// `./data:/data`, `~/data:/data`, and the long form. A plain name is a volume. What begins with a variable is known once that is filled in.
fn is_relative_bind(volume: &Value) -> bool {
    let by_path = |source: &str| source.starts_with(['.', '~']);
    match volume {
        Value::String(text) => by_path(text),
        Value::Object(fields) => {
            let source = fields.get("source").and_then(Value::as_str).unwrap_or("/");
            let is_bind = fields.get("type").and_then(Value::as_str) == Some("bind");
            by_path(source) || is_bind && is_relative(source) && !source.starts_with('$')
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn refusal(service: &Value) -> String {
        refusal_of(&json!({"services": {"web": service}}), Origin::Repository)
    }

    fn refusal_of(file: &Value, origin: Origin) -> String {
        match check(file.as_object().unwrap(), origin) {
            Ok(_) => "nothing".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn what_a_repository_does_not_keep_is_refused_by_its_field() {
        for volume in [
            json!("./data:/data"),
            json!("~/data:/data"),
            json!({"type": "bind", "source": "data", "target": "/d"}),
        ] {
            let said = format!("services.web.volumes[1] {NOT_KEPT}");
            assert_eq!(
                refusal(&json!({"image": "a", "volumes": ["named:/x", volume]})),
                said
            );
        }
        let secrets = json!({"services": {"web": {"image": "a"}}, "secrets": {"key": {"file": "./key"}}});
        let error = check(secrets.as_object().unwrap(), Origin::Repository).unwrap_err();
        assert_eq!(error.to_string(), format!("secrets.key.file {NOT_KEPT}"));
        let variable = "must be a plain path in a repository, without variables";
        assert_eq!(
            refusal(&json!({"image": "a", "env_file": ["$A/x"]})),
            format!("services.web.env_file {variable}")
        );
        assert_eq!(
            refusal(&json!({"build": {"context": "${A}"}})),
            format!("services.web.build {variable}")
        );
        for good in [
            json!({"image": "a", "volumes": ["/srv:/srv", "data:/data"], "env_file": "a.env"}),
            json!({"build": "."}),
        ] {
            assert_eq!(refusal(&good), "nothing", "{good}");
        }
    }

    #[test]
    fn what_is_extended_names_no_relative_paths() {
        let file = |base: Value| json!({"services": {"base": base, "web": {"extends": {"service": "base"}}}});
        for (base, field) in [
            (json!({"build": "."}), "build"),
            (json!({"image": "a", "env_file": "a.env"}), "env_file"),
            (json!({"image": "a", "volumes": ["./a:/a"]}), "volumes[0]"),
        ] {
            let said = format!("services.base.{field} {SPLIT}");
            assert_eq!(refusal_of(&file(base), Origin::Folder), said);
        }
        let built = file(json!({"build": "/srv/app"}));
        let services = check(built.as_object().unwrap(), Origin::Folder).unwrap();
        assert!(
            services
                .values()
                .all(|service| service.is_built && !service.has_image)
        );
    }
}

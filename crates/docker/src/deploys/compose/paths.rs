//! The files that the tool reads beside a Compose file.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use shipslog_core::deploys::DispatchError;

use super::super::repository::Checkout;
use super::file::ComposeFile;
use super::plan::unusable;
use super::rules::Place;

/// A path that a service names, and the field where it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) field: &'static str,
    /// From the folder of the file.
    pub(super) text: String,
}

/// Refuses paths that lead out of a repository: nobody but its readers should have to care for what else is on the host.
pub(super) async fn keep_within(
    tree: &Checkout,
    folder: &Path,
    file: &ComposeFile,
) -> Result<(), DispatchError> {
    for (service, fields) in file.all_services() {
        for path in of_service(fields) {
            if !tree.keeps(&folder.join(&path.text)).await {
                let (section, field) = (Place::root("services"), path.field);
                let error = section
                    .field(service)
                    .field(field)
                    .error("leads out of the repository");
                return Err(unusable(&error));
            }
        }
    }
    Ok(())
}

/// The relative paths of what the tool reads for a service: its environment and labels, and what its image is built from.
pub(super) fn of_service(fields: &Map<String, Value>) -> Vec<Named> {
    let mut found = Vec::new();
    for field in ["env_file", "label_file"] {
        found.extend(listed(fields.get(field)).map(|text| (field, text.to_owned())));
    }
    let context = fields.get("build").and_then(context);
    found.extend(context.map(|context| ("build", context.to_owned())));
    found.extend(fields.get("build").into_iter().flat_map(built_from));
    let relative = found.into_iter().filter(|(_, text)| is_relative(text));
    relative.map(|(field, text)| Named { field, text }).collect()
}

/// A path, a list of them, or of mappings with a `path`.
pub(super) fn listed(value: Option<&Value>) -> impl Iterator<Item = &str> {
    let files = match value {
        Some(Value::Array(files)) => files.iter().collect(),
        file => Vec::from_iter(file),
    };
    files
        .into_iter()
        .filter_map(|file| file.as_str().or_else(|| file.get("path")?.as_str()))
}

fn context(build: &Value) -> Option<&str> {
    match build {
        Value::Object(fields) => fields.get("context").map_or(Some("."), Value::as_str),
        other => other.as_str(),
    }
}

/// The Dockerfile, which is looked for in the context, and further contexts: folders are what has no `:`, as addresses have.
fn built_from(build: &Value) -> Vec<(&'static str, String)> {
    let context = PathBuf::from(context(build).unwrap_or("."));
    let file = build.get("dockerfile").and_then(Value::as_str);
    let file = file.map(|file| context.join(file).to_string_lossy().into_owned());
    let more = match build.get("additional_contexts") {
        Some(Value::Object(named)) => named.values().filter_map(Value::as_str).collect(),
        Some(Value::Array(listed)) => {
            let pairs = listed.iter().filter_map(Value::as_str);
            pairs.filter_map(|pair| Some(pair.split_once('=')?.1)).collect()
        }
        _ => Vec::new(),
    };
    let more = more
        .into_iter()
        .filter(|text| !text.contains(':'))
        .map(str::to_owned);
    file.into_iter().chain(more).map(|text| ("build", text)).collect()
}

/// A path that depends on where the file is, or on whose home it is.
pub(super) fn is_relative(path: &str) -> bool {
    !path.starts_with('/')
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn paths(service: Value) -> Vec<String> {
        let named = of_service(service.as_object().unwrap());
        named
            .into_iter()
            .map(|path| format!("{} {}", path.field, path.text))
            .collect()
    }

    #[test]
    fn what_a_service_reads_is_found_in_every_form() {
        assert_eq!(paths(json!({"image": "a"})), Vec::<String>::new());
        assert_eq!(
            paths(json!({"env_file": "a.env", "label_file": ["l"]})),
            ["env_file a.env", "label_file l"]
        );
        let files = json!({"env_file": ["a", {"path": "../b", "required": false}, "/etc/c"]});
        assert_eq!(paths(files), ["env_file a", "env_file ../b"]);
        assert_eq!(paths(json!({"build": ".."})), ["build .."]);
        assert_eq!(paths(json!({"build": {}})), ["build ."]);
        let build = json!({"build": {"context": "web", "dockerfile": "../x", "additional_contexts": {"a": "../a", "b": "docker-image://b"}}});
        assert_eq!(paths(build), ["build web", "build web/../x", "build ../a"]);
        let listed = json!({"build": {"context": "/srv", "dockerfile": "x", "additional_contexts": ["a=a"]}});
        assert_eq!(paths(listed), ["build a"]);
    }
}

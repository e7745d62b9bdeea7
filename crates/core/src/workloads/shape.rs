//! What is wrong with the shape of a JSON value, said without quoting it.

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::FieldError;
use crate::id::InvalidId;
use crate::secret::InvalidSecretRef;

/// Reads `value`, which stands at `path`.
pub(super) fn read<T: DeserializeOwned>(path: &str, value: Value) -> Result<T, FieldError> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let within = error.path().to_string();
        let whole = match within.as_str() {
            "." => path.to_owned(),
            within if within.starts_with('[') => format!("{path}{within}"),
            within => format!("{path}.{within}"),
        };
        FieldError::of_shape(&whole, &error.into_inner().to_string())
    })
}

impl FieldError {
    /// Turns the path and the message of a deserializer into a field and a message of ours.
    ///
    /// A deserializer's own message repeats the value that it could not use, which may be a secret in the wrong field. Only the
    /// parts of the message that come from types of ours are taken over: names of fields and what was expected. Whatever is not
    /// recognised becomes "is not valid".
    pub fn of_shape(path: &str, message: &str) -> Self {
        explain(path, message)
    }
}

/// Turns the path and the message of a deserializer into a field and a message of ours.
fn explain(path: &str, message: &str) -> FieldError {
    let message = message.rsplit_once(" at line ").map_or(message, |(text, _)| text);
    if let Some(name) = named(message, "missing field `", "`") {
        return FieldError::new(join(path, name), "is required");
    }
    if let Some(name) = unknown_field(message) {
        return FieldError::new(ending_with(path, name), "is not a known field");
    }
    if let Some(name) = named(message, "duplicate field `", "`") {
        return FieldError::new(ending_with(path, name), "is given twice");
    }
    FieldError::new(path, expectation(message))
}

/// What stands between a beginning and the last occurrence of what follows it.
fn named<'a>(message: &'a str, before: &str, after: &str) -> Option<&'a str> {
    message
        .strip_prefix(before)?
        .rsplit_once(after)
        .map(|(name, _)| name)
}

fn unknown_field(message: &str) -> Option<&str> {
    let before = "unknown field `";
    named(message, before, "`, expected ").or_else(|| named(message, before, "`, there are no fields"))
}

fn join(path: &str, name: &str) -> String {
    if path == "." {
        name.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

/// The path of a field, whether or not `path` names it already.
fn ending_with(path: &str, name: &str) -> String {
    let there = path == name
        || path
            .strip_suffix(name)
            .is_some_and(|parent| parent.ends_with('.'));
    if there { path.to_owned() } else { join(path, name) }
}

fn expectation(message: &str) -> String {
    if message.starts_with("unknown variant `") {
        let choices = message
            .rsplit_once("`, expected ")
            .map(|(_, choices)| choices.replace('`', ""));
        return choices.map_or_else(invalid, |choices| format!("must be {choices}"));
    }
    if message.starts_with("invalid ") && message.contains(", expected ") {
        let expected = message
            .rsplit_once(", expected ")
            .map_or("", |(_, expected)| expected);
        return format!("must be {}", readable(expected));
    }
    own_text(message).map_or_else(invalid, str::to_owned)
}

fn invalid() -> String {
    "is not valid".to_owned()
}

/// The messages of types that explain themselves.
fn own_text(message: &str) -> Option<&str> {
    if message == "invalid IP address syntax" {
        return Some("must be an IP address");
    }
    let own = [InvalidSecretRef.to_string(), InvalidId.to_string()];
    match own.iter().position(|text| text == message)? {
        0 => Some(message),
        _ => Some("must be an id"),
    }
}

/// The expectation of a deserializer in words for people who send JSON.
fn readable(expected: &str) -> &str {
    match expected {
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" => "a whole number, 0 or more",
        "f64" => "a number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "a map" => "an object",
        object if object.starts_with("struct ") => "an object",
        other => other,
    }
}

//! What is wrong with a body, said without quoting it.
//!
//! A deserializer's own message repeats the value that it could not use, which may be a secret in the wrong
//! field. Only the parts of the message that come from our types are taken over: names of fields and what was
//! expected. Whatever is not recognised becomes "is not valid".

use serde::de::{DeserializeOwned, IgnoredAny};
use shipslog_core::id::InvalidId;
use shipslog_core::secret::InvalidSecretRef;
use shipslog_core::workloads::FieldError;

/// What is wrong with a body.
#[derive(Debug, PartialEq)]
pub(crate) enum BodyError {
    /// It is not JSON.
    Syntax,
    /// It is JSON of another shape.
    Schema(FieldError),
}

/// Reads a JSON object.
pub(crate) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, BodyError> {
    // First as a whole, so that a wrong field does not hide that the rest is no JSON.
    serde_json::from_slice::<IgnoredAny>(body).map_err(|_| BodyError::Syntax)?;
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(BodyError::Schema(FieldError::new("body", "must be an object")));
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            serde_json::error::Category::Data => BodyError::Schema(explain(&path, &inner.to_string())),
            _ => BodyError::Syntax,
        }
    })
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use shipslog_core::workloads::Spec;

    use super::*;

    const SECRET: &str = "s3cr3t`, expected one of `x`, expected y at line 7";

    fn wrong(body: &serde_json::Value) -> FieldError {
        match read::<Spec>(body.to_string().as_bytes()) {
            Err(BodyError::Schema(error)) => error,
            other => panic!("{body}: {other:?}"),
        }
    }

    fn with(field: &str, value: serde_json::Value) -> serde_json::Value {
        let mut spec = json!({"name": "web", "source": {"kind": "image", "reference": "r/app:1"}});
        spec[field] = value;
        spec
    }

    fn assert_wrong(field: &str, value: serde_json::Value, at: &str, message: &str) {
        let body = with(field, value);
        assert_eq!(wrong(&body), FieldError::new(at, message), "{body}");
    }

    #[test]
    fn values_of_another_type_are_told_what_is_expected() {
        let port = "must be a whole number from 0 to 65535";
        assert_wrong("name", json!(5), "name", "must be a string");
        assert_wrong("cpus", json!(SECRET), "cpus", "must be a number");
        assert_wrong("ports", json!(SECRET), "ports", "must be a list");
        assert_wrong("source", json!(SECRET), "source", "must be an object");
        assert_wrong("labels", json!({"team": 3}), "labels.team", "must be a string");
        assert_wrong(
            "ports",
            json!([{"host": 70_000, "container": 80}]),
            "ports[0].host",
            port,
        );
        assert_wrong(
            "ports",
            json!([{"host": SECRET, "container": 80}]),
            "ports[0].host",
            port,
        );
    }

    #[test]
    fn values_that_are_none_of_the_choices_are_told_the_choices() {
        let port = |name: &str| json!([{"host": 1, "container": 80, name: SECRET}]);
        assert_wrong(
            "ports",
            port("protocol"),
            "ports[0].protocol",
            "must be one of tcp, udp, sctp",
        );
        assert_wrong(
            "ports",
            port("host_ip"),
            "ports[0].host_ip",
            "must be an IP address",
        );
        let env = json!([{"name": "A", "secret": SECRET}]);
        assert_wrong(
            "env",
            env,
            "env[0].secret",
            "must be file:/absolute/path or env:NAME",
        );
    }

    #[test]
    fn unknown_fields_are_named_with_their_place() {
        assert_wrong("colour", json!(SECRET), "colour", "is not a known field");
        let source = json!({"kind": "a", "reference": "b", "ref": SECRET});
        assert_wrong("source", source, "source.ref", "is not a known field");
        let source = json!({"kind": "a", "reference": "b", "x`, expected one of `y": 1});
        assert_wrong(
            "source",
            source,
            "source.x`, expected one of `y",
            "is not a known field",
        );
    }

    #[test]
    fn missing_and_repeated_fields_are_named() {
        assert_wrong(
            "source",
            json!({"kind": "image"}),
            "source.reference",
            "is required",
        );
        let nameless = json!({"source": {"kind": "a", "reference": "b"}});
        assert_eq!(wrong(&nameless), FieldError::new("name", "is required"));
        let twice = br#"{"name": "a", "name": "b"}"#;
        assert_eq!(
            read::<Spec>(twice).unwrap_err(),
            BodyError::Schema(FieldError::new("name", "is given twice"))
        );
    }

    #[test]
    fn only_an_object_is_a_body_and_a_wrong_field_does_not_excuse_bad_json() {
        for bad in [
            "",
            "{",
            "nonsense",
            "{\"colour\": 1",
            "{} {}",
            "{\"name\": \"\u{1}\"}",
            &"[".repeat(100_000),
        ] {
            assert_eq!(
                read::<Spec>(bad.as_bytes()).unwrap_err(),
                BodyError::Syntax,
                "{bad:.20}"
            );
        }
        for bad in ["[]", "null", "\"x\"", "[\"web\", [\"image\", \"r/app:1\"]]"] {
            let expected = BodyError::Schema(FieldError::new("body", "must be an object"));
            assert_eq!(read::<Spec>(bad.as_bytes()).unwrap_err(), expected, "{bad}");
        }
    }
}

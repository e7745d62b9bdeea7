//! What is wrong with a body, said without quoting it.
//!
//! The words are those of [`FieldError::of_shape`], which never repeats a value.

use serde::de::{DeserializeOwned, IgnoredAny};
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
            serde_json::error::Category::Data => {
                BodyError::Schema(FieldError::of_shape(&path, &inner.to_string()))
            }
            _ => BodyError::Syntax,
        }
    })
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

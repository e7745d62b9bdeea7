//! What a source kind wants to know besides the reference.

use std::fmt;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{FieldError, shape};

/// Options of a source, whose names and meaning belong to the source kind. Core keeps them as they were given.
///
/// They may hold literals that are secrets in spite of all advice: `Debug` shows the names at the top alone.
///
/// ```
/// use serde::Deserialize;
/// use shipslog_core::workloads::Spec;
///
/// #[derive(Deserialize)]
/// #[serde(deny_unknown_fields)]
/// struct Mine { depth: u32 }
///
/// let spec = serde_json::json!({"name": "a", "source": {"kind": "mine", "reference": "x", "options": {"depth": "deep"}}});
/// let spec: Spec = serde_json::from_value(spec).unwrap();
/// let error = spec.source.options.read::<Mine>().err().unwrap();
/// assert_eq!(error.to_string(), "source.options.depth: must be a whole number from 0 to 4294967295");
/// ```
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SourceOptions(Map<String, Value>);

impl SourceOptions {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Takes them away.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Reads them as a type of the source kind, which should refuse unknown fields.
    ///
    /// # Errors
    /// The option that is missing, unknown or of the wrong type, named from the root of the spec. Its value is not quoted.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, FieldError> {
        shape::read("source.options", Value::Object(self.0.clone()))
    }

    /// For source kinds that have no options.
    ///
    /// # Errors
    /// When there is one.
    pub fn refuse_any(&self) -> Result<(), FieldError> {
        match self.0.keys().next() {
            Some(name) => Err(FieldError::new(
                format!("source.options.{name}"),
                "is not a known field",
            )),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for SourceOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

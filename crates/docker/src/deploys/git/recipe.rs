//! What is kept of how an image was built.

use serde::{Deserialize, Serialize};
use shipslog_core::deploys::Plan;

use super::options::GitOptions;
use crate::deploys::repository::GitReference;

pub(super) const DEFAULT_DOCKERFILE: &str = "Dockerfile";

/// All that it takes, beside commit and build arguments, to build an image again. The reference of the spec may be another by then, as a
/// dispatch can ask for what it likes. Build arguments stay in the spec: their literals may be secrets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Recipe {
    pub(super) repository: String,
    pub(super) folder: String,
    pub(super) dockerfile: String,
}

impl Recipe {
    pub(super) fn new(reference: &GitReference, options: &GitOptions) -> Self {
        Self {
            repository: reference.url().to_string(),
            folder: reference.path().to_owned(),
            dockerfile: options.dockerfile().to_owned(),
        }
    }

    /// Reads what [`plan`](Self::plan) wrote.
    pub(super) fn of(plan: &Plan) -> Option<Self> {
        serde_json::from_str(plan.as_str()).ok()
    }

    pub(super) fn plan(&self) -> Plan {
        let Self {
            repository,
            folder,
            dockerfile,
        } = self;
        let text = serde_json::json!({"repository": repository, "folder": folder, "dockerfile": dockerfile});
        Plan::new(text.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_is_read_as_it_was_written() {
        let reference = GitReference::parse("https://host/a.git#main:web").unwrap();
        let recipe = Recipe::new(&reference, &GitOptions::default());
        assert_eq!(Recipe::of(&recipe.plan()), Some(recipe));
        for bad in ["", "{}", "services: {}"] {
            assert_eq!(Recipe::of(&Plan::new(bad)), None);
        }
    }
}

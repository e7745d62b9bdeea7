//! The source kinds that are registered, and whether they can work.

use std::time::Duration;

use tokio::time::timeout;

use super::{DispatchPlugin, DispatchRefusal, Readiness};

/// How long a plugin may take to say what it finds on this machine, for a list that people wait for.
const ASK_LIMIT: Duration = Duration::from_secs(2);

/// How long it may take before a dispatch: a refusal with the reason is worth waiting for.
const REQUIRE_LIMIT: Duration = Duration::from_secs(5);

/// A source kind that is registered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kind {
    /// Its name, such as `image`.
    pub name: String,
    /// Whether deploys of it can be rolled back.
    pub can_roll_back: bool,
    /// What it finds on this machine, and what it lacks.
    pub readiness: Readiness,
}

impl Kind {
    pub(super) async fn of(plugin: &dyn DispatchPlugin) -> Self {
        let unknown = || Readiness {
            uses: Vec::new(),
            missing: vec![format!(
                "what it finds is not known yet: no answer within {} s",
                ASK_LIMIT.as_secs()
            )],
        };
        Self {
            name: plugin.kind().to_owned(),
            can_roll_back: plugin.rollback().is_some(),
            readiness: timeout(ASK_LIMIT, plugin.readiness())
                .await
                .unwrap_or_else(|_| unknown()),
        }
    }
}

/// Refuses a rollback of a kind that lacks something. One that does not say in time is let go ahead: its dispatch will tell.
pub(super) async fn require_ready(plugin: &dyn DispatchPlugin) -> Result<(), DispatchRefusal> {
    let readiness = timeout(REQUIRE_LIMIT, plugin.readiness()).await;
    refuse_for(readiness.unwrap_or_default().missing)
}

/// The same for a deploy of a reference.
pub(super) async fn require_ready_for(
    plugin: &dyn DispatchPlugin,
    reference: &str,
) -> Result<(), DispatchRefusal> {
    let missing = timeout(REQUIRE_LIMIT, plugin.missing_for(reference)).await;
    refuse_for(missing.unwrap_or_default())
}

fn refuse_for(missing: Vec<String>) -> Result<(), DispatchRefusal> {
    match missing.is_empty() {
        true => Ok(()),
        false => Err(DispatchRefusal::NotReady(missing)),
    }
}

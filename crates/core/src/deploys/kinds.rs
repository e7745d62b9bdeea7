//! The source kinds that are registered, and whether they can work.

use std::time::Duration;

use tokio::time::timeout;

use super::{DispatchPlugin, DispatchRefusal, Readiness};

/// How long a plugin may take to say what it finds on this machine.
const ASK_LIMIT: Duration = Duration::from_secs(2);

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
        Self {
            name: plugin.kind().to_owned(),
            can_roll_back: plugin.rollback().is_some(),
            readiness: readiness(plugin).await,
        }
    }
}

/// A plugin that does not say in time is let go ahead: its dispatch will tell.
async fn readiness(plugin: &dyn DispatchPlugin) -> Readiness {
    timeout(ASK_LIMIT, plugin.readiness()).await.unwrap_or_default()
}

/// Refuses a dispatch of a kind that lacks something.
pub(super) async fn require_ready(plugin: &dyn DispatchPlugin) -> Result<(), DispatchRefusal> {
    let missing = readiness(plugin).await.missing;
    if missing.is_empty() {
        Ok(())
    } else {
        Err(DispatchRefusal::NotReady(missing))
    }
}

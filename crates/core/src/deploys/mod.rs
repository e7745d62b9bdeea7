//! The deploy ledger: every dispatch, what it was pinned to, and how it ended.

mod dispatcher;
mod flight;
mod flights;
mod hold;
mod ledger;
mod marker;
mod model;
mod order;
mod pin;
mod plugin;
mod progress;
mod prune;
mod recovery;
mod rollback;
mod settling;
mod status;
mod store;
mod watch;

pub use dispatcher::{DispatchRefusal, DispatchRequest, Dispatcher, DispatcherOptions};
pub use marker::FailureMarker;
pub use model::{Deploy, Outcome, Reason, Strategy};
pub use pin::{InvalidPin, Pin, PinnedReference};
pub use plugin::{DispatchError, DispatchPlugin, Job, RollbackCapable, Running};
pub use progress::{DeployEvent, DeployEvents, DeployStep, Progress};
pub use prune::prunable;
pub use recovery::{Survivor, survivor};
pub use rollback::{RollbackConfig, RollbackRefusal, RollbackRequest, replayable};
pub use status::{ClosedDeploys, DispatcherStatus};
pub use store::{Closing, DeployStore, NewDeploy, Page};

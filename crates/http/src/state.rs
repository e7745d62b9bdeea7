//! What the handlers work with.

use std::sync::Arc;
use std::time::Duration;

use shipslog_core::deploys::Dispatcher;
use shipslog_core::stats::{Collector, Retention};
use shipslog_core::store::Store;
use shipslog_core::time::Clock;
use shipslog_core::workloads::{Catalog, Inventory};

use crate::auth::Authenticator;
use crate::host::HostPolicy;

/// Everything that the API shows or asks, put together by a host and given to [`router`](crate::router).
#[derive(Debug)]
pub struct Api {
    /// Ledger, workloads and samples.
    pub store: Arc<dyn Store>,
    /// Deploys and rolls back.
    pub dispatcher: Dispatcher,
    /// Creates, changes, deletes and lists workloads.
    pub catalog: Catalog,
    /// Says whether the engine is there.
    pub inventory: Arc<dyn Inventory>,
    /// Says how counters are read: [`Collector::status`].
    pub collector: Arc<dyn Collector>,
    /// Time between two stored samples.
    pub tick: Duration,
    /// How long history is kept, which is the longest window that is answered, and how finely.
    pub retention: Retention,
    /// Where the windows end.
    pub clock: Arc<dyn Clock>,
    /// Recognises who asks.
    pub authenticator: Arc<dyn Authenticator>,
    /// Which hosts requests may be addressed to.
    pub hosts: HostPolicy,
}

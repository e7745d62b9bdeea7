//! What the handlers work with.

use std::sync::Arc;
use std::time::Duration;

use shipslog_core::deploys::Dispatcher;
use shipslog_core::stats::{Collector, Poller, RecorderStatus, Retention};
use shipslog_core::store::Store;
use shipslog_core::time::Clock;
use shipslog_core::workloads::{Catalog, Inventory};
use tokio_util::sync::CancellationToken;

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
    /// Samples what is watched, and publishes it.
    pub poller: Poller,
    /// What stored sampling got done: that which the recorder was given.
    pub recorder: RecorderStatus,
    /// Live streams.
    pub streams: StreamOptions,
    /// Ends the live streams, with the host's server.
    pub shutdown: CancellationToken,
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

/// Settings of live streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamOptions {
    /// How many may be open at a time, 4,096 by default; further ones are answered 503. Each takes a connection, which is a file descriptor, and some 50 KiB.
    pub most: usize,
    /// How often whoever opened a stream is shown to the authenticator again, every 15 seconds by default. Who is not let in any more is closed with code 1008.
    pub recheck: Duration,
    /// How long a client may leave a ping unanswered, 60 seconds by default. Then it counts as gone.
    pub silence: Duration,
}

impl Default for StreamOptions {
    fn default() -> Self {
        Self {
            most: 4_096,
            recheck: Duration::from_secs(15),
            silence: Duration::from_secs(60),
        }
    }
}

//! A proxy that breaks connections on command.

mod relay;
mod stream;

use std::fmt;
use std::fs;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tempfile::TempDir;

use crate::accept::Acceptor;
use relay::Relay;
use stream::{Address, Listener};

/// Stands between a client and an engine's socket or a registry's port, and fails as they do.
///
/// It starts out letting everything through, and ends with the value.
///
/// ```no_run
/// use shipslog_test_support::{SocketProxy, engine};
///
/// let Some(engine) = engine() else { return };
/// let proxy = SocketProxy::start(engine.host());
/// // Point the code under test at proxy.address(), let it work, then:
/// proxy.cut();
/// proxy.restore();
/// ```
#[derive(Debug)]
pub struct SocketProxy {
    address: Address,
    target: Address,
    relay: Arc<Relay>,
    acceptor: Mutex<Option<Acceptor>>,
    /// Holds the socket file of a unix proxy.
    _folder: Option<TempDir>,
}

impl SocketProxy {
    /// A proxy for `target`, of the same kind: `unix:///path/to.sock` gives a socket in a folder of
    /// its own, `ip:port` a free loopback port. The target need not exist yet.
    pub fn start(target: &str) -> Self {
        let target = Address::parse(target);
        let (address, folder) = own_address(&target);
        let relay = Arc::new(Relay::default());
        let proxy = Self {
            address,
            target,
            relay,
            acceptor: Mutex::new(None),
            _folder: folder,
        };
        proxy.restore();
        proxy
    }

    /// Where it listens, in the form of the target: fit for `DOCKER_HOST`, or as a registry's host.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Closes every connection and refuses new ones. The socket file stays behind, as when an
    /// engine was killed.
    pub fn cut(&self) {
        *self.acceptor() = None;
        self.relay.close_all();
        self.relay.freeze(false);
    }

    /// [`SocketProxy::cut`], and the socket file is gone too, as when an engine was stopped. The
    /// same as `cut` for a port.
    pub fn remove(&self) {
        self.cut();
        if let Address::Unix(path) = &self.address {
            let _ = fs::remove_file(path);
        }
    }

    /// Accepts connections and reads requests but passes nothing on, either way, until
    /// [`SocketProxy::restore`] lets go of what was held back.
    pub fn hang(&self) {
        self.relay.freeze(true);
    }

    /// Serves at the same address as before, whatever was done to it.
    pub fn restore(&self) {
        self.relay.freeze(false);
        let mut acceptor = self.acceptor();
        if acceptor.is_none() {
            let listener = self
                .address
                .listen()
                .expect("the proxy's address can be listened on");
            *acceptor = Some(self.accept_from(listener));
        }
    }

    /// Slows what comes from the target down to `bytes_per_second` for each connection; 0 lifts
    /// the limit.
    pub fn limit(&self, bytes_per_second: u64) {
        self.relay.limit(bytes_per_second);
    }

    /// Bytes passed on since the start, both ways together.
    pub fn passed(&self) -> u64 {
        self.relay.passed()
    }

    /// Connections that are open at this moment.
    pub fn connections(&self) -> usize {
        self.relay.open_connections()
    }

    fn accept_from(&self, listener: Listener) -> Acceptor {
        let (relay, target) = (Arc::clone(&self.relay), self.target.clone());
        Acceptor::spawn(move || {
            let client = listener.accept()?;
            relay.carry(client, target.connect()?);
            Ok(())
        })
    }

    fn acceptor(&self) -> MutexGuard<'_, Option<Acceptor>> {
        self.acceptor.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for SocketProxy {
    fn drop(&mut self) {
        self.cut();
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
            Self::Tcp(address) => address.fmt(f),
        }
    }
}

fn own_address(target: &Address) -> (Address, Option<TempDir>) {
    match target {
        Address::Tcp(_) => (Address::parse(&format!("127.0.0.1:{}", crate::free_port())), None),
        Address::Unix(_) => {
            let folder = TempDir::new().expect("a temporary folder can be made");
            (Address::Unix(folder.path().join("proxy.sock")), Some(folder))
        }
    }
}

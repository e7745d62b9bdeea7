//! The way to an engine: where it is, how long it may take, and what its silence means.

mod address;
mod fault;
mod request;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::errors::Error;
use bollard::{Docker, models};

use address::{Address, Endpoint};
pub(crate) use fault::{Fault, Unreachable};
use request::{ApiVersion, adapted};

/// How long an answer may take that costs the engine no work.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

/// Where an engine is and how long it may take to answer.
///
/// ```
/// use std::time::Duration;
/// use shipslog_docker::EngineOptions;
///
/// let options =
/// EngineOptions::default().with_host("tcp://127.0.0.1:2375").with_timeout(Duration::from_secs(5));
/// assert!(format!("{options:?}").contains("5s"));
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EngineOptions {
    host: Option<String>,
    timeout: Option<Duration>,
}

impl EngineOptions {
    /// Where the engine is: `unix:///path/to.sock`, `tcp://host:port` or `http://host:port`. Without it:
    /// `DOCKER_HOST`, else the first socket that exists of `/var/run/docker.sock`,
    /// `$XDG_RUNTIME_DIR/docker.sock` and `~/.docker/run/docker.sock`.
    #[must_use]
    pub fn with_host(mut self, host: impl Into<String>) -> Self {
        self.host = Some(host.into());
        self
    }

    /// How long one request may take, 10 seconds by default. Requests that make the engine work (creating,
    /// stopping, pulling) may take longer.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }
}

/// A container engine that speaks Docker's API. Cheap to clone; clones share what was learnt about the
/// engine.
///
/// Nothing is contacted when it is made, and every request makes a connection of its own. So an engine that
/// is not there yet is taken up when it comes, and one that died when it is back. The API version is
/// negotiated with the first request and anew after each loss.
#[derive(Debug, Clone)]
pub struct DockerEngine {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    endpoint: Endpoint,
    timeout: Duration,
    version: Mutex<Option<ApiVersion>>,
}

impl DockerEngine {
    /// A handle to the engine that `options` name. The environment is read here, once.
    pub fn new(options: EngineOptions) -> Self {
        let endpoint = Endpoint::choose(options.host, |name| std::env::var(name).ok());
        let timeout = options.timeout.unwrap_or(DEFAULT_TIMEOUT);
        Self {
            inner: Arc::new(Inner {
                endpoint,
                timeout,
                version: Mutex::new(None),
            }),
        }
    }

    /// Where the engine is now, as a Docker client wants it in `DOCKER_HOST`.
    pub(crate) fn docker_host(&self) -> Result<String, Fault> {
        Ok(match self.inner.endpoint.address()? {
            Address::Unix(path) => format!("unix://{path}"),
            Address::Tcp(host) => format!("tcp://{host}"),
        })
    }

    /// The longest that a request may take which costs the engine no work.
    pub(crate) fn timeout(&self) -> Duration {
        self.inner.timeout
    }

    /// Sends a request that costs the engine no work.
    pub(crate) async fn ask<T, F, Fut>(&self, request: F) -> Result<T, Fault>
    where
        T: Send,
        F: FnOnce(Docker) -> Fut + Send,
        Fut: Future<Output = Result<T, Error>> + Send,
    {
        self.call(self.inner.timeout, request).await
    }

    /// Sends a request, and gives it up after `limit`, body included.
    pub(crate) async fn call<T, F, Fut>(&self, limit: Duration, request: F) -> Result<T, Fault>
    where
        T: Send,
        F: FnOnce(Docker) -> Fut + Send,
        Fut: Future<Output = Result<T, Error>> + Send,
    {
        let work = async { self.explain(request(self.client().await?).await) };
        let done = tokio::time::timeout(limit, work).await;
        done.unwrap_or(Err(Fault::Unreachable(Unreachable::TimedOut)))
    }

    /// A client for requests that are answered by a stream. The stream's faults go through
    /// [`explain`](Self::explain).
    pub(crate) async fn client(&self) -> Result<Docker, Fault> {
        let docker = self.connect()?;
        let known = *self.version();
        let version = match known {
            Some(version) => version,
            None => self.negotiate(&docker).await?,
        };
        Ok(docker.with_request_modifier(move |request| adapted(request, version)))
    }

    fn connect(&self) -> Result<Docker, Fault> {
        let address = self.inner.endpoint.address()?;
        let connected = match &address {
            Address::Unix(path) => Docker::connect_with_unix(path, UNLIMITED, bollard::API_DEFAULT_VERSION),
            Address::Tcp(host) => Docker::connect_with_http(host, UNLIMITED, bollard::API_DEFAULT_VERSION),
        };
        self.explain(connected)
    }

    async fn negotiate(&self, docker: &Docker) -> Result<ApiVersion, Fault> {
        let answer = tokio::time::timeout(self.inner.timeout, docker.version()).await;
        let answer = answer.unwrap_or(Err(Error::RequestTimeoutError));
        let version = ApiVersion::common(&self.explain(answer)?);
        *self.version() = Some(version);
        Ok(version)
    }

    /// Turns a client's error into what it means, and forgets the API version of an engine that is gone:
    /// another may come back.
    pub(crate) fn explain<T>(&self, result: Result<T, Error>) -> Result<T, Fault> {
        let fault = match result {
            Ok(value) => return Ok(value),
            Err(error) => Fault::of(error, &self.inner.endpoint),
        };
        if matches!(fault, Fault::Unreachable(_)) {
            *self.version() = None;
        }
        Err(fault)
    }

    pub(crate) async fn version_info(&self) -> Result<models::SystemVersion, Fault> {
        self.ask(|docker| async move { docker.version().await }).await
    }

    fn version(&self) -> MutexGuard<'_, Option<ApiVersion>> {
        self.inner.version.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Seconds. The client's own time-out does not cover an answer's body, so the ones here take its place.
const UNLIMITED: u64 = 7 * 86_400;

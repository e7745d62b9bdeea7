//! A whole shipslog in one value: SQLite, Docker and the REST API wired together.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use shipslog_core::deploys::{DispatchPlugin, Dispatcher, DispatcherOptions, Kind};
use shipslog_core::stats::{
    Collector, LiveHub, Poller, PollerOptions, Recorder, RecorderOptions, RecorderStatus, Retention,
};
use shipslog_core::store::{Store, StoreError};
use shipslog_core::time::Clock;
use shipslog_core::workloads::{Catalog, Inventory as _, Roster, WorkloadStore};
use shipslog_docker::{
    CollectorOptions, ComposePlugin, DockerEngine, EngineOptions, GitPlugin, ImagePlugin, SwarmPlugin,
};
use shipslog_http::{Api, Authenticator, HostPolicy, StreamOptions};
use shipslog_store::{OpenError, SqliteStore};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::info;

use crate::{HostSecrets, SystemClock};

/// Pause between two questions to the engine whether it is there.
const WATCH_EVERY: Duration = Duration::from_secs(3);

/// The same while its events are followed: when they end, that is the sign.
const WATCH_FOLLOWED: Duration = Duration::from_secs(60);

/// Settings of a [`Shipslog`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Options {
    /// Directory of the database; made if it is not there.
    pub data: PathBuf,
    /// The engine's address, `unix:///…` or `tcp://…`. `None` means `DOCKER_HOST`, then the usual sockets.
    pub docker: Option<String>,
    /// Time between two stored samples, at least a second.
    pub tick: Duration,
    /// Time between two live readings of what is watched, at least a second.
    pub poll: Duration,
    /// How long history is kept, and how finely. The longest is also the longest window that is answered.
    pub retention: Retention,
    /// Bytes to which the database is held, oldest history first. `None` means as large as it gets.
    pub max_size: Option<u64>,
    /// Ledger rows kept for each workload.
    pub keep_deploys: usize,
    /// Source kinds besides those that are built in; one of the same name takes the place of a built-in one.
    pub plugins: Vec<Arc<dyn DispatchPlugin>>,
}

impl Options {
    /// Data in `data`, everything else as the example server has it: the usual sockets, a sample every 10 s, a live reading
    /// every 3 s, history for 90 days, 50 rows a workload.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            docker: None,
            tick: Duration::from_secs(10),
            poll: PollerOptions::default().every,
            retention: Retention::default(),
            max_size: None,
            keep_deploys: DispatcherOptions::default().keep_deploys,
            plugins: Vec::new(),
        }
    }
}

/// Why a [`Shipslog`] could not be started. `Display` is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The database could not be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The ledger could not be read after it was opened.
    #[error("the ledger cannot be read")]
    Ledger(#[from] StoreError),
}

/// A shipslog at work: it records samples, follows the engine, and takes dispatches.
///
/// ```no_run
/// # async fn example(tokens: std::sync::Arc<dyn shipslog::http::Authenticator>) -> Result<(), Box<dyn std::error::Error>> {
/// use shipslog::{Options, Shipslog, http::HostPolicy};
///
/// let log = Shipslog::start(Options::new("./data")).await?;
/// let app = axum::Router::new().nest("/ops", log.router(tokens, HostPolicy::Any));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
/// axum::serve(listener, app).await?;
/// log.shutdown(std::time::Duration::from_secs(30)).await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Shipslog {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    engine: DockerEngine,
    roster: Roster,
    collector: Arc<dyn Collector>,
    dispatcher: Dispatcher,
    catalog: Catalog,
    poller: Poller,
    recorded: RecorderStatus,
    options: Options,
    tasks: TaskTracker,
    stop: CancellationToken,
}

impl Shipslog {
    /// Opens the database, closes what an earlier process left open, and begins to sample. The engine may be away: it is taken
    /// up when it comes.
    ///
    /// # Errors
    /// [`StartError`]; nothing is left running.
    pub async fn start(options: Options) -> Result<Self, StartError> {
        let engine = DockerEngine::new(engine_options(&options));
        let store: Arc<dyn Store> = Arc::new(SqliteStore::open(options.data.join("shipslog.db"))?);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let dispatcher = dispatcher(&store, &clock, &engine, &options);
        let roster = Roster::new(Arc::new(engine.clone()), Arc::new(engine.clone()));
        let catalog = Catalog::new(
            Arc::clone(&store),
            Arc::new(roster.clone()),
            dispatcher.clone(),
            Arc::clone(&clock),
        );
        let collector = collector(&engine);
        let poller = poller(&store, &clock, &engine, &collector, &options);
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let log = Self {
            store,
            clock,
            engine,
            roster,
            collector,
            dispatcher,
            catalog,
            poller,
            recorded: RecorderStatus::default(),
            options,
            tasks,
            stop,
        };
        log.dispatcher.recover().await?;
        log.begin();
        Ok(log)
    }

    fn begin(&self) {
        let options = RecorderOptions {
            tick: self.options.tick,
            retention: self.options.retention,
            max_size: self.options.max_size,
        };
        let recorder = Recorder::new(
            self.roster.standing(),
            Arc::clone(&self.collector),
            Arc::clone(&self.store),
            Arc::clone(&self.clock),
            options,
        )
        .with_hub(self.poller.hub().clone())
        .with_status(self.recorded.clone());
        let stop = self.stop.clone();
        self.tasks.spawn(async move { recorder.run(stop).await });
        let (poller, stop) = (self.poller.clone(), self.stop.clone());
        self.tasks.spawn(async move { poller.run(stop).await });
        let (roster, stop) = (self.roster.clone(), self.stop.clone());
        self.tasks.spawn(async move { roster.run(stop).await });
        self.tasks.spawn(watch(
            self.roster.clone(),
            self.dispatcher.clone(),
            self.stop.clone(),
        ));
        let (dispatcher, stop) = (self.dispatcher.clone(), self.stop.clone());
        self.tasks
            .spawn(async move { dispatcher.keep_settled(stop).await });
        let (dispatcher, stop) = (self.dispatcher.clone(), self.stop.clone());
        self.tasks
            .spawn(async move { stop.run_until_cancelled(tell_kinds(&dispatcher)).await });
    }

    /// The REST API, to be served or nested by the host. May be called several times.
    pub fn router(&self, authenticator: Arc<dyn Authenticator>, hosts: HostPolicy) -> axum::Router {
        shipslog_http::router(Api {
            store: Arc::clone(&self.store),
            dispatcher: self.dispatcher.clone(),
            catalog: self.catalog.clone(),
            inventory: Arc::new(self.engine.clone()),
            collector: Arc::clone(&self.collector),
            poller: self.poller.clone(),
            recorder: self.recorded.clone(),
            streams: StreamOptions::default(),
            shutdown: self.stop.clone(),
            tick: self.options.tick,
            retention: self.options.retention,
            clock: Arc::clone(&self.clock),
            authenticator,
            hosts,
        })
    }

    /// The choke point, for a host that deploys by itself.
    pub fn dispatcher(&self) -> &Dispatcher {
        &self.dispatcher
    }

    /// Workloads, for a host that manages them by itself.
    pub fn catalog(&self) -> &Catalog {
        &self.catalog
    }

    /// Ends sampling and live streams, and lets dispatches finish for as long as `bound`; see [`Dispatcher::shutdown`].
    pub async fn shutdown(&self, bound: Duration) {
        self.stop.cancel();
        self.tasks.close();
        tokio::join!(self.dispatcher.shutdown(bound), self.tasks.wait());
    }
}

/// The host's files where there are such, the engine's API elsewhere.
fn collector(engine: &DockerEngine) -> Arc<dyn Collector> {
    #[cfg(target_os = "linux")]
    use shipslog_docker::CgroupCollector as Preferred;
    #[cfg(not(target_os = "linux"))]
    use shipslog_docker::DockerApiCollector as Preferred;

    Arc::new(Preferred::new(engine.clone(), CollectorOptions::default()))
}

fn engine_options(options: &Options) -> EngineOptions {
    match &options.docker {
        Some(host) => EngineOptions::default().with_host(host),
        None => EngineOptions::default(),
    }
}

fn dispatcher(
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    engine: &DockerEngine,
    options: &Options,
) -> Dispatcher {
    let settings = DispatcherOptions {
        keep_deploys: options.keep_deploys,
        ..DispatcherOptions::default()
    };
    let dispatcher = Dispatcher::new(
        Arc::clone(store),
        Arc::new(HostSecrets),
        Arc::clone(clock),
        settings,
    )
    .with_plugin(Arc::new(ImagePlugin::new(engine.clone())))
    .with_plugin(Arc::new(ComposePlugin::new(
        engine.clone(),
        options.data.join("compose"),
    )))
    .with_plugin(Arc::new(GitPlugin::new(engine.clone(), options.data.join("git"))))
    .with_plugin(Arc::new(SwarmPlugin::new(engine.clone())));
    options
        .plugins
        .iter()
        .cloned()
        .fold(dispatcher, Dispatcher::with_plugin)
}

fn poller(
    store: &Arc<dyn Store>,
    clock: &Arc<dyn Clock>,
    engine: &DockerEngine,
    collector: &Arc<dyn Collector>,
    options: &Options,
) -> Poller {
    let settings = PollerOptions {
        every: options.poll,
        ..PollerOptions::default()
    };
    Poller::new(
        Arc::new(engine.clone()),
        Arc::new(engine.clone()),
        Arc::clone(collector),
        Arc::clone(store) as Arc<dyn WorkloadStore>,
        Arc::clone(clock),
        LiveHub::default(),
        settings,
    )
}

/// Has every source kind look for its tools before the first dispatch needs them.
async fn tell_kinds(dispatcher: &Dispatcher) {
    for Kind { name, readiness, .. } in dispatcher.kinds().await {
        match readiness.missing.join(" ") {
            missing if missing.is_empty() => {
                info!(kind = name, uses = readiness.uses.join(", "), "source kind")
            }
            missing => info!(kind = name, missing, "source kind that cannot deploy yet"),
        }
    }
}

/// Tells the log when the engine comes and goes, and has the dispatcher put things in order when it came.
async fn watch(engine: Roster, dispatcher: Dispatcher, stop: CancellationToken) {
    let mut known: Option<Result<String, String>> = None;
    loop {
        let answer = engine
            .engine()
            .await
            .map(|info| info.version)
            .map_err(|away| away.reason);
        if known.as_ref() != Some(&answer) {
            tell(&answer);
            if answer.is_ok() {
                dispatcher.reconcile().await;
            }
            known = Some(answer);
        }
        let is_there = matches!(known, Some(Ok(_)));
        let pause = async {
            sleep(WATCH_EVERY).await;
            if is_there {
                // Either way it is time to ask again.
                let _ = timeout(WATCH_FOLLOWED, engine.until_lost()).await;
            }
        };
        if stop.run_until_cancelled(pause).await.is_none() {
            return;
        }
    }
}

fn tell(answer: &Result<String, String>) {
    match answer {
        Ok(version) => info!(version, "the container engine is there"),
        Err(reason) => tracing::warn!(
            reason,
            "the container engine is missing; history is served, deploys will fail"
        ),
    }
}

//! The router over a real store and a real dispatcher, with an engine of make-believe behind them.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use shipslog_core::deploys::{Dispatcher, DispatcherOptions};
use shipslog_core::id::ContainerId;
use shipslog_core::secret::Secret;
use shipslog_core::stats::{
    CollectError, Collector, Counters, CpuCounters, LiveHub, MemoryCounters, Poller, PollerOptions,
    RecorderStatus, Retention,
};
use shipslog_core::store::Store;
use shipslog_core::testing::{FakeSecrets, ManualClock};
use shipslog_core::time::{Clock, Timestamp};
use shipslog_core::workloads::{
    Catalog, Container, ContainerEvent, EngineEvents, EngineInfo, EngineUnavailable, Inventory, Life,
    WorkloadStore,
};
use shipslog_http::{
    Api, Authenticator, HostPolicy, Identity, Role, StaticTokens, StreamOptions, TokenHash, router,
};
use shipslog_store::SqliteStore;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::plugin::TestPlugin;

pub(crate) const ADMIN: &str = "admin-token-0123456789";
pub(crate) const VIEWER: &str = "viewer-token-0123456789";

/// The time that it always is.
pub(crate) const NOW: i64 = 1_800_000_000;

/// An engine of make-believe. Its containers each use half a core, by a clock that moves with each reading.
#[derive(Debug, Default)]
pub(crate) struct FakeInventory {
    pub(crate) away: AtomicBool,
    pub(crate) silent: AtomicBool,
    pub(crate) containers: Mutex<Vec<Container>>,
    readings: AtomicU64,
}

impl FakeInventory {
    async fn reach(&self) -> Result<(), EngineUnavailable> {
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let reason = "no socket at /run/engine.sock".to_owned();
        if self.away.load(Ordering::SeqCst) {
            Err(EngineUnavailable { reason })
        } else {
            Ok(())
        }
    }
}

#[async_trait]
impl Inventory for FakeInventory {
    async fn containers(&self) -> Result<Vec<Container>, EngineUnavailable> {
        self.reach()
            .await
            .map(|()| self.containers.lock().unwrap().clone())
    }

    async fn lives(&self, ids: &[ContainerId]) -> Vec<Option<Life>> {
        vec![None; ids.len()]
    }

    async fn engine(&self) -> Result<EngineInfo, EngineUnavailable> {
        self.reach().await.map(|()| EngineInfo {
            version: "20.10.24".to_owned(),
        })
    }
}

/// An admin, and a viewer whose token may be taken back.
#[derive(Debug)]
struct Revocable(Arc<AtomicBool>);

#[async_trait]
impl Authenticator for Revocable {
    async fn authenticate(&self, request: &Parts) -> Option<Identity> {
        let token = request.headers.get("authorization")?.to_str().ok()?;
        match token.strip_prefix("Bearer ")? {
            ADMIN => Some(Identity::new("admin", Role::Admin)),
            VIEWER if self.0.load(Ordering::SeqCst) => Some(Identity::new("viewer", Role::Viewer)),
            _ => None,
        }
    }
}

/// Reads nothing, in one way.
#[derive(Debug)]
struct FakeCollector;

#[async_trait]
impl Collector for FakeCollector {
    fn kind(&self) -> &'static str {
        "none"
    }

    async fn collect(&self, _: &[ContainerId]) -> Vec<Result<Counters, CollectError>> {
        Vec::new()
    }
}

#[async_trait]
impl EngineEvents for FakeInventory {
    async fn follow(&self, _: mpsc::Sender<ContainerEvent>) -> Result<(), EngineUnavailable> {
        std::future::pending().await
    }
}

#[async_trait]
impl Collector for FakeInventory {
    fn kind(&self) -> &'static str {
        "fake"
    }

    async fn collect(&self, ids: &[ContainerId]) -> Vec<Result<Counters, CollectError>> {
        let seconds = 1 + self.readings.fetch_add(1, Ordering::SeqCst);
        let counters = Counters {
            read_at: Timestamp::from_second(seconds as i64).ok(),
            cpu: Some(CpuCounters {
                total_ns: seconds * 500_000_000,
                system_ns: seconds * 1_000_000_000,
                online: 1,
            }),
            memory: Some(MemoryCounters {
                usage: 1_000,
                inactive_file: 200,
                limit: 0,
            }),
            ..Counters::default()
        };
        ids.iter().map(|_| Ok(counters.clone())).collect()
    }
}

pub(crate) struct Rig {
    pub(crate) app: Router,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) plugin: TestPlugin,
    pub(crate) inventory: Arc<FakeInventory>,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) poller: Poller,
    pub(crate) recorder: RecorderStatus,
    pub(crate) shutdown: CancellationToken,
    /// Ends live sampling, for tests that publish by themselves.
    pub(crate) no_sampling: CancellationToken,
}

fn tokens() -> StaticTokens {
    let hash = |token: &str| TokenHash::of(&Secret::new(token.to_owned()));
    StaticTokens::default()
        .with_admin("admin", hash(ADMIN))
        .with_viewer("viewer", hash(VIEWER))
}

impl Rig {
    pub(crate) fn new() -> Self {
        Self::with(router)
    }

    /// With a router that a test makes of the parts.
    pub(crate) fn with(make: impl FnOnce(Api) -> Router) -> Self {
        Self::over(Arc::new(SqliteStore::in_memory().unwrap()), make)
    }

    /// Its viewer is known for as long as the switch says so, and streams look at it every 50 ms.
    pub(crate) fn that_rechecks() -> (Self, Arc<AtomicBool>) {
        let viewer_is_known = Arc::new(AtomicBool::new(true));
        let authenticator = Arc::new(Revocable(Arc::clone(&viewer_is_known)));
        let streams = StreamOptions {
            recheck: Duration::from_millis(50),
            ..StreamOptions::default()
        };
        let rig = Self::with(|api| {
            router(Api {
                streams,
                authenticator,
                ..api
            })
        });
        (rig, viewer_is_known)
    }

    pub(crate) fn over(store: Arc<dyn Store>, make: impl FnOnce(Api) -> Router) -> Self {
        let manual = Arc::new(ManualClock::new(Timestamp::from_second(NOW).unwrap()));
        let clock = Arc::clone(&manual) as Arc<dyn Clock>;
        let (plugin, inventory) = (TestPlugin::default(), Arc::new(FakeInventory::default()));
        let (secrets, options) = (Arc::new(FakeSecrets::default()), DispatcherOptions::default());
        let dispatcher = Dispatcher::new(Arc::clone(&store), secrets, Arc::clone(&clock), options)
            .with_plugin(Arc::new(plugin.clone()));
        let listed = Arc::clone(&inventory) as Arc<dyn Inventory>;
        let catalog = Catalog::new(
            Arc::clone(&store),
            Arc::clone(&listed),
            dispatcher.clone(),
            Arc::clone(&clock),
        );
        let poller = Poller::new(
            Arc::clone(&listed),
            Arc::clone(&inventory) as Arc<dyn EngineEvents>,
            Arc::clone(&inventory) as Arc<dyn Collector>,
            Arc::clone(&store) as Arc<dyn WorkloadStore>,
            Arc::clone(&clock),
            LiveHub::default(),
            PollerOptions::default(),
        );
        let recorder = RecorderStatus::default();
        let shutdown = CancellationToken::new();
        let no_sampling = shutdown.child_token();
        let (sampling, stop) = (poller.clone(), no_sampling.clone());
        tokio::spawn(async move { sampling.run(stop).await });
        let app = make(Api {
            store: Arc::clone(&store),
            dispatcher: dispatcher.clone(),
            catalog,
            inventory: listed,
            collector: Arc::new(FakeCollector),
            poller: poller.clone(),
            recorder: recorder.clone(),
            streams: StreamOptions::default(),
            shutdown: shutdown.clone(),
            tick: Duration::from_secs(10),
            retention: Retention::default(),
            clock,
            authenticator: Arc::new(tokens()),
            hosts: HostPolicy::Loopback,
        });
        Self {
            app,
            store,
            dispatcher,
            plugin,
            inventory,
            clock: manual,
            poller,
            recorder,
            shutdown,
            no_sampling,
        }
    }

    pub(crate) async fn send(&self, call: Call) -> Answer {
        let (parts, body) = self.open(call).await.into_parts();
        let body = body.collect().await.unwrap().to_bytes().to_vec();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body,
        }
    }

    /// The answer with its body still to come.
    pub(crate) async fn open(&self, call: Call) -> axum::response::Response {
        self.app.clone().oneshot(call.request()).await.unwrap()
    }

    /// A managed workload's id.
    pub(crate) async fn workload(&self, name: &str) -> String {
        let answer = self.send(post("/api/workloads").json(&spec(name))).await;
        assert_eq!(answer.status, 201, "{}", answer.text());
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// The closed row of a deploy.
    pub(crate) async fn deploy(&self, workload: &str) -> Value {
        let answer = self
            .send(post(&format!("/api/workloads/{workload}/deploys?wait=true")))
            .await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()
    }
}

pub(crate) fn spec(name: &str) -> Value {
    json!({"name": name, "source": {"kind": "fake", "reference": "registry/app:1"}})
}

/// The spec of `web` with some fields added, or in the place of others.
pub(crate) fn spec_with(fields: Value) -> Value {
    let mut spec = spec("web");
    spec.as_object_mut()
        .unwrap()
        .extend(fields.as_object().unwrap().clone());
    spec
}

#[derive(Debug, Clone)]
pub(crate) struct Call {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

/// A call by an admin, to a loopback host.
pub(crate) fn call(method: &str, path: &str) -> Call {
    let call = Call {
        method: method.to_owned(),
        path: path.to_owned(),
        headers: Vec::new(),
        body: Vec::new(),
    };
    call.with("host", "127.0.0.1:8080")
        .with("authorization", &format!("Bearer {ADMIN}"))
}

pub(crate) fn get(path: &str) -> Call {
    call("GET", path)
}

pub(crate) fn post(path: &str) -> Call {
    call("POST", path)
}

impl Call {
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Self {
        self.headers.retain(|(other, _)| other != name);
        self
    }

    pub(crate) fn by_viewer(self) -> Self {
        self.without("authorization")
            .with("authorization", &format!("Bearer {VIEWER}"))
    }

    pub(crate) fn json(self, body: &Value) -> Self {
        self.with("content-type", "application/json")
            .body(body.to_string())
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    fn request(self) -> Request<Body> {
        let mut request = Request::builder().method(self.method.as_str()).uri(self.path);
        for (name, value) in self.headers {
            request = request.header(name, value);
        }
        request.body(Body::from(self.body)).unwrap()
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The problem that this is, after checking its shape.
    pub(crate) fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], "about:blank");
        assert_eq!(problem["status"], status);
        assert_eq!(problem["title"], self.status.canonical_reason().unwrap());
        assert!(
            problem["detail"]
                .as_str()
                .is_some_and(|detail| detail.ends_with('.')),
            "{problem}"
        );
        problem
    }
}

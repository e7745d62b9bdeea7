//! The server itself: is it there, is it ready, what is it made of.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use serde::Serialize;
use shipslog_core::deploys::Kind;
use shipslog_core::stats::{self, Tier};
use shipslog_core::workloads::EngineInfo;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::Routes;
use crate::auth::Identity;
use crate::error::{Problem, ProblemBody};
use crate::extract::Caller;
use crate::state::Api;

/// How long the store and the engine may take to say that they are there.
const PROBE_TIME: Duration = Duration::from_secs(2);

/// What the store or the engine answers, if it does so in time.
pub(crate) async fn probe<T, E>(asked: impl Future<Output = Result<T, E>>) -> Option<T> {
    tokio::time::timeout(PROBE_TIME, asked).await.ok()?.ok()
}

pub(crate) fn router() -> Routes {
    vec![routes!(healthz), routes!(readyz), routes!(system)]
}

/// That the server is well.
#[derive(Debug, Serialize, ToSchema)]
struct Status {
    /// `ok`.
    #[schema(value_type = String)]
    status: &'static str,
}

const OK: Json<Status> = Json(Status { status: "ok" });

/// Whether the process serves.
#[utoipa::path(get, path = "/healthz", tag = "system", security(()), responses((status = 200, body = Status)))]
async fn healthz() -> Json<Status> {
    OK
}

/// Whether the store answers. A container engine that is away does not matter here.
#[utoipa::path(
    get,
    path = "/readyz",
    tag = "system",
    security(()),
    responses(
        (status = 200, body = Status),
        (status = 503, description = "The store does not answer", body = ProblemBody, content_type = "application/problem+json"),
    )
)]
async fn readyz(State(api): State<Arc<Api>>) -> Result<Json<Status>, Problem> {
    let ping = tokio::time::timeout(PROBE_TIME, api.store.ping()).await;
    let down = || Problem::unavailable("The store does not answer.");
    ping.ok().and_then(Result::ok).map(|()| OK).ok_or_else(down)
}

/// What the server is made of.
#[derive(Debug, Serialize, ToSchema)]
struct System {
    /// The version of shipslog.
    #[schema(value_type = String)]
    version: &'static str,
    /// Who asks.
    identity: Identity,
    /// Where the ledger and the samples are kept.
    store: StoreStatus,
    /// What runs the containers.
    engine: EngineStatus,
    /// What reads the containers' counters.
    collector: CollectorStatus,
    /// The source kinds that can be deployed, by name.
    kinds: Vec<KindStatus>,
    /// Seconds between two stored samples.
    tick_interval_s: u64,
    /// Seconds for which history is kept: the longest window.
    retention_s: i64,
    /// How finely history is kept for how long.
    history: HistoryStatus,
}

/// A source kind that can be deployed.
#[derive(Debug, Serialize, ToSchema)]
struct KindStatus {
    /// Its name in a spec, such as `image`.
    kind: String,
    /// Whether its deploys can be rolled back.
    rollback: bool,
    /// Whether nothing is missing. An engine that is away does not count here.
    ready: bool,
    /// The tools that it found on this machine, with their versions.
    uses: Vec<String>,
    /// What it lacks on this machine, and how to get it. Dispatches of it are refused until then.
    missing: Vec<String>,
}

impl From<Kind> for KindStatus {
    fn from(kind: Kind) -> Self {
        Self {
            kind: kind.name,
            rollback: kind.can_roll_back,
            ready: kind.readiness.missing.is_empty(),
            uses: kind.readiness.uses,
            missing: kind.readiness.missing,
        }
    }
}

/// Seconds for which each form of history is kept.
#[derive(Debug, Serialize, ToSchema)]
struct HistoryStatus {
    /// Samples as they were taken.
    samples_s: i64,
    /// Averages and peaks of a minute.
    minutes_s: i64,
    /// Averages and peaks of 5 minutes.
    five_minutes_s: i64,
}

/// Where the ledger and the samples are kept.
#[derive(Debug, Serialize, ToSchema)]
struct StoreStatus {
    /// Such as `sqlite`.
    #[schema(value_type = String)]
    kind: &'static str,
    /// The version of its schema.
    schema_version: u32,
    /// Bytes that it takes up; `null` when it does not answer.
    size: Option<u64>,
}

/// What runs the containers.
#[derive(Debug, Serialize, ToSchema)]
struct EngineStatus {
    /// Whether it answers.
    available: bool,
    /// Its version, when it answers.
    version: Option<String>,
    /// What is missing, when it does not.
    reason: Option<String>,
}

/// What reads the containers' counters.
#[derive(Debug, Serialize, ToSchema)]
struct CollectorStatus {
    /// How most containers were read last: `cgroup`, which is directly from the host's files, or `docker_api`.
    #[schema(value_type = String)]
    kind: &'static str,
    /// Why it is that way. `null` when there is no choice, or nothing was read yet.
    reason: Option<String>,
    /// The containers, way by way and reason by reason, the largest share first.
    shares: Vec<CollectorShare>,
}

/// The containers that are read in one way for one reason.
#[derive(Debug, Serialize, ToSchema)]
struct CollectorShare {
    /// How they are read.
    #[schema(value_type = String)]
    kind: &'static str,
    /// Why so.
    reason: String,
    /// How many they are.
    containers: usize,
}

impl From<stats::CollectorStatus> for CollectorStatus {
    fn from(status: stats::CollectorStatus) -> Self {
        let share = |share: stats::CollectorShare| CollectorShare {
            kind: share.kind,
            reason: share.reason,
            containers: share.containers,
        };
        Self {
            kind: status.kind,
            reason: status.reason,
            shares: status.shares.into_iter().map(share).collect(),
        }
    }
}

/// Version, who asks, store, engine, collector, source kinds and sampling.
#[utoipa::path(
    get,
    path = "/api/system",
    tag = "system",
    security(("token" = ["viewer"])),
    responses((status = 200, body = System))
)]
async fn system(State(api): State<Arc<Api>>, Caller(identity): Caller) -> Json<System> {
    let store = api.store.info();
    let (size, engine, kinds) = tokio::join!(probe(api.store.size()), engine(&api), api.dispatcher.kinds());
    Json(System {
        version: env!("CARGO_PKG_VERSION"),
        identity,
        store: StoreStatus {
            kind: store.kind,
            schema_version: store.schema_version,
            size,
        },
        engine,
        collector: api.collector.status().into(),
        kinds: kinds.into_iter().map(KindStatus::from).collect(),
        tick_interval_s: api.tick.as_secs(),
        retention_s: api.retention.longest.seconds(),
        history: HistoryStatus {
            samples_s: api.retention.of_samples().seconds(),
            minutes_s: api.retention.of(Tier::Minute).seconds(),
            five_minutes_s: api.retention.of(Tier::FiveMinutes).seconds(),
        },
    })
}

async fn engine(api: &Api) -> EngineStatus {
    match tokio::time::timeout(PROBE_TIME, api.inventory.engine()).await {
        Ok(Ok(EngineInfo { version })) => EngineStatus {
            available: true,
            version: Some(version),
            reason: None,
        },
        Ok(Err(away)) => EngineStatus {
            available: false,
            version: None,
            reason: Some(away.reason),
        },
        Err(_) => EngineStatus {
            available: false,
            version: None,
            reason: Some("no answer in time".to_owned()),
        },
    }
}

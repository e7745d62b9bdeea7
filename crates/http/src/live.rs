//! What containers use at this moment.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use axum::{Extension, Json};
use serde::Serialize;
use shipslog_core::id::{ContainerId, WorkloadId};
use shipslog_core::stats::{Cursor, LiveUsage, Metric, Point};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::Routes;
use crate::error::Problem;
use crate::extract::{Id, Params, RawId};
use crate::guard::Visitor;
use crate::state::Api;
use crate::stream::{FIRST, Seats, Stream, Upgrade};

pub(crate) fn router() -> Routes {
    vec![
        routes!(live_point),
        routes!(usage),
        routes!(container_metrics),
        routes!(workload_stream),
        routes!(usage_stream),
    ]
}

/// What a workload used when it was last read.
#[derive(Debug, Serialize, ToSchema)]
struct LivePoint {
    /// Whether it was read in the last 45 seconds.
    live: bool,
    /// What was read; absent when it is not live.
    #[serde(skip_serializing_if = "Option::is_none")]
    point: Option<Point>,
    /// Milliseconds since then; absent when it is not live.
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<u64>,
}

/// The latest point of a workload, if it is not older than 45 seconds.
#[utoipa::path(
    get,
    path = "/api/workloads/{id}/stats/live",
    tag = "stats",
    security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "Id of the workload")),
    responses((status = 200, body = LivePoint), (status = 404, description = "No such workload"))
)]
async fn live_point(
    State(api): State<Arc<Api>>,
    Id(workload): Id<WorkloadId>,
) -> Result<Json<LivePoint>, Problem> {
    api.store.workload(&workload).await?;
    let latest = api.poller.hub().workload(&workload);
    if latest.is_none() {
        // Stored sampling may be too slow to keep it live: then the next who asks finds it so.
        api.poller.ask_workload(&workload);
    }
    let age_ms = latest.map(|latest| u64::try_from(latest.age.as_millis()).unwrap_or(u64::MAX));
    Ok(Json(LivePoint {
        live: latest.is_some(),
        point: latest.map(|latest| latest.value),
        age_ms,
    }))
}

/// The points of all workloads and their total as they were last read, for whoever cannot open a WebSocket.
///
/// What is older than 45 seconds is left out, so that there may be nothing.
#[utoipa::path(
    get,
    path = "/api/usage",
    tag = "stats",
    security(("token" = ["viewer"])),
    responses((status = 200, body = LiveUsage))
)]
async fn usage(State(api): State<Arc<Api>>) -> Json<LiveUsage> {
    let mut updates = api.poller.hub().subscribe_all();
    let newest = tokio::time::timeout(FIRST, updates.next()).await.ok().flatten();
    Json(newest.map_or_else(
        || LiveUsage::unread(api.clock.now().as_second()),
        |received| received.update.value().clone(),
    ))
}

/// What is buffered of a container.
#[derive(Debug, Serialize, ToSchema)]
struct ContainerMetrics {
    /// Oldest first; none while it does not run.
    metrics: Vec<Metric>,
    /// The cursor to go on with. Opaque.
    from: String,
    /// Readings after the cursor that were not in the buffer any more.
    missed: u64,
    /// Whether it runs. One that is paused does not.
    is_running: bool,
}

/// The readings of a container since a cursor. Asking is what starts them, and they go on for 30 minutes after the last who asked.
///
/// A container that does not run, or that the engine does not know, has none. A cursor from before a restart of the server is
/// recognised: the answer begins with the oldest reading that there is.
#[utoipa::path(
    get,
    path = "/api/containers/{id}/metrics",
    tag = "stats",
    security(("token" = ["viewer"])),
    params(
        ("id" = String, Path, description = "The engine's id of the container"),
        ("from" = Option<String>, Query, description = "The `from` of the answer before; `0`, or none, for all that is buffered"),
    ),
    responses((status = 200, body = ContainerMetrics))
)]
async fn container_metrics(
    State(api): State<Arc<Api>>,
    RawId(id): RawId,
    params: Params,
) -> Result<Json<ContainerMetrics>, Problem> {
    let from = match params.get("from") {
        None => Cursor::START,
        Some(text) => text
            .parse()
            .map_err(|_| Problem::bad_parameter("from", "must be 0 or the `from` of an earlier answer"))?,
    };
    // A text that is no id is one that no engine knows.
    let answer = match id.parse::<ContainerId>() {
        Ok(id) => Some(api.poller.metrics(&id, from).await),
        Err(_) => None,
    };
    Ok(Json(match answer {
        Some(answer) => ContainerMetrics {
            metrics: answer.metrics,
            from: answer.next.to_string(),
            missed: answer.missed,
            is_running: answer.is_running,
        },
        None => ContainerMetrics {
            metrics: Vec::new(),
            from: from.to_string(),
            missed: 0,
            is_running: false,
        },
    }))
}

/// The points of a workload as they are read: a WebSocket with one JSON message a tick, the first at once.
///
/// A reader that is too slow is told `{"missed": n}`, and then the newest. While it is open its containers are read every few seconds. Messages to the server
/// are left out. It ends with code 1001 when the server stops, and with 1008 when the role that opened it is lost.
#[utoipa::path(
    get,
    path = "/api/workloads/{id}/ws/stats",
    tag = "stats",
    security(("token" = ["viewer"])),
    params(
        ("id" = String, Path, description = "Id of the workload"),
        ("ticket" = Option<String>, Query, description = "A ticket, in the place of a header"),
    ),
    responses(
        (status = 101, description = "Messages as described", body = Point),
        (status = 404, description = "No such workload"),
        (status = 426, description = "Not a WebSocket's request"),
        (status = 503, description = "Too many streams"),
    )
)]
async fn workload_stream(
    State(api): State<Arc<Api>>,
    Extension(seats): Extension<Arc<Seats>>,
    Extension(visitor): Extension<Visitor>,
    Id(workload): Id<WorkloadId>,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    api.store.workload(&workload).await?;
    let (clock, seat) = (Arc::clone(&api.clock), seats.take()?);
    let stream = Stream {
        updates: api.poller.hub().subscribe(&workload),
        api,
        visitor,
        seat,
        nothing: move || Point::unread(clock.now().as_second()),
    };
    Ok(stream.open(upgrade))
}

/// The points of all workloads and their total, as they are read: a WebSocket as that of one workload.
#[utoipa::path(
    get,
    path = "/api/ws/usage",
    tag = "stats",
    security(("token" = ["viewer"])),
    params(("ticket" = Option<String>, Query, description = "A ticket, in the place of a header")),
    responses(
        (status = 101, description = "Messages as described", body = LiveUsage),
        (status = 426, description = "Not a WebSocket's request"),
        (status = 503, description = "Too many streams"),
    )
)]
async fn usage_stream(
    State(api): State<Arc<Api>>,
    Extension(seats): Extension<Arc<Seats>>,
    Extension(visitor): Extension<Visitor>,
    upgrade: Upgrade,
) -> Result<Response, Problem> {
    let (clock, seat) = (Arc::clone(&api.clock), seats.take()?);
    let stream = Stream {
        updates: api.poller.hub().subscribe_all(),
        api,
        visitor,
        seat,
        nothing: move || LiveUsage::unread(clock.now().as_second()),
    };
    Ok(stream.open(upgrade))
}

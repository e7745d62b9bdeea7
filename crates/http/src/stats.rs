//! What containers use: history and sums, from what is stored alone.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{History, HistoryQuery, Step, Usage};
use shipslog_core::time::Window;
use utoipa_axum::routes;

use crate::Routes;
use crate::error::Problem;
use crate::extract::{Id, Params};
use crate::state::Api;

pub(crate) fn router() -> Routes {
    vec![routes!(history), routes!(workload_usage)]
}

/// Seconds of history that are answered when no window is asked for.
const HISTORY: i64 = 30 * 60;

/// Seconds of usage that are answered when no window is asked for.
const USAGE: i64 = 7 * 86_400;

/// What a workload used: sums over its containers at each timestamp, oldest first.
///
/// With a `step`, and by itself when there are more than 1,000 points, each point is the average over its
/// step and has the peaks too. Windows longer than samples are kept for come from buckets of a minute, longer
/// ones of 5 minutes. It comes from what is stored alone, so it is there while the engine is not.
#[utoipa::path(
    get,
    path = "/api/workloads/{id}/stats/history",
    tag = "stats",
    security(("token" = ["viewer"])),
    params(
        ("id" = String, Path, description = "Id of the workload"),
        ("window" = Option<String>, Query, description = "How far back: a whole number and `s`, `m`, `h` or `d`, at most what is kept; `30m` when absent"),
        ("step" = Option<String>, Query, description = "The length to average over, such as `60s`, or `raw` for every timestamp of which samples are kept"),
        ("since" = Option<i64>, Query, description = "Only what is later than this, in unix seconds: the newest `ts` of the answer before"),
    ),
    responses(
        (status = 200, description = "Points; none when nothing was stored", body = History),
        (status = 404, description = "No such workload"),
    )
)]
async fn history(
    State(api): State<Arc<Api>>,
    Id(workload): Id<WorkloadId>,
    params: Params,
) -> Result<Response, Problem> {
    api.store.workload(&workload).await?;
    let query = HistoryQuery {
        workload: &workload,
        now: api.clock.now().as_second(),
        window: params.window("window", api.retention.longest, HISTORY)?,
        step: step(&params)?,
        since: since(&params)?,
    };
    encode(query.points(api.store.as_ref(), &api.retention).await?).await
}

/// What a workload used up: core seconds and byte seconds, in all and in buckets of 5 minutes.
#[utoipa::path(
    get,
    path = "/api/workloads/{id}/usage",
    tag = "stats",
    security(("token" = ["viewer"])),
    params(
        ("id" = String, Path, description = "Id of the workload"),
        ("window" = Option<String>, Query, description = "How far back: a whole number and `s`, `m`, `h` or `d`, at most what is kept; `7d` when absent"),
    ),
    responses((status = 200, body = Usage), (status = 404, description = "No such workload"))
)]
async fn workload_usage(
    State(api): State<Arc<Api>>,
    Id(workload): Id<WorkloadId>,
    params: Params,
) -> Result<Response, Problem> {
    api.store.workload(&workload).await?;
    let query = HistoryQuery {
        workload: &workload,
        now: api.clock.now().as_second(),
        window: params.window("window", api.retention.longest, USAGE)?,
        step: Step::Automatic,
        since: None,
    };
    encode(query.usage(api.store.as_ref()).await?).await
}

fn since(params: &Params) -> Result<Option<i64>, Problem> {
    let Some(text) = params.get("since") else {
        return Ok(None);
    };
    let since = text.parse().ok().filter(|since| *since >= 0);
    since
        .map(Some)
        .ok_or_else(|| Problem::bad_parameter("since", "must be a time in unix seconds, at least 0"))
}

fn step(params: &Params) -> Result<Step, Problem> {
    let text = match params.get("step") {
        None => return Ok(Step::Automatic),
        Some("raw") => return Ok(Step::Raw),
        Some(text) => text,
    };
    let message = "must be raw, or a whole number above zero and a unit: s, m, h or d, such as 60s";
    let step = Window::parse_any(text).map_err(|_| Problem::bad_parameter("step", message))?;
    Ok(Step::Seconds(step.seconds()))
}

/// Encodes on a thread that may take its time: a long raw history is megabytes.
async fn encode<T: Serialize + Send + 'static>(answer: T) -> Result<Response, Problem> {
    let encoded = tokio::task::spawn_blocking(move || serde_json::to_vec(&answer)).await;
    let body = encoded.ok().and_then(Result::ok).ok_or_else(Problem::internal)?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

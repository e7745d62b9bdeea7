//! What containers use: history and sums, from stored samples alone.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Columns, Point, SteppedPoint, Usage, aggregate, auto_step, downsample, usage};
use shipslog_core::time::Window;
use utoipa::ToSchema;
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

/// The points of a workload, oldest first.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum History {
    /// One a timestamp.
    Raw(Vec<Point>),
    /// One a step.
    Stepped(Vec<SteppedPoint>),
}

/// What a workload used: sums over its containers at each timestamp, oldest first.
///
/// With a `step`, and by itself when there are more than 1,000 points, each point is the average over its
/// step and has the peaks too. It comes from stored samples alone, so it is there while the engine is not.
#[utoipa::path(
    get,
    path = "/api/workloads/{id}/stats/history",
    tag = "stats",
    security(("token" = ["viewer"])),
    params(
        ("id" = String, Path, description = "Id of the workload"),
        ("window" = Option<String>, Query, description = "How far back: a whole number and `s`, `m`, `h` or `d`, at most what is kept; `30m` when absent"),
        ("step" = Option<String>, Query, description = "The length to average over, such as `60s`, or `raw` for every stored timestamp"),
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
    let window = params.window("window", api.retention, HISTORY)?;
    let step = step(&params)?;
    let columns = samples(&api, &workload, window).await?;
    encode(move || step.take(aggregate(&columns).points(), window)).await
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
    let window = params.window("window", api.retention, USAGE)?;
    let columns = samples(&api, &workload, window).await?;
    encode(move || usage(&aggregate(&columns).points())).await
}

/// The samples of a window that ends with the present second.
async fn samples(api: &Api, workload: &WorkloadId, window: Window) -> Result<Columns, Problem> {
    let to = api.clock.now().as_second().saturating_add(1);
    let from = to.saturating_sub(window.seconds());
    Ok(api.store.samples(workload, from, to).await?)
}

/// How a history is thinned.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// If there are many points, as far as needed.
    Automatic,
    /// Not at all.
    Raw,
    /// To one point in so many seconds.
    Seconds(i64),
}

impl Step {
    fn take(self, points: Vec<Point>, window: Window) -> History {
        let seconds = match self {
            Self::Raw => None,
            Self::Seconds(seconds) => Some(seconds),
            Self::Automatic => auto_step(points.len(), window.seconds()),
        };
        match seconds {
            None => History::Raw(points),
            Some(seconds) => History::Stepped(downsample(&points, seconds)),
        }
    }
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

/// Computes and encodes on a thread that may take its time: a long raw history is tens of megabytes.
async fn encode<T: Serialize>(work: impl FnOnce() -> T + Send + 'static) -> Result<Response, Problem> {
    let encoded = tokio::task::spawn_blocking(move || serde_json::to_vec(&work())).await;
    let body = encoded.ok().and_then(Result::ok).ok_or_else(Problem::internal)?;
    Ok(([(CONTENT_TYPE, "application/json")], body).into_response())
}

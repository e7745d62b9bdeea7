//! What containers use: history and sums, from what is stored alone.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{History, HistoryQuery, Step, Usage, usage_in};
use shipslog_core::time::Window;
use utoipa_axum::routes;

use crate::Routes;
use crate::error::Problem;
use crate::extract::{Id, Params};
use crate::state::Api;
use crate::tape::{Part, Tapes};

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
        (status = 304, description = "What `If-None-Match` names is still the answer"),
        (status = 404, description = "No such workload"),
    )
)]
async fn history(
    State(api): State<Arc<Api>>,
    Extension(tapes): Extension<Arc<Tapes>>,
    Id(workload): Id<WorkloadId>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let query = match history_query(&api, &workload, &params) {
        Ok(query) => query,
        Err(problem) => {
            // What does not exist is said first, and asked for only where memory does not know better.
            api.store.workload(&workload).await?;
            return Err(problem);
        }
    };
    if let Some(part) = from_memory(&api, &tapes, &query).await? {
        return Ok(tagged(&headers, part.etag.clone(), part.len(), || {
            part.into_body()
        }));
    }
    api.store.workload(&workload).await?;
    encode(&headers, query.points(api.store.as_ref(), &api.retention).await?).await
}

fn history_query<'a>(
    api: &Api,
    workload: &'a WorkloadId,
    params: &Params,
) -> Result<HistoryQuery<'a>, Problem> {
    Ok(HistoryQuery {
        workload,
        now: api.clock.now().as_second(),
        window: params.window("window", api.retention.longest, HISTORY)?,
        step: step(params)?,
        since: since(params)?,
    })
}

/// Points as they were stored come from memory; what has to be averaged, or is most likely too much to be shown as it is,
/// does not.
async fn from_memory(api: &Api, tapes: &Tapes, query: &HistoryQuery<'_>) -> Result<Option<Part>, Problem> {
    if !query.is_for_stored(&api.retention, api.tick.as_secs().cast_signed()) {
        return Ok(None);
    }
    let part = tapes
        .part(api.store.as_ref(), query.workload, query.from(), query.to())
        .await?;
    Ok(query.shows(part.points).then_some(part))
}

/// The answer that a tag stands for, or 304 for a client that has it.
fn tagged(headers: &HeaderMap, etag: String, length: usize, body: impl FnOnce() -> Body) -> Response {
    if knows(headers, &etag) {
        return (StatusCode::NOT_MODIFIED, [(ETAG, etag)]).into_response();
    }
    let about = [
        (CONTENT_TYPE, "application/json".to_owned()),
        (CONTENT_LENGTH, length.to_string()),
        (ETAG, etag),
    ];
    (about, body()).into_response()
}

/// Whether the client has what carries this tag.
fn knows(headers: &HeaderMap, etag: &str) -> bool {
    let known = headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut tags = known.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
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
    responses((status = 200, body = Usage), (status = 304, description = "What `If-None-Match` names is still the answer"), (status = 404, description = "No such workload"))
)]
async fn workload_usage(
    State(api): State<Arc<Api>>,
    Id(workload): Id<WorkloadId>,
    params: Params,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    api.store.workload(&workload).await?;
    let window = params.window("window", api.retention.longest, USAGE)?;
    let now = api.clock.now().as_second();
    encode(
        &headers,
        usage_in(api.store.as_ref(), &workload, now, window).await?,
    )
    .await
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

/// Encodes on a thread that may take its time: an answer may be megabytes.
async fn encode<T: Serialize + Send + 'static>(headers: &HeaderMap, answer: T) -> Result<Response, Problem> {
    let encoded = tokio::task::spawn_blocking(move || {
        let body = serde_json::to_vec(&answer)?;
        let etag = format!(
            "\"{:016x}\"",
            BuildHasherDefault::<DefaultHasher>::new().hash_one(&body)
        );
        Ok::<_, serde_json::Error>((body, etag))
    });
    let (body, etag) = encoded
        .await
        .ok()
        .and_then(Result::ok)
        .ok_or_else(Problem::internal)?;
    Ok(tagged(headers, etag, body.len(), || body.into()))
}

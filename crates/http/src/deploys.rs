//! The deploy ledger: reading it, adding to it, rolling back to a row of it, and watching a row come about.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt as _, stream};
use serde::{Deserialize, Serialize};
use serde_json::json;
use shipslog_core::deploys::{
    Deploy, DeployStep, DispatchEvent, DispatchRefusal, DispatchRequest, Dispatcher, FailureMarker, Page,
    PartName, PartPin, PinnedReference, Reason, RollbackConfig, RollbackRefusal, RollbackRequest, Strategy,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::store::StoreError;
use shipslog_core::time::Timestamp;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::Routes;
use crate::error::Problem;
use crate::extract::{Caller, Id, IdempotencyKey, JsonBody, Mount, OptionalBody, Params};
use crate::guard::{Visitor, WAIT};
use crate::state::Api;

pub(crate) fn router() -> Routes {
    vec![
        routes!(list_deploys, create_deploy),
        routes!(get_deploy),
        routes!(deploy_events),
        routes!(roll_back),
    ]
}

/// A row of the ledger: one dispatch, what it was pinned to, and how it stands or ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Deploy)]
pub(crate) struct DeployRow {
    /// Its id, safe in a path.
    #[schema(value_type = String)]
    id: DeployId,
    /// Whose row it is.
    #[schema(value_type = String)]
    workload_id: WorkloadId,
    /// The source kind, such as `image`.
    source_kind: String,
    /// What caused it.
    reason: Reason,
    /// What was asked for, such as `registry/app:1.4`.
    requested: String,
    /// What that was pinned to, such as `registry/app@sha256:...`; `null` until it is pinned.
    #[schema(value_type = Option<String>)]
    reference: Option<PinnedReference>,
    /// What each part was pinned to, by name, for a source kind that runs several; else empty.
    parts: Vec<PartRow>,
    /// The spec revision that it used.
    spec_revision: u32,
    /// `running`, `succeeded`, `failed` or `interrupted`.
    #[schema(value_type = String)]
    outcome: &'static str,
    /// Why it failed.
    error: Option<Failure>,
    /// Who caused it: the name of a token's holder or of a webhook provider.
    triggered_by: String,
    /// A note by whoever caused it.
    note: Option<String>,
    /// The row that a rollback replays.
    #[schema(value_type = Option<String>)]
    rollback_of: Option<DeployId>,
    /// Whether this is what the workload runs.
    current: bool,
    /// Whether it can be rolled back to.
    rollback: RollbackVerdict,
    /// When the row was written, before anything was touched.
    #[schema(value_type = String, format = DateTime)]
    started_at: Timestamp,
    /// When it was closed.
    #[schema(value_type = Option<String>, format = DateTime)]
    finished_at: Option<Timestamp>,
    /// The order of stop and start; `null` when the source kind has none.
    strategy: Option<Strategy>,
}

/// What one of several parts of a deploy was pinned to.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Part)]
struct PartRow {
    /// Its name, such as that of a service of a Compose file.
    #[schema(value_type = String)]
    name: PartName,
    /// Where its content can be had again.
    #[schema(value_type = String)]
    reference: PinnedReference,
    /// What runs it reports this identity of itself.
    #[schema(value_type = String)]
    content: PinnedReference,
}

impl From<(PartName, PartPin)> for PartRow {
    fn from((name, pin): (PartName, PartPin)) -> Self {
        Self {
            name,
            reference: pin.reference,
            content: pin.content,
        }
    }
}

/// Why a deploy failed.
#[derive(Debug, Serialize, ToSchema)]
struct Failure {
    /// One of a closed list.
    marker: FailureMarker,
    /// Which of several parts failed; `null` when it was not one of them, or there is only one.
    #[schema(value_type = Option<String>)]
    part: Option<PartName>,
    /// What happened and what to look at.
    #[schema(value_type = String)]
    message: &'static str,
}

/// What the ledger alone says of rolling back to a row. That its content can still be had is asked when the
/// rollback is requested.
#[derive(Debug, Serialize, ToSchema)]
struct RollbackVerdict {
    /// Whether nothing speaks against it.
    possible: bool,
    /// What speaks against it.
    reason: Option<RollbackRefusal>,
}

impl DeployRow {
    pub(crate) fn new(dispatcher: &Dispatcher, row: Deploy) -> Self {
        let refusal = dispatcher.rollback_verdict(&row).err();
        let (reference, parts) = row.pin.map(|pin| (pin.reference, pin.parts)).unzip();
        let parts = parts.into_iter().flatten().map(PartRow::from).collect();
        Self {
            outcome: row.outcome.as_str(),
            error: row.outcome.marker().map(|marker| Failure {
                marker,
                part: row.failed_part,
                message: marker.message(),
            }),
            rollback: RollbackVerdict {
                possible: refusal.is_none(),
                reason: refusal,
            },
            reference,
            parts,
            id: row.id,
            workload_id: row.workload_id,
            source_kind: row.source_kind,
            reason: row.reason,
            requested: row.requested,
            spec_revision: row.spec_revision,
            triggered_by: row.triggered_by,
            note: row.note,
            rollback_of: row.rollback_of,
            current: row.current,
            started_at: row.started_at,
            finished_at: row.finished_at,
            strategy: row.strategy,
        }
    }
}

/// What to deploy.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewDeploy {
    /// What to deploy; absent means the reference in the spec.
    #[serde(default)]
    reference: Option<String>,
    /// A note for the row, at most 500 characters.
    #[serde(default)]
    note: Option<String>,
}

/// What to roll back to.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewRollback {
    /// The row to be replayed.
    #[schema(value_type = String)]
    deploy_id: DeployId,
    /// Which spec to run its content with.
    #[serde(default)]
    config: RollbackConfig,
    /// A note for the row, at most 500 characters.
    #[serde(default)]
    note: Option<String>,
}

/// The ledger of a workload, newest first.
#[utoipa::path(
    get,
    path = "/api/workloads/{id}/deploys",
    tag = "deploys",
    security(("token" = ["viewer"])),
    params(
        ("id" = String, Path, description = "Id of the workload"),
        ("limit" = Option<u32>, Query, minimum = 1, maximum = 500, description = "At most so many rows; 50 when absent"),
        ("before" = Option<String>, Query, description = "Id of a row of this workload: only older ones"),
    ),
    responses((status = 200, body = [DeployRow]), (status = 404, description = "No such workload"))
)]
async fn list_deploys(
    State(api): State<Arc<Api>>,
    Id(workload): Id<WorkloadId>,
    params: Params,
) -> Result<Json<Vec<DeployRow>>, Problem> {
    let page = page(&params)?;
    api.store.workload(&workload).await?;
    let rows = api
        .store
        .deploys(&workload, &page)
        .await
        .map_err(|error| match error {
            StoreError::NotFound { .. } => not_a_row(),
            other => other.into(),
        })?;
    Ok(Json(
        rows.into_iter()
            .map(|row| DeployRow::new(&api.dispatcher, row))
            .collect(),
    ))
}

fn page(params: &Params) -> Result<Page, Problem> {
    let limit = params.number("limit", 1..=500, 50)?;
    let before = params
        .get("before")
        .map(|id| id.parse().map_err(|_| not_a_row()))
        .transpose()?;
    Ok(Page { limit, before })
}

fn not_a_row() -> Problem {
    Problem::bad_parameter("before", "must be the id of a deploy of this workload")
}

/// Deploys a workload.
///
/// The answer is the running row, while the deploy goes on. A repeat with the same `Idempotency-Key` answers
/// the first row and deploys nothing.
#[utoipa::path(
    post,
    path = "/api/workloads/{id}/deploys",
    tag = "deploys",
    security(("token" = ["admin"])),
    params(
        ("id" = String, Path, description = "Id of the workload"),
        ("wait" = Option<bool>, Query, description = "Whether to answer only when the row is closed"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 printable characters, unique within the workload"),
    ),
    request_body(content = Option<NewDeploy>),
    responses(
        (status = 202, description = "Begun", body = DeployRow, headers(("Location" = String, description = "Path of the row"))),
        (status = 200, description = "Over, with `wait=true`", body = DeployRow),
        (status = 404, description = "No such workload"),
        (status = 409, description = "Another dispatch of the workload runs, or it is only observed"),
    )
)]
async fn create_deploy(
    State(api): State<Arc<Api>>,
    Caller(caller): Caller,
    Id(workload): Id<WorkloadId>,
    params: Params,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    mount: Mount,
    OptionalBody(body): OptionalBody<NewDeploy>,
) -> Result<Response, Problem> {
    let wait = params.flag(WAIT)?;
    let request = DispatchRequest {
        workload,
        reference: body.reference,
        reason: Reason::Manual,
        triggered_by: caller.name,
        note: body.note,
        idempotency_key,
        force: false,
    };
    let begun = api.dispatcher.dispatch(request).await;
    answer(&api, begun, wait, &mount).await
}

/// Rolls a workload back to a row of its ledger: runs exactly what that row was pinned to.
///
/// Answers as a deploy does. Refused with a `reason` when the row cannot be rolled back to; then nothing was
/// touched.
#[utoipa::path(
    post,
    path = "/api/workloads/{id}/rollback",
    tag = "deploys",
    security(("token" = ["admin"])),
    params(
        ("id" = String, Path, description = "Id of the workload"),
        ("wait" = Option<bool>, Query, description = "Whether to answer only when the row is closed"),
        ("Idempotency-Key" = Option<String>, Header, description = "1 to 128 printable characters, unique within the workload"),
    ),
    request_body = NewRollback,
    responses(
        (status = 202, description = "Begun", body = DeployRow, headers(("Location" = String, description = "Path of the row"))),
        (status = 200, description = "Over, with `wait=true`", body = DeployRow),
        (status = 404, description = "No such workload, or the deploy is not of it"),
        (status = 409, description = "The row cannot be rolled back to, or another dispatch of the workload runs"),
    )
)]
async fn roll_back(
    State(api): State<Arc<Api>>,
    Caller(caller): Caller,
    Id(workload): Id<WorkloadId>,
    params: Params,
    IdempotencyKey(idempotency_key): IdempotencyKey,
    mount: Mount,
    JsonBody(body): JsonBody<NewRollback>,
) -> Result<Response, Problem> {
    let wait = params.flag(WAIT)?;
    let request = RollbackRequest {
        workload,
        target: body.deploy_id,
        config: body.config,
        triggered_by: caller.name,
        note: body.note,
        idempotency_key,
    };
    let begun = api.dispatcher.roll_back(request).await;
    answer(&api, begun, wait, &mount).await
}

async fn answer(
    api: &Api,
    begun: Result<Deploy, DispatchRefusal>,
    wait: bool,
    mount: &Mount,
) -> Result<Response, Problem> {
    let row = begun?;
    if wait {
        let row = api.dispatcher.wait(&row.id).await?;
        return Ok(Json(DeployRow::new(&api.dispatcher, row)).into_response());
    }
    let location = mount.location(&format!("/api/deploys/{}", row.id));
    let body = Json(DeployRow::new(&api.dispatcher, row));
    Ok((StatusCode::ACCEPTED, location, body).into_response())
}

/// One row of the ledger.
#[utoipa::path(
    get,
    path = "/api/deploys/{id}",
    tag = "deploys",
    security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "Id of the deploy")),
    responses((status = 200, body = DeployRow), (status = 404, description = "No such deploy"))
)]
async fn get_deploy(State(api): State<Arc<Api>>, Id(id): Id<DeployId>) -> Result<Json<DeployRow>, Problem> {
    let row = api.store.deploy(&id).await?;
    Ok(Json(DeployRow::new(&api.dispatcher, row)))
}

/// The events of a deploy, as server-sent events.
///
/// `step` says what is being done, and for a pull how far it is; `missed` with `{"missed": n}` says that so many events were lost because they were
/// not read fast enough; `outcome` is the closed row, after which the stream ends. A deploy that is over
/// answers its outcome at once. A stream whose token is not valid any more ends before that.
#[utoipa::path(
    get,
    path = "/api/deploys/{id}/events",
    tag = "deploys",
    security(("token" = ["viewer"])),
    params(
        ("id" = String, Path, description = "Id of the deploy"),
        ("ticket" = Option<String>, Query, description = "A ticket, in the place of a header"),
    ),
    responses(
        (status = 200, description = "Data of the events `step`", body = DeployStep, content_type = "text/event-stream"),
        (status = 404, description = "No such deploy"),
    )
)]
async fn deploy_events(
    State(api): State<Arc<Api>>,
    Extension(visitor): Extension<Visitor>,
    Id(id): Id<DeployId>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let events = api.dispatcher.events(&id).await?;
    let asked = Arc::clone(&api);
    let turned_away = async move { visitor.turned_away(&asked).await };
    let stream = stream::unfold((events, api), |(mut events, api)| async move {
        loop {
            if let Some(event) = encode(&api, events.next().await?) {
                return Some((Ok(event), (events, api)));
            }
        }
    });
    Ok(Sse::new(stream.take_until(turned_away)).keep_alive(KeepAlive::default()))
}

/// `None` for what the reader knows already, or need not know.
fn encode(api: &Api, event: DispatchEvent) -> Option<Event> {
    match event {
        DispatchEvent::Step { step, .. } => Some(data("step", &step)),
        DispatchEvent::Missed(missed) => Some(data("missed", &json!({ "missed": missed }))),
        DispatchEvent::Closed(row) => Some(data("outcome", &DeployRow::new(&api.dispatcher, *row))),
        _ => None,
    }
}

fn data(name: &str, data: &impl Serialize) -> Event {
    // Serializing these types cannot fail: they have neither maps nor floats.
    Event::default().event(name).json_data(data).unwrap_or_default()
}

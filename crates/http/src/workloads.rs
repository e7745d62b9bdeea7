//! Workloads: what runs, or is meant to run.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use shipslog_core::id::{ContainerId, DeployId, WorkloadId};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{Container, ContainerState, Health, Spec, WorkloadState, WorkloadView};
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::Routes;
use crate::auth::Role;
use crate::deploys::DeployRow;
use crate::error::Problem;
use crate::extract::{Caller, Id, JsonBody, Mount, Params};
use crate::state::Api;

pub(crate) fn router() -> Routes {
    vec![
        routes!(list_workloads, create_workload),
        routes!(get_workload, revise_workload, delete_workload),
    ]
}

/// A workload, managed or merely observed, with what runs of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Workload)]
pub(crate) struct WorkloadBody {
    /// Its id, safe in a path and never given again.
    #[schema(value_type = String)]
    id: WorkloadId,
    /// The spec's name, or that of the Compose project or container observed.
    name: String,
    /// Whether it has a spec and can be deployed.
    managed: bool,
    /// Summed up from its containers.
    state: WorkloadState,
    /// The newest spec; `null` when observed. To viewers, the `options` of the source, `command`, the command
    /// of the healthcheck and the literal `value`s of `env` are empty or left out: they may hold secrets in spite of all advice.
    spec: Option<Spec>,
    /// The number of the newest spec; `null` when observed.
    spec_revision: Option<u32>,
    /// Its containers, by name; as last seen, in state `unknown`, while the engine does not answer.
    containers: Vec<ContainerBody>,
    /// The ledger row of what it runs; `null` before the first deploy that succeeded.
    current_deploy: Option<DeployRow>,
    /// When it was created, or first seen.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// A container as the engine lists it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Container)]
struct ContainerBody {
    /// The engine's id.
    #[schema(value_type = String)]
    id: ContainerId,
    /// The engine's name for it.
    name: String,
    /// The reference that it was created from.
    image: String,
    /// The engine's id of that image; `null` when it is not known.
    image_id: Option<String>,
    /// State of its process.
    state: ContainerState,
    /// What its healthcheck says; `null` without one, or while it does not run.
    health: Option<Health>,
    /// When it was created.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When it was started last; `null` when that is not known, as while the engine does not answer.
    #[schema(value_type = Option<String>, format = DateTime)]
    started_at: Option<Timestamp>,
    /// How often the engine started it again because it had ended, since somebody started it; `null` when that is not known.
    restarts: Option<u32>,
    /// The deploy that started it; `null` when somebody else did.
    #[schema(value_type = Option<String>)]
    deploy: Option<DeployId>,
}

impl From<Container> for ContainerBody {
    fn from(container: Container) -> Self {
        let Container {
            id,
            name,
            image,
            image_id,
            state,
            health,
            created_at,
            life,
            deploy,
            ..
        } = container;
        Self {
            id,
            name,
            image,
            image_id,
            state,
            health,
            created_at,
            started_at: life.map(|life| life.started_at),
            restarts: life.map(|life| life.restarts),
            deploy,
        }
    }
}

impl WorkloadBody {
    fn new(api: &Api, role: Role, view: WorkloadView) -> Self {
        let (spec, spec_revision) = view.workload.spec().unzip();
        Self {
            managed: spec.is_some(),
            spec: spec.map(|spec| shown_to(role, spec)),
            spec_revision,
            state: view.state,
            containers: view.containers.into_iter().map(ContainerBody::from).collect(),
            current_deploy: view.current.map(|row| DeployRow::new(&api.dispatcher, row)),
            id: view.workload.id,
            name: view.workload.name,
            created_at: view.workload.created_at,
        }
    }
}

/// A spec without what only admins may see.
fn shown_to(role: Role, spec: &Spec) -> Spec {
    let mut spec = spec.clone();
    if role < Role::Admin {
        spec.source.options.clear();
        spec.command.clear();
        spec.env.iter_mut().for_each(|variable| variable.value = None);
        spec.healthcheck
            .iter_mut()
            .for_each(|check| check.command.clear());
    }
    spec
}

/// Every workload, managed or merely observed, by name.
#[utoipa::path(
    get,
    path = "/api/workloads",
    tag = "workloads",
    security(("token" = ["viewer"])),
    responses((status = 200, body = [WorkloadBody]))
)]
async fn list_workloads(
    State(api): State<Arc<Api>>,
    Caller(caller): Caller,
) -> Result<Json<Vec<WorkloadBody>>, Problem> {
    let views = api.catalog.list().await?;
    Ok(Json(
        views
            .into_iter()
            .map(|view| WorkloadBody::new(&api, caller.role, view))
            .collect(),
    ))
}

/// Creates a managed workload. Nothing is deployed by it.
#[utoipa::path(
    post,
    path = "/api/workloads",
    tag = "workloads",
    security(("token" = ["admin"])),
    request_body = Spec,
    responses(
        (status = 201, description = "Created", body = WorkloadBody, headers(("Location" = String, description = "Path of the workload"))),
        (status = 409, description = "Another managed workload has the name"),
    )
)]
async fn create_workload(
    State(api): State<Arc<Api>>,
    Caller(caller): Caller,
    mount: Mount,
    JsonBody(spec): JsonBody<Spec>,
) -> Result<Response, Problem> {
    let view = api.catalog.create(spec).await?;
    let body = WorkloadBody::new(&api, caller.role, view);
    let location = mount.location(&format!("/api/workloads/{}", body.id));
    Ok((StatusCode::CREATED, location, Json(body)).into_response())
}

/// One workload.
#[utoipa::path(
    get,
    path = "/api/workloads/{id}",
    tag = "workloads",
    security(("token" = ["viewer"])),
    params(("id" = String, Path, description = "Id of the workload")),
    responses((status = 200, body = WorkloadBody), (status = 404, description = "No such workload"))
)]
async fn get_workload(
    State(api): State<Arc<Api>>,
    Caller(caller): Caller,
    Id(id): Id<WorkloadId>,
) -> Result<Json<WorkloadBody>, Problem> {
    let view = api.catalog.get(&id).await?;
    Ok(Json(WorkloadBody::new(&api, caller.role, view)))
}

/// Gives a managed workload a new spec, whole, as its next revision. Nothing is deployed by it.
#[utoipa::path(
    put,
    path = "/api/workloads/{id}",
    tag = "workloads",
    security(("token" = ["admin"])),
    params(("id" = String, Path, description = "Id of the workload")),
    request_body = Spec,
    responses(
        (status = 200, body = WorkloadBody),
        (status = 404, description = "No such workload"),
        (status = 409, description = "The workload is only observed, another one has the name, or it is being changed"),
    )
)]
async fn revise_workload(
    State(api): State<Arc<Api>>,
    Caller(caller): Caller,
    Id(id): Id<WorkloadId>,
    JsonBody(spec): JsonBody<Spec>,
) -> Result<Json<WorkloadBody>, Problem> {
    let view = api.catalog.revise(&id, spec).await?;
    Ok(Json(WorkloadBody::new(&api, caller.role, view)))
}

/// Deletes a workload with its ledger, its samples and its containers.
#[utoipa::path(
    delete,
    path = "/api/workloads/{id}",
    tag = "workloads",
    security(("token" = ["admin"])),
    params(
        ("id" = String, Path, description = "Id of the workload"),
        ("keep_containers" = Option<bool>, Query, description = "Whether its containers are left as they are; `false` when absent"),
    ),
    responses(
        (status = 204, description = "Deleted"),
        (status = 404, description = "No such workload"),
        (status = 409, description = "It is being deployed, or is observed and its containers are still there"),
    )
)]
async fn delete_workload(
    State(api): State<Arc<Api>>,
    Id(id): Id<WorkloadId>,
    params: Params,
) -> Result<StatusCode, Problem> {
    let keep_containers = params.flag("keep_containers")?;
    api.catalog.delete(&id, keep_containers).await?;
    Ok(StatusCode::NO_CONTENT)
}

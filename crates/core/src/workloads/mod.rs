//! What runs, or is meant to run: workloads, their specs and their containers.

mod catalog;
mod events;
mod inventory;
mod model;
mod options;
mod roster;
mod shape;
mod spec;
mod store;
mod validate;

pub use catalog::{Catalog, CatalogError, WorkloadView};
pub use events::{ContainerChange, ContainerEvent, EngineEvents};
pub use inventory::{EngineInfo, EngineUnavailable, Inventory};
pub use model::{Container, ContainerState, Health, Life, Owner, Workload, WorkloadKind, WorkloadState};
pub use options::SourceOptions;
pub use roster::Roster;
pub use spec::{
    EnvVar, Healthcheck, Mount, OnUnhealthy, Port, Protocol, RestartPolicy, Rollout, Source, Spec,
    StrategyChoice,
};
pub use store::{NewWorkload, WorkloadStore};
pub use validate::FieldError;

//! Workloads as a caller sees them: the store's rows joined with what the engine lists.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::{
    Container, ContainerState, FieldError, Inventory, NewWorkload, Owner, Spec, Workload, WorkloadState,
};
use crate::deploys::{Deploy, DispatchRefusal, Dispatcher};
use crate::id::{ContainerId, WorkloadId};
use crate::stats::ContainerRecord;
use crate::store::{Store, StoreError};
use crate::time::{Clock, Timestamp};

/// How long an engine may take to say since when containers run.
const LIFE_TIME: Duration = Duration::from_secs(2);

/// A workload with what runs of it.
#[derive(Debug, Clone, PartialEq)]
pub struct WorkloadView {
    /// The workload.
    pub workload: Workload,
    /// Its containers, by name. While the engine does not answer: those of the last tick that had any, in state unknown.
    pub containers: Vec<Container>,
    /// Summed up.
    pub state: WorkloadState,
    /// The current row.
    pub current: Option<Deploy>,
}

/// Why a change of a workload was refused. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CatalogError {
    /// A field of the spec breaks a rule.
    #[error("invalid spec")]
    Invalid(#[source] FieldError),
    /// Another managed workload has the name.
    #[error("the name is taken")]
    NameTaken,
    /// The workload is only observed: it has no spec.
    #[error("the workload is only observed: it was not started by shipslog")]
    Observed,
    /// The workload is observed and its containers are still there, so that it would come back at once.
    #[error(
        "the workload is observed and its containers are still there: remove them with the tool that made them"
    )]
    StillObserved,
    /// A dispatch of it is running, or its spec was changed at the same time.
    #[error("the workload is being changed")]
    Busy,
    /// Its containers could not be removed.
    #[error("its containers could not be removed: the container engine does not answer")]
    EngineUnavailable,
    /// The store did not answer; [`StoreError::NotFound`] for an unknown workload.
    #[error("the store did not answer")]
    Store(#[from] StoreError),
}

/// Creates, changes, deletes and lists workloads. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Catalog {
    store: Arc<dyn Store>,
    inventory: Arc<dyn Inventory>,
    dispatcher: Dispatcher,
    clock: Arc<dyn Clock>,
}

impl Catalog {
    /// A catalog over a store and an engine; `dispatcher` knows the source kinds and what is under way.
    pub fn new(
        store: Arc<dyn Store>,
        inventory: Arc<dyn Inventory>,
        dispatcher: Dispatcher,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            store,
            inventory,
            dispatcher,
            clock,
        }
    }

    /// Creates a managed workload. Nothing is deployed.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`], [`CatalogError::NameTaken`], or the store's.
    pub async fn create(&self, spec: Spec) -> Result<WorkloadView, CatalogError> {
        self.dispatcher.check(&spec).map_err(CatalogError::Invalid)?;
        let created_at = self.clock.now();
        let new = NewWorkload {
            id: WorkloadId::generate(created_at),
            spec,
            created_at,
        };
        let workload = self.store.create_workload(new).await.map_err(taken)?;
        self.view(workload, &self.listing().await?).await
    }

    /// Gives a managed workload a new spec revision. Nothing is deployed.
    ///
    /// # Errors
    /// As [`create`](Self::create); [`CatalogError::Observed`]; [`CatalogError::Busy`] when its spec was changed at the same time.
    pub async fn revise(&self, id: &WorkloadId, spec: Spec) -> Result<WorkloadView, CatalogError> {
        let workload = self.store.workload(id).await?;
        let (before, revision) = workload.spec().ok_or(CatalogError::Observed)?;
        self.dispatcher.check(&spec).map_err(CatalogError::Invalid)?;
        keeps_kind(before, &spec).map_err(CatalogError::Invalid)?;
        let workload = self
            .store
            .revise_workload(id, revision, spec)
            .await
            .map_err(taken)?;
        self.view(workload, &self.listing().await?).await
    }

    /// Deletes a workload with its ledger and samples and, unless `keep_containers`, its containers. Containers that are kept are observed
    /// from then on. An observed workload can be deleted when its containers are gone.
    ///
    /// # Errors
    /// [`CatalogError::Busy`], [`CatalogError::EngineUnavailable`], [`CatalogError::StillObserved`], or the store's.
    pub async fn delete(&self, id: &WorkloadId, keep_containers: bool) -> Result<(), CatalogError> {
        let workload = self.store.workload(id).await?;
        let observed = workload.spec().is_none();
        if observed && self.is_still_there(workload).await? {
            return Err(CatalogError::StillObserved);
        }
        self.dispatcher
            .retire(id, keep_containers || observed)
            .await
            .map_err(refused)
    }

    async fn is_still_there(&self, workload: Workload) -> Result<bool, CatalogError> {
        let listing = self.listing().await?;
        if listing.containers.is_none() {
            return Err(CatalogError::EngineUnavailable);
        }
        Ok(!self.bare_view(workload, &listing).await?.containers.is_empty())
    }

    /// One workload.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], or another error of the store. An engine that does not answer is none.
    pub async fn get(&self, id: &WorkloadId) -> Result<WorkloadView, CatalogError> {
        let workload = self.store.workload(id).await?;
        let listing = self.listing().await?;
        self.view(workload, &listing).await
    }

    /// Every workload, managed or observed, by name. Containers that were never seen before become observed workloads.
    ///
    /// # Errors
    /// The store's. An engine that does not answer is none.
    pub async fn list(&self) -> Result<Vec<WorkloadView>, CatalogError> {
        let mut listing = self.listing().await?;
        let workloads = std::mem::take(&mut listing.workloads);
        let workloads = self.with_newcomers(workloads, &listing).await?;
        let mut views = Vec::with_capacity(workloads.len());
        for workload in workloads {
            views.push(self.bare_view(workload, &listing).await?);
        }
        self.add_lives(&mut views).await;
        Ok(views)
    }

    async fn listing(&self) -> Result<Listing, StoreError> {
        let workloads = self.store.workloads().await?;
        let managed = workloads
            .iter()
            .filter(|w| w.spec().is_some())
            .map(|w| w.id.clone())
            .collect();
        let mut containers = self.inventory.containers().await.ok();
        if let Some(containers) = &mut containers {
            containers.sort_by(|a, b| a.name.cmp(&b.name));
        }
        Ok(Listing {
            workloads,
            managed,
            containers,
        })
    }

    async fn with_newcomers(
        &self,
        known: Vec<Workload>,
        listing: &Listing,
    ) -> Result<Vec<Workload>, StoreError> {
        let newcomers = newcomers(&known, listing);
        if newcomers.is_empty() {
            return Ok(known);
        }
        for name in newcomers {
            self.store.observe_workload(&name, self.clock.now()).await?;
        }
        self.store.workloads().await
    }

    async fn view(&self, workload: Workload, listing: &Listing) -> Result<WorkloadView, CatalogError> {
        let mut view = self.bare_view(workload, listing).await?;
        self.add_lives(std::slice::from_mut(&mut view)).await;
        Ok(view)
    }

    /// Asks for all at once. An engine that is slow with it does not hold up the rest.
    async fn add_lives(&self, views: &mut [WorkloadView]) {
        let listed = views.iter().flat_map(|view| &view.containers);
        let ids: Vec<ContainerId> = listed.map(|container| container.id.clone()).collect();
        let lives = timeout(LIFE_TIME, self.inventory.lives(&ids)).await;
        let containers = views.iter_mut().flat_map(|view| &mut view.containers);
        for (container, life) in containers.zip(lives.unwrap_or_default()) {
            container.life = life;
        }
    }

    async fn bare_view(&self, workload: Workload, listing: &Listing) -> Result<WorkloadView, CatalogError> {
        let current = self.store.current_deploy(&workload.id).await?;
        let Some(containers) = listing.of(&workload) else {
            let containers = last_seen(self.store.seen_containers(&workload.id).await?);
            return Ok(WorkloadView {
                workload,
                containers,
                state: WorkloadState::Unknown,
                current,
            });
        };
        let state = WorkloadState::of(&in_service(&containers, current.as_ref()));
        Ok(WorkloadView {
            workload,
            containers,
            state,
            current,
        })
    }
}

/// What store and engine list at one moment.
#[derive(Debug)]
struct Listing {
    workloads: Vec<Workload>,
    managed: HashSet<WorkloadId>,
    /// `None` while the engine does not answer.
    containers: Option<Vec<Container>>,
}

impl Listing {
    fn owner(&self, container: &Container) -> Owner {
        container.owner(|id| self.managed.contains(id))
    }

    fn of(&self, workload: &Workload) -> Option<Vec<Container>> {
        let owner = owner_of(workload);
        let own = |container: &&Container| self.owner(container) == owner;
        Some(self.containers.as_ref()?.iter().filter(own).cloned().collect())
    }
}

fn owner_of(workload: &Workload) -> Owner {
    match workload.spec() {
        Some(_) => Owner::Managed(workload.id.clone()),
        None => Owner::Observed(workload.name.clone()),
    }
}

/// What a kind runs, no other kind can take the place of: it could not be put back.
fn keeps_kind(before: &Spec, after: &Spec) -> Result<(), FieldError> {
    if before.source.kind == after.source.kind {
        return Ok(());
    }
    Err(FieldError::new(
        "source.kind",
        "cannot be changed: create another workload",
    ))
}

/// Without the stopped containers of earlier deploys, which are there until the clean-up after a swap.
fn in_service(containers: &[Container], current: Option<&Deploy>) -> Vec<Container> {
    let current = current.map(|row| &row.id);
    let replaced = |c: &Container| {
        c.deploy.is_some()
            && current.is_some()
            && c.deploy.as_ref() != current
            && c.state != ContainerState::Running
    };
    containers
        .iter()
        .filter(|container| !replaced(container))
        .cloned()
        .collect()
}

/// Names of observed workloads that have containers and no row yet.
fn newcomers(known: &[Workload], listing: &Listing) -> HashSet<String> {
    let known: HashSet<&str> = known
        .iter()
        .filter(|w| w.spec().is_none())
        .map(|w| w.name.as_str())
        .collect();
    let owners = listing
        .containers
        .iter()
        .flatten()
        .map(|container| listing.owner(container));
    let observed = owners.filter_map(|owner| match owner {
        Owner::Observed(name) => Some(name),
        Owner::Managed(_) => None,
    });
    observed.filter(|name| !known.contains(name.as_str())).collect()
}

/// The containers of the last tick that had any.
fn last_seen(records: Vec<ContainerRecord>) -> Vec<Container> {
    let last = records.iter().map(|record| record.last_seen).max();
    let there = records
        .into_iter()
        .filter(|record| Some(record.last_seen) == last);
    let mut containers: Vec<Container> = there.map(unknown_container).collect();
    containers.sort_by(|a, b| a.name.cmp(&b.name));
    containers
}

fn unknown_container(record: ContainerRecord) -> Container {
    Container {
        id: record.id,
        name: record.name,
        image: String::new(),
        state: ContainerState::Unknown,
        health: None,
        created_at: Timestamp::from_second(record.first_seen).unwrap_or(Timestamp::UNIX_EPOCH),
        image_id: None,
        life: None,
        workload: None,
        deploy: None,
        project: None,
    }
}

fn taken(error: StoreError) -> CatalogError {
    match error {
        StoreError::Conflict { what: "name" } => CatalogError::NameTaken,
        StoreError::Conflict { .. } => CatalogError::Busy,
        other => CatalogError::Store(other),
    }
}

fn refused(refusal: DispatchRefusal) -> CatalogError {
    match refusal {
        DispatchRefusal::EngineUnavailable => CatalogError::EngineUnavailable,
        DispatchRefusal::Store(StoreError::Conflict { .. }) => CatalogError::Busy,
        DispatchRefusal::Store(error) => CatalogError::Store(error),
        _ => CatalogError::Busy,
    }
}

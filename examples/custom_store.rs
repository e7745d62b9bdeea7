//! A store of one's own: here plain collections behind a lock, elsewhere the database that a host already has.
//!
//! The traits say what a store promises, and `store_conformance!` at the end of this file asks for all of it, one test a
//! promise. Nothing above the store knows which one it is.
//!
//! Run with `cargo run --example custom_store`, tested with `cargo test --example custom_store`.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use shipslog::core::deploys::{Closing, Deploy, DeployStore, NewDeploy, Outcome, Page, Pin, Pinned, Plan};
use shipslog::core::id::{ContainerId, DeployId, WorkloadId};
use shipslog::core::stats::{
    Columns, ColumnsBuilder, ContainerRecord, Revision, Rollup, Sample, StatsStore, Tick, TickRow, Tier,
    aggregate,
};
use shipslog::core::store::{Store, StoreError, StoreHealth, StoreInfo};
use shipslog::core::time::Timestamp;
use shipslog::core::workloads::{NewWorkload, Spec, Workload, WorkloadKind, WorkloadStore};

type Result<T, E = StoreError> = std::result::Result<T, E>;

const NO_WORKLOAD: StoreError = StoreError::NotFound { what: "workload" };
const NO_DEPLOY: StoreError = StoreError::NotFound { what: "deploy" };
const CLOSED: StoreError = StoreError::Conflict { what: "outcome" };

/// Keeps everything in memory, and nothing beyond the process. A store that is to be used keeps the ledger on a disk.
#[derive(Debug, Default)]
struct Shelf(Mutex<Content>);

#[derive(Debug, Default)]
struct Content {
    workloads: Vec<Entry>,
    /// In the order in which they were opened.
    ledger: Vec<Row>,
    containers: HashMap<ContainerId, Seen>,
    samples: BTreeMap<(i64, ContainerId), Sample>,
    containers_so_far: u64,
    rollups: HashMap<(Tier, WorkloadId), BTreeMap<i64, Rollup>>,
    rolled_through: HashMap<Tier, i64>,
    changes: u64,
}

#[derive(Debug)]
struct Entry {
    workload: Workload,
    /// Revision 1 first.
    specs: Vec<Spec>,
}

#[derive(Debug)]
struct Row {
    deploy: Deploy,
    key: Option<String>,
    plan: Option<Plan>,
}

#[derive(Debug)]
struct Seen {
    number: u64,
    workload: WorkloadId,
    record: ContainerRecord,
}

impl Shelf {
    /// One lock for each method: that makes every change atomic.
    fn content(&self) -> MutexGuard<'_, Content> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl WorkloadStore for Shelf {
    async fn create_workload(&self, new: NewWorkload) -> Result<Workload> {
        let mut content = self.content();
        content.refuse_taken_name(&new.spec.name, None)?;
        let kind = WorkloadKind::Managed {
            spec: Box::new(new.spec.clone()),
            revision: 1,
        };
        let workload = Workload {
            id: new.id,
            name: new.spec.name.clone(),
            kind,
            created_at: new.created_at,
        };
        Ok(content.put(workload, vec![new.spec]))
    }

    async fn observe_workload(&self, name: &str, seen_at: Timestamp) -> Result<Workload> {
        let mut content = self.content();
        let known = content
            .workloads
            .iter()
            .find(|e| e.workload.name == name && e.specs.is_empty());
        if let Some(entry) = known {
            return Ok(entry.workload.clone());
        }
        let id = WorkloadId::generate(seen_at);
        let workload = Workload {
            id,
            name: name.into(),
            kind: WorkloadKind::Observed,
            created_at: seen_at,
        };
        Ok(content.put(workload, Vec::new()))
    }

    async fn workload(&self, id: &WorkloadId) -> Result<Workload> {
        self.content().entry(id).map(|entry| entry.workload.clone())
    }

    async fn workloads(&self) -> Result<Vec<Workload>> {
        let mut all: Vec<_> = self
            .content()
            .workloads
            .iter()
            .map(|entry| entry.workload.clone())
            .collect();
        all.sort_by(|a, b| (&a.name, a.spec().is_none()).cmp(&(&b.name, b.spec().is_none())));
        Ok(all)
    }

    async fn revise_workload(&self, id: &WorkloadId, expected: u32, spec: Spec) -> Result<Workload> {
        let mut content = self.content();
        let revision = content.entry(id)?.specs.len() as u32;
        if revision != expected || revision == 0 {
            return Err(StoreError::Conflict {
                what: "spec revision",
            });
        }
        content.refuse_taken_name(&spec.name, Some(id))?;
        let entry = content.entry(id)?;
        entry.specs.push(spec.clone());
        entry.workload.name.clone_from(&spec.name);
        entry.workload.kind = WorkloadKind::Managed {
            spec: Box::new(spec),
            revision: revision + 1,
        };
        Ok(entry.workload.clone())
    }

    async fn spec_revision(&self, id: &WorkloadId, revision: u32) -> Result<Spec> {
        let mut content = self.content();
        let index = (revision as usize).wrapping_sub(1);
        let spec = content.entry(id)?.specs.get(index).cloned();
        spec.ok_or(StoreError::NotFound {
            what: "spec revision",
        })
    }

    async fn delete_workload(&self, id: &WorkloadId) -> Result<()> {
        let mut content = self.content();
        content.entry(id)?;
        content.refuse_while_running(id)?;
        content.workloads.retain(|entry| entry.workload.id != *id);
        content.ledger.retain(|row| row.deploy.workload_id != *id);
        content.forget_containers(|seen| seen.workload == *id);
        content.rollups.retain(|(_, workload), _| workload != id);
        content.changes += 1;
        Ok(())
    }
}

#[async_trait]
impl DeployStore for Shelf {
    async fn open_deploy(&self, new: NewDeploy) -> Result<Deploy> {
        let mut content = self.content();
        content.entry(&new.workload_id)?;
        if new.idempotency_key.is_some()
            && content
                .by_key(&new.workload_id, new.idempotency_key.as_deref())
                .is_some()
        {
            return Err(StoreError::Conflict {
                what: "idempotency key",
            });
        }
        content.refuse_while_running(&new.workload_id)?;
        let key = new.idempotency_key.clone();
        let plan = new.pinned.as_ref().and_then(|pinned| pinned.plan.clone());
        let deploy = opened(new);
        content.ledger.push(Row {
            deploy: deploy.clone(),
            key,
            plan,
        });
        Ok(deploy)
    }

    async fn pin_deploy(&self, id: &DeployId, pinned: Pinned) -> Result<()> {
        let mut content = self.content();
        let row = content.row(id)?;
        let moves = |pin: &Pin| pin.reference != pinned.pin.reference;
        if row.outcome != Outcome::Running || row.pin.as_ref().is_some_and(moves) {
            return Err(CLOSED);
        }
        row.pin = Some(pinned.pin);
        let rows = content.ledger.iter_mut();
        rows.filter(|row| row.deploy.id == *id)
            .for_each(|row| row.plan.clone_from(&pinned.plan));
        Ok(())
    }

    async fn deploy_plan(&self, id: &DeployId) -> Result<Option<Plan>> {
        let content = self.content();
        let row = content.ledger.iter().find(|row| row.deploy.id == *id);
        row.map(|row| row.plan.clone()).ok_or(NO_DEPLOY)
    }

    async fn close_deploy(&self, id: &DeployId, closing: Closing) -> Result<Deploy> {
        if closing.outcome == Outcome::Running {
            return Err(StoreError::Invalid { what: "outcome" });
        }
        let mut content = self.content();
        let row = content.row(id)?;
        if row.outcome != Outcome::Running {
            return Err(CLOSED);
        }
        (row.outcome, row.finished_at) = (closing.outcome, Some(closing.finished_at));
        row.failed_part = closing.failed_part;
        if closing.current {
            content.move_current(id)?;
        }
        content.row(id).cloned()
    }

    async fn make_current(&self, id: &DeployId) -> Result<()> {
        let mut content = self.content();
        if content.row(id)?.outcome == Outcome::Running {
            return Err(CLOSED);
        }
        content.move_current(id)
    }

    async fn deploy(&self, id: &DeployId) -> Result<Deploy> {
        self.content().row(id).cloned()
    }

    async fn deploy_by_key(&self, workload: &WorkloadId, key: &str) -> Result<Option<Deploy>> {
        Ok(self.content().by_key(workload, Some(key)).cloned())
    }

    async fn deploys(&self, workload: &WorkloadId, page: &Page) -> Result<Vec<Deploy>> {
        let mut rows = self.all_deploys(workload).await?;
        if let Some(before) = &page.before {
            let at = rows.iter().position(|row| row.id == *before).ok_or(NO_DEPLOY)?;
            rows.drain(..=at);
        }
        rows.truncate(page.limit as usize);
        Ok(rows)
    }

    async fn current_deploy(&self, workload: &WorkloadId) -> Result<Option<Deploy>> {
        Ok(self.content().of(workload).find(|deploy| deploy.current).cloned())
    }

    async fn running_deploys(&self) -> Result<Vec<Deploy>> {
        let content = self.content();
        let rows = content.ledger.iter().map(|row| &row.deploy);
        Ok(rows
            .filter(|deploy| deploy.outcome == Outcome::Running)
            .cloned()
            .collect())
    }

    async fn all_deploys(&self, workload: &WorkloadId) -> Result<Vec<Deploy>> {
        Ok(self.content().of(workload).rev().cloned().collect())
    }

    async fn delete_deploys(&self, ids: &[DeployId]) -> Result<u64> {
        let mut content = self.content();
        let named = |row: &Row| ids.contains(&row.deploy.id);
        let spare = |row: &Row| row.deploy.outcome != Outcome::Running && !row.deploy.current;
        if content.ledger.iter().any(|row| named(row) && !spare(row)) {
            return Err(CLOSED);
        }
        let before = content.ledger.len();
        content.ledger.retain(|row| !named(row));
        Ok((before - content.ledger.len()) as u64)
    }
}

#[async_trait]
impl StatsStore for Shelf {
    async fn record_tick(&self, tick: &Tick) -> Result<()> {
        if tick.ts < 0 {
            return Err(StoreError::Invalid { what: "tick" });
        }
        let mut content = self.content();
        content.changes += 1;
        for row in &tick.rows {
            if content.entry(&row.workload).is_err() {
                continue;
            }
            content.see(tick.ts, row);
            let key = (tick.ts, row.container.clone());
            match row.sample {
                Some(sample) => content.samples.insert(key, sample),
                None => content.samples.remove(&key),
            };
        }
        for (tier, through) in &mut content.rolled_through {
            *through = tier.bucket(tick.ts).min(*through);
        }
        Ok(())
    }

    async fn samples(&self, workload: &WorkloadId, from: i64, to: i64) -> Result<Columns> {
        let content = self.content();
        let mut columns = ColumnsBuilder::default();
        for ((ts, container), sample) in &content.samples {
            let seen = content
                .containers
                .get(container)
                .filter(|seen| seen.workload == *workload);
            if let (Some(seen), true) = (seen, (from..to).contains(ts)) {
                columns.push(*ts, seen.number, sample);
            }
        }
        Ok(columns.finish())
    }

    async fn seen_containers(&self, workload: &WorkloadId) -> Result<Vec<ContainerRecord>> {
        let content = self.content();
        let seen = content
            .containers
            .values()
            .filter(|seen| seen.workload == *workload);
        let mut records: Vec<_> = seen.map(|seen| seen.record.clone()).collect();
        records.sort_by_key(|record| std::cmp::Reverse((record.last_seen, record.first_seen)));
        Ok(records)
    }

    async fn seal_samples(&self) -> Result<bool> {
        Ok(false)
    }

    async fn prune_samples(&self, before: i64, limit: u32) -> Result<bool> {
        let mut content = self.content();
        content.changes += 1;
        for _ in 0..limit.max(1) {
            let oldest = content.samples.first_key_value();
            if oldest.is_none_or(|((ts, _), _)| *ts >= before) {
                content.forget_containers(|seen| seen.record.last_seen < before);
                content.forget_deserted_workloads(before);
                return Ok(false);
            }
            content.samples.pop_first();
        }
        Ok(true)
    }

    async fn oldest_sample(&self) -> Result<Option<i64>> {
        let content = self.content();
        Ok(content.samples.first_key_value().map(|((ts, _), _)| *ts))
    }

    async fn record_rollups(
        &self,
        tier: Tier,
        rollups: &[(WorkloadId, Vec<Rollup>)],
        through: i64,
    ) -> Result<()> {
        let mut content = self.content();
        for (workload, rollups) in rollups {
            if content.entry(workload).is_ok() {
                let buckets = content.rollups.entry((tier, workload.clone())).or_default();
                buckets.extend(rollups.iter().map(|rollup| (rollup.point.point.ts, *rollup)));
            }
        }
        content.rolled_through.insert(tier, through);
        Ok(())
    }

    async fn rollups(&self, workload: &WorkloadId, tier: Tier, from: i64, to: i64) -> Result<Vec<Rollup>> {
        let content = self.content();
        let buckets = content.rollups.get(&(tier, workload.clone()));
        let all = buckets.into_iter().flatten();
        let inside = all.filter(|(ts, _)| (from..to).contains(*ts));
        Ok(inside.map(|(_, rollup)| *rollup).collect())
    }

    async fn rolled_through(&self, tier: Tier) -> Result<Option<i64>> {
        Ok(self.content().rolled_through.get(&tier).copied())
    }

    async fn prune_rollups(&self, tier: Tier, before: i64) -> Result<()> {
        let mut content = self.content();
        let of_tier = content.rollups.iter_mut().filter(|((of, _), _)| *of == tier);
        of_tier.for_each(|(_, buckets)| buckets.retain(|ts, _| *ts >= before));
        content.rollups.retain(|_, buckets| !buckets.is_empty());
        Ok(())
    }

    fn revision(&self) -> Revision {
        let changes = self.content().changes;
        Revision {
            rewritten: changes,
            appended: changes,
        }
    }
}

#[async_trait]
impl StoreHealth for Shelf {
    fn info(&self) -> StoreInfo {
        StoreInfo {
            kind: "shelf",
            schema_version: 0,
        }
    }

    async fn ping(&self) -> Result<()> {
        Ok(())
    }

    async fn size(&self) -> Result<u64> {
        Ok(0)
    }
}

impl Content {
    fn entry(&mut self, id: &WorkloadId) -> Result<&mut Entry> {
        self.workloads
            .iter_mut()
            .find(|entry| entry.workload.id == *id)
            .ok_or(NO_WORKLOAD)
    }

    fn put(&mut self, workload: Workload, specs: Vec<Spec>) -> Workload {
        self.workloads.push(Entry {
            workload: workload.clone(),
            specs,
        });
        workload
    }

    fn refuse_taken_name(&self, name: &str, except: Option<&WorkloadId>) -> Result<()> {
        let taken = |entry: &Entry| entry.workload.name == name && !entry.specs.is_empty();
        match self.workloads.iter().find(|entry| taken(entry)) {
            Some(entry) if Some(&entry.workload.id) != except => Err(StoreError::Conflict { what: "name" }),
            _ => Ok(()),
        }
    }

    fn of(&self, workload: &WorkloadId) -> impl DoubleEndedIterator<Item = &Deploy> {
        let deploys = self.ledger.iter().map(|row| &row.deploy);
        deploys.filter(|deploy| deploy.workload_id == *workload)
    }

    fn row(&mut self, id: &DeployId) -> Result<&mut Deploy> {
        let mut deploys = self.ledger.iter_mut().map(|row| &mut row.deploy);
        deploys.find(|deploy| deploy.id == *id).ok_or(NO_DEPLOY)
    }

    fn by_key(&self, workload: &WorkloadId, key: Option<&str>) -> Option<&Deploy> {
        let keyed = self
            .ledger
            .iter()
            .find(|row| row.deploy.workload_id == *workload && row.key.as_deref() == key);
        keyed.map(|row| &row.deploy)
    }

    fn refuse_while_running(&self, workload: &WorkloadId) -> Result<()> {
        match self.of(workload).any(|deploy| deploy.outcome == Outcome::Running) {
            true => Err(StoreError::Conflict {
                what: "running deploy",
            }),
            false => Ok(()),
        }
    }

    fn move_current(&mut self, id: &DeployId) -> Result<()> {
        let workload = self.row(id)?.workload_id.clone();
        for row in self
            .ledger
            .iter_mut()
            .filter(|row| row.deploy.workload_id == workload)
        {
            row.deploy.current = row.deploy.id == *id;
        }
        Ok(())
    }

    fn see(&mut self, ts: i64, row: &TickRow) {
        self.containers_so_far += 1;
        let (number, workload) = (self.containers_so_far, row.workload.clone());
        let (id, name) = (row.container.clone(), row.name.clone());
        let record = ContainerRecord {
            id: id.clone(),
            name,
            first_seen: ts,
            last_seen: ts,
        };
        let seen = self.containers.entry(id).or_insert(Seen {
            number,
            workload,
            record,
        });
        seen.record.first_seen = seen.record.first_seen.min(ts);
        if seen.record.last_seen <= ts {
            seen.workload = row.workload.clone();
            seen.record.name.clone_from(&row.name);
            seen.record.last_seen = ts;
        }
    }

    fn forget_containers(&mut self, gone: impl Fn(&Seen) -> bool) {
        let Self {
            containers, samples, ..
        } = self;
        samples.retain(|(_, container), _| !containers.get(container).is_some_and(&gone));
        containers.retain(|_, seen| !gone(seen));
    }

    fn forget_deserted_workloads(&mut self, before: i64) {
        let Self {
            containers,
            workloads,
            rollups,
            ..
        } = self;
        let rolled_up = |id: &WorkloadId| rollups.keys().any(|(_, workload)| workload == id);
        let inhabited = |id: &WorkloadId| containers.values().any(|seen| seen.workload == *id);
        workloads.retain(|entry| {
            let young = entry.workload.created_at.as_second() >= before;
            !entry.specs.is_empty() || young || inhabited(&entry.workload.id) || rolled_up(&entry.workload.id)
        });
    }
}

fn opened(new: NewDeploy) -> Deploy {
    Deploy {
        id: new.id,
        workload_id: new.workload_id,
        source_kind: new.source_kind,
        reason: new.reason,
        requested: new.requested,
        pin: new.pinned.map(|pinned| pinned.pin),
        spec_revision: new.spec_revision,
        outcome: Outcome::Running,
        failed_part: None,
        triggered_by: new.triggered_by,
        note: new.note,
        rollback_of: new.rollback_of,
        current: false,
        strategy: new.strategy,
        started_at: new.started_at,
        finished_at: None,
    }
}

/// Two ticks of two containers, recorded and read back through the trait that a host holds.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<()> {
    let store: Arc<dyn Store> = Arc::new(Shelf::default());
    let web = store.observe_workload("web", Timestamp::UNIX_EPOCH).await?;
    for ts in [10, 20] {
        let row = |container: ContainerId| TickRow {
            name: format!("web-{container}"),
            sample: Some(Sample {
                cpu_percent: Some(ts as f64),
                ..Sample::default()
            }),
            workload: web.id.clone(),
            container,
        };
        let rows = ["a", "b"].into_iter().flat_map(str::parse).map(row).collect();
        store.record_tick(&Tick { ts, rows }).await?;
    }
    for point in aggregate(&store.samples(&web.id, 0, 60).await?).points() {
        println!(
            "{}: {} containers, {:?} % of a core",
            point.ts, point.containers, point.cpu_percent
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::Shelf;

    async fn shelf() -> Box<Shelf> {
        Box::default()
    }

    shipslog::core::store_conformance!(shelf());
}

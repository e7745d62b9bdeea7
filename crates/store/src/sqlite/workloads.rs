//! Workloads and their specs.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use shipslog_core::id::WorkloadId;
use shipslog_core::store::StoreError;
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{NewWorkload, Spec, Workload, WorkloadKind, WorkloadStore};

use super::connection::{all, first, run, value, writing};
use super::error::Failure;
use super::seal::Seal;
use super::{SqliteStore, blocking, stats};

const SELECT: &str = "SELECT w.id, w.name, w.revision, w.created_at, s.sealed FROM workloads w
    LEFT JOIN specs s ON s.workload = w.number AND s.revision = w.revision";

#[async_trait]
impl WorkloadStore for SqliteStore {
    async fn create_workload(&self, new: NewWorkload) -> Result<Workload, StoreError> {
        self.write("create_workload", move |tx, seal| {
            refuse_taken_name(tx, &new.spec.name, None)?;
            insert(tx, &new.id, &new.spec.name, Some(1), new.created_at)?;
            insert_spec(tx, seal, &new.id, 1, &new.spec)?;
            find(tx, seal, &new.id)
        })
        .await
    }

    async fn observe_workload(&self, name: &str, seen_at: Timestamp) -> Result<Workload, StoreError> {
        let wanted = name.to_owned();
        let known = self
            .read("observe_workload", move |tx, seal| {
                find_observed(tx, seal, &wanted)
            })
            .await?;
        if let Some(workload) = known {
            return Ok(workload);
        }
        let name = name.to_owned();
        self.write("observe_workload", move |tx, seal| {
            if let Some(workload) = find_observed(tx, seal, &name)? {
                return Ok(workload);
            }
            let id = WorkloadId::generate(seen_at);
            insert(tx, &id, &name, None, seen_at)?;
            find(tx, seal, &id)
        })
        .await
    }

    async fn workload(&self, id: &WorkloadId) -> Result<Workload, StoreError> {
        let id = id.clone();
        self.read("workload", move |tx, seal| find(tx, seal, &id)).await
    }

    async fn workloads(&self) -> Result<Vec<Workload>, StoreError> {
        let sql = format!("{SELECT} ORDER BY w.name, w.revision IS NULL");
        self.read("workloads", move |tx, seal| {
            all(tx, &sql, [], |row| read(row, seal))
        })
        .await
    }

    async fn revise_workload(
        &self,
        id: &WorkloadId,
        expected: u32,
        spec: Spec,
    ) -> Result<Workload, StoreError> {
        let id = id.clone();
        self.write("revise_workload", move |tx, seal| {
            let revision = next_revision(tx, &id, expected)?;
            refuse_taken_name(tx, &spec.name, Some(&id))?;
            let change = "UPDATE workloads SET name = ?2, revision = ?3 WHERE id = ?1";
            run(tx, change, params![id.as_str(), spec.name, revision])?;
            insert_spec(tx, seal, &id, revision, &spec)?;
            find(tx, seal, &id)
        })
        .await
    }

    async fn spec_revision(&self, id: &WorkloadId, revision: u32) -> Result<Spec, StoreError> {
        let id = id.clone();
        self.read("spec_revision", move |tx, seal| {
            let number = number(tx, &id)?.ok_or(Failure::not_found("workload"))?;
            let select = "SELECT sealed FROM specs WHERE workload = ?1 AND revision = ?2";
            let sealed: Option<Vec<u8>> = value(tx, select, params![number, revision])?;
            let sealed = sealed.ok_or(Failure::not_found("spec revision"))?;
            Ok(seal.open_spec(&sealed, &id, revision)?)
        })
        .await
    }

    /// Takes the workload with its specs and ledger, and takes its containers out of every reader's sight, in one
    /// transaction. The samples of those containers, of which there may be many millions, are freed by
    /// [`prune_samples`](shipslog_core::stats::StatsStore::prune_samples), bit by bit: nobody waits for them to be deleted.
    async fn delete_workload(&self, id: &WorkloadId) -> Result<(), StoreError> {
        let id = id.clone();
        let mut writers = self.writers().await;
        let shared = Arc::clone(&self.shared);
        blocking("delete_workload", move || {
            writers.present = None;
            let tx = writing(&mut writers.ledger)?;
            delete(&tx, &id)?;
            tx.commit()?;
            shared.rewritten.fetch_add(1, Ordering::SeqCst);
            Ok(())
        })
        .await
    }
}

/// The number under which other tables know a workload.
pub(super) fn number(tx: &Connection, id: &WorkloadId) -> Result<Option<i64>, Failure> {
    value(tx, "SELECT number FROM workloads WHERE id = ?1", [id.as_str()])
}

fn find(tx: &Connection, seal: &Seal, id: &WorkloadId) -> Result<Workload, Failure> {
    let sql = format!("{SELECT} WHERE w.id = ?1");
    first(tx, &sql, [id.as_str()], |row| read(row, seal))?.ok_or(Failure::not_found("workload"))
}

fn find_observed(tx: &Connection, seal: &Seal, name: &str) -> Result<Option<Workload>, Failure> {
    let sql = format!("{SELECT} WHERE w.name = ?1 AND w.revision IS NULL");
    first(tx, &sql, [name], |row| read(row, seal))
}

fn read(row: &Row<'_>, seal: &Seal) -> Result<Workload, Failure> {
    let id: WorkloadId = row
        .get::<_, String>(0)?
        .parse()
        .map_err(|_| Failure::invalid("workload"))?;
    let revision: Option<u32> = row.get(2)?;
    let kind = match revision {
        None => WorkloadKind::Observed,
        Some(revision) => {
            let sealed: Option<Vec<u8>> = row.get(4)?;
            let spec = seal.open_spec(&sealed.unwrap_or_default(), &id, revision)?;
            WorkloadKind::Managed {
                spec: Box::new(spec),
                revision,
            }
        }
    };
    Ok(Workload {
        id,
        name: row.get(1)?,
        kind,
        created_at: time(row, 3)?,
    })
}

/// A time of day, kept as RFC 3339 text to the nanosecond.
pub(super) fn time(row: &Row<'_>, column: usize) -> Result<Timestamp, Failure> {
    row.get::<_, String>(column)?
        .parse()
        .map_err(|_| Failure::invalid("time"))
}

fn insert(
    tx: &Connection,
    id: &WorkloadId,
    name: &str,
    revision: Option<u32>,
    at: Timestamp,
) -> Result<(), Failure> {
    let sql = "INSERT INTO workloads (id, name, revision, created_at) VALUES (?1, ?2, ?3, ?4)";
    run(tx, sql, params![id.as_str(), name, revision, at.to_string()])?;
    Ok(())
}

fn insert_spec(
    tx: &Connection,
    seal: &Seal,
    id: &WorkloadId,
    revision: u32,
    spec: &Spec,
) -> Result<(), Failure> {
    let sealed = seal.seal_spec(spec, id, revision)?;
    let sql =
        "INSERT INTO specs (workload, revision, sealed) SELECT number, ?2, ?3 FROM workloads WHERE id = ?1";
    run(tx, sql, params![id.as_str(), revision, sealed])?;
    Ok(())
}

fn refuse_taken_name(tx: &Connection, name: &str, except: Option<&WorkloadId>) -> Result<(), Failure> {
    let sql = "SELECT id FROM workloads WHERE name = ?1 AND revision IS NOT NULL";
    let holder: Option<String> = value(tx, sql, [name])?;
    match holder {
        Some(holder) if except.is_none_or(|id| id.as_str() != holder) => Err(Failure::conflict("name")),
        _ => Ok(()),
    }
}

fn next_revision(tx: &Connection, id: &WorkloadId, expected: u32) -> Result<u32, Failure> {
    let newest: Option<Option<u32>> =
        value(tx, "SELECT revision FROM workloads WHERE id = ?1", [id.as_str()])?;
    let newest = newest.ok_or(Failure::not_found("workload"))?;
    match newest {
        Some(newest) if newest == expected => Ok(newest + 1),
        _ => Err(Failure::conflict("spec revision")),
    }
}

fn delete(tx: &Connection, id: &WorkloadId) -> Result<(), Failure> {
    let number = number(tx, id)?.ok_or(Failure::not_found("workload"))?;
    let running = "SELECT 1 FROM deploys WHERE workload = ?1 AND outcome = 'running'";
    if value::<i64, _>(tx, running, [number])?.is_some() {
        return Err(Failure::conflict("running deploy"));
    }
    stats::detach_containers(tx, number)?;
    stats::delete_rollups(tx, number)?;
    run(tx, "DELETE FROM workloads WHERE number = ?1", [number])?;
    Ok(())
}

//! The ledger.

use async_trait::async_trait;
use rusqlite::{Connection, Row, params};
use shipslog_core::deploys::{
    Closing, Deploy, DeployStore, FailureMarker, NewDeploy, Outcome, Page, PartName, Pin, Pinned, Plan,
    Reason, Strategy,
};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::store::StoreError;

use super::SqliteStore;
use super::connection::{all, first, run, value};
use super::error::Failure;
use super::seal::Seal;
use super::workloads::{number, time};

const SELECT: &str =
    "SELECT d.id, w.id, d.source_kind, d.reason, d.requested, d.pin_reference, d.pin_content,
    d.spec_revision, d.outcome, d.marker, d.triggered_by, d.note, d.rollback_of, d.current, d.strategy,
    d.started_at, d.finished_at, d.pin_parts, d.failed_part
    FROM deploys d JOIN workloads w ON w.number = d.workload";

const INSERT: &str =
    "INSERT INTO deploys (id, workload, source_kind, reason, requested, pin_reference, pin_content,
    spec_revision, triggered_by, note, rollback_of, strategy, idempotency_key, started_at, pin_parts, pin_plan)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16)";

#[async_trait]
impl DeployStore for SqliteStore {
    async fn open_deploy(&self, new: NewDeploy) -> Result<Deploy, StoreError> {
        self.write("open_deploy", move |tx, seal| {
            let workload = number(tx, &new.workload_id)?.ok_or(Failure::not_found("workload"))?;
            refuse_used_key(tx, workload, new.idempotency_key.as_deref())?;
            refuse_while_running(tx, workload)?;
            insert(tx, seal, workload, &new)?;
            find(tx, &new.id)
        })
        .await
    }

    async fn pin_deploy(&self, id: &DeployId, pinned: Pinned) -> Result<(), StoreError> {
        let id = id.clone();
        self.write("pin_deploy", move |tx, seal| {
            let row = find(tx, &id)?;
            let moves = row.pin.is_some_and(|pin| pin.reference != pinned.pin.reference);
            if row.outcome != Outcome::Running || moves {
                return Err(Failure::conflict("outcome"));
            }
            pin(tx, seal, &id, &pinned)
        })
        .await
    }

    async fn deploy_plan(&self, id: &DeployId) -> Result<Option<Plan>, StoreError> {
        let id = id.clone();
        self.read("deploy_plan", move |tx, seal| {
            let sql = "SELECT pin_plan FROM deploys WHERE id = ?1";
            let stored: Option<Option<Vec<u8>>> = value(tx, sql, [id.as_str()])?;
            let stored = stored.ok_or(Failure::not_found("deploy"))?;
            let plan = stored.map(|stored| seal.open_plan(&stored, &id));
            Ok(plan.transpose()?)
        })
        .await
    }

    async fn close_deploy(&self, id: &DeployId, closing: Closing) -> Result<Deploy, StoreError> {
        if closing.outcome == Outcome::Running {
            return Err(StoreError::Invalid { what: "outcome" });
        }
        let id = id.clone();
        self.write("close_deploy", move |tx, _| {
            let row = find(tx, &id)?;
            if row.outcome != Outcome::Running {
                return Err(Failure::conflict("outcome"));
            }
            if closing.current {
                clear_current(tx, &row.workload_id)?;
            }
            close(tx, &id, closing)?;
            find(tx, &id)
        })
        .await
    }

    async fn make_current(&self, id: &DeployId) -> Result<(), StoreError> {
        let id = id.clone();
        self.write("make_current", move |tx, _| {
            let row = find(tx, &id)?;
            if row.outcome == Outcome::Running {
                return Err(Failure::conflict("outcome"));
            }
            clear_current(tx, &row.workload_id)?;
            run(tx, "UPDATE deploys SET current = 1 WHERE id = ?1", [id.as_str()])?;
            Ok(())
        })
        .await
    }

    async fn deploy(&self, id: &DeployId) -> Result<Deploy, StoreError> {
        let id = id.clone();
        self.read("deploy", move |tx, _| find(tx, &id)).await
    }

    async fn deploy_by_key(&self, workload: &WorkloadId, key: &str) -> Result<Option<Deploy>, StoreError> {
        let (workload, key) = (workload.clone(), key.to_owned());
        let sql = format!("{SELECT} WHERE w.id = ?1 AND d.idempotency_key = ?2");
        self.read("deploy_by_key", move |tx, _| {
            first(tx, &sql, [workload.as_str(), &key], read)
        })
        .await
    }

    async fn deploys(&self, workload: &WorkloadId, page: &Page) -> Result<Vec<Deploy>, StoreError> {
        let (workload, page) = (workload.clone(), page.clone());
        self.read("deploys", move |tx, _| {
            let before = page
                .before
                .map_or(Ok(i64::MAX), |id| sequence(tx, &workload, &id))?;
            newest_first(tx, &workload, before, page.limit.into())
        })
        .await
    }

    async fn current_deploy(&self, workload: &WorkloadId) -> Result<Option<Deploy>, StoreError> {
        let workload = workload.clone();
        let sql = format!("{SELECT} WHERE w.id = ?1 AND d.current = 1");
        self.read("current_deploy", move |tx, _| {
            first(tx, &sql, [workload.as_str()], read)
        })
        .await
    }

    async fn running_deploys(&self) -> Result<Vec<Deploy>, StoreError> {
        let sql = format!("{SELECT} WHERE d.outcome = 'running' ORDER BY d.sequence");
        self.read("running_deploys", move |tx, _| all(tx, &sql, [], read))
            .await
    }

    async fn all_deploys(&self, workload: &WorkloadId) -> Result<Vec<Deploy>, StoreError> {
        let workload = workload.clone();
        self.read("all_deploys", move |tx, _| {
            newest_first(tx, &workload, i64::MAX, -1)
        })
        .await
    }

    async fn delete_deploys(&self, ids: &[DeployId]) -> Result<u64, StoreError> {
        let ids = ids.to_vec();
        self.write("delete_deploys", move |tx, _| {
            ids.iter().map(|id| delete(tx, id)).sum()
        })
        .await
    }
}

fn find(tx: &Connection, id: &DeployId) -> Result<Deploy, Failure> {
    let sql = format!("{SELECT} WHERE d.id = ?1");
    first(tx, &sql, [id.as_str()], read)?.ok_or(Failure::not_found("deploy"))
}

/// At most `limit` rows, all of them when it is negative.
fn newest_first(
    tx: &Connection,
    workload: &WorkloadId,
    before: i64,
    limit: i64,
) -> Result<Vec<Deploy>, Failure> {
    let sql = format!("{SELECT} WHERE w.id = ?1 AND d.sequence < ?2 ORDER BY d.sequence DESC LIMIT ?3");
    all(tx, &sql, params![workload.as_str(), before, limit], read)
}

fn sequence(tx: &Connection, workload: &WorkloadId, id: &DeployId) -> Result<i64, Failure> {
    let sql = "SELECT d.sequence FROM deploys d JOIN workloads w ON w.number = d.workload
        WHERE d.id = ?1 AND w.id = ?2";
    value(tx, sql, [id.as_str(), workload.as_str()])?.ok_or(Failure::not_found("deploy"))
}

fn refuse_used_key(tx: &Connection, workload: i64, key: Option<&str>) -> Result<(), Failure> {
    let Some(key) = key else { return Ok(()) };
    let sql = "SELECT 1 FROM deploys WHERE workload = ?1 AND idempotency_key = ?2";
    match value::<i64, _>(tx, sql, params![workload, key])? {
        Some(_) => Err(Failure::conflict("idempotency key")),
        None => Ok(()),
    }
}

fn refuse_while_running(tx: &Connection, workload: i64) -> Result<(), Failure> {
    let sql = "SELECT 1 FROM deploys WHERE workload = ?1 AND outcome = 'running'";
    match value::<i64, _>(tx, sql, [workload])? {
        Some(_) => Err(Failure::conflict("running deploy")),
        None => Ok(()),
    }
}

fn insert(tx: &Connection, seal: &Seal, workload: i64, new: &NewDeploy) -> Result<(), Failure> {
    let pin = new.pinned.as_ref().map(|pinned| &pinned.pin);
    let values = params![
        new.id.as_str(),
        workload,
        new.source_kind,
        new.reason.as_str(),
        new.requested,
        pin.map(|pin| pin.reference.as_str()),
        pin.map(|pin| pin.content.as_str()),
        new.spec_revision,
        new.triggered_by,
        new.note,
        new.rollback_of.as_ref().map(DeployId::as_str),
        new.strategy.map(Strategy::as_str),
        new.idempotency_key,
        new.started_at.to_string(),
        pin.map(parts_json).transpose()?.flatten(),
        new.pinned
            .as_ref()
            .map(|pinned| sealed_plan(seal, &new.id, pinned))
            .transpose()?
            .flatten(),
    ];
    run(tx, INSERT, values)?;
    Ok(())
}

fn pin(tx: &Connection, seal: &Seal, id: &DeployId, pinned: &Pinned) -> Result<(), Failure> {
    let sql = "UPDATE deploys SET pin_reference = ?2, pin_content = ?3, pin_parts = ?4, pin_plan = ?5 WHERE id = ?1";
    let pin = &pinned.pin;
    let values = params![
        id.as_str(),
        pin.reference.as_str(),
        pin.content.as_str(),
        parts_json(pin)?,
        sealed_plan(seal, id, pinned)?,
    ];
    run(tx, sql, values)?;
    Ok(())
}

fn sealed_plan(seal: &Seal, id: &DeployId, pinned: &Pinned) -> Result<Option<Vec<u8>>, Failure> {
    let sealed = pinned.plan.as_ref().map(|plan| seal.seal_plan(plan, id));
    Ok(sealed.transpose()?)
}

/// `NULL` for the pin of a single thing.
fn parts_json(pin: &Pin) -> Result<Option<String>, Failure> {
    let json = || serde_json::to_string(&pin.parts).map_err(|_| Failure::invalid("deploy"));
    (!pin.parts.is_empty()).then(json).transpose()
}

fn clear_current(tx: &Connection, workload: &WorkloadId) -> Result<(), Failure> {
    let sql = "UPDATE deploys SET current = 0
        WHERE current = 1 AND workload = (SELECT number FROM workloads WHERE id = ?1)";
    run(tx, sql, [workload.as_str()])?;
    Ok(())
}

fn close(tx: &Connection, id: &DeployId, closing: Closing) -> Result<(), Failure> {
    let sql = "UPDATE deploys SET outcome = ?2, marker = ?3, current = ?4, finished_at = ?5, failed_part = ?6
        WHERE id = ?1";
    let marker = closing.outcome.marker().map(FailureMarker::as_str);
    let at = closing.finished_at.to_string();
    run(
        tx,
        sql,
        params![
            id.as_str(),
            closing.outcome.as_str(),
            marker,
            closing.current,
            at,
            closing.failed_part.as_ref().map(PartName::as_str)
        ],
    )?;
    Ok(())
}

/// Deletes a row and says whether it was there: 1 or 0.
fn delete(tx: &Connection, id: &DeployId) -> Result<u64, Failure> {
    let sql = "SELECT outcome = 'running' OR current = 1 FROM deploys WHERE id = ?1";
    match value::<bool, _>(tx, sql, [id.as_str()])? {
        Some(true) => Err(Failure::conflict("outcome")),
        Some(false) => Ok(run(tx, "DELETE FROM deploys WHERE id = ?1", [id.as_str()])? as u64),
        None => Ok(0),
    }
}

fn read(row: &Row<'_>) -> Result<Deploy, Failure> {
    Ok(Deploy {
        id: parsed(row.get(0)?)?,
        workload_id: parsed(row.get(1)?)?,
        source_kind: row.get(2)?,
        reason: named(row, 3, Reason::from_name)?,
        requested: row.get(4)?,
        pin: read_pin(row.get(5)?, row.get(6)?, row.get(17)?)?,
        spec_revision: row.get(7)?,
        outcome: read_outcome(row)?,
        failed_part: row.get::<_, Option<String>>(18)?.map(parsed).transpose()?,
        triggered_by: row.get(10)?,
        note: row.get(11)?,
        rollback_of: row.get::<_, Option<String>>(12)?.map(parsed).transpose()?,
        current: row.get(13)?,
        strategy: row
            .get::<_, Option<String>>(14)?
            .map(|name| known(Strategy::from_name(&name)))
            .transpose()?,
        started_at: time(row, 15)?,
        finished_at: row.get::<_, Option<String>>(16)?.map(parsed).transpose()?,
    })
}

fn read_pin(
    reference: Option<String>,
    content: Option<String>,
    parts: Option<String>,
) -> Result<Option<Pin>, Failure> {
    let (Some(reference), Some(content)) = (reference, content) else {
        return Ok(None);
    };
    let mut pin = Pin::new(parsed(reference)?, parsed(content)?);
    if let Some(parts) = parts {
        pin.parts = known(serde_json::from_str(&parts).ok())?;
    }
    Ok(Some(pin))
}

fn read_outcome(row: &Row<'_>) -> Result<Outcome, Failure> {
    match row.get::<_, String>(8)?.as_str() {
        "running" => Ok(Outcome::Running),
        "succeeded" => Ok(Outcome::Succeeded),
        "interrupted" => Ok(Outcome::Interrupted),
        "failed" => named(row, 9, FailureMarker::from_name).map(Outcome::Failed),
        _ => Err(Failure::invalid("deploy")),
    }
}

fn named<T>(row: &Row<'_>, column: usize, from_name: fn(&str) -> Option<T>) -> Result<T, Failure> {
    known(from_name(&row.get::<_, String>(column)?))
}

fn parsed<T: std::str::FromStr>(text: String) -> Result<T, Failure> {
    known(text.parse().ok())
}

fn known<T>(value: Option<T>) -> Result<T, Failure> {
    value.ok_or(Failure::invalid("deploy"))
}

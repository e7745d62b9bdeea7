//! A store that has gone: every route says so, and nothing says what the store said.

use std::sync::Arc;

use async_trait::async_trait;
use shipslog_core::deploys::{Closing, Deploy, DeployStore, NewDeploy, Page, Pinned, Plan};
use shipslog_core::id::{DeployId, WorkloadId};
use shipslog_core::stats::{Columns, ContainerRecord, Revision, Rollup, StatsStore, Tick, Tier};
use shipslog_core::store::{StoreError, StoreHealth, StoreInfo};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{NewWorkload, Spec, Workload, WorkloadStore};
use shipslog_http::router;

use crate::rig::{Call, Rig, call, get, post, spec};

const SAID: &str = "disk I/O error near SELECT s3cr3t";

#[derive(Debug)]
struct Gone {
    /// Whether it may come back.
    for_now: bool,
}

impl Gone {
    fn fail<T>(&self) -> Result<T, StoreError> {
        let (operation, source) = ("a test", SAID.into());
        Err(match self.for_now {
            true => StoreError::Unavailable { operation, source },
            false => StoreError::Backend { operation, source },
        })
    }
}

#[async_trait]
impl WorkloadStore for Gone {
    async fn create_workload(&self, _: NewWorkload) -> Result<Workload, StoreError> {
        self.fail()
    }
    async fn observe_workload(&self, _: &str, _: Timestamp) -> Result<Workload, StoreError> {
        self.fail()
    }
    async fn workload(&self, _: &WorkloadId) -> Result<Workload, StoreError> {
        self.fail()
    }
    async fn workloads(&self) -> Result<Vec<Workload>, StoreError> {
        self.fail()
    }
    async fn revise_workload(&self, _: &WorkloadId, _: u32, _: Spec) -> Result<Workload, StoreError> {
        self.fail()
    }
    async fn spec_revision(&self, _: &WorkloadId, _: u32) -> Result<Spec, StoreError> {
        self.fail()
    }
    async fn delete_workload(&self, _: &WorkloadId) -> Result<(), StoreError> {
        self.fail()
    }
}

#[async_trait]
impl DeployStore for Gone {
    async fn open_deploy(&self, _: NewDeploy) -> Result<Deploy, StoreError> {
        self.fail()
    }
    async fn pin_deploy(&self, _: &DeployId, _: Pinned) -> Result<(), StoreError> {
        self.fail()
    }
    async fn deploy_plan(&self, _: &DeployId) -> Result<Option<Plan>, StoreError> {
        self.fail()
    }
    async fn close_deploy(&self, _: &DeployId, _: Closing) -> Result<Deploy, StoreError> {
        self.fail()
    }
    async fn make_current(&self, _: &DeployId) -> Result<(), StoreError> {
        self.fail()
    }
    async fn deploy(&self, _: &DeployId) -> Result<Deploy, StoreError> {
        self.fail()
    }
    async fn deploy_by_key(&self, _: &WorkloadId, _: &str) -> Result<Option<Deploy>, StoreError> {
        self.fail()
    }
    async fn deploys(&self, _: &WorkloadId, _: &Page) -> Result<Vec<Deploy>, StoreError> {
        self.fail()
    }
    async fn current_deploy(&self, _: &WorkloadId) -> Result<Option<Deploy>, StoreError> {
        self.fail()
    }
    async fn running_deploys(&self) -> Result<Vec<Deploy>, StoreError> {
        self.fail()
    }
    async fn all_deploys(&self, _: &WorkloadId) -> Result<Vec<Deploy>, StoreError> {
        self.fail()
    }
    async fn delete_deploys(&self, _: &[DeployId]) -> Result<u64, StoreError> {
        self.fail()
    }
}

#[async_trait]
impl StatsStore for Gone {
    async fn record_tick(&self, _: &Tick) -> Result<(), StoreError> {
        self.fail()
    }
    async fn samples(&self, _: &WorkloadId, _: i64, _: i64) -> Result<Columns, StoreError> {
        self.fail()
    }
    async fn seen_containers(&self, _: &WorkloadId) -> Result<Vec<ContainerRecord>, StoreError> {
        self.fail()
    }
    async fn seal_samples(&self) -> Result<bool, StoreError> {
        self.fail()
    }
    async fn prune_samples(&self, _: i64, _: u32) -> Result<bool, StoreError> {
        self.fail()
    }
    async fn oldest_sample(&self) -> Result<Option<i64>, StoreError> {
        self.fail()
    }
    async fn record_rollups(
        &self,
        _: Tier,
        _: &[(WorkloadId, Vec<Rollup>)],
        _: i64,
    ) -> Result<(), StoreError> {
        self.fail()
    }
    async fn rollups(&self, _: &WorkloadId, _: Tier, _: i64, _: i64) -> Result<Vec<Rollup>, StoreError> {
        self.fail()
    }
    async fn rolled_through(&self, _: Tier) -> Result<Option<i64>, StoreError> {
        self.fail()
    }
    fn revision(&self) -> Revision {
        Revision {
            rewritten: 0,
            appended: 0,
        }
    }
    async fn prune_rollups(&self, _: Tier, _: i64) -> Result<(), StoreError> {
        self.fail()
    }
}

#[async_trait]
impl StoreHealth for Gone {
    fn info(&self) -> StoreInfo {
        StoreInfo {
            kind: "gone",
            schema_version: 0,
        }
    }
    async fn size(&self) -> Result<u64, StoreError> {
        self.fail()
    }
    async fn ping(&self) -> Result<(), StoreError> {
        self.fail()
    }
}

fn calls() -> Vec<Call> {
    let body = serde_json::json!({"deploy_id": "x"});
    vec![
        get("/api/workloads"),
        post("/api/workloads").json(&spec("web")),
        get("/api/workloads/x"),
        call("PUT", "/api/workloads/x").json(&spec("web")),
        call("DELETE", "/api/workloads/x"),
        post("/api/workloads/x/deploys"),
        get("/api/workloads/x/deploys"),
        post("/api/workloads/x/rollback").json(&body),
        get("/api/deploys/x"),
        get("/api/deploys/x/events"),
        get("/api/workloads/x/stats/history"),
        get("/api/workloads/x/usage"),
    ]
}

#[tokio::test]
async fn every_route_says_that_the_store_is_gone_in_words_of_its_own() {
    for (for_now, status) in [(true, 503), (false, 500)] {
        let rig = Rig::over(Arc::new(Gone { for_now }), router);
        for call in calls() {
            let answer = rig.send(call).await;
            answer.problem(status);
            assert!(
                !answer.text().contains("disk") && !answer.text().contains("s3cr3t"),
                "{}",
                answer.text()
            );
            assert_eq!(!answer.header("retry-after").is_empty(), for_now);
        }
    }
}

#[tokio::test]
async fn it_is_alive_and_not_ready() {
    let rig = Rig::over(Arc::new(Gone { for_now: true }), router);
    let problem = rig
        .send(get("/readyz").without("authorization"))
        .await
        .problem(503);
    assert_eq!(problem["detail"], "The store does not answer.");
    assert_eq!(rig.send(get("/healthz")).await.status, 200);
    assert_eq!(rig.send(get("/api/system")).await.json()["store"]["kind"], "gone");
    let metrics = rig.send(get("/metrics")).await;
    assert_eq!(metrics.status, 200);
    assert!(
        metrics.text().contains("\nshipslog_store_up 0\n")
            && !metrics.text().contains("shipslog_store_size_bytes"),
        "{}",
        metrics.text()
    );
}

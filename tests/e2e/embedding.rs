//! The embedding example, asked in-process.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tower::ServiceExt as _;

use serde_json::{Value, json};
use shipslog::core::deploys::{DispatchRequest, FailureMarker, Outcome, Reason};
use shipslog::core::id::WorkloadId;
use shipslog::core::testing::{Behaviour, FakePlugin, fake_pin};
use shipslog::core::workloads::Spec;
use shipslog::{Options, Shipslog};

use embed::app;

#[path = "../../examples/embed.rs"]
#[allow(
    dead_code,
    reason = "the example's main is not run: it would take a fixed port"
)]
mod embed;

async fn ask(app: &Router, path: &str, user: Option<&str>) -> (StatusCode, String) {
    let mut request = Request::builder().uri(path);
    if let Some(user) = user {
        request = request.header("x-forwarded-user", user);
    }
    let response = app
        .clone()
        .oneshot(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    let (status, body) = (
        response.status(),
        to_bytes(response.into_body(), 1 << 20).await.unwrap(),
    );
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn without_engine(configured: impl FnOnce(&mut Options)) -> (tempfile::TempDir, Shipslog) {
    let data = tempfile::tempdir().unwrap();
    let mut options = Options::new(data.path());
    options.docker = Some("unix:///nonexistent/shipslog.sock".to_owned());
    configured(&mut options);
    let log = Shipslog::start(options).await.unwrap();
    (data, log)
}

#[tokio::test]
async fn the_app_keeps_its_own_pages_and_its_own_users() {
    let (_data, log) = without_engine(|_| {}).await;
    let app = app(&log);
    assert_eq!(ask(&app, "/", None).await, (StatusCode::OK, "my app".to_owned()));
    assert_eq!(
        ask(&app, "/ops/api/workloads", None).await.0,
        StatusCode::UNAUTHORIZED
    );
    assert_eq!(
        ask(&app, "/ops/api/workloads", Some("ann@ops")).await,
        (StatusCode::OK, "[]".to_owned())
    );
    log.shutdown(Duration::from_secs(5)).await;
}

fn spec(kind: &str) -> Spec {
    let spec = json!({"name": "web", "source": {"kind": kind, "reference": "app"}});
    serde_json::from_value(spec).unwrap()
}

fn request(workload: &WorkloadId) -> DispatchRequest {
    DispatchRequest {
        workload: workload.clone(),
        reference: None,
        reason: Reason::Manual,
        triggered_by: "ann".to_owned(),
        note: None,
        idempotency_key: None,
        force: false,
    }
}

/// Registered with one line, a kind of the host's own has its place beside those that are built in: in the list, in what an unknown
/// kind is told, and in the ledger.
#[tokio::test]
async fn a_kind_of_the_hosts_own_is_deployed_through_the_same_ledger() {
    let plugin = FakePlugin::new();
    let (_data, log) = without_engine(|options| options.plugins.push(Arc::new(plugin.clone()))).await;
    let app = app(&log);
    let (_, system) = ask(&app, "/ops/api/system", Some("ann@ops")).await;
    let system: Value = serde_json::from_str(&system).unwrap();
    let kinds = system["kinds"].as_array().unwrap();
    let own = kinds.iter().find(|kind| kind["kind"] == "fake").unwrap();
    assert_eq!(
        *own,
        json!({"kind": "fake", "rollback": true, "ready": true, "uses": [], "missing": []})
    );
    let unknown = log.dispatcher().check(&spec("helm")).unwrap_err().to_string();
    assert_eq!(
        unknown,
        "source.kind: must be one of compose, fake, git, image, swarm"
    );
    let workload = log.catalog().create(spec("fake")).await.unwrap().workload;
    let row = log.dispatcher().dispatch(request(&workload.id)).await.unwrap();
    let row = log.dispatcher().wait(&row.id).await.unwrap();
    assert_eq!(
        (row.source_kind.as_str(), row.outcome),
        ("fake", Outcome::Succeeded)
    );
    assert_eq!(plugin.serving(&workload.id).len(), 1);
    log.shutdown(Duration::from_secs(5)).await;
}

/// Nobody has to restart anything, or deploy again, for what ran before to be put back once that is possible.
#[tokio::test]
async fn what_could_not_be_put_back_is_tried_again_by_itself() {
    let plugin = FakePlugin::new();
    let (_data, log) = without_engine(|options| options.plugins.push(Arc::new(plugin.clone()))).await;
    let workload = log.catalog().create(spec("fake")).await.unwrap().workload.id;
    let deploy = async || {
        let row = log.dispatcher().dispatch(request(&workload)).await.unwrap();
        log.dispatcher().wait(&row.id).await.unwrap().outcome
    };
    assert_eq!(deploy().await, Outcome::Succeeded);
    plugin.publish(2);
    plugin.behave(Behaviour::Fail(FailureMarker::Unhealthy));
    plugin.refuse_to_settle(true);
    assert_eq!(deploy().await, Outcome::Failed(FailureMarker::Unhealthy));
    assert!(!log.dispatcher().is_settled());
    plugin.refuse_to_settle(false);
    let put_back = async {
        while plugin.serving(&workload) != [fake_pin(1).content] {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let put_back = tokio::time::timeout(Duration::from_secs(60), put_back).await;
    assert!(put_back.is_ok(), "{:?}", plugin.parts());
    log.shutdown(Duration::from_secs(5)).await;
}

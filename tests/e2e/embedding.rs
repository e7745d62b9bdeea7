//! The embedding example, asked in-process.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use tower::ServiceExt as _;

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

#[tokio::test]
async fn the_app_keeps_its_own_pages_and_its_own_users() {
    let data = tempfile::tempdir().unwrap();
    let mut options = Options::new(data.path());
    options.docker = Some("unix:///nonexistent/shipslog.sock".to_owned());
    let log = Shipslog::start(options).await.unwrap();
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

//! The router under somebody else's, who gives it a path of its own.

use axum::Router;
use axum::routing;
use serde_json::json;
use shipslog_http::{Api, HostPolicy, router};

use crate::rig::{Rig, call, get, post, spec};

/// As a host mounts it: beside a route of its own, and reached under any name.
pub(crate) fn nested(at: &str) -> Rig {
    let own = routing::get(async || "the host's own");
    Rig::with(|api| {
        Router::new().route("/own", own).nest(
            at,
            router(Api {
                hosts: HostPolicy::Any,
                ..api
            }),
        )
    })
}

#[tokio::test]
async fn locations_and_links_know_where_they_are_mounted() {
    for at in ["/ops", "/a/deep/mount"] {
        let rig = nested(at);
        let answer = rig
            .send(post(&format!("{at}/api/workloads")).json(&spec("web")))
            .await;
        let location = answer.header("location").to_owned();
        assert_eq!(
            location,
            format!("{at}/api/workloads/{}", answer.json()["id"].as_str().unwrap())
        );
        assert_eq!(rig.send(get(&location)).await.status, 200);

        let answer = rig.send(post(&format!("{location}/deploys"))).await;
        let row = answer.header("location").to_owned();
        assert!(row.starts_with(&format!("{at}/api/deploys/")), "{row}");
        assert_eq!(rig.send(get(&row)).await.status, 200);

        let description = rig.send(get(&format!("{at}/api/openapi.json"))).await.json();
        assert_eq!(description["servers"], json!([{"url": at}]));
    }
}

#[tokio::test]
async fn roles_and_problems_are_the_same_when_mounted() {
    let rig = nested("/ops");
    rig.send(get("/ops/api/workloads").without("authorization"))
        .await
        .problem(401);
    rig.send(post("/ops/api/workloads").by_viewer())
        .await
        .problem(403);
    rig.send(call("PATCH", "/ops/api/workloads")).await.problem(405);
    rig.send(get("/ops/nowhere")).await.problem(404);
    rig.send(get("/ops/api/deploys/unknown")).await.problem(404);
    assert_eq!(
        rig.send(get("/ops/healthz").without("host").with("host", "ops.example"))
            .await
            .status,
        200
    );
}

#[tokio::test]
async fn the_hosts_own_routes_stay_its_own() {
    let rig = nested("/ops");
    let answer = rig.send(get("/own").without("authorization")).await;
    assert_eq!(
        (answer.text().as_str(), answer.header("cache-control")),
        ("the host's own", "")
    );
    let answer = rig.send(get("/nowhere")).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (404, 0));
}

//! Who may do what, from where.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::request::Parts;
use serde_json::Value;
use shipslog_http::{Api, Authenticator, Identity, Role, router};

use crate::rig::{ADMIN, Call, Rig, VIEWER, call, get, post};

/// Everybody who may send a request: a header, and the role that it stands for.
const CALLERS: [(&str, &str); 6] = [
    ("", ""),
    ("Bearer not-a-token", ""),
    ("Basic YWRtaW46YWRtaW4=", ""),
    ("Bearer", ""),
    (VIEWER, "viewer"),
    (ADMIN, "admin"),
];

/// Every route of the router: method, path and the role that the description names.
async fn routes(rig: &Rig) -> Vec<(String, String, String)> {
    let description = rig.send(get("/api/openapi.json")).await.json();
    let mut routes = Vec::new();
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let role = operation["security"][0]["token"][0].as_str().unwrap_or_default();
            routes.push((method.to_uppercase(), path.clone(), role.to_owned()));
        }
    }
    routes
}

fn as_caller(call: Call, header: &str) -> Call {
    let call = call.without("authorization");
    match header {
        "" => call,
        token if token == VIEWER || token == ADMIN => call.with("authorization", &format!("Bearer {token}")),
        header => call.with("authorization", header),
    }
}

/// The status that keeps somebody out, if anything does.
fn refusal(needed: &str, role: &str) -> Option<u16> {
    match (needed, role) {
        ("", _) | ("viewer", "viewer" | "admin") | ("admin", "admin") => None,
        (_, "") => Some(401),
        _ => Some(403),
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_it_names_and_nobody_else() {
    let rig = Rig::new();
    let routes = routes(&rig).await;
    assert!(routes.len() >= 18, "{routes:?}");
    for (method, path, needed) in routes {
        for (header, role) in CALLERS {
            let answer = rig
                .send(as_caller(call(&method, &path.replace("{id}", "unknown")), header))
                .await;
            let status = answer.status.as_u16();
            match refusal(&needed, role) {
                Some(expected) => {
                    answer.problem(expected);
                    let challenge = if expected == 401 { "Bearer" } else { "" };
                    assert_eq!(answer.header("www-authenticate"), challenge, "{method} {path}");
                }
                None => assert!(
                    !matches!(status, 401 | 403 | 500),
                    "{method} {path} as {role:?}: {status}"
                ),
            }
        }
    }
}

#[tokio::test]
async fn only_reading_is_open_to_viewers_and_only_probes_and_pages_to_all() {
    for (method, path, role) in routes(&Rig::new()).await {
        let open = ["/", "/healthz", "/readyz", "/api/openapi.json", "/api/docs"].contains(&path.as_str());
        let expected = match method.as_str() {
            _ if open => "",
            "GET" => "viewer",
            "POST" if path == "/api/tickets" => "viewer",
            _ => "admin",
        };
        assert_eq!(role, expected, "{method} {path}");
    }
}

#[tokio::test]
async fn a_foreign_host_is_turned_away_before_anything_else() {
    let rig = Rig::new();
    for host in [
        "evil.example",
        "127.0.0.1.evil.example:8080",
        "localhost@evil.example",
        "10.0.0.1:8080",
        "",
    ] {
        for path in ["/healthz", "/api/workloads", "/nowhere"] {
            rig.send(get(path).without("host").with("host", host))
                .await
                .problem(421);
        }
    }
    rig.send(get("/healthz").without("host")).await.problem(421);
    rig.send(get("/healthz").with("host", "evil.example"))
        .await
        .problem(421);
    for host in ["localhost", "LocalHost:1", "127.9.9.9:65535", "[::1]:8080"] {
        assert_eq!(
            rig.send(get("/healthz").without("host").with("host", host))
                .await
                .status,
            200,
            "{host}"
        );
    }
}

#[tokio::test]
async fn a_cookie_changes_nothing_for_another_site() {
    let rig = Rig::new();
    let cookie = format!("shipslog_token={}", ADMIN.replace('-', "%2D"));
    let create = |site: &str| {
        let call = post("/api/workloads")
            .without("authorization")
            .with("cookie", &cookie);
        call.with("sec-fetch-site", site).json(&crate::rig::spec("web"))
    };
    for site in ["cross-site", "same-site", "nonsense"] {
        rig.send(create(site)).await.problem(401);
    }
    assert_eq!(rig.send(create("same-origin")).await.status, 201);
}

#[tokio::test]
async fn wrong_methods_are_told_the_right_ones() {
    let rig = Rig::new();
    for (method, path, allow) in [
        ("PATCH", "/api/workloads", "GET, POST, HEAD"),
        ("POST", "/api/workloads/x", "DELETE, GET, PUT, HEAD"),
        ("OPTIONS", "/api/workloads", "GET, POST, HEAD"),
        ("GET", "/api/workloads/x/rollback", "POST"),
        ("HEAD", "/api/workloads/x/rollback", "POST"),
        ("TRACE", "/healthz", "GET, HEAD"),
    ] {
        let answer = rig.send(call(method, path).without("authorization")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("allow")),
            (405, allow),
            "{method} {path}"
        );
    }
    rig.send(call("PATCH", "/api/workloads")).await.problem(405);
}

#[tokio::test]
async fn head_answers_as_get_does_without_a_body() {
    let rig = Rig::new();
    let answer = rig.send(call("HEAD", "/api/workloads")).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    assert_eq!(
        rig.send(call("HEAD", "/api/workloads").without("authorization"))
            .await
            .status,
        401
    );
}

#[tokio::test]
async fn every_answer_tells_browsers_to_keep_and_guess_nothing() {
    let rig = Rig::new();
    for path in ["/healthz", "/api/workloads", "/nowhere", "/api/docs", "/?token=x"] {
        let answer = rig.send(get(path)).await;
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert_eq!(answer.header("referrer-policy"), "no-referrer", "{path}");
        let policy = answer.header("content-security-policy");
        assert!(
            policy.starts_with("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{path}: {policy}"
        );
        assert!(!policy.contains("script-src 'unsafe"), "{path}: {policy}");
    }
}

#[tokio::test]
async fn nothing_is_answered_to_other_origins() {
    let rig = Rig::new();
    let answer = rig
        .send(get("/api/workloads").with("origin", "http://evil.example"))
        .await;
    assert!(
        answer
            .headers
            .keys()
            .all(|name| !name.as_str().starts_with("access-control"))
    );
    assert_eq!(answer.json(), Value::Array(Vec::new()));
}

/// What a host has in place of tokens.
#[derive(Debug)]
struct Accounts;

#[async_trait]
impl Authenticator for Accounts {
    async fn authenticate(&self, request: &Parts) -> Option<Identity> {
        let name = request.headers.get("x-account")?.to_str().ok()?;
        Some(Identity::new(
            name,
            if name == "root" { Role::Admin } else { Role::Viewer },
        ))
    }
}

#[tokio::test]
async fn a_host_brings_its_own_accounts_and_the_ledger_names_them() {
    let rig = Rig::with(|api| {
        router(Api {
            authenticator: Arc::new(Accounts),
            ..api
        })
    });
    let create = || post("/api/workloads").json(&crate::rig::spec("web"));
    rig.send(create()).await.problem(401);
    rig.send(create().with("x-account", "guest")).await.problem(403);
    let id = rig.send(create().with("x-account", "root")).await.json()["id"].clone();
    let path = format!("/api/workloads/{}/deploys?wait=true", id.as_str().unwrap());
    assert_eq!(
        rig.send(post(&path).with("x-account", "root")).await.json()["triggered_by"],
        "root"
    );
}

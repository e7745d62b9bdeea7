//! Without the dashboard.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::request::Parts;
use shipslog_http::{Api, Authenticator, Identity, Role, router};

use crate::nested::nested;
use crate::rig::{ADMIN, Rig, VIEWER, call, get};

#[tokio::test]
async fn a_token_in_a_link_becomes_a_cookie_that_signs_in() {
    let rig = Rig::new();
    let answer = rig
        .send(get(&format!("/?token={VIEWER}")).without("authorization"))
        .await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "/api/docs")
    );
    let cookie = answer.header("set-cookie").to_owned();
    let attributes: Vec<&str> = cookie.split("; ").skip(1).collect();
    assert_eq!(attributes, ["Path=/", "HttpOnly", "SameSite=Strict"]);

    let pair = cookie.split(';').next().unwrap();
    let by_cookie = |path: &str| get(path).without("authorization").with("cookie", pair);
    assert_eq!(rig.send(by_cookie("/api/workloads")).await.status, 200);
    let unsafe_call = call("DELETE", "/api/workloads/x")
        .without("authorization")
        .with("cookie", pair);
    rig.send(unsafe_call.with("sec-fetch-site", "same-origin"))
        .await
        .problem(403);
}

#[tokio::test]
async fn signing_in_needs_a_valid_token_whoever_is_asking() {
    let rig = Rig::new();
    for path in ["/?token=wrong", "/?token=", "/?token=%00%0d%0aSet-Cookie:x=y"] {
        let answer = rig.send(get(path)).await;
        answer.problem(401);
        assert_eq!(answer.header("set-cookie"), "");
    }
    let answer = rig.send(get("/").without("authorization")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("location")),
        (303, "/api/docs")
    );
    assert_eq!(answer.header("set-cookie"), "");
}

#[tokio::test]
async fn the_cookie_is_for_the_mount_alone() {
    for at in ["/ops", "/a/deep/mount"] {
        let answer = nested(at).send(get(&format!("{at}?token={ADMIN}"))).await;
        assert_eq!(answer.header("location"), format!("{at}/api/docs"));
        let cookie = answer.header("set-cookie");
        assert!(cookie.contains(&format!("; Path={at};")), "{cookie}");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_not_repeated() {
    let answer = Rig::new().send(get("/?token=s3cr3t-of-somebody")).await;
    answer.problem(401);
    assert!(!answer.text().contains("s3cr3t") && !format!("{:?}", answer.headers).contains("s3cr3t"));
}

/// Lets in whoever comes through a host's own login, which is not a token.
#[derive(Debug)]
struct Accounts;

#[async_trait]
impl Authenticator for Accounts {
    async fn authenticate(&self, request: &Parts) -> Option<Identity> {
        request
            .headers
            .contains_key("x-account")
            .then(|| Identity::new("root", Role::Admin))
    }
}

#[tokio::test]
async fn nothing_but_the_token_signs_in() {
    let authenticator = Arc::new(Accounts);
    let rig = Rig::with(|api| router(Api { authenticator, ..api }));
    let answer = rig.send(get("/?token=anything").with("x-account", "root")).await;
    answer.problem(401);
}

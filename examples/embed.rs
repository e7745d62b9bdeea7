//! Somebody else's axum app mounts shipslog under `/ops`, with the app's own idea of who is signed in.

use std::sync::Arc;

use async_trait::async_trait;
use axum::http::request::Parts;
use axum::{Router, routing::get};
use shipslog::http::{Authenticator, HostPolicy, Identity, Role};
use shipslog::{Options, Shipslog};

/// A proxy in front has signed users in, and says who they are.
#[derive(Debug)]
struct ProxyUsers;

#[async_trait]
impl Authenticator for ProxyUsers {
    async fn authenticate(&self, request: &Parts) -> Option<Identity> {
        let user = request.headers.get("x-forwarded-user")?.to_str().ok()?;
        let role = if user.ends_with("@ops") {
            Role::Admin
        } else {
            Role::Viewer
        };
        Some(Identity::new(user, role))
    }
}

pub(crate) fn app(log: &Shipslog) -> Router {
    let ops = log.router(Arc::new(ProxyUsers), HostPolicy::Any);
    Router::new().route("/", get(async || "my app")).nest("/ops", ops)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = Shipslog::start(Options::new("./data")).await?;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    Ok(axum::serve(listener, app(&log)).await?)
}

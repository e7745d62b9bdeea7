//! The generated description: complete, and the same as what is routed.

use std::collections::BTreeSet;

use crate::rig::{Rig, call, get};

/// What the project promises.
const PROMISED: [&str; 24] = [
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /api/openapi.json",
    "GET /api/docs",
    "GET /api/system",
    "GET /api/workloads",
    "POST /api/workloads",
    "GET /api/workloads/{id}",
    "PUT /api/workloads/{id}",
    "DELETE /api/workloads/{id}",
    "POST /api/workloads/{id}/deploys",
    "GET /api/workloads/{id}/deploys",
    "GET /api/deploys/{id}",
    "GET /api/deploys/{id}/events",
    "POST /api/workloads/{id}/rollback",
    "GET /api/workloads/{id}/stats/history",
    "GET /api/workloads/{id}/usage",
    "GET /api/workloads/{id}/stats/live",
    "GET /api/containers/{id}/metrics",
    "POST /api/tickets",
    "GET /api/workloads/{id}/ws/stats",
    "GET /api/ws/usage",
    "GET /api/usage",
];

/// The page at the root is not of the API; the address that signs in is.
const ROOT: &[&str] = if cfg!(feature = "dashboard") {
    &[]
} else {
    &["GET /"]
};

/// The paths of the dashboard.
const PAGES: &[&str] = if cfg!(feature = "dashboard") {
    &["/", "/assets/{*name}"]
} else {
    &[]
};

/// The description that other programs are built from.
#[cfg(feature = "dashboard")]
const COMMITTED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");

const METHODS: [&str; 7] = ["GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"];

async fn described(rig: &Rig) -> BTreeSet<String> {
    let description = rig.send(get("/api/openapi.json")).await.json();
    let paths = description["paths"].as_object().unwrap().clone();
    let methods = |(path, item): (String, serde_json::Value)| {
        let methods: Vec<String> = item
            .as_object()
            .unwrap()
            .keys()
            .map(|method| method.to_uppercase())
            .collect();
        methods.into_iter().map(move |method| format!("{method} {path}"))
    };
    paths.into_iter().flat_map(methods).collect()
}

#[tokio::test]
async fn all_that_is_promised_is_described_and_nothing_else() {
    let promised = PROMISED.iter().chain(ROOT);
    let promised: BTreeSet<String> = promised.map(|&operation| operation.to_owned()).collect();
    assert_eq!(described(&Rig::new()).await, promised);
}

/// It is that of the router with its dashboard, which is built from it.
#[cfg(feature = "dashboard")]
#[tokio::test]
async fn the_committed_description_is_that_of_the_router() {
    let mut description = Rig::new().send(get("/api/openapi.json")).await.json();
    description.as_object_mut().unwrap().remove("servers");
    let current = format!("{description:#}\n");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(COMMITTED, &current).unwrap();
    }
    let committed = std::fs::read_to_string(COMMITTED).unwrap();
    let differs = committed
        .lines()
        .zip(current.lines())
        .find(|(old, new)| old != new);
    assert!(
        committed == current,
        "openapi.json is not that of the router (`make openapi` writes it): {differs:?}"
    );
}

#[tokio::test]
async fn what_is_described_is_routed_and_no_other_method_is() {
    let rig = Rig::new();
    let described = described(&rig).await;
    let paths: BTreeSet<&str> = described
        .iter()
        .filter_map(|operation| operation.split_once(' '))
        .map(|(_, path)| path)
        .collect();
    for path in paths {
        for method in METHODS {
            let there = described.contains(&format!("{method} {path}"));
            let answer = rig.send(call(method, &path.replace("{id}", "unknown"))).await;
            assert_eq!(
                answer.status.as_u16() != 405,
                there,
                "{method} {path}: {}",
                answer.status
            );
            assert!(
                !answer.text().contains("There is nothing at this path"),
                "{method} {path}"
            );
        }
    }
}

/// The router's own table of paths, which only its `Debug` shows.
#[tokio::test]
async fn no_path_is_routed_that_is_not_described() {
    let rig = Rig::new();
    let table = format!("{:?}", rig.app);
    let paths = table.split('"').filter(|text| text.starts_with('/'));
    let routed: BTreeSet<&str> = paths
        .filter(|path| !path.contains("__private__axum_fallback") && !PAGES.contains(path))
        .collect();
    let described = described(&rig).await;
    let described: BTreeSet<&str> = described
        .iter()
        .filter_map(|operation| operation.split_once(' '))
        .map(|(_, path)| path)
        .collect();
    assert_eq!(routed, described);
}

#[tokio::test]
async fn every_type_that_is_referred_to_is_there_and_every_operation_says_what_it_does() {
    let description = Rig::new().send(get("/api/openapi.json")).await.json();
    let text = description.to_string();
    let references = text
        .split("#/components/schemas/")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    let names: BTreeSet<&str> = references.collect();
    assert!(
        names.contains("Problem") && names.contains("Spec") && names.contains("Deploy"),
        "{names:?}"
    );
    for name in names {
        assert!(description["components"]["schemas"][name].is_object(), "{name}");
    }
    for (path, item) in description["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(
                operation["summary"]
                    .as_str()
                    .is_some_and(|summary| !summary.is_empty()),
                "{method} {path}"
            );
            assert!(
                operation["security"]
                    .as_array()
                    .is_some_and(|security| security.len() == 1),
                "{method} {path}"
            );
            assert!(
                operation["responses"]["default"]["content"]["application/problem+json"].is_object(),
                "{method} {path}"
            );
        }
    }
}

#[tokio::test]
async fn the_page_shows_every_operation_and_fetches_nothing() {
    let rig = Rig::new();
    let answer = rig.send(get("/api/docs").without("authorization")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("content-type")),
        (200, "text/html; charset=utf-8")
    );
    let page = answer.text();
    for operation in described(&rig).await {
        let (method, path) = operation.split_once(' ').unwrap();
        assert!(
            page.contains(&format!("{method}</b> <code>{path}</code>")),
            "{operation}"
        );
    }
    for fetched in [
        "<script", "src=", "@import", "url(", "http://", "https://", "<link",
    ] {
        assert!(!page.contains(fetched), "{fetched}");
    }
    let anchors = page
        .split("href=\"#")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    for anchor in anchors {
        assert!(page.contains(&format!("id=\"{anchor}\"")), "{anchor}");
    }
}

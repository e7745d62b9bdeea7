//! The page and its assets, of a site of make-believe and without one.

use axum::body::Body;
use axum::http::{Method, Request, Response};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use super::*;

const HTML: &str =
    r#"<script type="module" src="./assets/index-1a.js"></script><link href="./assets/index-2b.css">"#;

fn site() -> Site {
    let files: [(&str, &[u8]); 5] = [
        ("index.html", HTML.as_bytes()),
        ("assets/index-1a.js", b"plain"),
        ("assets/index-1a.js.br", b"brotli"),
        ("assets/index-1a.js.gz", b"gzip"),
        ("assets/index-2b.css", b"style"),
    ];
    Site::new(
        files
            .into_iter()
            .map(|(name, data)| (name.to_owned(), data.into())),
    )
}

async fn send(app: Router, method: Method, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn get_from(app: Router, path: &str, headers: &[(&str, &str)]) -> Response<Body> {
    send(app, Method::GET, path, headers).await
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn header<'a>(response: &'a Response<Body>, name: &str) -> &'a str {
    response
        .headers()
        .get(name)
        .map_or("", |value| value.to_str().unwrap())
}

fn at_root() -> Router {
    mount_site(Router::new(), site())
}

fn nested(at: &str) -> Router {
    Router::new().nest(at, at_root())
}

#[tokio::test]
async fn the_page_is_checked_again_at_each_visit_and_runs_no_script_of_others() {
    let page = get_from(at_root(), "/", &[]).await;
    assert_eq!(
        (page.status(), header(&page, "cache-control")),
        (StatusCode::OK, "no-cache")
    );
    assert_eq!(header(&page, "content-type"), "text/html; charset=utf-8");
    let policy = header(&page, "content-security-policy");
    assert!(
        policy.contains("script-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(header(&page, "set-cookie"), "");

    let etag = header(&page, "etag").to_owned();
    let again = get_from(at_root(), "/", &[("if-none-match", &etag)]).await;
    assert_eq!(
        (again.status(), header(&again, "etag")),
        (StatusCode::NOT_MODIFIED, etag.as_str())
    );
    assert_eq!(text(again).await, "");
    let other = get_from(at_root(), "/", &[("if-none-match", "\"other\"")]).await;
    assert_eq!(text(other).await, HTML);
}

#[tokio::test]
async fn an_address_with_a_token_in_it_is_kept_nowhere() {
    let page = get_from(at_root(), "/?token=s3cr3t", &[]).await;
    assert_eq!(
        (page.status(), header(&page, "cache-control")),
        (StatusCode::OK, "no-store")
    );
    assert!(!text(page).await.contains("s3cr3t"));
}

#[tokio::test]
async fn assets_are_kept_for_ever_in_the_smallest_form_that_is_taken() {
    for (accepted, encoding, body) in [
        ("gzip, br", "br", "brotli"),
        ("gzip", "gzip", "gzip"),
        ("identity", "", "plain"),
        ("", "", "plain"),
    ] {
        let asset = get_from(at_root(), "/assets/index-1a.js", &[("accept-encoding", accepted)]).await;
        assert_eq!(header(&asset, "content-encoding"), encoding, "{accepted}");
        assert_eq!(header(&asset, "vary"), "accept-encoding");
        assert_eq!(header(&asset, "content-type"), "text/javascript; charset=utf-8");
        assert_eq!(header(&asset, "cache-control"), FOR_EVER);
        assert_eq!(text(asset).await, body);
    }
    let style = get_from(at_root(), "/assets/index-2b.css", &[("accept-encoding", "br")]).await;
    assert_eq!(
        (header(&style, "content-encoding"), header(&style, "content-type")),
        ("", "text/css; charset=utf-8")
    );
    assert_eq!(text(style).await, "style");
}

#[tokio::test]
async fn there_is_nothing_but_the_page_and_its_assets() {
    for path in [
        "/assets/index-1a.js.br",
        "/assets/other.js",
        "/assets/../index.html",
        "/assets/%2e%2e/index.html",
    ] {
        let missing = get_from(at_root(), path, &[]).await;
        assert_eq!(missing.status(), StatusCode::NOT_FOUND, "{path}");
        assert_eq!(header(&missing, "content-type"), "application/problem+json");
        assert_eq!(header(&missing, "cache-control"), "");
    }
    for path in ["/", "/assets/index-1a.js"] {
        let refused = send(at_root(), Method::POST, path, &[]).await;
        assert_eq!(refused.status(), StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(
            (header(&refused, "allow"), header(&refused, "content-type")),
            ("GET,HEAD", "application/problem+json")
        );
        let head = send(at_root(), Method::HEAD, path, &[]).await;
        assert_eq!(
            (head.status(), text(head).await),
            (StatusCode::OK, String::new()),
            "{path}"
        );
    }
}

#[tokio::test]
async fn a_mounted_page_finds_its_assets() {
    let page = text(get_from(nested("/a/ops"), "/a/ops?token=x", &[]).await).await;
    assert_eq!(page, HTML.replace("./assets", "./ops/assets"));
    let asset = get_from(nested("/a/ops"), "/a/ops/assets/index-1a.js", &[]).await;
    assert_eq!(text(asset).await, "plain");

    let service = Router::new().nest_service("/ops", at_root());
    assert_eq!(text(get_from(service.clone(), "/ops/", &[]).await).await, HTML);
    let page = text(get_from(service, "/ops", &[]).await).await;
    assert_eq!(page, HTML.replace("./assets", "./ops/assets"));
}

#[tokio::test]
async fn the_name_of_a_mount_stays_an_address() {
    let page = text(get_from(nested("/{tenant}"), "/javascript:\"onload=x", &[]).await).await;
    assert!(
        page.contains(r#"src="./javascript:&quot;onload=x/assets/index-1a.js""#),
        "{page}"
    );
}

#[tokio::test]
async fn without_a_built_site_the_page_says_how_to_build_it() {
    let app = mount_site(Router::new(), Site::new(std::iter::empty()));
    let page = get_from(app.clone(), "/?token=x", &[]).await;
    assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(header(&page, "content-security-policy").starts_with("default-src 'none';"));
    let page = text(page).await;
    assert!(
        page.contains("make dashboard") && page.contains("href=\"./api/docs\""),
        "{page}"
    );
    let page = text(get_from(Router::new().nest("/ops", app.clone()), "/ops", &[]).await).await;
    assert!(page.contains("href=\"./ops/api/docs\""), "{page}");
    assert_eq!(
        get_from(app, "/assets/index-1a.js", &[]).await.status(),
        StatusCode::NOT_FOUND
    );
}

//! With the dashboard, whether or not it was built before these tests were compiled.

use crate::nested::nested;
use crate::rig::{ADMIN, Rig, call, get};

#[tokio::test]
async fn the_root_is_a_page_for_everybody_and_leaves_signing_in_to_it() {
    let rig = Rig::new();
    for path in [
        "/",
        "/?token=wrong",
        &format!("/?token={ADMIN}"),
        "/?anything=else",
    ] {
        let answer = rig.send(get(path).without("authorization")).await;
        assert!(
            matches!(answer.status.as_u16(), 200 | 503),
            "{path}: {}",
            answer.status
        );
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert!(answer.text().contains("<title>"), "{path}");
        assert_eq!((answer.header("set-cookie"), answer.header("location")), ("", ""));
        assert!(!answer.text().contains(ADMIN));
    }
}

#[tokio::test]
async fn the_page_is_guarded_like_any_answer() {
    let rig = Rig::new();
    rig.send(get("/").without("host").with("host", "evil.example"))
        .await
        .problem(421);
    rig.send(call("POST", "/")).await.problem(405);
    rig.send(get("/assets/nothing.js")).await.problem(404);
    let answer = rig.send(get("/")).await;
    assert_eq!(answer.header("x-content-type-options"), "nosniff");
    assert_eq!(answer.header("referrer-policy"), "no-referrer");
}

#[tokio::test]
async fn the_page_is_at_the_mount() {
    let rig = nested("/a/ops");
    let answer = rig.send(get("/a/ops?token=x").without("authorization")).await;
    let page = answer.text();
    assert!(page.contains("\"./ops/"), "{page}");
    rig.send(get("/a/ops/assets/nothing.js")).await.problem(404);
}

//! Live numbers: the latest point, readings from a cursor, and streams over real sockets.

use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use futures_util::StreamExt;
use serde_json::{Value, json};
use shipslog_core::stats::{Coverage, Origin, Reading, Readout, Sample};
use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{Container, ContainerState};
use shipslog_http::{Api, StreamOptions, router};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::rig::{NOW, Rig, VIEWER, get, post};

const USAGE: &str = "/api/ws/usage";

type Socket = WebSocketStream<TcpStream>;

fn container(id: &str, name: &str, state: ContainerState) -> Container {
    Container {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        image: "app:1".to_owned(),
        state,
        health: None,
        created_at: Timestamp::from_second(NOW).unwrap(),
        image_id: None,
        life: None,
        workload: None,
        deploy: None,
        project: None,
    }
}

fn list(rig: &Rig, containers: &[Container]) {
    *rig.inventory.containers.lock().unwrap() = containers.to_vec();
}

/// Publishes a workload's memory as stored sampling does.
fn publish(rig: &Rig, workload: &str, ts: i64, memory: u64) {
    let reading = Reading {
        container: "c1".parse().unwrap(),
        workload: Some(workload.parse().unwrap()),
        sample: Sample {
            memory_usage: Some(memory),
            ..Sample::default()
        },
    };
    rig.poller.hub().publish(Readout {
        ts,
        origin: Origin::Stored,
        coverage: Coverage::Everything,
        readings: vec![reading],
    });
}

fn with_streams(streams: StreamOptions) -> Rig {
    Rig::with(|api| router(Api { streams, ..api }))
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, app).into_future());
    address
}

/// Opens a WebSocket with these headers; the status when it is refused.
async fn open(address: SocketAddr, path: &str, headers: &[(&'static str, &str)]) -> Result<Socket, u16> {
    let mut request = format!("ws://{address}{path}").into_client_request().unwrap();
    for (name, value) in headers {
        let value = HeaderValue::from_str(value).unwrap();
        request.headers_mut().insert(HeaderName::from_static(name), value);
    }
    let stream = TcpStream::connect(address).await.unwrap();
    match tokio_tungstenite::client_async(request, stream).await {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(answer)) => Err(answer.status().as_u16()),
        Err(error) => panic!("{path}: {error}"),
    }
}

async fn open_as_viewer(address: SocketAddr, path: &str) -> Socket {
    open(address, path, &[("authorization", &format!("Bearer {VIEWER}"))])
        .await
        .unwrap()
}

/// The next message; the code when the stream is closed.
async fn next(socket: &mut Socket) -> Result<Value, Option<u16>> {
    loop {
        let message = timeout(Duration::from_secs(120), socket.next())
            .await
            .expect("nothing comes");
        match message {
            Some(Ok(Message::Text(text))) => return Ok(serde_json::from_str(&text).unwrap()),
            Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return Err(None),
        }
    }
}

/// A ticket for a path, as the parameter that it is given as.
async fn ticket(rig: &Rig, path: &str) -> String {
    let answer = rig
        .send(post("/api/tickets").by_viewer().json(&json!({"path": path})))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let ticket = answer.json()["ticket"].as_str().unwrap().to_owned();
    assert_eq!(ticket.len(), 64);
    format!("?ticket={ticket}")
}

#[tokio::test(start_paused = true)]
async fn the_newest_of_everything_is_there_without_a_stream() {
    let rig = Rig::new();
    rig.no_sampling.cancel();
    let id = rig.workload("web").await;
    let usage = || async { rig.send(get("/api/usage").by_viewer()).await.json() };
    assert_eq!(
        (&usage().await["ts"], &usage().await["workloads"]),
        (&json!(NOW), &json!([]))
    );
    publish(&rig, &id, NOW + 3, 500);
    let newest = usage().await;
    assert_eq!(
        (&newest["ts"], &newest["total"]["memory_usage"]),
        (&json!(NOW + 3), &json!(500))
    );
    assert_eq!(newest["workloads"][0]["workload_id"], json!(id));
    tokio::time::advance(Duration::from_secs(46)).await;
    assert_eq!(usage().await["workloads"], json!([]));
}

#[tokio::test(start_paused = true)]
async fn a_point_is_live_until_it_is_45_seconds_old() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let live = format!("/api/workloads/{id}/stats/live");
    assert_eq!(rig.send(get(&live)).await.json(), json!({"live": false}));
    publish(&rig, &id, NOW, 500);
    tokio::time::advance(Duration::from_millis(1_234)).await;
    let answer = rig.send(get(&live).by_viewer()).await.json();
    let point = json!({"ts": NOW, "cpu_percent": null, "memory_usage": 500, "memory_limit": null, "network_rx": null, "network_tx": null,
                       "block_read": null, "block_write": null, "containers": 1});
    assert_eq!((&answer["live"], &answer["point"]), (&json!(true), &point));
    assert!(
        answer["age_ms"]
            .as_u64()
            .is_some_and(|age| (1_234..2_000).contains(&age)),
        "{answer}"
    );
    tokio::time::advance(Duration::from_secs(44)).await;
    assert_eq!(rig.send(get(&live)).await.json(), json!({"live": false}));
    rig.send(get("/api/workloads/unknown/stats/live"))
        .await
        .problem(404);
}

#[tokio::test(start_paused = true)]
async fn readings_begin_with_the_first_who_asks_and_go_on_from_a_cursor() {
    let rig = Rig::new();
    list(&rig, &[container("c1", "web", ContainerState::Running)]);
    let path = "/api/containers/c1/metrics";
    let first = rig.send(get(path).by_viewer()).await.json();
    assert_eq!(
        first["metrics"],
        json!([{"cpu": null, "mem": 800, "timestamp": NOW}])
    );
    assert_eq!(
        (&first["missed"], &first["is_running"]),
        (&json!(0), &json!(true))
    );
    for _ in 0..3 {
        rig.clock.advance(Duration::from_secs(3));
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    let from = first["from"].as_str().unwrap();
    let next = rig.send(get(&format!("{path}?from={from}"))).await.json();
    assert_eq!(
        next["metrics"][0],
        json!({"cpu": 50.0, "mem": 800, "timestamp": NOW + 3})
    );
    let all = rig.send(get(&format!("{path}?from=0"))).await.json();
    assert_eq!(
        all["metrics"].as_array().unwrap().len(),
        1 + next["metrics"].as_array().unwrap().len()
    );
    assert_eq!(all["from"], next["from"]);
    // One from before a restart of the server.
    let old = rig
        .send(get(&format!("{path}?from=00112233445566ff-7")))
        .await
        .json();
    assert_eq!((&old["metrics"], &old["from"]), (&all["metrics"], &all["from"]));
}

#[tokio::test(start_paused = true)]
async fn what_does_not_run_has_no_readings_and_is_no_error() {
    let rig = Rig::new();
    let states = [
        ("created", ContainerState::Created),
        ("paused", ContainerState::Paused),
        ("restarting", ContainerState::Restarting),
        ("exited", ContainerState::Exited),
        ("dead", ContainerState::Dead),
    ];
    list(&rig, &states.map(|(id, state)| container(id, id, state)));
    let ids = states.iter().map(|(id, _)| *id);
    for id in ids.chain(["unknown", "%20", "..%2F..%2Fetc", "%ff", "%F0%9F%9A%A2"]) {
        let answer = rig.send(get(&format!("/api/containers/{id}/metrics"))).await;
        assert_eq!(answer.status, 200, "{id}: {}", answer.text());
        assert_eq!(
            answer.json(),
            json!({"metrics": [], "from": "0", "missed": 0, "is_running": false}),
            "{id}"
        );
    }
    let cursor = "00112233445566ff-7";
    let answer = rig
        .send(get(&format!("/api/containers/exited/metrics?from={cursor}")))
        .await
        .json();
    assert_eq!(answer["from"], cursor);
    rig.inventory.silent.store(true, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let begun = Instant::now();
    let answer = rig.send(get("/api/containers/unknown/metrics")).await.json();
    assert_eq!(
        (&answer["is_running"], begun.elapsed() < Duration::from_secs(3)),
        (&json!(false), true)
    );
}

#[tokio::test]
async fn a_cursor_that_is_not_ours_is_refused_by_name() {
    let rig = Rig::new();
    for from in [
        "-1",
        "",
        "1",
        "x",
        "00",
        "+0",
        "0-0",
        "00112233445566ff-",
        "00112233445566ff--1",
        "zz112233445566ff-1",
        "00112233445566ff-99999999999999999999999",
        "%00",
        "null",
        "1.5",
    ] {
        let answer = rig
            .send(get(&format!("/api/containers/c1/metrics?from={from}")))
            .await;
        assert_eq!(answer.problem(400)["field"], "from", "{from}");
    }
    rig.send(get("/api/containers/c1/metrics?from=0&from=0"))
        .await
        .problem(400);
    rig.send(get("/api/containers/c1/metrics?since=0"))
        .await
        .problem(400);
}

#[tokio::test]
async fn a_stream_begins_with_what_is_there_and_goes_on_as_it_comes() {
    let rig = Rig::new();
    rig.no_sampling.cancel();
    let id = rig.workload("web").await;
    publish(&rig, &id, NOW, 500);
    let address = serve(rig.app.clone()).await;
    let mut web = open_as_viewer(address, &format!("/api/workloads/{id}/ws/stats")).await;
    let mut all = open_as_viewer(address, USAGE).await;
    let told = next(&mut web).await.unwrap();
    assert_eq!(
        (&told["ts"], &told["memory_usage"], &told["containers"]),
        (&json!(NOW), &json!(500), &json!(1))
    );
    let told = next(&mut all).await.unwrap();
    assert_eq!(
        (
            &told["total"]["memory_usage"],
            &told["workloads"][0]["workload_id"]
        ),
        (&json!(500), &json!(id))
    );
    assert_eq!(told["workloads"][0]["point"]["memory_usage"], 500);
    publish(&rig, &id, NOW + 10, 600);
    assert_eq!(next(&mut web).await.unwrap()["memory_usage"], 600);
    assert_eq!(next(&mut all).await.unwrap()["total"]["memory_usage"], 600);
}

#[tokio::test]
async fn a_stream_that_has_nothing_to_tell_says_so() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    rig.inventory.silent.store(true, Ordering::SeqCst);
    let address = serve(rig.app.clone()).await;
    let begun = Instant::now();
    let mut web = open_as_viewer(address, &format!("/api/workloads/{id}/ws/stats")).await;
    let told = next(&mut web).await.unwrap();
    assert_eq!(
        (&told["memory_usage"], &told["containers"]),
        (&Value::Null, &json!(0))
    );
    let mut all = open_as_viewer(address, USAGE).await;
    let told = next(&mut all).await.unwrap();
    assert_eq!(
        (&told["total"]["containers"], &told["workloads"]),
        (&json!(0), &json!([]))
    );
    assert!(begun.elapsed() < Duration::from_secs(60), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn only_who_is_known_opens_a_stream_and_only_to_what_there_is() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let address = serve(rig.app.clone()).await;
    for path in [USAGE, &format!("/api/workloads/{id}/ws/stats")] {
        for headers in [
            &[][..],
            &[("authorization", "Bearer wrong")],
            &[("cookie", "shipslog_token=wrong")],
        ] {
            assert_eq!(
                open(address, path, headers).await.unwrap_err(),
                401,
                "{path} {headers:?}"
            );
        }
        assert_eq!(
            open(address, &format!("{path}?ticket=wrong"), &[])
                .await
                .unwrap_err(),
            401
        );
        assert_eq!(
            open(
                address,
                &format!("{path}?x=1"),
                &[("authorization", &format!("Bearer {VIEWER}"))]
            )
            .await
            .unwrap_err(),
            400
        );
        let plain = rig.send(get(path)).await;
        plain.problem(426);
        assert_eq!(plain.header("upgrade"), "websocket");
    }
    let unknown = "/api/workloads/unknown/ws/stats";
    let viewer = format!("Bearer {VIEWER}");
    assert_eq!(
        open(address, unknown, &[("authorization", &viewer)])
            .await
            .unwrap_err(),
        404
    );
    assert_eq!(
        open(
            address,
            USAGE,
            &[("authorization", &viewer), ("host", "evil.example")]
        )
        .await
        .unwrap_err(),
        421
    );
}

#[tokio::test]
async fn a_cookie_opens_a_stream_for_our_own_pages_alone() {
    let rig = Rig::new();
    let address = serve(rig.app.clone()).await;
    let cookie = format!("shipslog_token={VIEWER}");
    for (origin, site) in [
        ("http://localhost:3000", "same-site"),
        ("http://evil.example", "cross-site"),
    ] {
        let foreign = [("cookie", cookie.as_str()), ("origin", origin)];
        assert_eq!(open(address, USAGE, &foreign).await.unwrap_err(), 401, "{origin}");
        let foreign = [("cookie", cookie.as_str()), ("sec-fetch-site", site)];
        assert_eq!(open(address, USAGE, &foreign).await.unwrap_err(), 401, "{site}");
    }
    let own = format!("http://{address}");
    assert!(
        open(address, USAGE, &[("cookie", &cookie), ("origin", &own)])
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_ticket_opens_its_own_stream_as_often_as_needed_for_30_seconds() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let address = serve(rig.app.clone()).await;
    let stats = format!("/api/workloads/{id}/ws/stats");
    let query = ticket(&rig, &stats).await;
    for _ in 0..2 {
        assert!(open(address, &format!("{stats}{query}"), &[]).await.is_ok());
    }
    for other in [USAGE, "/api/workloads/other/ws/stats"] {
        assert_eq!(
            open(address, &format!("{other}{query}"), &[]).await.unwrap_err(),
            401,
            "{other}"
        );
    }
    let wrong = [("authorization", "Bearer wrong")];
    assert_eq!(
        open(address, &format!("{stats}{query}"), &wrong)
            .await
            .unwrap_err(),
        401
    );
    rig.send(get(&format!("/api/workloads{query}")).without("authorization"))
        .await
        .problem(401);
    rig.clock.advance(Duration::from_secs(29));
    assert!(open(address, &format!("{stats}{query}"), &[]).await.is_ok());
    rig.clock.advance(Duration::from_secs(1));
    assert_eq!(
        open(address, &format!("{stats}{query}"), &[]).await.unwrap_err(),
        401
    );
}

#[tokio::test]
async fn a_ticket_is_made_for_a_stream_and_says_until_when() {
    let rig = Rig::new();
    let answer = rig
        .send(post("/api/tickets").by_viewer().json(&json!({"path": USAGE})))
        .await;
    let until = Timestamp::from_second(NOW + 30).unwrap();
    assert_eq!(answer.json()["expires_at"], until.to_string());
    for path in [
        "",
        "/",
        "/api/workloads",
        "/api/ws/usage/",
        "/api/ws/usage?x=1",
        "/api/workloads/a/stats/live",
        "/api/workloads/a b/ws/stats",
        "http://x/api/ws/usage",
        "/ops/api/ws/usage",
    ] {
        let refused = rig.send(post("/api/tickets").json(&json!({"path": path}))).await;
        assert_eq!(refused.problem(422)["field"], "path", "{path}");
    }
    rig.send(post("/api/tickets").json(&json!({}))).await.problem(422);
    rig.send(post("/api/tickets").json(&json!({"path": USAGE, "role": "admin"})))
        .await
        .problem(422);
    rig.send(
        post("/api/tickets")
            .body("nonsense")
            .with("content-type", "application/json"),
    )
    .await
    .problem(400);
    rig.send(
        post("/api/tickets")
            .without("authorization")
            .json(&json!({"path": USAGE})),
    )
    .await
    .problem(401);
}

#[tokio::test]
async fn a_ticket_also_opens_the_events_of_a_deploy() {
    let rig = Rig::new();
    let id = rig.workload("web").await;
    let deploy = rig.deploy(&id).await["id"].as_str().unwrap().to_owned();
    let path = format!("/api/deploys/{deploy}/events");
    let query = ticket(&rig, &path).await;
    let answer = rig
        .send(get(&format!("{path}{query}")).without("authorization"))
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert!(answer.text().contains("event: outcome"));
}

#[tokio::test]
async fn a_ticket_for_a_mounted_path_fits() {
    let rig = Rig::with(|api| Router::new().nest("/ops", router(api)));
    let address = serve(rig.app.clone()).await;
    for path in ["/ops/api/ws/usage", "/api/ws/usage"] {
        let call = post("/ops/api/tickets").json(&json!({"path": path}));
        let ticket = rig.send(call).await.json()["ticket"].as_str().unwrap().to_owned();
        assert!(
            open(address, &format!("/ops/api/ws/usage?ticket={ticket}"), &[])
                .await
                .is_ok(),
            "{path}"
        );
    }
}

#[tokio::test]
async fn past_the_limit_streams_are_refused_until_one_ends() {
    let rig = with_streams(StreamOptions {
        most: 3,
        ..StreamOptions::default()
    });
    let address = serve(rig.app.clone()).await;
    let viewer = format!("Bearer {VIEWER}");
    let headers = [("authorization", viewer.as_str())];
    let mut sockets = Vec::new();
    for _ in 0..3 {
        sockets.push(open(address, USAGE, &headers).await.unwrap());
    }
    for _ in 0..20 {
        assert_eq!(open(address, USAGE, &headers).await.unwrap_err(), 503);
    }
    drop(sockets.pop());
    let begun = Instant::now();
    while open(address, USAGE, &headers).await.is_err() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "the place is not free again"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn who_never_reads_counts_as_gone_and_who_reads_does_not() {
    let rig = with_streams(StreamOptions {
        most: 2,
        silence: Duration::from_secs(4),
        ..StreamOptions::default()
    });
    let address = serve(rig.app.clone()).await;
    let mut reads = open_as_viewer(address, USAGE).await;
    let _never_reads = open_as_viewer(address, USAGE).await;
    tokio::spawn(async move { while next(&mut reads).await.is_ok() {} });
    let viewer = format!("Bearer {VIEWER}");
    let headers = [("authorization", viewer.as_str())];
    assert_eq!(open(address, USAGE, &headers).await.unwrap_err(), 503);
    let begun = Instant::now();
    let _third = loop {
        if let Ok(socket) = open(address, USAGE, &headers).await {
            break socket;
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "who never reads keeps its place"
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    };
    assert_eq!(
        open(address, USAGE, &headers).await.unwrap_err(),
        503,
        "who reads was taken for gone"
    );
}

#[tokio::test]
async fn a_stream_ends_when_whoever_opened_it_is_not_let_in_any_more() {
    let (rig, viewer_is_known) = Rig::that_rechecks();
    let address = serve(rig.app.clone()).await;
    let query = ticket(&rig, USAGE).await;
    let by_header = open_as_viewer(address, USAGE).await;
    let by_ticket = open(address, &format!("{USAGE}{query}"), &[]).await.unwrap();
    tokio::time::sleep(Duration::from_millis(300)).await;
    viewer_is_known.store(false, Ordering::SeqCst);
    for mut socket in [by_header, by_ticket] {
        let code = loop {
            match next(&mut socket).await {
                Ok(_) => {}
                Err(code) => break code,
            }
        };
        assert_eq!(code, Some(1008));
    }
}

#[tokio::test]
async fn the_end_of_the_server_ends_its_streams() {
    let rig = Rig::new();
    rig.no_sampling.cancel();
    let address = serve(rig.app.clone()).await;
    let mut socket = open_as_viewer(address, USAGE).await;
    rig.shutdown.cancel();
    assert_eq!(next(&mut socket).await.unwrap_err(), Some(1001));
}

#[tokio::test]
async fn what_a_client_sends_is_left_out_unless_it_is_too_much() {
    use futures_util::SinkExt;
    let rig = Rig::new();
    rig.no_sampling.cancel();
    let id = rig.workload("web").await;
    let address = serve(rig.app.clone()).await;
    let mut socket = open_as_viewer(address, USAGE).await;
    for message in [
        Message::text("hello"),
        Message::binary(vec![0xff; 100]),
        Message::Ping(vec![1].into()),
        Message::Pong(vec![0xff; 8].into()),
    ] {
        socket.send(message).await.unwrap();
    }
    publish(&rig, &id, NOW, 500);
    assert_eq!(next(&mut socket).await.unwrap()["total"]["memory_usage"], 500);
    let _ = socket.send(Message::binary(vec![0; 1 << 20])).await;
    while next(&mut socket).await.is_ok() {}
}

/// What a message says: a time since the beginning, or how many were missed as a negative number.
fn told(message: &Value) -> i64 {
    match message["missed"].as_i64() {
        Some(missed) => -missed,
        None => message["ts"].as_i64().unwrap() - NOW,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_1000_streams_900_are_told_each_tick_while_100_do_not_read() {
    const TICKS: i64 = 20;
    // Opening them all may take long, and who does not read must not be taken for gone before the end.
    let rig = with_streams(StreamOptions {
        silence: Duration::from_secs(600),
        ..StreamOptions::default()
    });
    rig.no_sampling.cancel();
    let id = rig.workload("web").await;
    let address = serve(rig.app.clone()).await;
    let path = format!("/api/workloads/{id}/ws/stats");
    let (tell, mut heard) = mpsc::unbounded_channel();
    let mut stalled = Vec::new();
    publish(&rig, &id, NOW, 500);
    for i in 0..1_000 {
        let mut socket = open_as_viewer(address, &path).await;
        assert_eq!(told(&next(&mut socket).await.unwrap()), 0);
        if i % 10 == 0 {
            stalled.push(socket);
            continue;
        }
        let tell = tell.clone();
        tokio::spawn(async move {
            while let Ok(message) = next(&mut socket).await {
                tell.send(told(&message)).unwrap();
            }
        });
    }
    for tick in 1..=TICKS {
        publish(&rig, &id, NOW + tick, 500);
        let all = async {
            for _ in 0..900 {
                assert_eq!(heard.recv().await, Some(tick));
            }
        };
        timeout(Duration::from_secs(60), all)
            .await
            .expect("somebody waits for those who do not read");
    }
    for mut socket in stalled {
        let mut read = Vec::new();
        while read.last() != Some(&TICKS) {
            read.push(told(&next(&mut socket).await.unwrap()));
        }
        // The few that were on their way, then how many were missed, then the newest.
        let few = read.len() as i64 - 2;
        assert!(few <= 8, "{read:?}");
        let mut expected: Vec<i64> = (1..=few).collect();
        expected.extend([few - TICKS + 1, TICKS]);
        assert_eq!(read, expected);
    }
}

//! Reaching an engine, and saying why not.

use std::time::Duration;

use shipslog_core::time::Timestamp;
use shipslog_core::workloads::{ContainerState, Health as Verdict, Inventory as _};
use shipslog_docker::{DockerEngine, EngineOptions};
use shipslog_test_support::{ImageSpec, SocketProxy};

use crate::bench::bench;
use crate::fake_engine::{FakeEngine, version};

#[tokio::test]
async fn an_engine_is_taken_up_when_it_comes_and_when_it_comes_back() {
    let Some(engine) = shipslog_test_support::engine() else {
        return;
    };
    let proxy = SocketProxy::start(engine.host());
    proxy.remove();
    let socket = proxy.address().replace("unix://", "");
    let handle = DockerEngine::new(
        EngineOptions::default()
            .with_host(proxy.address())
            .with_timeout(Duration::from_secs(5)),
    );
    assert_eq!(
        handle.engine().await.unwrap_err().reason,
        format!("no socket at {socket}")
    );
    proxy.restore();
    let version = engine.docker(&["version", "--format", "{{.Server.Version}}"]);
    assert_eq!(handle.engine().await.unwrap().version, version);
    proxy.cut();
    assert_eq!(refusal(&handle).await, format!("connection refused at {socket}"));
    proxy.restore();
    proxy.hang();
    assert_eq!(handle.containers().await.unwrap_err().reason, "no answer in time");
    proxy.restore();
    assert!(handle.containers().await.is_ok());
}

/// Why nothing is listed. For a moment, a program that another test starts may hold the proxy's listening
/// end, unknowingly.
async fn refusal(handle: &DockerEngine) -> String {
    for _ in 0..100 {
        let reason = handle.containers().await.unwrap_err().reason;
        if reason != "the connection broke off" {
            return reason;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it is never refused")
}

#[tokio::test]
async fn a_port_where_nobody_listens() {
    let port = shipslog_test_support::free_port();
    let handle = DockerEngine::new(EngineOptions::default().with_host(format!("tcp://127.0.0.1:{port}")));
    assert_eq!(
        handle.engine().await.unwrap_err().reason,
        format!("connection refused at 127.0.0.1:{port}")
    );
}

#[tokio::test]
async fn an_answer_that_is_none_is_not_quoted() {
    let refusing = FakeEngine::start(|_| Some((500, r#"{"message": "SECRET"}"#.to_owned())));
    assert_eq!(
        refusing.handle().engine().await.unwrap_err().reason,
        "the engine answered with status 500"
    );
    let babbling = FakeEngine::start(|_| Some((200, "SECRET".to_owned())));
    assert_eq!(
        babbling.handle().engine().await.unwrap_err().reason,
        "the answer could not be understood"
    );
}

#[tokio::test]
async fn the_newest_version_that_both_know_is_spoken() {
    for (theirs, spoken) in [("1.41", "/v1.41/"), ("1.99", "/v1.53/")] {
        let engine = FakeEngine::start(move |path| match path {
            "/version" => version(theirs),
            _ => Some((200, "[]".to_owned())),
        });
        let handle = engine.handle();
        assert_eq!(handle.containers().await.unwrap(), []);
        assert_eq!(handle.containers().await.unwrap(), []);
        let asked = engine.asked();
        assert_eq!(asked.len(), 3, "negotiated more than once: {asked:?}");
        assert!(
            asked[1..].iter().all(|path| path.starts_with(spoken)),
            "{asked:?}"
        );
    }
}

#[tokio::test]
async fn containers_are_listed_as_they_are() {
    let Some(mut bench) = bench() else { return };
    bench.deploy_v1().await;
    let made_by_others = format!("{}-other", bench.name);
    let image = format!("{}:v1", bench.name);
    let project = "com.docker.compose.project=shop";
    bench
        .engine
        .docker(&["create", "--name", &made_by_others, "--label", project, &image]);
    let listed = crate::bench::at(bench.engine.host()).containers().await.unwrap();
    let ours = listed
        .iter()
        .find(|each| each.workload.as_ref() == Some(&bench.workload))
        .unwrap();
    assert_eq!(
        (ours.state, ours.health),
        (ContainerState::Running, Some(Verdict::Healthy))
    );
    assert_eq!(ours.deploy, bench.current);
    assert_eq!(ours.id.as_str(), bench.inspect(&ours.name, "{{.Id}}"));
    let created: Timestamp = bench.inspect(&ours.name, "{{.Created}}").parse().unwrap();
    assert_eq!(ours.created_at.as_second(), created.as_second());
    let other = listed.iter().find(|each| each.name == made_by_others).unwrap();
    assert_eq!(
        (other.state, other.health, &other.image),
        (ContainerState::Created, None, &image)
    );
    assert_eq!((other.project.as_deref(), &other.workload), (Some("shop"), &None));
}

#[tokio::test]
async fn a_container_that_ends_is_counted_as_often_as_the_engine_starts_it() {
    let Some(bench) = bench() else { return };
    let (name, script) = (format!("{}-ends", bench.name), format!("{}:ends", bench.name));
    ImageSpec::script("until [ -e /tmp/go ]; do sleep 0.1; done; exit 1").build(&bench.engine, &script);
    let created = bench
        .engine
        .docker(&["create", "--name", &name, "--restart", "on-failure:2", &script]);
    let (engine, id) = (crate::bench::at(bench.engine.host()), created.parse().unwrap());
    let life = async || engine.lives(std::slice::from_ref(&id)).await[0];
    assert_eq!(life().await, None, "never started");
    let begun = Timestamp::now();
    bench.engine.docker(&["start", &name]);
    let first = life().await.unwrap();
    assert!(
        first.started_at >= begun && first.started_at <= Timestamp::now(),
        "{first:?}"
    );
    assert_eq!(first.restarts, 0);
    bench.engine.docker(&["exec", &name, "touch", "/tmp/go"]);
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        if life().await.unwrap().restarts == 2 {
            break;
        }
    }
    let last = life().await.unwrap();
    assert_eq!(last.restarts, 2);
    assert!(last.started_at > first.started_at);
    assert_eq!(engine.lives(&["unheard-of".parse().unwrap()]).await, [None]);
}

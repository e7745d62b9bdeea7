//! What an engine tells of its containers.

use std::time::Duration;

use shipslog_core::id::ContainerId;
use shipslog_core::workloads::{ContainerChange, ContainerEvent, EngineEvents as _};
use shipslog_test_support::{ImageSpec, SocketProxy};
use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::bench::{at, bench};

/// The next event of a container; those of other tests' containers come between.
async fn next(told: &mut mpsc::Receiver<ContainerEvent>, id: &ContainerId) -> ContainerChange {
    let ours = async {
        loop {
            let event = told.recv().await.expect("the stream goes on");
            if event.id == *id && event.change != ContainerChange::Other {
                return event.change;
            }
        }
    };
    timeout(Duration::from_secs(60), ours)
        .await
        .expect("no event came")
}

#[tokio::test]
async fn the_life_of_a_container_is_told_and_the_loss_of_the_engine_is_an_error() {
    let Some(bench) = bench() else { return };
    let image = bench.build(&ImageSpec::sleeper(), "sleeper");
    let name = format!("{}-told", bench.name);
    let id: ContainerId = bench
        .engine
        .docker(&["create", "--name", &name, image.tag()])
        .parse()
        .unwrap();
    let proxy = SocketProxy::start(bench.engine.host());
    let handle = at(&proxy.address());
    let (tell, mut told) = mpsc::channel(64);
    let following = tokio::spawn(async move { handle.follow(tell).await });
    // The stream is there some time after it was asked for, and nothing says when: it is when it tells of a new name.
    for n in 0.. {
        let anew = format!("{name}-{n}");
        bench.engine.docker(&["rename", id.as_str(), &anew]);
        if timeout(Duration::from_millis(500), told.recv()).await.is_ok() {
            break;
        }
    }
    let table: [(&[&str], &[ContainerChange]); 5] = [
        (&["start"], &[ContainerChange::Started]),
        (&["pause"], &[ContainerChange::Paused]),
        (&["unpause"], &[ContainerChange::Unpaused]),
        (
            &["restart", "--time", "1"],
            &[ContainerChange::Stopped, ContainerChange::Started],
        ),
        (
            &["rm", "--force"],
            &[ContainerChange::Stopped, ContainerChange::Removed],
        ),
    ];
    for (action, expected) in table {
        match action {
            // It is tried again where the kernel is slow to freeze, and no event tells of a failed attempt.
            ["pause"] => bench.engine.pause(id.as_str()),
            _ => drop(bench.engine.docker(&[action, &[id.as_str()]].concat())),
        }
        for change in expected {
            assert_eq!(next(&mut told, &id).await, *change, "{action:?}");
        }
    }
    proxy.cut();
    let ended = timeout(Duration::from_secs(60), following)
        .await
        .expect("the loss is not noticed");
    assert_eq!(ended.unwrap().unwrap_err().reason, "the connection broke off");
}

#[tokio::test]
async fn an_engine_that_is_not_there_has_no_events() {
    let handle = at("unix:///nonexistent/shipslog.sock");
    let (tell, _told) = mpsc::channel(1);
    let refused = handle.follow(tell).await.unwrap_err();
    assert_eq!(refused.reason, "no socket at /nonexistent/shipslog.sock");
}

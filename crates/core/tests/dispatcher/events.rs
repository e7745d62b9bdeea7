//! What happens to dispatches is told.

use shipslog_core::deploys::{DeployStep, DispatchEvent, DispatchEvents, FailureMarker, Outcome};
use shipslog_core::testing::Behaviour;

use crate::recovery::abandoned;
use crate::yard::{request, yard};

#[tokio::test]
async fn watchers_hear_the_steps_and_the_outcome_then_the_end() {
    let yard = yard().await;
    let row = yard.dispatcher.dispatch(request(&yard.web)).await.unwrap();
    let mut events = yard.dispatcher.events(&row.id).await.unwrap();
    let mut heard = Vec::new();
    while let Some(event) = events.next().await {
        heard.push(event);
    }
    let verified = |event: &DispatchEvent| {
        matches!(
            event,
            DispatchEvent::Step {
                step: DeployStep::Verifying,
                ..
            }
        )
    };
    assert!(heard.iter().any(verified) || heard.len() == 1, "{heard:?}");
    let closed = Box::new(yard.store.deploy(&row.id).await.unwrap());
    assert_eq!(heard.last(), Some(&DispatchEvent::Closed(closed.clone())));
    let mut late = yard.dispatcher.events(&row.id).await.unwrap();
    assert_eq!(
        (late.next().await, late.next().await),
        (Some(DispatchEvent::Closed(closed)), None)
    );
}

/// All that is told of so many dispatches, in order.
async fn heard(mut events: DispatchEvents, mut dispatches: usize) -> Vec<DispatchEvent> {
    let mut heard = Vec::new();
    while dispatches > 0 {
        let event = events.next().await.unwrap();
        dispatches -= usize::from(event.is_last());
        heard.push(event);
    }
    heard
}

#[tokio::test]
async fn one_stream_tells_of_every_dispatch_from_its_start_to_its_outcome() {
    let yard = yard().await;
    let events = yard.dispatcher.subscribe();
    let deployed = yard.deploy_version(1).await;
    yard.plugin.behave(Behaviour::Fail(FailureMarker::Unhealthy));
    let failed = yard.deploy_version(2).await;
    let heard = heard(events, 2).await;
    for row in [deployed, failed] {
        let own: Vec<_> = heard
            .iter()
            .filter(|event| event.deploy() == Some(&row.id))
            .collect();
        let [
            DispatchEvent::Started(started),
            steps @ ..,
            DispatchEvent::Closed(closed),
        ] = &own[..]
        else {
            panic!("{own:?}")
        };
        assert_eq!((&started.id, started.outcome), (&row.id, Outcome::Running));
        assert_eq!(**closed, row);
        assert!(
            steps
                .iter()
                .all(|step| matches!(step, DispatchEvent::Step { .. }))
        );
        assert!(!steps.is_empty());
    }
}

#[tokio::test]
async fn rows_that_an_earlier_process_left_are_told_of_when_they_are_closed() {
    let yard = yard().await;
    let row = abandoned(&yard.store, &yard.web).await;
    let events = yard.dispatcher.subscribe();
    yard.dispatcher.recover().await.unwrap();
    let [DispatchEvent::Closed(closed)] = &heard(events, 1).await[..] else {
        panic!("one row was left")
    };
    assert_eq!((&closed.id, closed.outcome), (&row.id, Outcome::Interrupted));
}

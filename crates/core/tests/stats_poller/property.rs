//! Whatever happens in whatever order: in the end what runs and is asked for is read, once, and nothing else.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::SeqCst;
use std::time::Duration;

use proptest::prelude::*;
use shipslog_core::workloads::ContainerState;

use crate::engine::{Rig, seconds};

#[derive(Debug, Clone)]
enum Step {
    Run(u8),
    Stop(u8),
    Start(u8),
    Pause(u8),
    Unpause(u8),
    Remove(u8),
    Ask(u8),
    DropStream,
    Mute(bool),
    Away(bool),
    Hang(bool),
    Stick(u8),
    Wait(u16),
}

fn step() -> impl Strategy<Value = Step> {
    let name = 0..4_u8;
    prop_oneof![
        3 => name.clone().prop_map(Step::Run),
        2 => name.clone().prop_map(Step::Stop),
        2 => name.clone().prop_map(Step::Start),
        1 => name.clone().prop_map(Step::Pause),
        1 => name.clone().prop_map(Step::Unpause),
        2 => name.clone().prop_map(Step::Remove),
        4 => name.clone().prop_map(Step::Ask),
        2 => Just(Step::DropStream),
        1 => any::<bool>().prop_map(Step::Mute),
        1 => any::<bool>().prop_map(Step::Away),
        1 => any::<bool>().prop_map(Step::Hang),
        1 => name.prop_map(Step::Stick),
        6 => (0..20_000_u16).prop_map(Step::Wait),
    ]
}

fn name(number: u8) -> String {
    format!("c{number}")
}

async fn take(rig: &Rig, step: Step) {
    let engine = &rig.engine;
    match step {
        Step::Run(number) => {
            engine.remove(&name(number));
            engine.run(&name(number), "shop");
        }
        Step::Stop(number) => engine.stop(&name(number)),
        Step::Start(number) => engine.start(&name(number)),
        Step::Pause(number) => engine.pause(&name(number)),
        Step::Unpause(number) => engine.unpause(&name(number)),
        Step::Remove(number) => engine.remove(&name(number)),
        Step::Ask(number) => drop(rig.ask(&name(number)).await),
        Step::DropStream => engine.drop_stream(),
        Step::Mute(on) => engine.mute.store(on, SeqCst),
        Step::Away(on) => engine.away.store(on, SeqCst),
        Step::Hang(on) => engine.hangs.store(on, SeqCst),
        Step::Stick(number) => drop(
            engine
                .stuck
                .lock()
                .unwrap()
                .insert(crate::engine::id(&name(number))),
        ),
        Step::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis.into())).await,
    }
}

fn heal(rig: &Rig) {
    rig.engine.mute.store(false, SeqCst);
    rig.engine.away.store(false, SeqCst);
    rig.engine.hangs.store(false, SeqCst);
    rig.engine.stuck.lock().unwrap().clear();
}

/// The containers that have a process.
fn alive(rig: &Rig) -> BTreeSet<String> {
    let containers = rig.engine.containers.lock().unwrap();
    let alive = containers
        .iter()
        .filter(|container| matches!(container.state, ContainerState::Running | ContainerState::Paused));
    alive.map(|container| container.name.clone()).collect()
}

async fn check(steps: Vec<Step>) {
    let rig = Rig::new();
    for step in steps {
        take(&rig, step).await;
    }
    heal(&rig);
    seconds(90).await;
    for number in 0..4 {
        let running = {
            let containers = rig.engine.containers.lock().unwrap();
            containers
                .iter()
                .any(|c| c.name == name(number) && c.state == ContainerState::Running)
        };
        let answer = rig.ask(&name(number)).await;
        assert_eq!(
            (answer.is_running, answer.metrics.is_empty()),
            (running, !running),
            "{}",
            name(number)
        );
    }
    seconds(2).await;
    rig.engine.forget();
    seconds(30).await;
    for number in 0..4 {
        let expected = if alive(&rig).contains(&name(number)) {
            10
        } else {
            0
        };
        assert_eq!(
            rig.engine.reads_of(&name(number)).len(),
            expected,
            "{}",
            name(number)
        );
    }
    seconds(32 * 60).await;
    rig.engine.forget();
    seconds(300).await;
    assert_eq!(
        (rig.engine.asked(), rig.engine.is_followed()),
        (0, false),
        "something goes on"
    );
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn in_the_end_what_runs_and_is_asked_for_is_read_once_and_nothing_else(steps in prop::collection::vec(step(), 0..40)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(check(steps));
    }
}

//! Test images do on a real engine what their constructors say.
#![allow(clippy::expect_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use shipslog_test_support::{Cleanup, Engine, Health, Image, ImageSpec, engine, free_port, http_get};
use shipslog_test_support::{run_id, try_http_get, unique, wait_until};

const PATIENCE: Duration = Duration::from_secs(60);

/// A running container of `image`, named `name`.
fn run(engine: &Engine, name: &str, image: &Image, options: &[&str]) {
    engine.docker(&[&["run", "--detach", "--name", name], options, &[image.id()]].concat());
}

fn state(engine: &Engine, name: &str, field: &str) -> String {
    engine.docker(&["inspect", "--format", &format!("{{{{{field}}}}}"), name])
}

fn reaches_health(engine: &Engine, name: &str, health: &str) -> bool {
    wait_until(PATIENCE, || state(engine, name, ".State.Health.Status") == health)
}

fn exit_code(engine: &Engine, name: &str) -> String {
    engine.docker(&["wait", name])
}

#[test]
fn web_serves_its_version_and_stops_on_sigterm() {
    let Some(engine) = engine() else { return };
    let name = unique("support-web");
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let address = format!("127.0.0.1:{}", free_port());
    let image = ImageSpec::web("v1").build(&engine, &name);

    run(&engine, &name, &image, &["--publish", &format!("{address}:80")]);
    assert!(wait_until(PATIENCE, || try_http_get(&address, "/").is_ok()));
    assert_eq!(http_get(&address, "/"), (200, "v1".to_owned()));
    assert_eq!(http_get(&address, "/missing").0, 404);

    engine.docker(&["stop", "--time", "60", &name]);
    assert_eq!(
        exit_code(&engine, &name),
        "0",
        "137 would mean that SIGTERM was ignored"
    );
}

#[test]
fn equal_specs_give_different_images_of_this_run() {
    let Some(engine) = engine() else { return };
    let name = unique("support-equal");
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let spec = ImageSpec::sleeper().label("team", "with \"quotes\" and spaces");

    let first = spec.build(&engine, &name);
    let second = spec.build(&engine, &name);

    assert_ne!(first.id(), second.id());
    assert_eq!(
        engine.docker(&["inspect", "--format", "{{.Id}}", &name]),
        second.id()
    );
    let labels = "{{index .Config.Labels \"shipslog.test\"}}/{{index .Config.Labels \"team\"}}";
    let labels = engine.docker(&["inspect", "--format", labels, first.id()]);
    assert_eq!(labels, format!("{}/with \"quotes\" and spaces", run_id()));
    first.remove();
    assert!(engine.try_docker(&["inspect", first.id()]).is_err());
}

#[test]
fn health_checks_find_what_they_were_told_to() {
    let Some(engine) = engine() else { return };
    let name = unique("support-health");
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let cases = [
        ("always", ImageSpec::web("v1").health(Health::Always), "healthy"),
        ("never", ImageSpec::sleeper().health(Health::Never), "unhealthy"),
        (
            "late",
            ImageSpec::cpu_burner().health(Health::After(Duration::from_secs(2))),
            "healthy",
        ),
    ];
    for (case, spec, health) in cases {
        let name = format!("{name}-{case}");
        run(&engine, &name, &spec.build(&engine, &name), &[]);
        assert!(reaches_health(&engine, &name, health), "{case}");
    }
}

#[test]
fn a_late_start_is_starting_first_and_again_after_a_restart() {
    let Some(engine) = engine() else { return };
    let name = unique("support-late");
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let spec = ImageSpec::web("v1").health(Health::After(Duration::from_secs(3600)));
    run(&engine, &name, &spec.build(&engine, &name), &[]);

    for _ in 0..2 {
        let checks = "len .State.Health.Log";
        assert!(wait_until(PATIENCE, || state(&engine, &name, checks)
            .parse::<u32>()
            .unwrap_or(0)
            > 1));
        assert_eq!(state(&engine, &name, ".State.Health.Status"), "starting");
        engine.docker(&["restart", "--time", "60", &name]);
    }
}

#[test]
fn exits_and_entry_points_are_run_as_given() {
    let Some(engine) = engine() else { return };
    let name = unique("support-exits");
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let exits = ImageSpec::exits(7).build(&engine, &format!("{name}-a"));
    let echoes = ImageSpec::command(&["c", "d e"]).entrypoint(&["echo", "a b"]);
    let echoes = echoes.build(&engine, &format!("{name}-b"));

    run(&engine, &name, &exits, &[]);
    assert_eq!(exit_code(&engine, &name), "7");
    assert_eq!(engine.docker(&["run", "--rm", echoes.id()]), "a b c d e");
}

#[test]
fn burners_burn_and_both_they_and_sleepers_stop_on_sigterm() {
    let Some(engine) = engine() else { return };
    let name = unique("support-burner");
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let (burner, sleeper) = (format!("{name}-b"), format!("{name}-s"));
    run(
        &engine,
        &burner,
        &ImageSpec::cpu_burner().build(&engine, &burner),
        &[],
    );
    run(
        &engine,
        &sleeper,
        &ImageSpec::sleeper().build(&engine, &sleeper),
        &[],
    );

    assert!(
        wait_until(PATIENCE, || user_time(&engine, &burner) > 50),
        "no half second of CPU used"
    );
    assert!(user_time(&engine, &sleeper) < 50);
    for name in [burner, sleeper] {
        engine.docker(&["stop", "--time", "60", &name]);
        assert_eq!(exit_code(&engine, &name), "0", "{name}");
    }
}

/// Process 1's time in user mode, in hundredths of a second.
fn user_time(engine: &Engine, name: &str) -> u64 {
    let field = engine.docker(&["exec", name, "cut", "-d ", "-f14", "/proc/1/stat"]);
    field.parse().expect("a clock tick count")
}

#[test]
fn a_payload_has_its_size_on_the_wire_too() {
    let Some(engine) = engine() else { return };
    let name = unique("support-payload");
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let image = ImageSpec::sleeper().payload_mib(3).build(&engine, &name);

    let packed = engine.docker(&["run", "--rm", image.id(), "sh", "-c", "gzip -c /payload | wc -c"]);
    assert!(
        packed.parse::<u64>().is_ok_and(|bytes| bytes >= 3 * 1024 * 1024),
        "{packed}"
    );
}

//! A clean-up removes what is its own, and nothing else.

use shipslog_test_support::{Cleanup, Engine, ImageSpec, engine, unique};

/// What there is with `name` in its name or its labels, of every kind.
fn present(engine: &Engine, name: &str) -> Vec<String> {
    let lists: [&[&str]; 4] = [
        &["ps", "--all", "--format", "container {{.Names}} {{.Labels}}"],
        &["images", "--format", "image {{.Repository}}"],
        &["network", "ls", "--format", "network {{.Name}} {{.Labels}}"],
        &["volume", "ls", "--format", "volume {{.Name}} {{.Labels}}"],
    ];
    let lines = lists.map(|list| engine.docker(list)).join("\n");
    let ours = lines.lines().filter(|line| line.contains(name));
    ours.filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

/// One of each kind, called `name` and labelled `shipslog.test.case=<name>`; two names for the image.
fn make_one_of_each(engine: &Engine, name: &str) {
    let label = format!("shipslog.test.case={name}");
    let spec = ImageSpec::sleeper().label("shipslog.test.case", name);
    let image = spec.build(engine, &format!("127.0.0.1:1/team/{name}:1"));
    engine.docker(&["tag", image.id(), &format!("{name}:2")]);
    engine.docker(&["network", "create", "--label", &label, name]);
    engine.docker(&["volume", "create", "--label", &label, name]);
    let mount = format!("{name}:/data");
    engine.docker(&[
        "run",
        "--detach",
        "--name",
        name,
        "--network",
        name,
        "--volume",
        &mount,
        image.id(),
    ]);
}

const ALL: [&str; 5] = ["container", "image", "image", "network", "volume"];

#[test]
fn a_prefix_removes_things_of_every_kind() {
    let Some(engine) = engine() else { return };
    let (mine, other) = (unique("support-mine"), unique("support-other"));
    let _other = Cleanup::new(&engine).prefix(&other);
    make_one_of_each(&engine, &mine);
    make_one_of_each(&engine, &other);
    assert_eq!(present(&engine, &mine), ALL);

    drop(Cleanup::new(&engine).prefix(&mine));

    assert_eq!(present(&engine, &mine), [""; 0]);
    assert_eq!(present(&engine, &other), ALL);
}

#[test]
fn a_label_removes_things_of_every_kind() {
    let Some(engine) = engine() else { return };
    let (mine, other) = (unique("support-label"), unique("support-label"));
    let _other = Cleanup::new(&engine).prefix(&other);
    make_one_of_each(&engine, &mine);
    make_one_of_each(&engine, &other);

    let cleanup = Cleanup::new(&engine).label(&format!("shipslog.test.case={mine}"));
    cleanup.run();
    assert_eq!(present(&engine, &mine), [""; 0]);
    assert_eq!(present(&engine, &other), ALL);
}

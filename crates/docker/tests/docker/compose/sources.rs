//! Where a file comes from, and what is not taken.

use std::fs;

use serde_json::{Value, json};
use shipslog_core::deploys::{DispatchPlugin as _, DispatchRefusal, FailureMarker, Outcome, RollbackRefusal};
use shipslog_docker::{ComposePlugin, DockerEngine, EngineOptions};
use shipslog_test_support::{Health, ImageSpec};

use super::shop::{failure, shop};

#[tokio::test]
async fn a_folder_on_the_host_is_deployed_with_what_is_beside_the_file() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    let folder = tempfile::tempdir().unwrap();
    let beside = json!({"env_file": ["api.env"], "volumes": ["./page:/www:ro"]});
    fs::write(folder.path().join("api.env"), "LEVEL=info\n").unwrap();
    fs::write(
        folder.path().join(".env"),
        "TAG=from-a-file-that-nobody-recorded\n",
    )
    .unwrap();
    fs::create_dir(folder.path().join("page")).unwrap();
    fs::write(folder.path().join("page/index.html"), "from the folder").unwrap();
    let own_tag =
        json!({"image": shop.tag("web").replace(":live", ":${TAG:-live}"), "volumes": beside["volumes"]});
    let file = shop.file(&[("api", &beside), ("web", &own_tag)]);
    fs::write(folder.path().join("docker-compose.yml"), &file).unwrap();
    let path = folder.path().to_str().unwrap().to_owned();

    shop.revise(shop.spec_of(&path, &json!({}), &json!([]))).await;
    let first = shop.deploy_well().await;
    assert_eq!(shop.page(), "from the folder");
    assert!(shop.inspect("api", "{{.Config.Env}}").contains("LEVEL=info"));

    fs::rename(
        folder.path().join("docker-compose.yml"),
        folder.path().join("other.yaml"),
    )
    .unwrap();
    assert_eq!(
        failure(&shop.deploy().await).0,
        Some(FailureMarker::SourceNotFound)
    );
    shop.revise(shop.spec_of(&format!("{path}/other.yaml"), &json!({}), &json!([])))
        .await;
    let again = shop.deploy_well().await;
    assert_eq!(again.pin, first.pin);

    fs::write(folder.path().join("other.yaml"), "services: [").unwrap();
    assert_eq!(
        failure(&shop.deploy().await).0,
        Some(FailureMarker::SourceInvalid)
    );
    fs::write(folder.path().join("other.yaml"), "x".repeat(5_000_000)).unwrap();
    assert_eq!(
        failure(&shop.deploy().await).0,
        Some(FailureMarker::SourceInvalid)
    );
    // The file of then is with the row; what it refers to has to be there.
    fs::remove_file(folder.path().join("other.yaml")).unwrap();
    assert_eq!(shop.roll_back(&first.id).await.outcome, Outcome::Succeeded);
    drop(folder);
    let refused = shop.start_rollback(&first.id).await.unwrap_err();
    assert!(
        matches!(refused, DispatchRefusal::Rollback(RollbackRefusal::PlanMissing)),
        "{refused:?}"
    );
}

#[tokio::test]
async fn what_overrides_a_file_is_refused_rather_than_left_out() {
    let Some(shop) = shop() else { return };
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("docker-compose.yml"), shop.file(&[])).unwrap();
    fs::write(folder.path().join("docker-compose.override.yml"), "{}").unwrap();
    let path = folder.path().to_str().unwrap();
    shop.revise(shop.spec_of(path, &json!({}), &json!([]))).await;
    let invalid = Some(FailureMarker::SourceInvalid);
    assert_eq!(failure(&shop.deploy().await).0, invalid);
    fs::remove_file(folder.path().join("docker-compose.override.yml")).unwrap();
    // Its images are not there.
    assert_ne!(failure(&shop.deploy().await).0, invalid);
}

#[tokio::test]
async fn what_a_folder_builds_is_pinned_and_rolled_back_to() {
    let Some(shop) = shop() else { return };
    let (base, folder) = (format!("{}-base:1", shop.name), tempfile::tempdir().unwrap());
    ImageSpec::web("base")
        .health(Health::Always)
        .build(&shop.engine, &base);
    let page = |text: &str| {
        fs::write(folder.path().join("index.html"), text).unwrap();
        fs::write(
            folder.path().join("Dockerfile"),
            format!("FROM {base}\nCOPY index.html /www/index.html\n"),
        )
        .unwrap();
    };
    let port = format!("127.0.0.1:{}:80", shop.port);
    let file = json!({"services": {"web": {"build": ".", "ports": [port]}, "other": {"build": "."}}});
    fs::write(folder.path().join("compose.yaml"), file.to_string()).unwrap();
    page("built 1");
    shop.revise(shop.spec_of(folder.path().to_str().unwrap(), &json!({}), &json!([])))
        .await;
    let first = shop.deploy_well().await;
    assert_eq!(shop.page(), "built 1");
    page("built 2");
    shop.deploy_well().await;
    assert_eq!(shop.page(), "built 2");
    shop.roll_back(&first.id).await;
    assert_eq!(shop.page(), "built 1");
    fs::write(
        folder.path().join("Dockerfile"),
        format!("FROM {base}\nRUN [\"/bin/false\"]\n"),
    )
    .unwrap();
    let row = shop.deploy().await;
    assert_eq!(failure(&row).0, Some(FailureMarker::BuildFailed));
    assert!(row.failed_part.is_some());
    let odd = json!({"services": {"web": {"build": {"context": "./nosuch"}}}});
    fs::write(folder.path().join("compose.yaml"), odd.to_string()).unwrap();
    assert_eq!(
        failure(&shop.deploy().await).0,
        Some(FailureMarker::SourceInvalid)
    );
    assert_eq!(shop.page(), "built 1");
}

#[tokio::test]
async fn without_a_compose_the_operator_is_told_what_to_install() {
    let folder = tempfile::tempdir().unwrap();
    let engine = DockerEngine::new(EngineOptions::default().with_host("unix:///nonexistent"));
    let plugin = ComposePlugin::new(engine, folder.path());
    let readiness = plugin.clone().with_path(folder.path()).readiness().await;
    assert!(
        readiness.uses.iter().all(|used| used.starts_with("git ")),
        "{readiness:?}"
    );
    assert!(
        readiness.missing[0].contains("install the package docker-compose"),
        "{readiness:?}"
    );
    if shipslog_test_support::engine().is_some() {
        let found = plugin.readiness().await;
        assert!(found.missing.is_empty());
        assert!(found.uses[0].starts_with("docker"), "{found:?}");
    }
}

#[tokio::test]
async fn without_git_a_file_in_a_repository_is_refused_and_others_are_not() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    let plugin = shop.plugin().with_git("/nonexistent/git");
    let shop = shop.with_plugin(plugin);
    shop.deploy_file(&shop.file(&[])).await;
    let before = shop.lives();
    shop.revise(shop.spec_of("https://127.0.0.1:1/team/app.git", &json!({}), &json!([])))
        .await;
    let Err(DispatchRefusal::NotReady(missing)) = shop.try_start().await else {
        panic!("it needs git")
    };
    assert!(missing[0].contains("apt-get install git"), "{missing:?}");
    assert_eq!(shop.lives(), before);
}

/// What is refused before a row is written: the field, and what is said of it.
fn refusal(options: &Value, more: &Value) -> String {
    let mut spec =
        json!({"name": "a", "source": {"kind": "compose", "reference": "inline", "options": options}});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let engine = DockerEngine::new(EngineOptions::default().with_host("unix:///nonexistent"));
    let plugin = ComposePlugin::new(engine, "/nonexistent");
    let spec = serde_json::from_value(spec).unwrap();
    plugin
        .check(&spec)
        .map_or_else(|error| error.to_string(), |()| "nothing".to_owned())
}

fn refusal_of_file(file: &str) -> String {
    refusal(&json!({"file": file}), &json!({}))
}

#[test]
fn a_file_that_cannot_be_deployed_is_refused_with_the_place() {
    for (text, said) in [
        ("services: {web: [", "line 1 is not valid YAML"),
        ("a: 1\na: 2\n", "line 2 is not valid YAML"),
        ("", "must be a mapping with services in it"),
        ("[]", "must be a mapping with services in it"),
        ("web: {image: a}", "services must be a mapping of services"),
        (
            "services: {}",
            "services must hold one that is started, without a profile",
        ),
        (
            "services: {web: {image: a, profiles: [x]}}",
            "services must hold one that is started, without a profile",
        ),
        ("services: {web: 1}", "services.web must be a mapping"),
        ("services: {web: {}}", "services.web needs an image"),
        (
            "services: {'we b': {image: a}}",
            "services must have names of at most 63 letters, digits, _ . and -, the first a letter or digit",
        ),
        (
            "include: [a.yaml]\nservices: {web: {image: a}}",
            "include is not supported: all of it must be in one file",
        ),
        (
            "services: {web: {build: .}}",
            "services.web.build needs a folder to build from: a file that is given inline has none",
        ),
        (
            "services: {web: {image: a}}\nsecrets: {k: {file: ./k}}",
            "secrets.k.file is relative, and a file that is given inline is in no folder",
        ),
        (
            "services: {web: {image: a, depends_on: [db]}, db: {image: a, links: ['web:w']}}",
            "services.db.depends_on leads in a circle",
        ),
    ] {
        assert_eq!(refusal_of_file(text), in_file(said), "{text}");
    }
}

/// A file with more said of one of its services.
fn with_service(more: &str) -> String {
    format!("services: {{web: {{image: a{more}}}, db: {{image: b}}, idle: {{image: c, profiles: [x]}}}}")
}

fn in_file(said: &str) -> String {
    format!("source.options.file: {said}")
}

/// What is said of a service, and what is wrong with it.
const REFUSED: &[(&str, &str)] = &[
    (
        ", depends_on: [nosuch]",
        "depends_on names a service that is not there",
    ),
    (
        ", depends_on: {nosuch: {condition: service_started}}",
        "depends_on names a service that is not there",
    ),
    (
        ", depends_on: [idle]",
        "depends_on names a service that has a profile, and so is not started",
    ),
    (
        ", links: ['nosuch:db']",
        "links names a service that is not there",
    ),
    (
        ", network_mode: 'service:nosuch'",
        "network_mode names a service that is not there",
    ),
    (
        ", volumes_from: ['nosuch:ro']",
        "volumes_from names a service that is not there",
    ),
    (", extends: nosuch", "extends names a service that is not there"),
    (
        ", extends: {file: x.yaml, service: db}",
        "extends.file is not supported: all of it must be in one file",
    ),
    (
        ", env_file: [/etc/x, x.env]",
        "env_file is relative, and a file that is given inline is in no folder",
    ),
    (
        ", volumes: ['a:/a', './b:/b']",
        "volumes[1] is relative, and a file that is given inline is in no folder",
    ),
    (
        ", volumes: [{type: bind, source: b, target: /b}]",
        "volumes[0] is relative, and a file that is given inline is in no folder",
    ),
    (
        ", volumes: ['${DATA:-./data}:/data']",
        "volumes[0] is relative, and a file that is given inline is in no folder",
    ),
    (
        ", environment: [A=b, C]",
        "environment uses a variable that is not in env",
    ),
    (
        ", environment: {A: b, C: }",
        "environment uses a variable that is not in env",
    ),
    (
        ", labels: {shipslog.deploy: x}",
        "labels has one that begins with shipslog., which is taken",
    ),
    (
        ", labels: ['shipslog.deploy=x']",
        "labels has one that begins with shipslog., which is taken",
    ),
    (
        ", environment: {A: $NOSUCH}",
        "environment.A uses a variable that is not in env",
    ),
    (
        ", environment: ['A=${B:?SECRET}']",
        "environment[0] uses a variable that is not in env",
    ),
    (
        ", command: 'echo $ SECRET'",
        "command has a $ that begins no variable: write $$ for a dollar that means itself",
    ),
];

#[test]
fn a_service_that_cannot_be_deployed_is_refused_with_the_field() {
    for (text, said) in REFUSED {
        assert_eq!(
            refusal_of_file(&with_service(text)),
            in_file(&format!("services.web.{said}")),
            "{text}"
        );
    }
}

#[test]
fn what_a_service_may_say_is_not_refused() {
    for good in [
        ", container_name: web, ports: ['80:80'], privileged: true, volumes: ['/etc:/etc', 'data:/d', {type: tmpfs, target: /t}]",
        ", depends_on: {db: {condition: service_healthy}}, environment: {A: '${B:-c}', C: $$D}, links: [db], network_mode: 'service:db'",
        ", extends: db, labels: {a: b}, env_file: /etc/x",
        ", volumes: ['${DATA:-/srv}:/data', '${NAME:-data}:/d']",
        ", depends_on: {idle: {condition: service_started, required: false}, nosuch: {required: false}}",
        ", container_name: '${COMPOSE_PROJECT_NAME}-web'",
        "}, more: {build: ., profiles: [x], depends_on: [idle], environment: {A: $NOSUCH}, volumes: ['./a:/a']",
    ] {
        assert_eq!(refusal_of_file(&with_service(good)), "nothing", "{good}");
    }
}

#[test]
fn a_service_is_not_scaled_to_none() {
    for text in [", scale: 0", ", deploy: {replicas: 0}"] {
        let expected = in_file("services.web must not be scaled to none: leave it out instead");
        assert_eq!(refusal_of_file(&with_service(text)), expected);
    }
}

#[test]
fn a_mount_is_judged_by_what_its_variables_stand_for() {
    let options = json!({"file": with_service(", volumes: ['${DATA}:/data']")});
    let refused = |env: Value| refusal(&options, &json!({"env": [env]}));
    assert_eq!(refused(json!({"name": "DATA", "value": "/srv/data"})), "nothing");
    assert_eq!(refused(json!({"name": "DATA", "value": "data"})), "nothing");
    // It is judged when it is read.
    assert_eq!(refused(json!({"name": "DATA", "secret": "env:DATA"})), "nothing");
    let said =
        in_file("services.web.volumes[0] is relative, and a file that is given inline is in no folder");
    assert_eq!(refused(json!({"name": "DATA", "value": "../data"})), said);
}

#[test]
fn a_bomb_is_refused_quickly_and_in_little_memory() {
    let mut bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n".to_owned();
    for i in 1..30 {
        let last = i - 1;
        bomb.push_str(&format!(
            "a{i}: &a{i} [{}]\n",
            vec![format!("*a{last}"); 9].join(",")
        ));
    }
    bomb.push_str("services: {web: {image: a}}\n");
    let (maps, deep) = ("a: &a {<<: *a}\nservices: {web: {image: a}}", "[".repeat(400_000));
    let many: String = (0..300).map(|i| format!("  s{i}: {{image: a}}\n")).collect();
    let nested = format!("services: {{web: {{image: '{}'}}}}", "${A:-".repeat(100_000));
    for (what, text, said) in [
        ("aliases", bomb, "is too much: too many nodes, anchors or levels"),
        ("itself", maps.to_owned(), "is not valid YAML"),
        ("levels", deep, "is"),
        (
            "bytes",
            format!("x: {}", "y".repeat(5_000_000)),
            "must not be longer than 1 MiB",
        ),
        (
            "services",
            format!("services:\n{many}"),
            "services must not be more than 200",
        ),
        (
            "braces",
            nested,
            "services.web.image has a $ that begins no variable",
        ),
    ] {
        let since = std::time::Instant::now();
        let refused = refusal_of_file(&text);
        assert!(
            refused.starts_with("source.options.file: ") && refused.contains(said),
            "{what}: {refused}"
        );
        assert!(
            since.elapsed().as_secs() < 60,
            "{what} took {:?}",
            since.elapsed()
        );
    }
}

#[test]
fn what_belongs_in_the_file_is_refused_in_the_spec() {
    let options = json!({"file": "services: {web: {image: a}}"});
    for (field, value) in [
        ("command", json!(["x"])),
        ("ports", json!([{"host": 1, "container": 1}])),
        ("mounts", json!([{"source": "a", "target": "/a"}])),
        ("networks", json!(["a"])),
        ("labels", json!({"a": "b"})),
        ("replicas", json!(2)),
        ("memory_limit", json!(10_000_000)),
        ("cpus", json!(1.0)),
        ("restart", json!("always")),
        ("healthcheck", json!({"command": ["x"]})),
    ] {
        let expected = format!("{field}: belongs in the Compose file, to each service its own");
        assert_eq!(refusal(&options, &json!({field: value})), expected);
    }
    let strategy = json!({"rollout": {"strategy": "start_then_stop"}});
    assert!(refusal(&options, &strategy).starts_with("rollout.strategy: must be auto or recreate"));
    for name in [
        "PATH",
        "COMPOSE_FILE",
        "DOCKER_HOST",
        "DOCKER_CLI_X",
        "LD_PRELOAD",
        "PYTHONPATH",
    ] {
        let env = json!({"env": [{"name": "A", "value": ""}, {"name": name, "value": "x"}]});
        assert_eq!(
            refusal(&options, &env),
            "env[1].name: would change how Compose itself works: choose another name"
        );
    }
    let env = json!({"env": [{"name": "DOCKER_GID", "value": "998"}]});
    assert_eq!(refusal(&options, &env), "nothing");
    assert_eq!(
        refusal(&json!({}), &json!({})),
        "source.options.file: must hold the Compose file"
    );
    assert_eq!(
        refusal(&json!({"fiel": "x"}), &json!({})),
        "source.options.fiel: is not a known field"
    );
    for reference in ["compose.yaml", "../x", "ext::sh", "-x", "git@host:x", "Inline"] {
        let source = json!({"source": {"kind": "compose", "reference": reference}});
        assert!(
            refusal(&json!({}), &source).starts_with("source.reference: must be inline"),
            "{reference}"
        );
    }
    for reference in ["/x", "https://host/app.git#main"] {
        let source = json!({"source": {"kind": "compose", "reference": reference, "options": options}});
        assert_eq!(
            refusal(&json!({}), &source),
            "source.options.file: can only be given with the reference inline"
        );
    }
}

#[test]
fn a_repository_that_is_not_fetched_from_is_refused_in_the_spec() {
    let refused = |reference: &str, options: Value| {
        let source = json!({"source": {"kind": "compose", "reference": reference, "options": options}});
        refusal(&json!({}), &source)
    };
    for reference in [
        "file:///srv/app.git",
        "ssh://host/app",
        "-uhttps://host/app",
        "ext::sh -c x://",
        "https://user:SECRET@host/app.git",
        "https://host/app#main:../x",
        "https://host/app#main:/etc",
        "https://host/app#-x",
    ] {
        let said = refused(reference, json!({}));
        assert!(said.starts_with("source.reference: "), "{reference}: {said}");
        assert!(!said.contains("SECRET"));
    }
    let token = json!({"token": "env:T"});
    for reference in [
        "https://host/app.git",
        "http://host:8080/app#main",
        "https://host/app#v1:deploy/compose.yaml",
    ] {
        assert_eq!(refused(reference, token.clone()), "nothing", "{reference}");
    }
    for reference in ["/srv/app", "inline"] {
        assert_eq!(
            refused(reference, token.clone()),
            "source.options.token: can only be given with the reference of a Git repository"
        );
    }
    assert!(refused("https://host/app", json!({"token": "SECRET"})).starts_with("source.options"));
}

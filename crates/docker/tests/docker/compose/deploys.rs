//! Deploys and rollbacks of three services.

use std::time::Duration;

use serde_json::{Value, json};
use shipslog_core::deploys::{
    DeployStep, DispatchEvent, DispatchPlugin as _, DispatchRefusal, FailureMarker, Outcome, RollbackRefusal,
};
use shipslog_test_support::{Health, ImageSpec, wait_until};

use super::shop::{SERVICES, Shop, failure, shop};

#[tokio::test]
async fn a_tag_that_moves_is_followed_there_and_back_and_leaves_the_rest_alone() {
    let Some(shop) = shop() else { return };
    let first_images: Vec<_> = shop
        .publish_all()
        .iter()
        .map(|(image, _)| image.id().to_owned())
        .collect();
    let file = shop.file(&[]);
    let first = shop.deploy_file(&file).await;
    assert_eq!(
        (shop.page(), shop.images().to_vec()),
        ("1".to_owned(), first_images.clone())
    );
    let pin = first.pin.clone().unwrap();
    assert!(pin.reference.as_str().starts_with("compose@sha256:"));
    assert_eq!(pin.parts.len(), 3);
    for (service, part) in &pin.parts {
        assert!(
            part.reference.name().unwrap().ends_with(service.as_str()),
            "{part:?}"
        );
    }

    let before = shop.lives();
    let (second_image, _) = shop.publish("web", &ImageSpec::web("2").health(Health::Always));
    let second = shop.deploy_well().await;
    assert_eq!(shop.page(), "2");
    assert_eq!(
        shop.lives()[..2],
        before[..2],
        "services that did not change were touched"
    );
    assert_eq!(shop.images()[2], second_image.id());
    assert_ne!(second.pin, first.pin);

    let back = shop.roll_back(&first.id).await;
    assert_eq!(
        (back.outcome, back.pin.as_ref()),
        (Outcome::Succeeded, first.pin.as_ref())
    );
    assert_eq!(
        (shop.page(), shop.images().to_vec()),
        ("1".to_owned(), first_images)
    );
    assert_eq!(
        shop.lives()[..2],
        before[..2],
        "services that did not change were touched"
    );
    assert_eq!(
        shop.left_in_folder(),
        [shop.left_in_folder()[0].with_file_name("lock")]
    );
}

#[tokio::test]
async fn the_same_again_restarts_nothing() {
    let Some(mut shop) = shop() else { return };
    shop.publish_all();
    shop.deploy_file(&shop.file(&[])).await;
    let before = shop.lives();
    shop.restart();
    shop.deploy_well().await;
    assert_eq!(shop.lives(), before);
}

#[tokio::test]
async fn a_service_that_fails_leaves_the_others_as_they_were_and_is_named() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    shop.deploy_file(&shop.file(&[])).await;
    let before = shop.lives();
    let (broken, _) = shop.publish("api", &ImageSpec::exits(3));
    shop.publish("web", &ImageSpec::web("2").health(Health::Always));
    let row = shop.deploy().await;
    assert_eq!(failure(&row), (Some(FailureMarker::ExitedAtOnce), Some("api")));
    let after = shop.lives();
    assert_eq!(
        (&after[0], &after[2]),
        (&before[0], &before[2]),
        "others were touched"
    );
    assert!(after[1].contains(" true "), "it was not put back: {}", after[1]);
    assert_ne!(shop.images()[1], broken.id());
    assert_eq!(shop.page(), "1");
}

#[tokio::test]
async fn services_that_were_replaced_before_one_failed_are_put_back() {
    let Some(shop) = shop() else { return };
    let images: Vec<_> = shop
        .publish_all()
        .iter()
        .map(|(image, _)| image.id().to_owned())
        .collect();
    shop.deploy_file(&shop.file(&[])).await;
    let before = shop.lives();
    shop.publish("api", &ImageSpec::sleeper());
    shop.publish("web", &ImageSpec::web("2").health(Health::Never));
    let row = shop.deploy().await;
    assert_eq!(failure(&row), (Some(FailureMarker::Unhealthy), Some("web")));
    assert_eq!(shop.images().to_vec(), images);
    assert_eq!(shop.lives()[0], before[0]);
    assert_eq!(shop.page(), "1");
}

#[tokio::test]
async fn a_change_of_the_file_makes_that_service_anew_and_is_undone_by_a_rollback() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    let first = shop.deploy_file(&shop.file(&[])).await;
    let before = shop.lives();
    let changed = json!({"environment": {"LEVEL": "debug"}});
    shop.deploy_file(&shop.file(&[("api", &changed)])).await;
    let after = shop.lives();
    assert_eq!(
        (&after[0], &after[2]),
        (&before[0], &before[2]),
        "others were touched"
    );
    let level = || shop.inspect("api", "{{.Config.Env}}").contains("LEVEL=debug");
    assert!(level());
    shop.roll_back(&first.id).await;
    assert!(!level());
    let back = shop.lives();
    assert_eq!(
        (&back[0], &back[2]),
        (&before[0], &before[2]),
        "others were touched"
    );
}

#[tokio::test]
async fn a_change_of_the_environment_that_fails_is_put_back() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    let file = shop.file(&[
        ("db", &json!({"environment": {"LEVEL": "${LEVEL}"}})),
        ("api", &json!({"environment": ["LEVEL"]})),
    ]);
    let env = |level: &str| json!([{"name": "LEVEL", "value": level}]);
    shop.revise(shop.spec(&file, &env("info"))).await;
    shop.deploy_well().await;
    shop.publish("web", &ImageSpec::exits(1));
    shop.revise(shop.spec(&file, &env("debug"))).await;
    let row = shop.deploy().await;
    assert_eq!(failure(&row), (Some(FailureMarker::ExitedAtOnce), Some("web")));
    for service in ["db", "api"] {
        assert!(
            shop.inspect(service, "{{.Config.Env}}").contains("LEVEL=info"),
            "the image of {service} is the same, what it was told is not"
        );
    }
}

#[tokio::test]
async fn a_service_that_is_gone_from_the_file_is_removed_and_comes_back_with_its_data() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    let file = shop.file(&[]);
    let first = shop.deploy_file(&file).await;
    shop.engine
        .docker(&["exec", &shop.container("db"), "touch", "/data/kept"]);
    let mut without: serde_json::Value = serde_json::from_str(&file).unwrap();
    let services = without["services"].as_object_mut().unwrap();
    services.remove("db");
    services["web"]["depends_on"] = json!(["api"]);
    services["api"]["depends_on"] = json!([]);
    shop.deploy_file(&without.to_string()).await;
    assert!(shop.containers("db").is_empty());
    shop.roll_back(&first.id).await;
    shop.engine
        .docker(&["exec", &shop.container("db"), "test", "-f", "/data/kept"]);
}

#[tokio::test]
async fn a_rollback_fetches_images_that_are_gone_and_is_refused_when_they_are_gone_everywhere() {
    let Some(shop) = shop() else { return };
    let published = shop.publish_all();
    let first = shop.deploy_file(&shop.file(&[])).await;
    shop.publish("web", &ImageSpec::web("2").health(Health::Always));
    shop.publish("api", &ImageSpec::sleeper());
    let second = shop.deploy_well().await;
    published[1].0.remove();
    published[2].0.remove();
    let back = shop.roll_back(&first.id).await;
    assert_eq!((back.outcome, shop.page()), (Outcome::Succeeded, "1".to_owned()));
    assert_eq!(shop.images()[2], published[2].0.id());

    shop.roll_back(&second.id).await;
    published[2].0.remove();
    shop.registry
        .delete_manifest(&format!("{}-web", shop.name), published[2].1.digest());
    let before = shop.lives();
    let refused = shop.start_rollback(&first.id).await.unwrap_err();
    let expected = RollbackRefusal::ImageGone;
    assert!(
        matches!(&refused, DispatchRefusal::Rollback(refusal) if *refusal == expected),
        "{refused:?}"
    );
    assert_eq!(shop.lives(), before);
}

#[tokio::test]
async fn a_job_that_ends_well_is_waited_for_and_not_run_again_by_tidying_up() {
    let Some(mut shop) = shop() else { return };
    shop.publish_all();
    shop.publish("api", &ImageSpec::script("sleep 2; date >> /data/runs"));
    let job = json!({"volumes": ["data:/data"]});
    let after = json!({"depends_on": {"api": {"condition": "service_completed_successfully"}}});
    shop.deploy_file(&shop.file(&[("api", &job), ("web", &after)]))
        .await;
    let runs = |shop: &super::shop::Shop| {
        shop.engine
            .docker(&["exec", &shop.container("db"), "cat", "/data/runs"])
            .lines()
            .count()
    };
    assert_eq!(runs(&shop), 1, "web was started before the job had ended");
    let before = shop.lives();
    shop.restart();
    shop.dispatcher.recover().await.unwrap();
    let row = shop.store_current().await;
    shop.plugin().settle(&shop.workload, Some(&row)).await.unwrap();
    assert_eq!((shop.lives(), runs(&shop)), (before, 1));

    shop.publish("api", &ImageSpec::exits(1));
    assert_eq!(
        failure(&shop.deploy().await),
        (Some(FailureMarker::ExitedAtOnce), Some("api"))
    );
}

#[tokio::test]
async fn what_shares_the_network_of_a_service_is_made_anew_with_it() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    let file = shop.file(&[
        ("web", &json!({"ports": []})),
        ("web", &json!({"network_mode": "service:db"})),
    ]);
    let first = shop.deploy_file(&file).await;
    let shared = || {
        shop.inspect("web", "{{.HostConfig.NetworkMode}}")
            == format!("container:{}", shop.inspect("db", "{{.Id}}"))
    };
    assert!(shared());
    shop.publish("db", &ImageSpec::sleeper());
    shop.deploy_well().await;
    assert!(shared());
    shop.roll_back(&first.id).await;
    assert!(shared());
    // Started again, it has a network of the same kind and another one.
    shop.engine
        .docker(&["stop", "--time", "0", &shop.container("db")]);
    let interfaces = || {
        shop.engine
            .docker(&["exec", &shop.container("web"), "cat", "/proc/net/dev"])
    };
    assert!(!interfaces().contains("eth0"));
    shop.deploy_well().await;
    assert!(shared() && interfaces().contains("eth0"));
}

#[tokio::test]
async fn what_the_engine_refuses_has_its_marker_and_service() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    shop.deploy_file(&shop.file(&[])).await;
    let before = shop.lives();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = format!("127.0.0.1:{}:80", taken.local_addr().unwrap().port());
    for (more, marker) in [
        (json!({"ports": [port]}), FailureMarker::PortTaken),
        (
            json!({"container_name": shop.container("db")}),
            FailureMarker::NameConflict,
        ),
        (json!({"command": ["/nosuch"]}), FailureMarker::StartFailed),
        (
            json!({"image": format!("{}-nosuch", shop.tag("api"))}),
            FailureMarker::ImageNotFound,
        ),
        (json!({"image": "not an image"}), FailureMarker::ReferenceInvalid),
    ] {
        shop.revise(shop.spec(&shop.file(&[("api", &more)]), &json!([])))
            .await;
        assert_eq!(
            failure(&shop.deploy().await),
            (Some(marker), Some("api")),
            "{more}"
        );
        let after = shop.lives();
        assert_eq!(
            (&after[0], &after[2]),
            (&before[0], &before[2]),
            "others were touched"
        );
        assert!(after[1].contains(" true "), "it was not put back: {more}");
    }
    let odd = json!({"no_such_key": 1});
    shop.revise(shop.spec(&shop.file(&[("api", &odd)]), &json!([])))
        .await;
    let before = shop.lives();
    assert_eq!(
        failure(&shop.deploy().await).0,
        Some(FailureMarker::SourceInvalid)
    );
    assert_eq!(shop.lives(), before);
}

#[tokio::test]
async fn removing_the_workload_keeps_its_volume_and_nothing_else() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    shop.deploy_file(&shop.file(&[])).await;
    let listed = |kind: &str| {
        let label = format!("label=shipslog.workload={}", shop.workload);
        shop.engine
            .docker(&[kind, "ls", "--quiet", "--filter", &label])
            .lines()
            .count()
    };
    assert_eq!((listed("network"), listed("volume")), (1, 1));
    shop.dispatcher.retire(&shop.workload, false).await.unwrap();
    assert!(SERVICES.iter().all(|service| shop.containers(service).is_empty()));
    assert_eq!((listed("network"), listed("volume")), (0, 1));
    assert!(shop.left_in_folder().is_empty());
}

#[tokio::test]
async fn a_service_that_ends_falters_and_one_that_was_restarted_long_ago_does_not() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    shop.publish(
        "db",
        &ImageSpec::script("test -f /data/on || { touch /data/on; until test -f /data/end; do sleep 0.1; done; exit 1; }; sleep 600"),
    );
    shop.deploy_file(&shop.file(&[("db", &json!({"restart": "always"}))]))
        .await;
    shop.engine
        .docker(&["exec", &shop.container("db"), "touch", "/data/end"]);
    let restarted =
        || shop.inspect("db", "{{.RestartCount}} {{.State.Running}} {{.State.Restarting}}") == "1 true false";
    assert!(wait_until(Duration::from_secs(60), restarted));
    let (plugin, row) = (shop.plugin(), shop.store_current().await);
    let falters = plugin.falter(&shop.workload, &row.deploy);
    let early = tokio::time::timeout(Duration::from_secs(3), falters).await;
    assert!(early.is_err(), "a restart of the past counted: {early:?}");
    let falters = tokio::spawn({
        let (plugin, workload) = (plugin.clone(), shop.workload.clone());
        async move { plugin.falter(&workload, &row.deploy).await }
    });
    tokio::time::sleep(Duration::from_millis(500)).await;
    shop.engine.docker(&["kill", &shop.container("api")]);
    let ended = tokio::time::timeout(Duration::from_secs(60), falters)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.unwrap(), FailureMarker::ExitedAtOnce);
}

/// A file of single services, each with an image of its own that is there.
fn plain(shop: &Shop, services: &Value) -> String {
    let mut file = json!({"services": services});
    for service in file["services"].as_object_mut().unwrap().values_mut() {
        service["image"] = json!(shop.tag("api"));
    }
    file.to_string()
}

#[tokio::test]
async fn a_port_or_a_name_may_go_to_another_service_and_comes_back_with_a_rollback() {
    let Some(shop) = shop() else { return };
    shop.publish("api", &ImageSpec::sleeper());
    let name = format!("{}-own", shop.name);
    let has_port = json!({"ports": [format!("127.0.0.1:{}:80", shop.port)]});
    let has_name = json!({"container_name": name});
    let first = shop
        .deploy_file(&plain(
            &shop,
            &json!({"web": has_port, "job": has_name, "alpha": {}}),
        ))
        .await;
    let port_of = |service: &str| shop.inspect(service, "{{len .NetworkSettings.Ports}}") != "0";
    let renamed = json!({"front": has_port, "job": {}, "alpha": has_name});

    let mut broken = renamed.clone();
    broken["front"]["command"] = json!(["false"]);
    shop.revise(shop.spec(&plain(&shop, &broken), &json!([]))).await;
    let row = shop.deploy().await;
    assert_eq!(failure(&row), (Some(FailureMarker::ExitedAtOnce), Some("front")));
    assert!(port_of("web") && shop.containers("front").is_empty());
    assert_eq!(shop.container("job"), name);
    for service in ["web", "job", "alpha"] {
        assert_eq!(shop.inspect(service, "{{.State.Running}}"), "true", "{service}");
    }

    shop.deploy_file(&plain(&shop, &renamed)).await;
    assert!(port_of("front") && shop.containers("web").is_empty());
    assert_eq!(shop.container("alpha"), name);
    let moved = json!({"front": {}, "job": {}, "alpha": has_port});
    shop.deploy_file(&plain(&shop, &moved)).await;
    assert!(port_of("alpha") && !port_of("front"));
    let back = shop.roll_back(&first.id).await;
    assert_eq!(back.outcome, Outcome::Succeeded);
    assert!(port_of("web"));
    assert_eq!(shop.container("job"), name);
}

#[tokio::test]
async fn containers_of_one_service_are_put_back_together() {
    let Some(shop) = shop() else { return };
    shop.publish("api", &ImageSpec::sleeper());
    let file = |more: &Value| {
        let mut services = json!({"api": {"scale": 3}, "web": {}});
        services["api"]["environment"] = more.clone();
        services["web"]["depends_on"] = json!(["api"]);
        services["web"]["labels"] = more.clone();
        plain(&shop, &services)
    };
    shop.deploy_file(&file(&json!({"LEVEL": "info"}))).await;
    assert_eq!(shop.running("api").len(), 3);
    let mut broken: Value = serde_json::from_str(&file(&json!({"LEVEL": "debug"}))).unwrap();
    broken["services"]["web"]["command"] = json!(["false"]);
    shop.revise(shop.spec(&broken.to_string(), &json!([]))).await;
    let row = shop.deploy().await;
    assert_eq!(failure(&row), (Some(FailureMarker::ExitedAtOnce), Some("web")));
    assert_eq!(shop.running("api").len(), 3);

    // A deploy that ended half-way.
    let (gone, record) = (shop.running("api")[0].clone(), shop.store_current().await);
    shop.engine.docker(&["rm", "--force", &gone]);
    shop.plugin().settle(&shop.workload, Some(&record)).await.unwrap();
    assert_eq!(shop.running("api").len(), 3);
}

#[tokio::test]
async fn what_the_file_says_of_volumes_and_networks_is_kept_and_labelled() {
    let Some(shop) = shop() else { return };
    shop.publish("api", &ImageSpec::sleeper());
    let (volume, external) = (format!("{}-named", shop.name), format!("{}-ext", shop.name));
    shop.engine.docker(&["network", "create", &external]);
    let mut file: Value = serde_json::from_str(&plain(&shop, &json!({"api": {}}))).unwrap();
    file["services"]["api"]["volumes"] = json!(["data:/data"]);
    file["services"]["api"]["networks"] = json!(["back", "other", "plain"]);
    file["volumes"] = json!({"data": {
        "name": volume, "driver_opts": {"type": "tmpfs", "device": "tmpfs", "o": "size=${SIZE:-1m}"}, "labels": ["own=1"],
    }});
    file["networks"] = json!({
        "back": {"internal": true, "labels": {"own": "2"}}, "other": {"external": true, "name": external}, "plain": null,
    });
    shop.deploy_file(&file.to_string()).await;
    let asked = |what: &str, name: &str, format: &str| {
        shop.engine.docker(&[what, "inspect", "--format", format, name])
    };
    let options = asked(
        "volume",
        &volume,
        "{{json .Options}} {{index .Labels \"own\"}} {{index .Labels \"shipslog.workload\"}}",
    );
    let expected = format!(
        "{{\"device\":\"tmpfs\",\"o\":\"size=1m\",\"type\":\"tmpfs\"}} 1 {}",
        shop.workload
    );
    assert_eq!(options, expected);
    let project = shop.inspect("api", "{{index .Config.Labels \"com.docker.compose.project\"}}");
    let format = "{{.Internal}} {{index .Labels \"own\"}} {{index .Labels \"shipslog.workload\"}}";
    assert_eq!(
        asked("network", &format!("{project}_back"), format),
        format!("true 2 {}", shop.workload)
    );
    assert!(
        shop.inspect("api", "{{json .NetworkSettings.Networks}}")
            .contains(&external)
    );
    shop.dispatcher.retire(&shop.workload, false).await.unwrap();
    assert_eq!(asked("network", &external, "{{.Name}}"), external);
    assert_eq!(asked("volume", &volume, "{{.Name}}"), volume);
    assert!(
        shop.engine
            .try_docker(&["network", "inspect", &format!("{project}_back")])
            .is_err()
    );
}

#[tokio::test]
async fn the_name_of_the_project_is_a_variable_of_the_file() {
    let Some(shop) = shop() else { return };
    shop.publish("api", &ImageSpec::sleeper());
    let services = json!({"api": {"environment": {"OWN": "${COMPOSE_PROJECT_NAME}"}}});
    shop.deploy_file(&plain(&shop, &services)).await;
    let project = shop.inspect("api", "{{index .Config.Labels \"com.docker.compose.project\"}}");
    assert!(
        shop.inspect("api", "{{.Config.Env}}")
            .contains(&format!("OWN={project}"))
    );
}

#[tokio::test]
async fn two_workloads_of_one_name_are_two_projects_and_each_service_tells_what_is_done_to_it() {
    let Some(one) = shop() else { return };
    one.publish("api", &ImageSpec::sleeper());
    let mut events = one.dispatcher.subscribe();
    let file = plain(&one, &json!({"api": {}, "db": {}}));
    one.deploy_file(&file).await;
    let mut told = Vec::new();
    loop {
        match events.next().await {
            Some(DispatchEvent::Step {
                step: DeployStep::Part { part, doing },
                ..
            }) => told.push(format!("{part} {doing:?}")),
            Some(DispatchEvent::Closed(_)) | None => break,
            Some(_) => {}
        }
    }
    let steps =
        |service: &str| ["Replacing", "WaitingForHealth", "Done"].map(|doing| format!("{service} {doing}"));
    assert!(told.contains(&"api Pulling".to_owned()), "{told:?}");
    let tail: Vec<_> = told.iter().rev().take(6).rev().cloned().collect();
    assert_eq!(tail, [steps("api"), steps("db")].concat());

    let lives = one.inspect("api", "{{.Id}} {{.State.StartedAt}}");
    let Some(mut other) = shop() else { return };
    other.name.clone_from(&one.name);
    other.deploy_file(&file).await;
    assert_ne!(other.container("api"), one.container("api"));
    other.dispatcher.retire(&other.workload, false).await.unwrap();
    assert_eq!(one.inspect("api", "{{.Id}} {{.State.StartedAt}}"), lives);
}

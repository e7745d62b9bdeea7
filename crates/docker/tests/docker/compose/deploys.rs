//! Deploys and rollbacks of three services.

use std::time::Duration;

use serde_json::json;
use shipslog_core::deploys::{DispatchPlugin as _, DispatchRefusal, FailureMarker, Outcome, RollbackRefusal};
use shipslog_test_support::{Health, ImageSpec, wait_until};

use super::shop::{SERVICES, failure, shop};

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
    let file = shop.file(&[("db", &json!({"environment": {"LEVEL": "${LEVEL}"}}))]);
    let env = |level: &str| json!([{"name": "LEVEL", "value": level}]);
    shop.revise(shop.spec(&file, &env("info"))).await;
    shop.deploy_well().await;
    shop.publish("web", &ImageSpec::exits(1));
    shop.revise(shop.spec(&file, &env("debug"))).await;
    let row = shop.deploy().await;
    assert_eq!(failure(&row), (Some(FailureMarker::ExitedAtOnce), Some("web")));
    assert!(
        shop.inspect("db", "{{.Config.Env}}").contains("LEVEL=info"),
        "the image is the same, what it was told is not"
    );
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
    let restarted = || shop.inspect("db", "{{.RestartCount}} {{.State.Running}}") == "1 true";
    assert!(wait_until(Duration::from_secs(10), restarted));
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
    let ended = tokio::time::timeout(Duration::from_secs(10), falters)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.unwrap(), FailureMarker::ExitedAtOnce);
}

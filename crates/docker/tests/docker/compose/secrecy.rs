//! Secrets, and what a process that dies leaves behind.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::json;
use shipslog_core::deploys::{DispatchPlugin as _, FailureMarker, Outcome};
use shipslog_core::testing::canary::{Alphabet, Canary};
use shipslog_test_support::{Health, ImageSpec};

use super::shop::{failure, shop};

/// Reads what every Compose is given, over and over, until it is asked what it saw.
pub(super) struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Seen>,
}

/// What was seen of processes.
#[derive(Default)]
pub(super) struct Seen {
    /// Their arguments, and the file that each has for a standard input.
    pub(super) arguments: Vec<u8>,
    pub(super) environments: Vec<u8>,
}

impl Watch {
    pub(super) fn begin() -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut seen = Seen::default();
            while !stopped.load(Ordering::Relaxed) {
                seen.look();
                thread::sleep(Duration::from_millis(2));
            }
            seen
        });
        Self { stop, thread }
    }

    pub(super) fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

impl Seen {
    fn look(&mut self) {
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let mut arguments = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let input = fs::read_link(entry.path().join("fd/0")).unwrap_or_default();
            arguments.extend(input.as_os_str().as_encoded_bytes());
            if contains(&arguments, b"compose") && !contains(&self.arguments, &arguments) {
                self.arguments.extend(arguments);
                let environment = fs::read(entry.path().join("environ"));
                self.environments.extend(environment.unwrap_or_default());
            }
        }
    }
}

pub(super) fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len().max(1)).any(|at| at == part)
}

#[tokio::test]
async fn a_secret_is_in_the_container_and_in_neither_plan_nor_row_nor_arguments_nor_files() {
    let canary = Canary::random("a secret", Alphabet::Header);
    let Some(shop) = shop() else { return };
    let shop = shop.with_secret("env:KEY", canary.value());
    shop.publish_all();
    let uses = json!({"environment": {"KEY": "${KEY}"}});
    let file = shop.file(&[
        ("db", &uses),
        ("api", &json!({"command": ["sleep", "${ODD:-600}"]})),
    ]);
    shop.revise(shop.spec(&file, &json!([{"name": "KEY", "secret": "env:KEY"}])))
        .await;

    let watch = Watch::begin();
    let row = shop.deploy_well().await;
    let seen = watch.end().arguments;
    assert!(contains(&seen, b"--no-deps"), "the tool was never seen");
    let lock = shop.left_in_folder()[0].to_str().unwrap().as_bytes().to_vec();
    assert!(contains(&seen, &lock), "the tool does not hold the lock");
    assert_eq!(canary.find_in(&seen), None, "it is in arguments");

    assert!(shop.inspect("db", "{{.Config.Env}}").contains(canary.value()));
    let plan = shop.plan_of(&row).await;
    assert!(plan.contains("${KEY}"));
    assert_eq!(canary.find_in(plan.as_bytes()), None);
    assert_eq!(canary.find_in(format!("{row:?}").as_bytes()), None);
    let labels = shop.inspect("db", "{{json .Config.Labels}}");
    assert_eq!(canary.find_in(labels.as_bytes()), None);
    assert_eq!(
        shop.left_in_folder().len(),
        1,
        "files were left: {:?}",
        shop.left_in_folder()
    );
    let mode = fs::metadata(shop.left_in_folder()[0].parent().unwrap())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_secret_that_is_gone_fails_before_anything_is_touched() {
    let Some(mut shop) = shop() else { return };
    shop = shop.with_secret("env:KEY", "value");
    shop.publish_all();
    let file = shop.file(&[("db", &json!({"environment": {"KEY": "${KEY}"}}))]);
    shop.revise(shop.spec(&file, &json!([{"name": "KEY", "secret": "env:KEY"}])))
        .await;
    shop.deploy_well().await;
    let before = shop.lives();
    shop.revise(shop.spec(&file, &json!([{"name": "KEY", "secret": "env:GONE"}])))
        .await;
    assert_eq!(
        failure(&shop.deploy().await).0,
        Some(FailureMarker::SecretMissing)
    );
    assert_eq!(shop.lives(), before);
}

#[tokio::test]
async fn a_cancelled_deploy_puts_back_what_it_replaced() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    shop.deploy_file(&shop.file(&[])).await;
    let (images, before, old) = (shop.images(), shop.lives(), shop.running("web"));
    shop.publish("api", &ImageSpec::sleeper());
    shop.publish(
        "web",
        &ImageSpec::web("2").health(Health::After(Duration::from_secs(600))),
    );
    let row = shop.start().await;
    assert!(
        wait_for(|| shop.running("web").iter().any(|id| !old.contains(id))).await,
        "web was never replaced"
    );
    assert!(shop.dispatcher.cancel(&row.id));
    let row = shop.dispatcher.wait(&row.id).await.unwrap();
    assert_eq!(row.outcome, Outcome::Failed(FailureMarker::Cancelled));
    assert_eq!((shop.images(), &shop.lives()[0]), (images, &before[0]));
    assert_eq!(shop.page(), "1");
}

/// Without keeping the tasks of this thread from going on.
async fn wait_for(mut condition: impl FnMut() -> bool) -> bool {
    for _ in 0..1_200 {
        if condition() {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}

/// A process that is killed leaves its tool at work, which has the lock in its hands: whoever comes next has to wait for it.
#[tokio::test]
async fn a_tool_that_outlives_its_process_is_waited_for() {
    let Some(shop) = shop() else { return };
    shop.publish_all();
    shop.deploy_file(&shop.file(&[])).await;
    let record = shop.store_current().await;
    let id = shop.container("api");
    shop.engine.docker(&["kill", &id]);
    let plugin = shop.plugin();
    let lock = fs::File::open(&shop.left_in_folder()[0]).unwrap();
    lock.lock().unwrap();
    let mut tool = Command::new("sleep").arg("5").stdin(lock).spawn().unwrap();
    let settled = plugin.settle(&shop.workload, Some(&record));
    let early = tokio::time::timeout(Duration::from_secs(1), settled).await;
    assert!(early.is_err(), "it did not wait");
    assert_eq!(shop.inspect("api", "{{.State.Running}}"), "false");
    plugin.settle(&shop.workload, Some(&record)).await.unwrap();
    assert!(tool.try_wait().unwrap().is_some(), "it did not wait for the tool");
    assert_eq!(shop.inspect("api", "{{.State.Running}}"), "true");
}

#[tokio::test]
async fn a_secret_that_leads_beside_the_file_is_refused_and_what_others_put_there_stays() {
    let Some(mut shop) = shop() else { return };
    shop = shop.with_secret("env:WHERE", "./data");
    shop.publish("api", &ImageSpec::sleeper());
    let file = json!({"services": {"api": {"image": shop.tag("api"), "volumes": ["${WHERE}:/data"]}}});
    let env = json!([{"name": "WHERE", "secret": "env:WHERE"}]);
    shop.revise(shop.spec(&file.to_string(), &env)).await;
    let row = shop.deploy().await;
    assert_eq!(failure(&row), (Some(FailureMarker::SourceInvalid), Some("api")));
    let lost = shop.folder.path().join(format!("project-{}/data", shop.workload));
    fs::create_dir_all(&lost).unwrap();
    fs::write(lost.join("file"), "somebody's").unwrap();
    shop.dispatcher.retire(&shop.workload, false).await.unwrap();
    assert_eq!(fs::read_to_string(lost.join("file")).unwrap(), "somebody's");
}

//! Source kinds over HTTP, as an operator meets them: the same ledger, the same rollback, the same numbers.

use std::time::Duration;

use serde_json::{Value, json};
use shipslog_test_support::{
    Cleanup, Engine, GitServer, Health, ImageSpec, Registry, engine, free_port, try_http_get, unique,
    wait_until,
};
use tempfile::TempDir;

use crate::harness::{Client, Server, Setup, data_dir, outcome};

const TOKEN: &str = "ghp_0123456789abcdefSECRET";

const DOCKERFILE: &str = "FROM scratch\nCOPY busybox /bin/busybox\nCOPY www /www\n\
    CMD [\"/bin/busybox\", \"httpd\", \"-f\", \"-p\", \"80\", \"-h\", \"/www\"]\n";

struct Site {
    engine: Engine,
    registry: Registry,
    name: String,
    port: u16,
    server: Server,
    admin: Client,
    data: TempDir,
    _cleanup: Cleanup,
}

impl Site {
    fn new() -> Option<Self> {
        let engine = engine()?;
        let (registry, name, data) = (Registry::shared(), unique("kind"), data_dir());
        let server = Setup::new(&data.path().join("d"), engine.host())
            .docker_config(registry.docker_config())
            .start();
        Some(Self {
            admin: server.admin(),
            _cleanup: Cleanup::new(&engine).prefix(&name),
            port: free_port(),
            engine,
            registry,
            name,
            server,
            data,
        })
    }

    /// Builds and pushes, and moves the tag `live` of one service's image there.
    fn publish(&self, service: &str, image: &ImageSpec) -> String {
        let name = format!("{}-{service}", self.name);
        let built = image.build(&self.engine, &format!("{name}:made"));
        let pushed = built.push(&self.registry, &format!("{name}:live"));
        pushed.reference().to_owned()
    }

    fn page(&self) -> Option<String> {
        let address = format!("127.0.0.1:{}", self.port);
        Some(try_http_get(&address, "/").ok()?.1.trim().to_owned())
    }

    #[track_caller]
    fn shows(&self, page: &str) {
        let shown = wait_until(Duration::from_secs(60), || self.page().as_deref() == Some(page));
        assert!(shown, "{page} is not shown: {:?}", self.page());
    }

    /// Since when the container of a service runs, and what image: the same values mean that it was not touched.
    fn runs(&self, service: &str) -> String {
        let filter = format!("label=com.docker.compose.service={service}");
        let own = format!("name={}", self.name);
        let ids = self
            .engine
            .docker(&["ps", "-q", "--filter", &filter, "--filter", &own]);
        let format = "{{.State.StartedAt}} {{.Image}}";
        self.engine.docker(&["inspect", "--format", format, ids.trim()])
    }

    fn compose(&self, file: &str) -> Value {
        json!({
            "name": self.name, "source": {"kind": "compose", "reference": "inline", "options": {"file": file}},
            "env": [{"name": "PORT", "value": self.port.to_string()}],
            "rollout": {"min_healthy_s": 1, "stop_timeout_s": 2, "health_timeout_s": 30},
        })
    }
}

#[test]
fn the_system_says_which_kinds_there_are() {
    let Some(site) = Site::new() else { return };
    let kinds = || site.server.viewer().get("/api/system").1["kinds"].clone();
    // Compose has an interpreter to start before it can say its version, and on a busy machine no tool answers each time.
    let mut told = Value::Null;
    let all_answer = || {
        told = kinds();
        told.as_array()
            .unwrap()
            .iter()
            .all(|kind| !kind["missing"].to_string().contains("not known yet"))
    };
    assert!(wait_until(Duration::from_secs(60), all_answer), "{told}");
    let kinds = told.as_array().unwrap();
    let names: Vec<_> = kinds.iter().map(|kind| kind["kind"].as_str().unwrap()).collect();
    assert_eq!(names, ["compose", "git", "image", "swarm"]);
    for kind in kinds {
        assert_eq!(kind["rollback"], true, "{kind}");
        let ready = kind["missing"].as_array().unwrap().is_empty();
        assert_eq!(kind["ready"], ready, "{kind}");
    }
    let uses = |name: usize| kinds[name]["uses"][0].as_str().unwrap_or_default().to_owned();
    assert!(uses(0).contains("ompose"), "{}", kinds[0]);
    assert!(uses(1).starts_with("git "), "{}", kinds[1]);
    let spec = json!({"name": site.name, "source": {"kind": "helm", "reference": "x"}});
    let (status, problem) = site.admin.create_refused(&spec);
    assert_eq!((status, problem["field"].as_str()), (422, Some("source.kind")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("compose, git, image, swarm"), "{problem}");
}

/// Two services of one Compose file are one workload: one row says what each of them runs, one that fails leaves the other alone,
/// and a rollback takes both back although their tags have moved.
#[test]
fn a_compose_project_is_deployed_and_rolled_back_as_a_whole() {
    let Some(site) = Site::new() else { return };
    let web = site.publish("web", &ImageSpec::web("v1"));
    let db = site.publish("db", &ImageSpec::sleeper());
    let file = format!(
        "services:\n  web:\n    image: {web}\n    ports: [\"127.0.0.1:${{PORT}}:80\"]\n    depends_on: [db]\n  db:\n    image: {db}\n"
    );
    let id = site.admin.create(&site.compose(&file));
    let first = site.admin.deploy(&id);
    assert_eq!(
        outcome(&first).0,
        "succeeded",
        "{first} {}",
        site.server.log_text()
    );
    let parts = first["parts"].as_array().unwrap();
    let names: Vec<_> = parts.iter().map(|part| part["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["db", "web"]);
    for part in parts {
        assert!(part["reference"].as_str().unwrap().contains("@sha256:"), "{part}");
    }
    site.shows("v1");
    let untouched = site.runs("db");

    site.publish("web", &ImageSpec::web("v2").health(Health::Never));
    let failed = site.admin.deploy(&id);
    assert_eq!(outcome(&failed), ("failed", Some("unhealthy")));
    assert_eq!(failed["error"]["part"], "web");
    site.shows("v1");
    assert_eq!(site.runs("db"), untouched);

    site.publish("web", &ImageSpec::web("v3"));
    site.publish("db", &ImageSpec::sleeper());
    assert_eq!(outcome(&site.admin.deploy(&id)).0, "succeeded");
    site.shows("v3");
    assert_ne!(site.runs("db"), untouched);

    let back = site.admin.roll_back(&id, &first);
    assert_eq!(outcome(&back).0, "succeeded", "{back} {}", site.server.log_text());
    assert_eq!(back["parts"], first["parts"]);
    site.shows("v1");

    let counted = || {
        let (_, points) = site
            .admin
            .get(&format!("/api/workloads/{id}/stats/history?window=5m"));
        let last = points.as_array().and_then(|points| points.last().cloned());
        last.is_some_and(|point| point["containers"] == 2)
    };
    assert!(
        wait_until(Duration::from_secs(60), counted),
        "its containers are not summed up"
    );
    assert_eq!(site.admin.delete(&format!("/api/workloads/{id}")).0, 204);
    let own = format!("name={}", site.name);
    assert_eq!(site.engine.docker(&["ps", "-aq", "--filter", &own]).trim(), "");
}

/// A repository that needs a token, whose history is rewritten between a deploy and the rollback to it.
#[test]
fn an_app_is_built_from_a_repository_and_rolled_back_after_its_branch_was_forced() {
    let Some(site) = Site::new() else { return };
    let git = GitServer::start();
    git.require("x-access-token", TOKEN);
    let repository = git.repository("team/app");
    let publish = |page: &str| {
        repository
            .copy("busybox", "/bin/busybox")
            .write("www/index.html", page);
        repository.write("Dockerfile", DOCKERFILE).commit(page)
    };
    publish("v0");
    let first_commit = publish("v1");
    let token = site.data.path().join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let secret = format!("file:{}", token.display());
    let spec = json!({
        "name": site.name,
        "source": {"kind": "git", "reference": format!("{}#main", repository.url()), "options": {"token": secret}},
        "ports": [{"host": site.port, "container": 80, "host_ip": "127.0.0.1"}],
        "rollout": {"min_healthy_s": 1, "stop_timeout_s": 2},
    });
    let id = site.admin.create(&spec);
    let first = site.admin.deploy(&id);
    assert_eq!(
        outcome(&first).0,
        "succeeded",
        "{first} {}",
        site.server.log_text()
    );
    let pinned = first["reference"].as_str().unwrap();
    assert!(
        pinned.ends_with(&format!("/team/app.git@git:{first_commit}")),
        "{pinned}"
    );
    site.shows("v1");

    repository.take_back().forget();
    publish("v2");
    assert_eq!(outcome(&site.admin.deploy(&id)).0, "succeeded");
    site.shows("v2");

    let back = site.admin.roll_back(&id, &first);
    assert_eq!(outcome(&back).0, "succeeded", "{back} {}", site.server.log_text());
    assert_eq!(back["reference"], first["reference"]);
    site.shows("v1");

    std::fs::write(&token, "another").unwrap();
    let denied = site.admin.deploy(&id);
    assert_eq!(outcome(&denied), ("failed", Some("source_denied")));
    site.shows("v1");
    let (_, rows) = site.admin.get(&format!("/api/workloads/{id}/deploys"));
    for told in [rows.to_string(), site.server.log_text()] {
        assert!(!told.contains(TOKEN), "{told}");
    }
    assert_eq!(site.admin.delete(&format!("/api/workloads/{id}")).0, 204);
}

/// What is wrong with a source is said before there is anything to deploy, at its field, and without quoting it.
#[test]
fn sources_that_cannot_be_are_refused_at_their_field() {
    let Some(site) = Site::new() else { return };
    let compose = |file: &str| site.compose(file)["source"].clone();
    let git = |reference: &str| json!({"kind": "git", "reference": reference});
    let dockerfile = |path: &str| json!({"kind": "git", "reference": "https://localhost/a.git#main", "options": {"dockerfile": path}});
    let bomb: String = (1..24).fold(
        "services: {web: {image: a}}\nx-a0: &a0 [x, x]\n".to_owned(),
        |text, i| {
            let before = i - 1;
            format!("{text}x-a{i}: &a{i} [*a{before}, *a{before}, *a{before}, *a{before}]\n")
        },
    );
    let cases = [
        ("source.options.file", compose("services: [")),
        (
            "source.options.file",
            compose("services: {web: {image: a, depends_on: [ghost]}}"),
        ),
        ("source.options.file", compose("services: {web: {build: .}}")),
        ("source.options.file", compose(&bomb)),
        (
            "source.options.fil",
            json!({"kind": "compose", "reference": "inline", "options": {"fil": ""}}),
        ),
        ("source.reference", git("https://user:s3cr3t@localhost/a.git")),
        ("source.reference", git("ext::sh -c id")),
        ("source.reference", git("file:///etc")),
        ("source.reference", git("--upload-pack=s3cr3t")),
        ("source.options.dockerfile", dockerfile("../Dockerfile")),
        ("source.options.dockerfile", dockerfile("/etc/Dockerfile")),
    ];
    for (field, source) in cases {
        let (status, problem) = site
            .admin
            .create_refused(&json!({"name": site.name, "source": source}));
        assert_eq!(
            (status, problem["field"].as_str()),
            (422, Some(field)),
            "{source}: {problem}"
        );
        assert!(!problem.to_string().contains("s3cr3t"), "{problem}");
    }
    let large = format!("services: {{web: {{image: a}}}}\n# {}", "x".repeat(5 << 20));
    let spec = json!({"name": site.name, "source": compose(&large)});
    let (status, _) = site.admin.create_refused(&spec);
    assert_eq!(status, 413);
}

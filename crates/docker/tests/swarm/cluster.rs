//! A swarm of two nodes on one machine: two more engines, each in namespaces of its own.

use std::fs::{self, File};
use std::io;
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use shipslog_test_support::{Engine, Registry, unique, wait_until};

use crate::bench::PATIENCE;

/// What an engine may take to end.
const END_LIMIT: Duration = Duration::from_secs(30);
/// Hides what the engine of this machine has in fixed places: it is not to be touched.
const WRAPPER: &str = "mount -t tmpfs tmpfs /run && ip link set lo up && exec \"$@\"";
/// However the first process in them ends, its containers, networks and mounts end with it.
const NAMESPACES: [&str; 6] = [
    "--net",
    "--mount",
    "--pid",
    "--fork",
    "--mount-proc",
    "--kill-child",
];

/// A manager and a worker, in a swarm, with a cable between them.
pub(crate) struct Cluster {
    // In this order: the worker would miss its manager.
    pub(crate) worker: Machine,
    pub(crate) manager: Machine,
    _folder: Folder,
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("{} is left: {error}", self.0.display());
        }
    }
}

impl Cluster {
    /// Two engines, each in namespaces of its own.
    pub(crate) fn start(registry: &Registry) -> Self {
        assert!(
            can_make_engines(),
            "engines in namespaces of their own need root, dockerd and ip"
        );
        let folder = Folder(std::env::temp_dir().join(unique("nodes")));
        let manager = Machine::start(&folder.0.join("manager"));
        let worker = Machine::start(&folder.0.join("worker"));
        connect(&manager, &worker);
        manager.relay(registry.host());
        worker.relay(registry.host());
        let cluster = Self {
            worker,
            manager,
            _folder: folder,
        };
        cluster.form();
        cluster
    }

    fn form(&self) {
        let [manager, worker] = ["10.77.0.1", "10.77.0.2"];
        let init = [
            "swarm",
            "init",
            "--advertise-addr",
            manager,
            "--listen-addr",
            manager,
        ];
        self.manager.engine.docker(&init);
        let token = self
            .manager
            .engine
            .docker(&["swarm", "join-token", "--quiet", "worker"]);
        let join = [
            "swarm",
            "join",
            "--advertise-addr",
            worker,
            "--token",
            &token,
            manager,
        ];
        // It gives up waiting after a while, and goes on all the same.
        let _ = self.worker.engine.try_docker(&join);
        let ready = || {
            let nodes = self
                .manager
                .engine
                .docker(&["node", "ls", "--format", "{{.Status}}"]);
            nodes.lines().filter(|status| *status == "Ready").count() == 2
        };
        assert!(wait_until(PATIENCE, ready), "the worker is not ready");
    }

    pub(crate) fn engines(&self) -> [&Engine; 2] {
        [&self.manager.engine, &self.worker.engine]
    }
}

fn can_make_engines() -> bool {
    let mut command = Command::new("unshare");
    command
        .args(NAMESPACES)
        .args(["sh", "-c", "command -v dockerd && command -v ip"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// An engine in namespaces of its own.
pub(crate) struct Machine {
    pub(crate) engine: Engine,
    namespaces: Child,
}

impl Machine {
    fn start(folder: &Path) -> Self {
        fs::create_dir_all(folder).expect("a folder");
        let at = |name: &str| folder.join(name).display().to_string();
        fs::write(at("daemon.json"), "{}").expect("a file");
        let log = File::create(at("log")).expect("a file");
        let host = format!("unix://{}", at("sock"));
        let dockerd = [
            "dockerd",
            "--config-file",
            &at("daemon.json"),
            "--data-root",
            &at("data"),
            "--host",
            &host,
        ];
        let namespaces = Command::new("unshare")
            .args(NAMESPACES)
            .args(["sh", "-c", WRAPPER, "sh"])
            .args(dockerd)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file"))
            .stderr(log)
            .spawn()
            .expect("unshare can be run");
        let machine = Self {
            engine: Engine::at(&host),
            namespaces,
        };
        let answers = || machine.engine.try_docker(&["version"]).is_ok();
        if !wait_until(PATIENCE, answers) {
            panic!("no engine: {}", fs::read_to_string(at("log")).unwrap_or_default());
        }
        machine
    }

    fn pid(&self) -> u32 {
        self.namespaces.id()
    }

    /// Runs a command in its network.
    fn network(&self, command: &[&str]) {
        run(&[
            &["nsenter", "--net", "--target", &self.pid().to_string()],
            command,
        ]
        .concat());
    }

    /// Lets its loopback address be this machine's, where a registry listens.
    fn relay(&self, address: &str) {
        let listener = self.listen(address);
        let upstream = address.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let upstream = upstream.clone();
                thread::spawn(move || TcpStream::connect(&upstream).map(|server| join(&client, &server)));
            }
        });
    }

    fn listen(&self, address: &str) -> TcpListener {
        let namespace = File::open(format!("/proc/{}/ns/net", self.pid())).expect("a namespace");
        let address = address.to_owned();
        // A thread of its own: it cannot go back. The socket stays where it was made.
        let thread = thread::spawn(move || {
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
                .expect("root may enter namespaces");
            TcpListener::bind(address).expect("nobody else listens there")
        });
        thread.join().expect("it does not panic")
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let pid = self.pid();
        let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
        let engine = children.trim().parse().ok().and_then(Pid::from_raw);
        // Asked kindly, it removes its control groups as well.
        let _ = engine.map(|engine| kill_process(engine, Signal::TERM));
        let ended = wait_until(END_LIMIT, || !matches!(self.namespaces.try_wait(), Ok(None)));
        if !ended {
            let _ = self.namespaces.kill();
            let _ = self.namespaces.wait();
        }
    }
}

fn connect(manager: &Machine, worker: &Machine) {
    let (manager_pid, worker_pid) = (manager.pid().to_string(), worker.pid().to_string());
    let cable = [
        "ip",
        "link",
        "add",
        "cable",
        "netns",
        &manager_pid,
        "type",
        "veth",
    ];
    let end = ["peer", "name", "cable", "netns", &worker_pid];
    run(&[&cable[..], &end].concat());
    for (machine, address) in [(manager, "10.77.0.1/24"), (worker, "10.77.0.2/24")] {
        machine.network(&["ip", "address", "add", address, "dev", "cable"]);
        machine.network(&["ip", "link", "set", "cable", "up"]);
    }
}

fn run(command: &[&str]) {
    let output = Command::new(command[0]).args(&command[1..]).output();
    let output = output.expect("it can be run");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

/// Carries what either says to the other, until both are done.
fn join(client: &TcpStream, server: &TcpStream) {
    thread::scope(|scope| {
        scope.spawn(|| carry(client, server));
        carry(server, client);
    });
}

fn carry(mut from: &TcpStream, mut to: &TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Write);
}

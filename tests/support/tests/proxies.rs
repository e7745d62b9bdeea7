//! A proxy fails as it is told, and recovers.
#![allow(clippy::expect_used, reason = "a panic is how a test fails")]

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use shipslog_test_support::{Cleanup, Engine, ImageSpec, Registry, SocketProxy, engine, unique};
use shipslog_test_support::{free_port, wait_until, write_docker_config};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
const PING: &[u8] = b"GET /_ping HTTP/1.0\r\nHost: engine\r\n\r\n";

fn connect(proxy: &SocketProxy) -> std::io::Result<UnixStream> {
    UnixStream::connect(Engine::at(&proxy.address()).socket())
}

/// A connection on which the engine was asked for a ping, the answer unread.
fn pinged(proxy: &SocketProxy) -> UnixStream {
    let mut stream = connect(proxy).expect("the proxy accepts");
    stream.write_all(PING).expect("the proxy reads");
    stream
}

fn answer(mut stream: &UnixStream) -> String {
    let mut answer = String::new();
    stream
        .set_read_timeout(Some(PATIENCE))
        .expect("a time-out can be set");
    stream.read_to_string(&mut answer).expect("the answer is text");
    answer
}

#[test]
fn an_engine_is_used_through_a_proxy_like_the_engine_itself() {
    let Some(engine) = engine() else { return };
    let proxy = SocketProxy::start(engine.host());
    let proxied = Engine::at(&proxy.address());
    let name = unique("support-proxied");
    let _cleanup = Cleanup::new(&engine).prefix(&name);

    let image = ImageSpec::command(&["cat"]).build(&proxied, &name);
    assert_eq!(
        proxied.docker(&["run", "--rm", image.id(), "echo", "hello"]),
        "hello"
    );
}

#[test]
fn a_cut_ends_what_is_under_way_and_refuses_more_until_it_is_restored() {
    let Some(engine) = engine() else { return };
    let proxy = SocketProxy::start(engine.host());
    let mut open = connect(&proxy).expect("the proxy accepts");
    assert!(wait_until(PATIENCE, || proxy.connections() == 1));

    proxy.cut();
    open.set_read_timeout(Some(PATIENCE))
        .expect("a time-out can be set");
    assert_eq!(
        open.read(&mut [0; 1]).ok(),
        Some(0),
        "the open connection has ended"
    );
    // A program that another test starts may hold the listening end for a moment.
    let is_refused = || connect(&proxy).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    assert!(wait_until(PATIENCE, is_refused));

    proxy.remove();
    assert_eq!(
        connect(&proxy).map_err(|error| error.kind()).err(),
        Some(ErrorKind::NotFound)
    );

    proxy.restore();
    assert!(answer(&pinged(&proxy)).ends_with("OK"));
}

#[test]
fn a_hung_proxy_accepts_and_stays_silent_until_it_is_restored() {
    let Some(engine) = engine() else { return };
    let proxy = SocketProxy::start(engine.host());
    proxy.hang();
    let waiting = pinged(&proxy);

    waiting
        .set_read_timeout(Some(Duration::from_secs(1)))
        .expect("a time-out can be set");
    let silence = (&mut &waiting).read(&mut [0; 1]).map_err(|error| error.kind());
    assert_eq!(silence, Err(ErrorKind::WouldBlock));

    proxy.restore();
    assert!(answer(&waiting).ends_with("OK"));
}

#[test]
fn a_hung_proxy_can_be_cut() {
    let Some(engine) = engine() else { return };
    let proxy = SocketProxy::start(engine.host());
    proxy.hang();
    let waiting = pinged(&proxy);
    assert!(wait_until(PATIENCE, || proxy.connections() == 1));
    proxy.cut();
    assert_eq!(answer(&waiting), "");
}

#[test]
fn a_limit_slows_down_what_comes_from_the_target() {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let target = server.local_addr().expect("an address").to_string();
    let feeder = thread::spawn(move || {
        let (mut stream, _) = server.accept().expect("a connection");
        stream.write_all(&[7; 50_000]).expect("the proxy reads");
    });
    let proxy = SocketProxy::start(&target);
    proxy.limit(50_000);

    let started = Instant::now();
    let mut received = Vec::new();
    let mut stream = TcpStream::connect(proxy.address()).expect("the proxy accepts");
    stream.read_to_end(&mut received).expect("the proxy answers");

    assert_eq!(received, [7; 50_000]);
    assert!(
        started.elapsed() >= Duration::from_millis(900),
        "{:?}",
        started.elapsed()
    );
    feeder.join().expect("the feeder ends");
}

#[test]
fn a_missing_target_closes_the_connection() {
    let proxy = SocketProxy::start(&format!("127.0.0.1:{}", free_port()));
    let mut stream = TcpStream::connect(proxy.address()).expect("the proxy accepts");
    assert!(matches!(stream.read(&mut [0; 1]), Ok(0) | Err(_)));
}

#[test]
fn an_engine_can_be_lost_in_the_middle_of_a_slow_pull() {
    let Some(engine) = engine() else { return };
    let registry = Registry::start();
    let slow = SocketProxy::start(registry.host());
    let fragile = SocketProxy::start(engine.host());
    let name = unique("support-slow");
    let _cleanup = Cleanup::new(&engine).prefix(&name);
    let image = ImageSpec::sleeper().payload_mib(4).build(&engine, &name);
    image.push(&registry, &format!("{name}:1"));
    image.remove();

    let config = TempDir::new().expect("a temporary folder");
    write_docker_config(
        config.path(),
        &slow.address(),
        registry.user(),
        registry.password(),
    );
    let client = Engine::at(&fragile.address()).with_docker_config(config.path());
    let reference = format!("{}/{name}:1", slow.address());
    slow.limit(200_000);
    let puller = thread::spawn({
        let (client, reference) = (client.clone(), reference.clone());
        move || client.try_docker(&["pull", &reference])
    });
    assert!(wait_until(PATIENCE, || slow.passed() > 500_000));
    fragile.cut();
    let lost = puller.join().expect("the pull ends");
    assert!(lost.is_err(), "{lost:?}");
    assert!(engine.try_docker(&["image", "inspect", &reference]).is_err());

    slow.limit(0);
    fragile.restore();
    client.docker(&["pull", &reference]);
}

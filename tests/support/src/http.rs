//! A client for tests: one request per connection, nothing kept.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::names::urandom;

const TIMEOUT: Duration = Duration::from_secs(10);

/// Below this one are ports of services.
const FIRST_PORT: u16 = 10_000;

/// A TCP port that nothing listens on at this moment, and that this process was not given before.
///
/// It is not of those that the kernel gives to outgoing connections: one of them could have it when a container is to bind it.
pub fn free_port() -> u16 {
    static GIVEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    let span = first_outgoing_port() - FIRST_PORT;
    loop {
        let mut random = [0; 2];
        urandom()
            .read_exact(&mut random)
            .expect("/dev/urandom is readable");
        let port = FIRST_PORT + u16::from_le_bytes(random) % span;
        if !given.contains(&port) && TcpListener::bind(("0.0.0.0", port)).is_ok() {
            given.insert(port);
            return port;
        }
    }
}

fn first_outgoing_port() -> u16 {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let first = range
        .split_whitespace()
        .next()
        .and_then(|first| first.parse().ok());
    // Of a range that leaves no room it is to be one in any case.
    first.filter(|first| *first > 2 * FIRST_PORT).unwrap_or(32_768)
}

/// Status and body of `GET http://<address><path>`; panics when nobody answers within 10 s.
#[track_caller]
pub fn http_get(address: &str, path: &str) -> (u16, String) {
    try_http_get(address, path).unwrap_or_else(|error| panic!("GET http://{address}{path}: {error}"))
}

/// Status and body of `GET http://<address><path>`; `address` is an IP address with a port.
///
/// Any status is an `Ok`. A refused or broken connection, 10 s of silence, or an answer that is
/// not HTTP is an error.
pub fn try_http_get(address: &str, path: &str) -> io::Result<(u16, String)> {
    request("GET", address, path, &[])
}

/// One request with extra `headers`. HTTP/1.0, so that the answer ends where the connection does.
pub(crate) fn request(
    method: &str,
    address: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> io::Result<(u16, String)> {
    let mut stream = connect(address)?;
    let extra: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: {address}\r\n{extra}\r\n"
    )?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    parse(&String::from_utf8_lossy(&answer))
}

fn connect(address: &str) -> io::Result<TcpStream> {
    let address: SocketAddr = address.parse().map_err(io::Error::other)?;
    let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    Ok(stream)
}

fn parse(answer: &str) -> io::Result<(u16, String)> {
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let status = head
        .split_whitespace()
        .nth(1)
        .and_then(|status| status.parse().ok());
    Ok((status.ok_or(io::ErrorKind::InvalidData)?, body.to_owned()))
}

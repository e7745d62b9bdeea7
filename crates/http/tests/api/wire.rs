//! The router behind a real socket, as `axum::serve` drives it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::rig::{ADMIN, Rig};

async fn serve() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(axum::serve(listener, Rig::new().app).into_future());
    address
}

/// Sends all of a request before it reads any of the answer, as simple clients do.
async fn exchange(request: &[u8]) -> String {
    let mut stream = TcpStream::connect(serve().await).await.unwrap();
    stream.write_all(request).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8(answer).unwrap()
}

fn assert_problem(answer: &str, status: u16) {
    assert!(
        answer.starts_with(&format!("HTTP/1.1 {status} "))
            || answer.starts_with(&format!("HTTP/1.0 {status} ")),
        "{answer}"
    );
    assert!(
        answer.contains("content-type: application/problem+json"),
        "{answer}"
    );
}

#[tokio::test]
async fn who_sends_far_too_much_gets_to_read_why_it_was_refused() {
    let length = 10 * 1024 * 1024;
    let head = format!(
        "POST /api/workloads HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {ADMIN}\r\nContent-Type: application/json\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n"
    );
    let mut request = head.into_bytes();
    request.resize(request.len() + length, b' ');
    assert_problem(&exchange(&request).await, 413);
}

#[tokio::test]
async fn a_request_without_a_host_is_refused_where_the_protocol_demands_one() {
    assert_problem(
        &exchange(b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").await,
        421,
    );
    let answer = exchange(b"GET /healthz HTTP/1.0\r\n\r\n").await;
    assert!(answer.contains(" 200 OK\r\n"), "{answer}");
}

#[tokio::test]
async fn a_foreign_target_is_not_hidden_by_a_loopback_host() {
    let request = b"GET http://evil.example/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_problem(&exchange(request).await, 421);
}

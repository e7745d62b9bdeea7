//! 7,200 points over HTTP, beside axum sending the same bytes ready-made: six hours of a tick every 3 seconds, asked for by one
//! client on loopback that has asked before.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use criterion::{Criterion, criterion_group, criterion_main};
use shipslog::core::id::WorkloadId;
use shipslog::core::secret::Secret;
use shipslog::core::stats::{Sample, StatsStore, Tick, TickRow};
use shipslog::core::time::{Clock, Timestamp};
use shipslog::core::workloads::WorkloadStore;
use shipslog::http::{HostPolicy, StaticTokens, TokenHash};
use shipslog::store::SqliteStore;
use shipslog::{Options, Shipslog, SystemClock};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const TOKEN: &str = "a token for a benchmark";

const TICKS: i64 = 7_200;
const SECONDS_A_TICK: i64 = 3;

/// Records six hours up to now, of a workload with ten containers.
async fn furnish(path: &std::path::Path, now: i64) -> WorkloadId {
    let store = SqliteStore::open(path).unwrap();
    let at = Timestamp::from_second(now).unwrap();
    let workload = store.observe_workload("web", at).await.unwrap().id;
    for i in 0..TICKS {
        let row = |container: u64| TickRow {
            container: format!("container-{container}").parse().unwrap(),
            name: format!("web-{container}"),
            workload: workload.clone(),
            sample: Some(Sample {
                cpu_percent: Some((i.cast_unsigned() * 7 + container) as f64 % 97.0),
                memory_usage: Some(100_000_000 + i.cast_unsigned() * 4_096),
                memory_limit: Some(0),
                network_rx: Some(i.cast_unsigned() * 31 % 10_007),
                network_tx: Some(i.cast_unsigned() * 37 % 10_007),
                block_read: Some(0),
                block_write: Some(i.cast_unsigned() % 4_096),
            }),
        };
        let ts = now - (TICKS - 1 - i) * SECONDS_A_TICK;
        let rows = (0..10).map(row).collect();
        store.record_tick(&Tick { ts, rows }).await.unwrap();
    }
    workload
}

async fn serve(app: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    address
}

/// A client that keeps its connection.
struct Client {
    address: SocketAddr,
    stream: BufReader<TcpStream>,
    headers: String,
    body: Vec<u8>,
}

impl Client {
    fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            address,
            stream: BufReader::with_capacity(1 << 16, stream),
            headers: String::new(),
            body: Vec::new(),
        }
    }

    fn get(&mut self, path: &str, header: &str) -> usize {
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {TOKEN}\r\n{header}\r\n",
            self.address
        );
        self.stream.get_mut().write_all(request.as_bytes()).unwrap();
        self.headers.clear();
        while self.stream.read_line(&mut self.headers).unwrap() > 2 {}
        let length = self
            .header("content-length")
            .map_or(0, |length| length.parse().unwrap());
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body).unwrap();
        length
    }

    fn header(&self, name: &str) -> Option<String> {
        let mut lines = self.headers.lines().filter_map(|line| line.split_once(": "));
        lines
            .find(|(at, _)| at.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    }
}

fn answers(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let now = SystemClock.now().as_second();
    let workload = runtime.block_on(furnish(&directory.path().join("shipslog.db"), now));
    let mut options = Options::new(directory.path());
    options.docker = Some("unix:///nowhere/engine.sock".to_owned());
    options.tick = Duration::from_secs(3);
    let log = runtime.block_on(Shipslog::start(options)).unwrap();
    let tokens = StaticTokens::default().with_viewer("bench", TokenHash::of(&Secret::new(TOKEN.to_owned())));
    let ours = runtime.block_on(serve(log.router(Arc::new(tokens), HostPolicy::Any)));

    // A minute more than what there is, so that nothing leaves the window meanwhile.
    let history = format!("/api/workloads/{workload}/stats/history?window=6h&step=raw");
    let history = history.replace("6h", &format!("{}s", TICKS * SECONDS_A_TICK + 600));
    let mut client = Client::new(ours);
    client.get(&history, "");
    let bytes = Bytes::from(client.body.clone());
    assert_eq!(
        bytes.windows(6).filter(|window| window == b"{\"ts\":").count() as i64,
        TICKS
    );
    let ready = bytes.clone();
    let handler = move || async move { ([(CONTENT_TYPE, "application/json")], ready) };
    let plain = runtime.block_on(serve(Router::new().route("/ready", get(handler))));
    let mut other = Client::new(plain);

    let mut group = criterion.benchmark_group("history_answer");
    group.measurement_time(Duration::from_secs(5));
    group.bench_function("7,200 points", |b| {
        b.iter(|| assert_eq!(client.get(&history, ""), bytes.len()))
    });
    group.bench_function("ready-made", |b| {
        b.iter(|| assert_eq!(other.get("/ready", ""), bytes.len()))
    });
    let known = format!("If-None-Match: {}\r\n", client.header("etag").unwrap());
    group.bench_function("not modified", |b| {
        b.iter(|| assert_eq!(client.get(&history, &known), 0))
    });
    let since = format!("{history}&since={}", now - 10);
    group.bench_function("since the last three", |b| b.iter(|| client.get(&since, "")));
    group.finish();
    println!("history_answer  {} bytes", bytes.len());
    runtime.block_on(log.shutdown(Duration::from_secs(1)));
}

criterion_group!(benches, answers);
criterion_main!(benches);

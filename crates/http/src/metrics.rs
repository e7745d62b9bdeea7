//! The numbers of the server and of all workloads, for Prometheus.

mod text;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use shipslog_core::deploys::DispatcherStatus;
use shipslog_core::stats::{Point, RecorderProgress};
use shipslog_core::workloads::Workload;
use utoipa_axum::routes;

use self::text::{Labels, Page};
use crate::Routes;
use crate::state::Api;
use crate::system::probe;

pub(crate) fn router() -> Routes {
    vec![routes!(metrics)]
}

/// A gauge of a workload: its name, what it says, and where it is read.
type PointGauge = (&'static str, &'static str, fn(&Point) -> Option<f64>);

/// What is told of a workload.
const POINT_GAUGES: [PointGauge; 9] = [
    (
        "shipslog_workload_cpu_cores",
        "Processor cores in use.",
        |point| point.cpu_percent.map(|percent| percent / 100.0),
    ),
    (
        "shipslog_workload_memory_bytes",
        "Memory in use that cannot be taken back at once.",
        |point| bytes(point.memory_usage),
    ),
    (
        "shipslog_workload_memory_limit_bytes",
        "The highest memory limit of a single container; absent without one.",
        |point| bytes(point.memory_limit.filter(|limit| *limit > 0)),
    ),
    (
        "shipslog_workload_network_receive_bytes_per_second",
        "Bytes received over the network.",
        |point| bytes(point.network_rx),
    ),
    (
        "shipslog_workload_network_transmit_bytes_per_second",
        "Bytes sent over the network.",
        |point| bytes(point.network_tx),
    ),
    (
        "shipslog_workload_block_read_bytes_per_second",
        "Bytes read from block devices.",
        |point| bytes(point.block_read),
    ),
    (
        "shipslog_workload_block_write_bytes_per_second",
        "Bytes written to block devices.",
        |point| bytes(point.block_write),
    ),
    (
        "shipslog_workload_containers",
        "Containers that were read.",
        |point| Some(f64::from(point.containers)),
    ),
    (
        "shipslog_workload_read_timestamp_seconds",
        "When the workload was read, in unix time.",
        |point| Some(point.ts as f64),
    ),
];

fn bytes(bytes: Option<u64>) -> Option<f64> {
    bytes.map(|bytes| bytes as f64)
}

/// What the store says when it is asked; `None` where it does not answer.
struct StoreAnswer {
    workloads: Option<Vec<Workload>>,
    size: Option<u64>,
}

/// The server's own health and what each workload used when it was read last, in the Prometheus text format 0.0.4.
///
/// A number that is not known, or of a workload that was not read in the last 45 seconds, is absent, never 0. It
/// answers also while the engine or the store does not.
#[utoipa::path(
    get,
    path = "/metrics",
    tag = "system",
    security(("token" = ["viewer"])),
    responses((status = 200, description = "One line a sample", body = String, content_type = text::CONTENT_TYPE))
)]
async fn metrics(State(api): State<Arc<Api>>) -> Response {
    let (engine, store) = tokio::join!(probe(api.inventory.engine()), ask_store(&api));
    let mut page = Page::default();
    write_server(&mut page, engine.is_some(), &store);
    write_ticks(&mut page, api.recorder.progress(), api.tick);
    write_live(&mut page, &api);
    write_deploys(&mut page, api.dispatcher.status());
    write_workloads(&mut page, &api, store.workloads.as_deref().unwrap_or_default());
    ([(CONTENT_TYPE, text::CONTENT_TYPE)], page.into_text()).into_response()
}

async fn ask_store(api: &Api) -> StoreAnswer {
    let (workloads, size) = tokio::join!(probe(api.store.workloads()), probe(api.store.size()));
    StoreAnswer { workloads, size }
}

fn write_server(page: &mut Page, engine_up: bool, store: &StoreAnswer) {
    let version = Labels::new(&[("version", env!("CARGO_PKG_VERSION"))]);
    page.gauges(
        "shipslog_build_info",
        "The version of shipslog; always 1.",
        [(&version, 1.0)],
    );
    page.gauge(
        "shipslog_engine_up",
        "Whether the container engine answers.",
        flag(engine_up),
    );
    page.gauge(
        "shipslog_store_up",
        "Whether the store answers.",
        flag(store.workloads.is_some()),
    );
    page.gauge(
        "shipslog_store_size_bytes",
        "Bytes that the store takes up.",
        bytes(store.size),
    );
}

fn flag(flag: bool) -> f64 {
    f64::from(u8::from(flag))
}

fn write_ticks(page: &mut Page, ticks: RecorderProgress, interval: Duration) {
    page.gauge(
        "shipslog_tick_interval_seconds",
        "Time between two stored samples.",
        interval.as_secs_f64(),
    );
    page.counter(
        "shipslog_ticks_recorded_total",
        "Ticks that were written to the store.",
        ticks.recorded,
    );
    let cause = |cause: &str| Labels::new(&[("cause", cause)]);
    page.counters(
        "shipslog_ticks_failed_total",
        "Ticks that were not written, by what did not answer.",
        [
            (&cause("engine"), ticks.without_engine),
            (&cause("store"), ticks.without_store),
        ],
    );
    page.gauge(
        "shipslog_last_tick_timestamp_seconds",
        "The newest tick that was written, in unix time.",
        ticks.newest.map(|ts| ts as f64),
    );
    page.gauge(
        "shipslog_tick_lag_seconds",
        "By how much the next tick is overdue; 0 while ticks come in time.",
        ticks.since.saturating_sub(interval).as_secs_f64(),
    );
}

fn write_live(page: &mut Page, api: &Api) {
    page.gauge(
        "shipslog_live_containers",
        "Containers that are read every few seconds because somebody asks for them.",
        api.poller.sampled() as f64,
    );
    page.gauge(
        "shipslog_live_subscribers",
        "Open subscriptions to live numbers.",
        api.poller.hub().subscribers() as f64,
    );
}

fn write_deploys(page: &mut Page, status: DispatcherStatus) {
    let outcome = |outcome: &str| Labels::new(&[("outcome", outcome)]);
    page.counters(
        "shipslog_deploys_total",
        "Deploys and rollbacks that ended since the server started, by outcome.",
        [
            (&outcome("succeeded"), status.closed.succeeded),
            (&outcome("failed"), status.closed.failed),
            (&outcome("interrupted"), status.closed.interrupted),
        ],
    );
    page.gauge(
        "shipslog_dispatches_running",
        "Deploys and rollbacks under way.",
        status.running as f64,
    );
    page.gauge(
        "shipslog_deploys_unclosed",
        "Deploys that ended and wait for the ledger to take it down.",
        status.unclosed as f64,
    );
    page.gauge(
        "shipslog_workloads_unsettled",
        "Workloads that wait for the engine to be put in order.",
        status.unsettled as f64,
    );
}

fn write_workloads(page: &mut Page, api: &Api, workloads: &[Workload]) {
    let latest = |workload: &Workload| {
        let point = api.poller.hub().workload(&workload.id)?.value;
        Some((labels(workload), point))
    };
    let points: Vec<(Labels, Point)> = workloads.iter().filter_map(latest).collect();
    for (name, help, read) in POINT_GAUGES {
        let known = points
            .iter()
            .filter_map(|(labels, point)| Some((labels, read(point)?)));
        page.gauges(name, help, known);
    }
}

fn labels(workload: &Workload) -> Labels {
    let kind = match workload.spec() {
        Some(_) => "managed",
        None => "observed",
    };
    Labels::new(&[
        ("workload", &workload.name),
        ("workload_id", workload.id.as_str()),
        ("kind", kind),
    ])
}

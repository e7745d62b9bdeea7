//! The example server: shipslog with SQLite and Docker on one address.
//!
//! `cargo run --release --example server -- --help` lists its settings.

use std::error::Error;
use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use shipslog::core::secret::Secret;
use shipslog::core::stats::Retention;
use shipslog::core::time::Window;
use shipslog::http::{HostPolicy, StaticTokens, TokenHash};
use shipslog::{Options, Shipslog};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};
use tracing_subscriber::EnvFilter;

/// How long running deploys may go on after the signal to stop.
const SHUTDOWN_BOUND: Duration = Duration::from_secs(30);

/// The ship's log of a container control plane.
///
/// SHIPSLOG_ADMIN_TOKEN and SHIPSLOG_VIEWER_TOKEN set the access tokens. Without them the first start makes an
/// admin token and prints it once.
#[derive(Debug, Parser)]
#[command(version)]
struct Args {
    /// Address to listen on. Anything but loopback needs a token from the environment.
    #[arg(long, env = "SHIPSLOG_LISTEN", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,

    /// Directory for the database.
    #[arg(long, env = "SHIPSLOG_DATA", default_value = "./data")]
    data: PathBuf,

    /// Time between two stored samples, such as 10s.
    #[arg(long, env = "SHIPSLOG_TICK", default_value = "10s", value_parser = Window::parse_any)]
    tick: Window,

    /// Time between two live readings of what somebody watches, such as 3s.
    #[arg(long, env = "SHIPSLOG_POLL", default_value = "3s", value_parser = Window::parse_any)]
    poll: Window,

    /// Container engine: unix:///path or tcp://host:port [default: DOCKER_HOST, then the usual sockets]
    #[arg(long, env = "SHIPSLOG_DOCKER")]
    docker: Option<String>,

    /// How long history is kept, such as 90d: averages and peaks of 5 minutes.
    #[arg(long, env = "SHIPSLOG_RETENTION", default_value = "90d", value_parser = Window::parse_any)]
    retention: Window,

    /// How long averages and peaks of a minute are kept.
    #[arg(long, env = "SHIPSLOG_KEEP_MINUTES", default_value = "7d", value_parser = Window::parse_any)]
    keep_minutes: Window,

    /// How long samples are kept as they were taken.
    #[arg(long, env = "SHIPSLOG_KEEP_SAMPLES", default_value = "24h", value_parser = Window::parse_any)]
    keep_samples: Window,

    /// Size to which the database is held, such as 2GiB: the oldest history goes first.
    #[arg(long, env = "SHIPSLOG_MAX_DB_SIZE", value_parser = bytes)]
    max_db_size: Option<u64>,

    /// Ledger rows kept for each workload.
    #[arg(long, env = "SHIPSLOG_KEEP_DEPLOYS", default_value_t = 50)]
    keep_deploys: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let color = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(log_filter())
        .with_ansi(color)
        .with_writer(std::io::stderr)
        .init();
    match run(args).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shipslog: {}", chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

/// What `RUST_LOG` says, or `info`. The engine's client stays at `info` even then: below that it logs whole requests, and they hold the
/// environment of containers.
fn log_filter() -> EnvFilter {
    let wanted = std::env::var("RUST_LOG").unwrap_or_else(|_| "info".to_owned());
    EnvFilter::new(format!("{wanted},bollard=info"))
}

fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    text
}

async fn run(args: Args) -> Result<(), Box<dyn Error>> {
    let tokens = tokens_from_env()?;
    if !args.listen.ip().is_loopback() && tokens.is_none() {
        return Err(format!(
            "refusing to listen on {}: set SHIPSLOG_ADMIN_TOKEN first, or listen on 127.0.0.1",
            args.listen
        )
        .into());
    }
    let listener = TcpListener::bind(args.listen)
        .await
        .map_err(|e| format!("cannot listen on {}: {e}", args.listen))?;
    let address = listener.local_addr()?;
    let log = Shipslog::start(options(&args)).await?;
    let tokens = match tokens {
        Some(tokens) => tokens,
        None => own_token(&args.data, address)?,
    };
    let hosts = if address.ip().is_loopback() {
        HostPolicy::Loopback
    } else {
        HostPolicy::Any
    };
    let app = log.router(Arc::new(tokens), hosts);
    serve(listener, app, &log).await
}

fn options(args: &Args) -> Options {
    let mut options = Options::new(&args.data);
    options.docker.clone_from(&args.docker);
    options.tick = Duration::from_secs(args.tick.seconds().unsigned_abs());
    options.poll = Duration::from_secs(args.poll.seconds().unsigned_abs());
    options.retention = Retention {
        samples: args.keep_samples,
        minutes: args.keep_minutes,
        longest: args.retention,
    };
    options.max_size = args.max_db_size;
    options.keep_deploys = args.keep_deploys;
    options
}

/// Reads a size: a whole number above zero, alone for bytes or with KiB, MiB, GiB or TiB.
fn bytes(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let shift = match &text[digits.len()..] {
        "" => Some(0),
        "KiB" => Some(10),
        "MiB" => Some(20),
        "GiB" => Some(30),
        "TiB" => Some(40),
        _ => None,
    };
    let count = digits.parse().ok().filter(|count: &u64| *count > 0);
    let size = shift
        .zip(count)
        .and_then(|(shift, count)| count.checked_mul(1 << shift));
    size.ok_or_else(|| "must be a whole number above zero, with KiB, MiB or GiB, such as 500MiB".to_owned())
}

async fn serve(listener: TcpListener, app: axum::Router, log: &Shipslog) -> Result<(), Box<dyn Error>> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    info!("listening on http://{}", listener.local_addr()?);
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(listener, app).with_graceful_shutdown(async {
        // An error means that this function has ended: then the server ends, too.
        let _ = stopped.await;
    });
    let server = tokio::spawn(server.into_future());
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    info!(
        "stopping: running deploys have {} s to finish",
        SHUTDOWN_BOUND.as_secs()
    );
    let _ = stop.send(());
    log.shutdown(SHUTDOWN_BOUND).await;
    // Streams and answers that wait for a deploy have their outcome by now; who still does not read is cut off.
    let _ = tokio::time::timeout(Duration::from_secs(5), server).await;
    Ok(())
}

/// The tokens set on purpose; `None` if there are none.
fn tokens_from_env() -> Result<Option<StaticTokens>, String> {
    let (admin, viewer) = (
        token_from_env("SHIPSLOG_ADMIN_TOKEN")?,
        token_from_env("SHIPSLOG_VIEWER_TOKEN")?,
    );
    if admin.is_none() && viewer.is_none() {
        return Ok(None);
    }
    let mut tokens = StaticTokens::default();
    if let Some(token) = admin {
        tokens = tokens.with_admin("admin", TokenHash::of(&token));
    }
    if let Some(token) = viewer {
        tokens = tokens.with_viewer("viewer", TokenHash::of(&token));
    }
    Ok(Some(tokens))
}

fn token_from_env(name: &str) -> Result<Option<Secret<String>>, String> {
    match std::env::var(name) {
        Ok(token) if token.trim().is_empty() => {
            Err(format!("{name} is set and empty: set a token or unset it"))
        }
        Ok(token) => Ok(Some(Secret::new(token))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(format!("{name} is not UTF-8")),
    }
}

/// The admin token of this data directory: made and printed at the first start, known by its hash afterwards.
fn own_token(data: &Path, address: SocketAddr) -> Result<StaticTokens, Box<dyn Error>> {
    let path = data.join("admin-token.sha256");
    if path.exists() {
        info!(
            "the admin token is the one printed at the first start; delete {} to get a new one",
            path.display()
        );
        let text =
            std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
        let hash: TokenHash = text
            .trim()
            .parse()
            .map_err(|_| format!("{} holds no SHA-256", path.display()))?;
        return Ok(StaticTokens::default().with_admin("admin", hash));
    }
    let token = Secret::new(random_token()?);
    let hash = TokenHash::of(&token);
    keep(&path, &hash.to_string()).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
    warn!("an admin token was made; it is printed once");
    println!("Sign in: http://{address}/?token={}", token.expose());
    Ok(StaticTokens::default().with_admin("admin", hash))
}

/// 256 bits as hexadecimal digits.
fn random_token() -> Result<String, getrandom::Error> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Writes a file that only its owner reads, whole or not at all.
fn keep(path: &Path, text: &str) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let half = path.with_extension("new");
    let mut file = std::fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&half)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(half, path)
}

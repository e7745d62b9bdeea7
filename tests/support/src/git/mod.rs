//! A Git server, and repositories to be served.

mod cgi;
mod repository;

use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use base64::Engine as _;
use tempfile::TempDir;

use crate::accept::Acceptor;
use crate::http::free_port;
use cgi::Request;
pub use repository::GitRepository;

/// A Git server on loopback: `git http-backend` behind HTTP. It ends with the value.
#[derive(Debug)]
pub struct GitServer {
    host: String,
    root: TempDir,
    shared: Arc<Mutex<Shared>>,
    acceptor: Option<Acceptor>,
}

#[derive(Debug, Default)]
struct Shared {
    /// `Authorization` headers that are let in; without one everybody is.
    admitted: Option<String>,
    /// Locations for paths that begin so.
    redirections: HashMap<String, String>,
    hangs: bool,
    quotes: bool,
    dialect: Dialect,
    seen: Vec<Seen>,
}

/// What a server speaks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Dialect {
    #[default]
    Current,
    First,
    Files,
}

/// A request that a server received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Path and query.
    pub target: String,
    /// The whole `Authorization` header.
    pub authorization: Option<String>,
}

impl GitServer {
    /// A server that lets everybody read.
    pub fn start() -> Self {
        let mut server = Self {
            host: String::new(),
            root: TempDir::new().expect("a temporary folder can be made"),
            shared: Arc::default(),
            acceptor: None,
        };
        // Not one of those that outgoing connections take: it is bound again by `resume`.
        server.listen(&format!("127.0.0.1:{}", free_port()));
        server
    }

    /// Wants this user and password from now on.
    pub fn require(&self, user: &str, password: &str) {
        let pair = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        self.lock().admitted = Some(format!("Basic {pair}"));
    }

    /// Sends those who ask for something below `path` to `location` instead.
    pub fn redirect(&self, path: &str, location: &str) {
        self.lock()
            .redirections
            .insert(path.to_owned(), location.to_owned());
    }

    /// Accepts from now on, and never answers.
    pub fn hang(&self) {
        self.lock().hangs = true;
    }

    /// Answers those who ask from now on.
    pub fn go_on(&self) {
        self.lock().hangs = false;
    }

    /// Answers with an error from now on that quotes what it was sent as a password.
    pub fn quote(&self) {
        self.lock().quotes = true;
    }

    /// Speaks the first version of the protocol from now on, in which single commits are not given out.
    pub fn be_old(&self) {
        self.lock().dialect = Dialect::First;
    }

    /// Hands out plain files from now on, as a server does that knows nothing of git.
    pub fn be_plain(&self) {
        self.lock().dialect = Dialect::Files;
    }

    /// Closes its port. Its repositories stay.
    pub fn stop(&mut self) {
        self.acceptor = None;
    }

    /// Listens again, under the same address.
    pub fn resume(&mut self) {
        let host = self.host.clone();
        self.listen(&host);
    }

    /// `host:port`.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Every request so far, oldest first.
    pub fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// A new and empty repository with the default branch `main`. `name` may contain slashes.
    pub fn repository(&self, name: &str) -> GitRepository {
        let url = format!("http://{}/{name}.git", self.host);
        GitRepository::new(url, self.root.path().join(format!("{name}.git")))
    }

    fn listen(&mut self, address: &str) {
        let listener = TcpListener::bind(address).expect("a loopback port can be bound");
        listener
            .set_nonblocking(true)
            .expect("a listener can be made non-blocking");
        self.host = listener
            .local_addr()
            .expect("a bound listener has an address")
            .to_string();
        let visitor = Visitor {
            root: self.root.path().to_owned(),
            shared: Arc::clone(&self.shared),
        };
        self.acceptor = Some(Acceptor::spawn(move || {
            let (stream, _) = listener.accept()?;
            let visitor = visitor.clone();
            thread::spawn(move || visitor.answer(&stream));
            Ok(())
        }));
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        lock(&self.shared)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What one connection's thread needs.
#[derive(Debug, Clone)]
struct Visitor {
    root: PathBuf,
    shared: Arc<Mutex<Shared>>,
}

enum Verdict {
    Serve(Dialect),
    Refuse,
    Redirect(String),
    Quote(String),
    Hang,
}

impl Visitor {
    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_nonblocking(false)?;
        let request = Request::read(stream)?;
        match self.judge(&request) {
            Verdict::Serve(dialect) => request.serve(&self.root, dialect, stream),
            Verdict::Refuse => cgi::respond(
                stream,
                "401 Unauthorized",
                "WWW-Authenticate: Basic realm=\"git\"\r\n",
            ),
            Verdict::Redirect(to) => cgi::respond(
                stream,
                "302 Found",
                &format!("Location: {to}{}\r\n", request.target),
            ),
            Verdict::Quote(words) => cgi::fail(stream, &words),
            Verdict::Hang => {
                thread::sleep(Duration::from_secs(3600));
                Ok(())
            }
        }
    }

    fn judge(&self, request: &Request) -> Verdict {
        let mut shared = lock(&self.shared);
        shared.seen.push(Seen {
            target: request.target.clone(),
            authorization: request.header("authorization").map(str::to_owned),
        });
        let redirected = shared
            .redirections
            .iter()
            .find(|(path, _)| request.target.starts_with(path.as_str()));
        let is_admitted =
            shared.admitted.is_none() || shared.admitted.as_deref() == request.header("authorization");
        match redirected {
            _ if shared.hangs => Verdict::Hang,
            _ if shared.quotes => {
                let words = request.header("authorization").map(quoted);
                Verdict::Quote(words.unwrap_or_default())
            }
            Some((_, to)) => Verdict::Redirect(to.clone()),
            None if !is_admitted => Verdict::Refuse,
            None => Verdict::Serve(shared.dialect),
        }
    }
}

/// A password as it was sent, and as it is.
fn quoted(authorization: &str) -> String {
    let pair = authorization.rsplit(' ').next().unwrap_or_default();
    let decoded = base64::engine::general_purpose::STANDARD
        .decode(pair)
        .unwrap_or_default();
    format!("you sent {pair}, or {}", String::from_utf8_lossy(&decoded))
}

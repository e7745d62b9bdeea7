//! A registry that gives its callers' credentials away.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use serde_json::json;

use crate::accept::Acceptor;

const TIMEOUT: Duration = Duration::from_secs(10);

/// A hostile registry: it asks for credentials, and then refuses with an error text that quotes
/// the `Authorization` header it was sent. It ends with the value.
#[derive(Debug)]
pub struct StubRegistry {
    host: String,
    seen: Arc<Mutex<Vec<String>>>,
    _acceptor: Acceptor,
}

#[derive(Debug, Clone, Copy)]
enum Challenge {
    Basic,
    Bearer,
}

impl StubRegistry {
    /// Asks for HTTP Basic credentials and quotes them in its own answer.
    pub fn basic() -> Self {
        Self::start(Challenge::Basic)
    }

    /// Sends its callers to a token server, its own, and that one quotes their credentials.
    pub fn bearer() -> Self {
        Self::start(Challenge::Bearer)
    }

    /// `host:port`, as an image reference begins. An engine sends credentials only if the client
    /// has some for this host: see [`crate::write_docker_config`].
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The `Authorization` headers received so far, whole values, oldest first.
    pub fn seen(&self) -> Vec<String> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn start(challenge: Challenge) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a loopback port can be bound");
        listener
            .set_nonblocking(true)
            .expect("a listener can be made non-blocking");
        let host = listener
            .local_addr()
            .expect("a bound listener has an address")
            .to_string();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let visitor = Visitor {
            host: host.clone(),
            challenge,
            seen: Arc::clone(&seen),
        };
        let acceptor = Acceptor::spawn(move || {
            let (stream, _) = listener.accept()?;
            let visitor = visitor.clone();
            thread::spawn(move || visitor.answer(&stream));
            Ok(())
        });
        Self {
            host,
            seen,
            _acceptor: acceptor,
        }
    }
}

/// What one connection's thread needs.
#[derive(Debug, Clone)]
struct Visitor {
    host: String,
    challenge: Challenge,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Visitor {
    fn answer(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(TIMEOUT))?;
        let request = Request::read(stream)?;
        match &request.authorization {
            Some(header) => self.refuse(stream, &request, header),
            None => self.ask(stream, &request),
        }
    }

    /// Where credentials are to be sent: here, or to the token server.
    fn ask(&self, stream: &TcpStream, request: &Request) -> io::Result<()> {
        let challenge = match self.challenge {
            Challenge::Basic => "Basic realm=\"stub\"".to_owned(),
            Challenge::Bearer => format!("Bearer realm=\"http://{}/token\",service=\"stub\"", self.host),
        };
        let header = format!("WWW-Authenticate: {challenge}\r\n");
        request.respond(
            stream,
            "401 Unauthorized",
            &header,
            &error("UNAUTHORIZED", "credentials wanted"),
        )
    }

    fn refuse(&self, stream: &TcpStream, request: &Request, header: &str) -> io::Result<()> {
        self.seen
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(header.to_owned());
        let status = match self.challenge {
            Challenge::Basic => "403 Forbidden",
            Challenge::Bearer => "401 Unauthorized",
        };
        request.respond(stream, status, "", &error("DENIED", &format!("denied: {header}")))
    }
}

#[derive(Debug)]
struct Request {
    is_head: bool,
    authorization: Option<String>,
}

impl Request {
    fn read(stream: &TcpStream) -> io::Result<Self> {
        let lines: Vec<String> = BufReader::new(stream)
            .lines()
            .take_while(|line| line.as_ref().is_ok_and(|line| !line.is_empty()))
            .collect::<io::Result<_>>()?;
        let is_head = lines.first().is_some_and(|line| line.starts_with("HEAD "));
        let authorization = lines.iter().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("authorization")
                .then(|| value.to_owned())
        });
        Ok(Self {
            is_head,
            authorization,
        })
    }

    fn respond(&self, mut stream: &TcpStream, status: &str, header: &str, body: &str) -> io::Result<()> {
        write!(
            stream,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n\
             Docker-Distribution-Api-Version: registry/2.0\r\n\
             Connection: close\r\nContent-Length: {}\r\n{header}\r\n{}",
            body.len(),
            if self.is_head { "" } else { body }
        )
    }
}

fn error(code: &str, message: &str) -> String {
    json!({ "errors": [{ "code": code, "message": message }] }).to_string()
}

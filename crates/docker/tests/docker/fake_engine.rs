//! An engine of make-believe, for what a real one does too seldom.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use shipslog_docker::{DockerEngine, EngineOptions};

/// Answers each request by what its answer function says for the path, without the version before it: a
/// status and a body, or `None`, never.
pub(crate) struct FakeEngine {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

type Answers = dyn Fn(&str) -> Option<(u16, String)> + Send + Sync;

impl FakeEngine {
    pub(crate) fn start(answers: impl Fn(&str) -> Option<(u16, String)> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("tcp://{}", listener.local_addr().unwrap());
        let (asked, answers) = (
            Arc::new(Mutex::new(Vec::new())),
            Arc::new(answers) as Arc<Answers>,
        );
        let log = Arc::clone(&asked);
        // Ends with the process: nobody has to end it.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, answers) = (Arc::clone(&log), Arc::clone(&answers));
                thread::spawn(move || answer(&stream, &log, &*answers));
            }
        });
        Self { address, asked }
    }

    /// A handle to it that gives up after three seconds.
    pub(crate) fn handle(&self) -> DockerEngine {
        DockerEngine::new(
            EngineOptions::default()
                .with_host(&self.address)
                .with_timeout(Duration::from_secs(3)),
        )
    }

    /// The paths asked for so far, with their versions.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer(mut stream: &TcpStream, log: &Mutex<Vec<String>>, answers: &Answers) {
    let head = BufReader::new(stream)
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty());
    let head: Vec<String> = head.collect();
    let path = head
        .first()
        .and_then(|line| line.split(' ').nth(1))
        .unwrap_or_default()
        .to_owned();
    log.lock().unwrap().push(path.clone());
    let plain = path
        .strip_prefix("/v1.41")
        .or(path.strip_prefix("/v1.53"))
        .unwrap_or(&path);
    match answers(plain.split('?').next().unwrap_or_default()) {
        Some((status, body)) => {
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} X\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
            );
            // A connection that is closed with something unread is broken off, answer included.
            let _ = stream.shutdown(Shutdown::Write);
            let _ = io::copy(&mut stream, &mut io::sink());
        }
        None => thread::sleep(Duration::from_secs(3600)),
    }
}

/// The answer to who it is.
pub(crate) fn version(api: &str) -> Option<(u16, String)> {
    Some((
        200,
        format!(r#"{{"Version": "20.10.24", "ApiVersion": "{api}"}}"#),
    ))
}

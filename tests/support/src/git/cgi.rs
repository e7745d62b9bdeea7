//! HTTP on the one side, a CGI program on the other.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::Dialect;

const TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Request {
    method: String,
    pub(super) target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    pub(super) fn read(stream: &TcpStream) -> io::Result<Self> {
        stream.set_read_timeout(Some(TIMEOUT))?;
        let mut reader = BufReader::new(stream);
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line)?;
            match line.trim_end() {
                "" => break,
                line => lines.push(line.to_owned()),
            }
        }
        let mut lines = lines.into_iter();
        let first = lines.next().ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut words = first.split(' ').map(str::to_owned);
        let mut request = Self {
            method: words.next().unwrap_or_default(),
            target: words.next().unwrap_or_default(),
            headers: lines.filter_map(|line| header(&line)).collect(),
            body: Vec::new(),
        };
        let length = request
            .header("content-length")
            .and_then(|length| length.parse().ok());
        reader.take(length.unwrap_or(0)).read_to_end(&mut request.body)?;
        Ok(request)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Has `git http-backend` answer.
    pub(super) fn serve(&self, root: &Path, dialect: Dialect, stream: &TcpStream) -> io::Result<()> {
        let (path, query) = self.target.split_once('?').unwrap_or((&self.target, ""));
        let query = if dialect == Dialect::Files { "" } else { query };
        let mut command = Command::new("git");
        command
            .arg("http-backend")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        command
            .env("GIT_PROJECT_ROOT", root)
            .env("GIT_HTTP_EXPORT_ALL", "1");
        command
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1");
        command
            .env("REQUEST_METHOD", &self.method)
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query);
        command.env("CONTENT_LENGTH", self.body.len().to_string());
        for (name, variable) in [
            ("content-type", "CONTENT_TYPE"),
            ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ] {
            command.envs(self.header(name).map(|value| (variable, value)));
        }
        if dialect == Dialect::Current {
            command.envs(
                self.header("git-protocol")
                    .map(|value| ("HTTP_GIT_PROTOCOL", value)),
            );
        }
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(&self.body)?;
        }
        let output = child.wait_with_output()?;
        relay(&output.stdout, stream)
    }
}

fn header(line: &str) -> Option<(String, String)> {
    let (name, value) = line.split_once(':')?;
    Some((name.to_ascii_lowercase(), value.trim().to_owned()))
}

/// A CGI program's answer has its status among the headers, if it has one.
fn relay(answer: &[u8], mut stream: &TcpStream) -> io::Result<()> {
    let end = answer
        .windows(4)
        .position(|bytes| bytes == b"\r\n\r\n")
        .ok_or(io::ErrorKind::UnexpectedEof)?;
    let (head, body) = (String::from_utf8_lossy(&answer[..end]), &answer[end + 4..]);
    let status = head
        .lines()
        .find_map(|line| line.strip_prefix("Status: "))
        .unwrap_or("200 OK");
    let headers = head.lines().filter(|line| !line.starts_with("Status: "));
    let headers: String = headers.map(|line| format!("{line}\r\n")).collect();
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{headers}Connection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    stream.write_all(body)
}

/// An answer without a body.
pub(super) fn respond(mut stream: &TcpStream, status: &str, header: &str) -> io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 {status}\r\n{header}Connection: close\r\nContent-Length: 0\r\n\r\n"
    )
}

/// An error as a Git server puts it, which git shows as it is.
pub(super) fn fail(mut stream: &TcpStream, words: &str) -> io::Result<()> {
    let packet = |text: &str| format!("{:04x}{text}", text.len() + 4);
    let body = format!(
        "{}0000{}",
        packet("# service=git-upload-pack\n"),
        packet(&format!("ERR {words}"))
    );
    write!(
        stream,
        "HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\nConnection: close\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

//! A live stream over a WebSocket.
//!
//! # Slow readers
//! What was written to a socket lies in buffers of the operating system, which take hours of small messages before a
//! write has to wait. So each message is followed by a ping, and no more than a few messages go out that were not
//! answered by the pong, which every client sends by itself as it reads. A reader that does not keep up then finds those few,
//! how many it missed, and the newest.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::FromRequestParts;
use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket, WebSocketUpgrade, close_code};
use axum::http::header::UPGRADE;
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use serde::Serialize;
use shipslog_core::stats::{Received, Subscription};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::error::Problem;
use crate::guard::Visitor;
use crate::state::{Api, StreamOptions};

/// Messages that may be on their way to a reader.
const WINDOW: u64 = 8;

/// How long an authenticator may take.
const RECHECK_TIME: Duration = Duration::from_secs(30);

/// How long a stream that has nothing to tell waits before it says so.
pub(crate) const FIRST: Duration = Duration::from_secs(2);

/// How long the end of a stream may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// Nobody has to tell us anything: what clients send is small, and left out.
const LARGEST_INCOMING: usize = 4 * 1024;

/// The places for streams.
#[derive(Debug)]
pub(crate) struct Seats(Arc<Semaphore>);

impl Seats {
    pub(crate) fn new(options: StreamOptions) -> Self {
        Self(Arc::new(Semaphore::new(options.most)))
    }

    /// A place, which is free again when it is dropped.
    pub(crate) fn take(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let full = |_| Problem::unavailable("There are too many live streams for now.");
        Arc::clone(&self.0).try_acquire_owned().map_err(full)
    }
}

/// A request that asks for a WebSocket.
pub(crate) struct Upgrade(WebSocketUpgrade);

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        upgrade.map(Self).map_err(|_| {
            Problem::new(
                StatusCode::UPGRADE_REQUIRED,
                "This path speaks WebSocket, version 13.",
            )
            .with_header(UPGRADE, HeaderValue::from_static("websocket"))
        })
    }
}

/// What a stream needs besides its socket.
pub(crate) struct Stream<T, F> {
    pub(crate) api: Arc<Api>,
    pub(crate) visitor: Visitor,
    pub(crate) seat: OwnedSemaphorePermit,
    pub(crate) updates: Subscription<T>,
    /// What is told when there is nothing to tell.
    pub(crate) nothing: F,
}

impl<T, F> Stream<T, F>
where
    T: Serialize + Send + Sync + 'static,
    F: Fn() -> T + Send + Sync + 'static,
{
    /// Answers the request, and streams from then on.
    pub(crate) fn open(self, Upgrade(upgrade): Upgrade) -> Response {
        // The buffers are there for each stream, and the usual ones are made for large messages.
        upgrade
            .read_buffer_size(LARGEST_INCOMING)
            .write_buffer_size(0)
            .max_message_size(LARGEST_INCOMING)
            .max_frame_size(LARGEST_INCOMING)
            .on_upgrade(|socket| self.run(socket))
    }

    async fn run(self, mut socket: WebSocket) {
        let Self {
            api,
            visitor,
            seat,
            updates,
            nothing,
        } = self;
        let mut line = Line::new(&mut socket, api.streams.silence);
        let end = tokio::select! {
            () = api.shutdown.cancelled() => Some((close_code::AWAY, "the server stops")),
            () = visitor.turned_away(&api) => Some((close_code::POLICY, "the token is not valid any more")),
            () = line.tell(updates, nothing) => None,
        };
        if let Some((code, reason)) = end {
            // Who does not answer in time is left alone.
            let _ = timeout(FAREWELL, close(&mut socket, code, reason)).await;
        }
        drop(seat);
    }
}

impl Visitor {
    /// Waits until whoever asked for a stream could not ask for it any more.
    pub(crate) async fn turned_away(&self, api: &Api) {
        loop {
            sleep(api.streams.recheck).await;
            let asked = api.authenticator.authenticate(&self.request);
            let known = timeout(RECHECK_TIME, asked).await.ok().flatten();
            if known.is_none_or(|identity| identity.role < self.needed) {
                return;
            }
        }
    }
}

/// Says why, and waits for the other side to hang up: a connection that is closed with something unread may lose what was said.
async fn close(socket: &mut WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame {
        code,
        reason: Utf8Bytes::from_static(reason),
    };
    if socket.send(Message::Close(Some(frame))).await.is_ok() {
        while let Some(Ok(_)) = socket.recv().await {}
    }
}

/// A socket with what is on its way to the reader.
struct Line<'a> {
    socket: &'a mut WebSocket,
    pings: u64,
    pongs: u64,
    /// When the reader was last known to read, or had nothing to read.
    well: Instant,
    told: bool,
    silence: Duration,
}

/// The reader is gone, or as good as gone.
struct Gone;

impl<'a> Line<'a> {
    fn new(socket: &'a mut WebSocket, silence: Duration) -> Self {
        Self {
            socket,
            pings: 0,
            pongs: 0,
            well: Instant::now(),
            told: false,
            silence,
        }
    }

    /// Tells of updates until the reader is gone.
    async fn tell<T: Serialize + Send + Sync>(
        &mut self,
        mut updates: Subscription<T>,
        nothing: impl Fn() -> T,
    ) {
        let begun = Instant::now();
        let mut quiet = begun;
        loop {
            let open = self.pings - self.pongs < WINDOW;
            let done = tokio::select! {
                incoming = self.socket.recv() => self.hear(incoming),
                () = sleep_until(self.well + self.silence), if self.pings > self.pongs => Err(Gone),
                received = updates.next(), if open => {
                    quiet = Instant::now();
                    self.update(received).await
                }
                () = sleep_until(begun + FIRST), if !self.told => self.text(encode(&nothing())).await,
                () = sleep_until(quiet + self.silence / 3), if open => {
                    quiet = Instant::now();
                    self.ping().await
                }
            };
            if done.is_err() {
                return;
            }
        }
    }

    fn hear(&mut self, incoming: Option<Result<Message, axum::Error>>) -> Result<(), Gone> {
        match incoming {
            Some(Ok(Message::Pong(payload))) => {
                self.pong(&payload);
                Ok(())
            }
            Some(Ok(Message::Text(_) | Message::Binary(_) | Message::Ping(_))) => Ok(()),
            Some(Ok(Message::Close(_)) | Err(_)) | None => Err(Gone),
        }
    }

    fn pong(&mut self, payload: &[u8]) {
        let number = payload.try_into().map(u64::from_be_bytes).unwrap_or(0);
        if (self.pongs + 1..=self.pings).contains(&number) {
            self.pongs = number;
            self.well = Instant::now();
        }
    }

    async fn update<T: Serialize + Send + Sync>(
        &mut self,
        received: Option<Received<T>>,
    ) -> Result<(), Gone> {
        let received = received.ok_or(Gone)?;
        if received.missed > 0 {
            let notice = format!("{{\"missed\":{}}}", received.missed);
            self.send(Message::Text(notice.into())).await?;
        }
        self.text(received.update.json()).await
    }

    async fn text(&mut self, json: Bytes) -> Result<(), Gone> {
        // JSON is UTF-8.
        let text = Utf8Bytes::try_from(json).map_err(|_| Gone)?;
        self.told = true;
        self.send(Message::Text(text)).await?;
        self.ping().await
    }

    async fn ping(&mut self) -> Result<(), Gone> {
        if self.pings == self.pongs {
            self.well = Instant::now();
        }
        self.pings += 1;
        let number = Bytes::copy_from_slice(&self.pings.to_be_bytes());
        self.send(Message::Ping(number)).await
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        let sent = timeout(self.silence, self.socket.send(message)).await;
        sent.ok().and_then(Result::ok).ok_or(Gone)
    }
}

fn encode(value: &impl Serialize) -> Bytes {
    // Numbers, ids and lists of them always encode.
    serde_json::to_vec(value).unwrap_or_default().into()
}

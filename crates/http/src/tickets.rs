//! Tickets: how a browser opens a stream, which it can give no header.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::request::Parts;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use shipslog_core::time::{Clock, Timestamp};
use shipslog_core::workloads::FieldError;
use utoipa::ToSchema;
use utoipa_axum::routes;

use crate::Routes;
use crate::auth::Identity;
use crate::error::Problem;
use crate::extract::{Caller, JsonBody, Mount};

pub(crate) fn router() -> Routes {
    vec![routes!(create_ticket)]
}

/// The parameter that carries a ticket. A route that describes it takes tickets.
pub(crate) const TICKET: &str = "ticket";

/// How long a ticket opens its stream.
const VALID: Duration = Duration::from_secs(30);

/// Tickets that may be valid at a time. Each holds the headers that it was asked for with.
const MOST: usize = 10_000;

/// Who opens a stream, and the request that shows it, to be shown to the authenticator again.
#[derive(Clone)]
pub(crate) struct Holder {
    pub(crate) identity: Identity,
    pub(crate) request: Arc<Parts>,
}

/// The request holds a token.
impl fmt::Debug for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Holder")
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

/// The tickets that are valid.
#[derive(Debug)]
pub(crate) struct Tickets {
    clock: Arc<dyn Clock>,
    /// Paths of streams, such as `/api/workloads/{id}/ws/stats`.
    streams: Vec<String>,
    issued: Mutex<HashMap<Hash, Issued>>,
}

/// What is kept in a ticket's place.
type Hash = [u8; 32];

#[derive(Debug)]
struct Issued {
    path: String,
    from: Timestamp,
    until: Timestamp,
    holder: Holder,
}

impl Issued {
    /// A clock that was set back makes no ticket last longer.
    fn is_valid(&self, now: Timestamp) -> bool {
        self.from <= now && now < self.until
    }
}

impl Tickets {
    /// Tickets for streams at these paths.
    pub(crate) fn new(clock: Arc<dyn Clock>, streams: Vec<String>) -> Self {
        Self {
            clock,
            streams,
            issued: Mutex::default(),
        }
    }

    fn is_stream(&self, path: &str) -> bool {
        self.streams.iter().any(|stream| fits(stream, path))
    }

    fn issue(&self, path: String, holder: Holder) -> Result<Ticket, Problem> {
        let from = self.clock.now();
        let until = from.checked_add(VALID).map_err(|_| Problem::internal())?;
        let ticket = random().ok_or_else(Problem::internal)?;
        let mut issued = self.lock();
        issued.retain(|_, ticket| ticket.is_valid(from));
        if issued.len() >= MOST {
            return Err(Problem::unavailable("There are too many tickets for now."));
        }
        let entry = Issued {
            path,
            from,
            until,
            holder,
        };
        issued.insert(hash(&ticket), entry);
        Ok(Ticket {
            ticket,
            expires_at: until,
        })
    }

    /// Who holds the ticket, if it is valid for this path.
    pub(crate) fn holder(&self, ticket: &str, path: &str) -> Option<Holder> {
        let now = self.clock.now();
        let issued = self.lock();
        // Looked up by the hash, which nobody can choose, so the time taken tells nothing of other tickets.
        let found = issued.get(&hash(ticket))?;
        let valid = found.is_valid(now) && found.path == path;
        valid.then(|| found.holder.clone())
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Hash, Issued>> {
        self.issued.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a path is one that a route such as `/api/workloads/{id}/ws/stats` stands for.
fn fits(route: &str, path: &str) -> bool {
    let (mut wanted, mut given) = (route.split('/'), path.split('/'));
    loop {
        match (wanted.next(), given.next()) {
            (None, None) => return true,
            (Some(wanted), Some(given)) if wanted.starts_with('{') => {
                if !is_id(given) {
                    return false;
                }
            }
            (Some(wanted), Some(given)) if wanted == given => {}
            _ => return false,
        }
    }
}

fn is_id(text: &str) -> bool {
    text.parse::<shipslog_core::id::WorkloadId>().is_ok()
}

fn hash(ticket: &str) -> Hash {
    Sha256::digest(ticket.as_bytes()).into()
}

/// 256 bits as hexadecimal digits.
fn random() -> Option<String> {
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).ok()?;
    Some(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// A stream to be opened.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewTicket {
    /// The path of the stream, such as `/api/ws/usage`.
    path: String,
}

/// What opens a stream.
#[derive(Debug, Serialize, ToSchema)]
struct Ticket {
    /// To be given as the parameter `ticket`.
    ticket: String,
    /// When it stops opening anything. Streams that are open by then stay open.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Makes a ticket that opens one stream in the place of a header, for 30 seconds and as often as needed.
///
/// It lets in whoever asked for it, with the role that they have, at this path alone. The stream ends when they lose that role.
#[utoipa::path(
    post,
    path = "/api/tickets",
    tag = "system",
    security(("token" = ["viewer"])),
    request_body = NewTicket,
    responses((status = 200, body = Ticket))
)]
async fn create_ticket(
    Extension(tickets): Extension<Arc<Tickets>>,
    Caller(identity): Caller,
    mount: Mount,
    request: Parts,
    JsonBody(body): JsonBody<NewTicket>,
) -> Result<Json<Ticket>, Problem> {
    let path = mount.inner(&body.path);
    if !tickets.is_stream(path) {
        let message = "must be the path of a stream that takes tickets, such as /api/ws/usage";
        return Err(Problem::invalid(&FieldError::new("path", message)));
    }
    let holder = Holder {
        identity,
        request: Arc::new(request),
    };
    tickets.issue(path.to_owned(), holder).map(Json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fits_its_route_and_no_other() {
        let route = "/api/workloads/{id}/ws/stats";
        assert!(fits(route, "/api/workloads/w1/ws/stats"));
        for other in [
            "",
            "/",
            "/api/workloads/w1/ws/stats/",
            "/api/workloads//ws/stats",
            "/api/workloads/w1/ws",
            "/api/workloads/w1/ws/stats?x=1",
            "/api/workloads/a%2Fb/ws/stats",
            "/api/workloads/{id}/ws/stats",
            "/x/api/workloads/w1/ws/stats",
        ] {
            assert!(!fits(route, other), "{other}");
        }
    }
}

//! Which `Host` a request may name.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use axum::http::header::HOST;
use axum::http::request::Parts;
use axum::http::{StatusCode, Version};

use crate::error::Problem;

/// Which hosts a request may be addressed to.
///
/// A page of any web site can send requests to a server on its visitor's own machine, under a name that the
/// site's owner made resolve to `127.0.0.1` (DNS rebinding). The browser then takes the answers for the
/// site's own. What gives it away is the `Host` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum HostPolicy {
    /// Only `localhost`, `127.0.0.0/8` and `[::1]`, with any port; others are answered 421. For servers that
    /// listen on loopback.
    #[default]
    Loopback,
    /// Any host. For servers that are reached under a name, where a proxy or the host's own router decides.
    Any,
}

impl HostPolicy {
    /// Whether the request may go on.
    pub(crate) fn check(self, request: &Parts) -> Result<(), Problem> {
        if self == Self::Any || is_loopback(request) {
            return Ok(());
        }
        let detail = "This server answers on loopback only: the Host must be localhost, 127.0.0.1 or [::1].";
        Err(Problem::new(StatusCode::MISDIRECTED_REQUEST, detail))
    }
}

/// Whether every name that the request gives of its host is a loopback name. HTTP/1.0 need not give any.
fn is_loopback(request: &Parts) -> bool {
    let header = request
        .headers
        .get_all(HOST)
        .iter()
        .map(|value| value.to_str().unwrap_or_default());
    let names: Vec<&str> = header
        .chain(request.uri.authority().map(|authority| authority.as_str()))
        .collect();
    if names.is_empty() {
        return request.version < Version::HTTP_11;
    }
    names.into_iter().all(is_loopback_name)
}

fn is_loopback_name(authority: &str) -> bool {
    let Some(host) = without_port(authority) else {
        return false;
    };
    if let Some(inner) = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return inner
            .parse::<Ipv6Addr>()
            .is_ok_and(|ip| IpAddr::from(ip).is_loopback());
    }
    host.eq_ignore_ascii_case("localhost") || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback())
}

/// The host alone; `None` when what follows it is no port.
fn without_port(authority: &str) -> Option<&str> {
    let end = authority.rfind(']').map_or(0, |bracket| bracket + 1);
    match authority[end..].find(':') {
        None => Some(authority),
        Some(colon) => {
            let (host, port) = authority.split_at(end + colon);
            port[1..].parse::<u16>().ok().map(|_| host)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_are_loopback() {
        for good in [
            "localhost",
            "LOCALHOST:8080",
            "127.0.0.1",
            "127.8.9.1:1",
            "[::1]",
            "[::1]:65535",
        ] {
            assert!(is_loopback_name(good), "{good}");
        }
        let bad = [
            "",
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example:80",
            "evil.example@127.0.0.1",
            "127.0.0.1@evil.example",
            "127.0.0.1:80:90",
            "127.0.0.1:",
            "127.0.0.1:70000",
            "127.1",
            "0.0.0.0",
            "10.0.0.1",
            "::1",
            "[::2]",
            "[::1].evil.example",
            "[::1",
        ];
        for name in bad {
            assert!(!is_loopback_name(name), "{name}");
        }
    }
}

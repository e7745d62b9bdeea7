//! Where the engine is.

use std::path::Path;

use super::{Fault, Unreachable};

/// A place to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    /// Path of a socket.
    Unix(String),
    /// `host:port`, without encryption.
    Tcp(String),
}

/// What was configured, before anybody looked whether it is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Endpoint {
    /// One address.
    Fixed(Address),
    /// Paths of sockets: the first that exists is used, and looked for anew with each request.
    Usual(Vec<String>),
    /// An address that cannot be used.
    Unusable(Unreachable),
}

impl Endpoint {
    /// The address given, else `DOCKER_HOST`, else the usual sockets. `variable` reads the environment.
    pub(super) fn choose(host: Option<String>, variable: impl Fn(&str) -> Option<String>) -> Self {
        let filled = |name| variable(name).filter(|value| !value.is_empty());
        if let Some(host) = host {
            return Self::parse(&host);
        }
        let Some(host) = filled("DOCKER_HOST") else {
            return Self::usual(filled);
        };
        let encrypted = host.starts_with("tcp://") && filled("DOCKER_TLS_VERIFY").is_some();
        if encrypted {
            Self::Unusable(Unreachable::Encrypted)
        } else {
            Self::parse(&host)
        }
    }

    fn usual(variable: impl Fn(&'static str) -> Option<String>) -> Self {
        let mut paths = vec!["/var/run/docker.sock".to_owned()];
        paths.extend(variable("XDG_RUNTIME_DIR").map(|folder| format!("{folder}/docker.sock")));
        paths.extend(variable("HOME").map(|folder| format!("{folder}/.docker/run/docker.sock")));
        Self::Usual(paths)
    }

    fn parse(host: &str) -> Self {
        let unusable = Self::Unusable(Unreachable::Unsupported);
        let Some((scheme, rest)) = host.split_once("://") else {
            return unusable;
        };
        match scheme {
            "unix" if rest.starts_with('/') => Self::Fixed(Address::Unix(rest.to_owned())),
            "tcp" | "http" => parse_tcp(rest).map_or(unusable, Self::Fixed),
            _ => unusable,
        }
    }

    /// Where to connect to now.
    pub(super) fn address(&self) -> Result<Address, Fault> {
        match self {
            Self::Fixed(address) => Ok(address.clone()),
            Self::Unusable(why) => Err(Fault::Unreachable(why.clone())),
            Self::Usual(paths) => match paths.iter().find(|path| Path::new(path).exists()) {
                Some(path) => Ok(Address::Unix(path.clone())),
                None => Err(Fault::Unreachable(Unreachable::NoSocket(self.to_string()))),
            },
        }
    }
}

/// Userinfo is refused: the address is shown to people.
fn parse_tcp(rest: &str) -> Option<Address> {
    let host = rest.trim_end_matches('/');
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'[' | b']');
    let ok = !host.is_empty() && host.bytes().all(plain);
    ok.then(|| Address::Tcp(host.to_owned()))
}

/// For people: what was tried.
impl std::fmt::Display for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Fixed(Address::Unix(path)) => f.write_str(path),
            Self::Fixed(Address::Tcp(host)) => f.write_str(host),
            Self::Usual(paths) => f.write_str(&paths.join(" or ")),
            Self::Unusable(_) => f.write_str("an unusable address"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn choose(host: Option<&str>, variables: &[(&str, &str)]) -> Endpoint {
        let variable = |name: &str| {
            variables
                .iter()
                .find(|(known, _)| *known == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Endpoint::choose(host.map(str::to_owned), variable)
    }

    #[test]
    fn what_is_given_wins_over_the_environment_and_that_over_the_usual_places() {
        let environment = [
            ("DOCKER_HOST", "tcp://10.0.0.1:2375"),
            ("XDG_RUNTIME_DIR", "/run/user/7"),
            ("HOME", "/home/ann"),
        ];
        let unix = Endpoint::Fixed(Address::Unix("/tmp/x.sock".to_owned()));
        assert_eq!(choose(Some("unix:///tmp/x.sock"), &environment), unix);
        assert_eq!(
            choose(None, &environment),
            Endpoint::Fixed(Address::Tcp("10.0.0.1:2375".to_owned()))
        );
        let usual = [
            "/var/run/docker.sock",
            "/run/user/7/docker.sock",
            "/home/ann/.docker/run/docker.sock",
        ];
        assert_eq!(
            choose(None, &environment[1..]),
            Endpoint::Usual(usual.map(str::to_owned).into())
        );
        assert_eq!(
            choose(None, &[("DOCKER_HOST", "")]),
            Endpoint::Usual(vec![usual[0].to_owned()])
        );
    }

    #[test]
    fn an_address_that_cannot_be_used_is_not_quoted() {
        for host in [
            "",
            "x",
            "ssh://me@host",
            "https://host:1",
            "unix://relative",
            "tcp://",
            "http://me:SECRET@host:1",
            "tcp://h/../x",
        ] {
            let Err(Fault::Unreachable(why)) = choose(Some(host), &[]).address() else {
                panic!("{host} was taken")
            };
            assert_eq!(why, Unreachable::Unsupported, "{host}");
            assert!(!why.to_string().contains("SECRET"));
        }
    }

    #[test]
    fn an_engine_that_wants_encryption_is_not_spoken_to_without() {
        let environment = [("DOCKER_HOST", "tcp://host:2376"), ("DOCKER_TLS_VERIFY", "1")];
        assert_eq!(
            choose(None, &environment),
            Endpoint::Unusable(Unreachable::Encrypted)
        );
    }
}

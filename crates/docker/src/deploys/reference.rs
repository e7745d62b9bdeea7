//! References of images, as people write them.

/// The registry that a reference without one means.
const DEFAULT_REGISTRY: &str = "docker.io";
/// The longest name of a repository that engines take.
const MAX_NAME: usize = 255;

/// A reference in full: what people leave out is filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ImageReference {
    registry: String,
    path: String,
    version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Version {
    Tag(String),
    Digest(String),
}

/// A text that is no reference, and what is expected instead. The text is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(super) struct InvalidReference(&'static str);

impl ImageReference {
    /// Reads `[registry/]path[:tag][@digest]`. Without a registry it is Docker's own, without tag and digest
    /// the tag is `latest`, and beside a digest a tag means nothing.
    pub(super) fn parse(text: &str) -> Result<Self, InvalidReference> {
        if text.contains("://") {
            return Err(InvalidReference(
                "must be an image reference such as registry/app:1.4, not a URL",
            ));
        }
        let (name, digest) = text
            .split_once('@')
            .map_or((text, None), |(name, digest)| (name, Some(digest)));
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return Err(InvalidReference(
                "must have a digest of the form sha256:<64 hex digits> after the @, and no credentials before it",
            ));
        }
        let (name, tag) = split_tag(name);
        let (registry, path) = split_registry(name);
        check(&registry, &path, tag)?;
        let tag = || Version::Tag(tag.unwrap_or("latest").to_owned());
        Ok(Self {
            registry,
            path,
            version: digest.map_or_else(tag, |digest| Version::Digest(digest.to_owned())),
        })
    }

    /// Registry and path.
    pub(super) fn repository(&self) -> String {
        format!("{}/{}", self.registry, self.path)
    }

    /// The tag, or the digest.
    pub(super) fn version(&self) -> &str {
        match &self.version {
            Version::Tag(text) | Version::Digest(text) => text,
        }
    }

    /// The digest, if it is a reference that cannot move.
    pub(super) fn digest(&self) -> Option<&str> {
        match &self.version {
            Version::Tag(_) => None,
            Version::Digest(digest) => Some(digest),
        }
    }

    /// The same repository at this digest.
    pub(super) fn at(&self, digest: &str) -> Self {
        Self {
            version: Version::Digest(digest.to_owned()),
            ..self.clone()
        }
    }

    /// The name under which Docker clients keep the registry's credentials.
    pub(super) fn credentials_key(&self) -> &str {
        match self.registry.as_str() {
            DEFAULT_REGISTRY => "https://index.docker.io/v1/",
            registry => registry,
        }
    }
}

/// In full, so that an engine cannot take it for the beginning of an image id.
impl std::fmt::Display for ImageReference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let separator = if self.digest().is_some() { '@' } else { ':' };
        write!(f, "{}/{}{separator}{}", self.registry, self.path, self.version())
    }
}

/// A colon before the last slash belongs to a port.
fn split_tag(name: &str) -> (&str, Option<&str>) {
    match name.rsplit_once(':') {
        Some((before, tag)) if !tag.contains('/') => (before, Some(tag)),
        _ => (name, None),
    }
}

/// The first part is a registry if it looks like a host; else it is a user of the default one.
fn split_registry(name: &str) -> (String, String) {
    let is_host = |part: &str| {
        part == "localhost" || part.contains(['.', ':']) || part.bytes().any(|b| b.is_ascii_uppercase())
    };
    let (registry, path) = match name.split_once('/') {
        Some((first, path)) if is_host(first) => (first, path),
        _ => (DEFAULT_REGISTRY, name),
    };
    let registry = if registry == "index.docker.io" {
        DEFAULT_REGISTRY
    } else {
        registry
    };
    let official = registry == DEFAULT_REGISTRY && !path.contains('/');
    (
        registry.to_owned(),
        if official {
            format!("library/{path}")
        } else {
            path.to_owned()
        },
    )
}

fn check(registry: &str, path: &str, tag: Option<&str>) -> Result<(), InvalidReference> {
    if !is_registry(registry) {
        return Err(InvalidReference(
            "must begin with a valid registry host, such as registry.example:5000/",
        ));
    }
    if registry.len() + 1 + path.len() > MAX_NAME || !path.split('/').all(is_component) {
        return Err(InvalidReference(
            "must name a repository in lower-case letters, digits and single . _ - between them",
        ));
    }
    if path == "library/sha256" {
        return Err(InvalidReference("must be a name: an image id cannot be deployed"));
    }
    let ok = tag.is_none_or(is_tag);
    if ok {
        Ok(())
    } else {
        Err(InvalidReference(
            "must have a tag of at most 128 letters, digits and _ . -",
        ))
    }
}

/// Whether it is a host, with or without a port.
pub(super) fn is_registry(registry: &str) -> bool {
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (registry, None),
    };
    let is_port = |port: &str| port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    let port_ok = port.is_none_or(is_port);
    port_ok && (is_ipv6(host) || host.split('.').all(is_label))
}

fn is_ipv6(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    inner.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_label(label: &str) -> bool {
    let inner = label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    inner && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
}

/// Letters and digits, in between one `.`, one or two `_`, or any number of `-`.
fn is_component(component: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separators = component
        .split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        .filter(|gap| !gap.is_empty());
    let gaps_ok = separators
        .into_iter()
        .all(|gap| matches!(gap, "." | "_" | "__") || gap.bytes().all(|b| b == b'-'));
    let ends_ok =
        component.bytes().next().is_some_and(is_word) && component.bytes().next_back().is_some_and(is_word);
    ends_ok && gaps_ok
}

fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let inner = tag.bytes().all(|b| is_word(b) || matches!(b, b'.' | b'-'));
    inner && tag.len() <= 128 && tag.bytes().next().is_some_and(is_word)
}

fn is_digest(digest: &str) -> bool {
    let hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    digest
        .strip_prefix("sha256:")
        .is_some_and(|digits| digits.len() == 64 && digits.bytes().all(hex))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn full(text: &str) -> String {
        ImageReference::parse(text).unwrap().to_string()
    }

    #[test]
    fn what_is_left_out_is_filled_in() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        let cases = [
            ("alpine".to_owned(), "docker.io/library/alpine:latest".to_owned()),
            ("alpine:3.20".into(), "docker.io/library/alpine:3.20".into()),
            ("me/app".into(), "docker.io/me/app:latest".into()),
            (
                "docker.io/alpine".into(),
                "docker.io/library/alpine:latest".into(),
            ),
            ("index.docker.io/me/app:1".into(), "docker.io/me/app:1".into()),
            ("localhost/app".into(), "localhost/app:latest".into()),
            ("127.0.0.1:5000/app".into(), "127.0.0.1:5000/app:latest".into()),
            (
                "host:5000/team/app:1.4-rc_1".into(),
                "host:5000/team/app:1.4-rc_1".into(),
            ),
            ("[::1]:5000/app:1".into(), "[::1]:5000/app:1".into()),
            (format!("r.io/app:1@{digest}"), format!("r.io/app@{digest}")),
            (format!("app@{digest}"), format!("docker.io/library/app@{digest}")),
            (
                "r.io/a__b/c-.d".replace("-.", "--"),
                "r.io/a__b/c--d:latest".into(),
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(full(&text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_and_not_quoted() {
        let digest = "a".repeat(64);
        let bad = [
            String::new(),
            "user:SECRET@host/app:1".into(),
            format!("user:SECRET@host/app@sha256:{digest}"),
            "https://user:SECRET@host/app".into(),
            "host:port/app".into(),
            "host:123456/app".into(),
            "-host.io/app".into(),
            "App".into(),
            "r.io/App".into(),
            "r.io//app".into(),
            "r.io/app/".into(),
            "r.io/../app".into(),
            "r.io/a..b".into(),
            "r.io/a___b".into(),
            "r.io/app:".into(),
            "r.io/app:-1".into(),
            "r.io/app:a b".into(),
            "r.io/app?x=1".into(),
            "app@sha256:short".into(),
            format!("app@sha256:{}", "A".repeat(64)),
            format!("app@md5:{digest}"),
            format!("sha256:{digest}"),
            format!("r.io/{}", "x".repeat(300)),
            format!("r.io/app:{}", "x".repeat(129)),
        ];
        for text in bad {
            let InvalidReference(message) = ImageReference::parse(&text).expect_err(&text);
            assert!(!message.contains("SECRET"), "{message}");
        }
    }

    #[test]
    fn the_default_registry_has_a_name_of_its_own_in_configuration_files() {
        let key = |text: &str| ImageReference::parse(text).unwrap().credentials_key().to_owned();
        assert_eq!(key("alpine"), "https://index.docker.io/v1/");
        assert_eq!(key("127.0.0.1:5000/app"), "127.0.0.1:5000");
    }
}

//! References into Git repositories, as people write them.

use std::fmt;

use shipslog_core::deploys::PinnedReference;

use super::Commit;
use crate::deploys::reference::is_registry;

/// The longest address that leaves room for a commit beside it in the ledger.
const MAX_URL: usize = 400;
/// Submodules may lie beside their repository, or above it.
const PARENT: &str = "..";

/// `https://host/path/repo.git#<branch, tag or commit>:<path>`, as Docker writes it. What follows the address may be left out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::deploys) struct GitReference {
    url: RepositoryUrl,
    version: Version,
    path: String,
}

/// What of a repository is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::deploys) enum Version {
    /// The branch that the repository itself thinks of first.
    Default,
    /// A branch or a tag, or a full name such as `refs/pull/1/head`.
    Named(String),
    /// A commit, with its full number.
    Commit(Commit),
}

/// A text that is no reference, and what is expected instead. The text is not quoted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(in crate::deploys) struct InvalidReference(&'static str);

impl GitReference {
    /// Reads a reference. The address must be a full one of `https` or `http` without credentials, query and `..`.
    pub(in crate::deploys) fn parse(text: &str) -> Result<Self, InvalidReference> {
        let (url, fragment) = text.split_once('#').unwrap_or((text, ""));
        let (version, path) = fragment.split_once(':').unwrap_or((fragment, ""));
        Ok(Self {
            url: RepositoryUrl::parse(url)?,
            version: Version::parse(version)?,
            path: checked_path(path)?.to_owned(),
        })
    }

    /// Where the repository is.
    pub(in crate::deploys) fn url(&self) -> &RepositoryUrl {
        &self.url
    }

    /// What of it is meant.
    pub(in crate::deploys) fn version(&self) -> &Version {
        &self.version
    }

    /// A folder or file in it; empty for the whole.
    pub(in crate::deploys) fn path(&self) -> &str {
        &self.path
    }
}

impl Version {
    fn parse(text: &str) -> Result<Self, InvalidReference> {
        match text.parse() {
            Ok(commit) => Ok(Self::Commit(commit)),
            Err(_) if text.is_empty() || text == "HEAD" => Ok(Self::Default),
            Err(_) if is_ref_name(text) => Ok(Self::Named(text.to_owned())),
            Err(_) => Err(InvalidReference(
                "must name a branch, a tag or a commit in full after the #",
            )),
        }
    }

    /// The full names that it may have, in the order in which they are tried; none for a commit. A branch goes before a tag of the same
    /// name, as it does with `git clone --branch`.
    pub(super) fn full_names(&self) -> Vec<String> {
        match self {
            Self::Default => vec!["HEAD".to_owned()],
            Self::Named(name) if name.starts_with("refs/") => vec![name.clone()],
            Self::Named(name) => vec![format!("refs/heads/{name}"), format!("refs/tags/{name}")],
            Self::Commit(_) => Vec::new(),
        }
    }
}

/// Git's own rule for names of branches and tags. Pattern signs are out by it as well, and so is `@` where git reads more than a name in it.
fn is_ref_name(name: &str) -> bool {
    let sign = |b: u8| b.is_ascii_graphic() && !b"~^:?*[\\#".contains(&b);
    let component = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let ends_ok = !name.starts_with('-') && !name.ends_with('.');
    let at_ok = name != "@" && !name.contains("@{");
    ends_ok && at_ok && !name.contains("..") && name.bytes().all(sign) && name.split('/').all(component)
}

fn checked_path(path: &str) -> Result<&str, InvalidReference> {
    if path.is_empty() || is_inner_path(path) {
        Ok(path)
    } else {
        Err(InvalidReference(
            "must end with a path inside of the repository, without .. and not beginning with /",
        ))
    }
}

/// Whether a path cannot lead out of the folder where it begins, links aside.
pub(in crate::deploys) fn is_inner_path(path: &str) -> bool {
    let plain = !path.is_empty() && !path.starts_with('/') && !path.contains(['\\', '\0']);
    plain && !path.split('/').any(|part| part == PARENT)
}

/// The address of a repository: `http` or `https`, and without credentials.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::deploys) struct RepositoryUrl {
    scheme: &'static str,
    /// Host and port.
    authority: String,
    /// Without the slash that it begins with.
    path: String,
}

impl RepositoryUrl {
    /// Reads an address.
    pub(in crate::deploys) fn parse(text: &str) -> Result<Self, InvalidReference> {
        let (scheme, rest) = split_scheme(text).ok_or(InvalidReference(
            "must begin with https:// or http://, as no other way to a repository is supported",
        ))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        if authority.contains('@') {
            return Err(InvalidReference(
                "must not contain credentials: name a token in source.options.token",
            ));
        }
        if !is_registry(authority) {
            return Err(InvalidReference("must name a valid host"));
        }
        let path = path.trim_end_matches('/');
        if text.len() > MAX_URL || !is_repository_path(path) {
            return Err(InvalidReference(
                "must name a repository by a path of letters, digits and . _ - ~ + between slashes, in at most 400 characters",
            ));
        }
        Ok(Self {
            scheme,
            authority: authority.to_ascii_lowercase(),
            path: path.to_owned(),
        })
    }

    /// An address as a repository names those of its submodules: in full, or beginning with `./` or `../` and then beside itself.
    pub(super) fn join(&self, text: &str) -> Result<Self, InvalidReference> {
        if !text.starts_with("./") && !text.starts_with("../") {
            return Self::parse(text);
        }
        let mut parts: Vec<&str> = self.path.split('/').collect();
        for part in text.trim_end_matches('/').split('/') {
            match part {
                "." => {}
                PARENT if parts.pop().is_none() => return Err(InvalidReference("must stay on its host")),
                PARENT => {}
                part => parts.push(part),
            }
        }
        Self::parse(&format!("{}{}", self.origin(), parts.join("/")))
    }

    /// Scheme, host and port, with a slash at the end.
    pub(super) fn origin(&self) -> String {
        format!("{}://{}/", self.scheme, self.authority)
    }

    /// The name by which the ledger knows the repository: host and path, in the characters that a pin may have.
    pub(in crate::deploys) fn name(&self) -> String {
        format!("{}/{}", self.authority, self.path.replace(['~', '+'], "_"))
    }

    /// What the ledger shows of a commit of it.
    pub(in crate::deploys) fn pin(&self, commit: &Commit) -> Option<PinnedReference> {
        format!("{}@git:{commit}", self.name()).parse().ok()
    }
}

impl fmt::Display for RepositoryUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin(), self.path)
    }
}

fn split_scheme(text: &str) -> Option<(&'static str, &str)> {
    ["https", "http"].into_iter().find_map(|scheme| {
        let rest = text.strip_prefix(scheme)?.strip_prefix("://")?;
        Some((scheme, rest))
    })
}

fn is_repository_path(path: &str) -> bool {
    let sign = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'~' | b'+');
    let component = |part: &str| {
        !part.is_empty() && part != "." && part != PARENT && !part.starts_with('-') && part.bytes().all(sign)
    };
    path.split('/').all(component)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn parsed(text: &str) -> (String, Version, String) {
        let reference = GitReference::parse(text).unwrap();
        let url = reference.url().to_string();
        (url, reference.version().clone(), reference.path().to_owned())
    }

    #[test]
    fn what_follows_the_address_may_be_left_out() {
        let url = "https://host/team/app.git";
        let named = |name: &str| Version::Named(name.to_owned());
        let cases = [
            ("", Version::Default, ""),
            ("#", Version::Default, ""),
            ("#HEAD", Version::Default, ""),
            ("#main", named("main"), ""),
            ("#feature/a+b=1:docker", named("feature/a+b=1"), "docker"),
            ("#:deploy/compose.yaml", Version::Default, "deploy/compose.yaml"),
            ("#refs/pull/1/head", named("refs/pull/1/head"), ""),
            ("#deadbeef", named("deadbeef"), ""),
            ("#renovate/@types/node", named("renovate/@types/node"), ""),
            (
                &format!("#{COMMIT}:a"),
                Version::Commit(COMMIT.parse().unwrap()),
                "a",
            ),
        ];
        for (rest, version, path) in cases {
            assert_eq!(
                parsed(&format!("{url}{rest}")),
                (url.to_owned(), version, path.to_owned()),
                "{rest}"
            );
        }
        for url in [
            "http://127.0.0.1:8080/a",
            "https://[::1]:1/~me/a+b.git",
            "https://h/A/b_c-d",
        ] {
            assert_eq!(parsed(url).0, url);
        }
        assert_eq!(parsed("https://Host.Example/a/").0, "https://host.example/a");
    }

    #[test]
    fn other_ways_to_a_repository_and_ways_out_of_it_are_refused_and_not_quoted() {
        let bad = [
            "",
            "app",
            "ext::sh -c SECRET",
            "file:///etc/SECRET",
            "/srv/SECRET",
            "git@host:SECRET.git",
            "ssh://host/SECRET",
            "git://host/SECRET",
            "HTTPS://host/a",
            "-uSECRET",
            "https://user:SECRET@host/a",
            "https://SECRET@host/a",
            "https://-host/a",
            "https://host:99999/a",
            "https://host:x/a",
            "https:///a",
            "https://host",
            "https://host/",
            "https://host//a",
            "https://host/../a",
            "https://host/a/./b",
            "https://host/-SECRET",
            "https://host/a?token=SECRET",
            "https://host/a%2e%2e",
            "https://host/a b",
            "https://host/a#-SECRET",
            "https://host/a#a..b",
            "https://host/a#a b",
            "https://host/a#a^{SECRET}",
            "https://host/a#x@{1}",
            "https://host/a#@",
            "https://host/a#a//b",
            "https://host/a#.a",
            "https://host/a#a.lock",
            "https://host/a#a.",
            "https://host/a#refs/heads/*",
            "https://host/a#main:../SECRET",
            "https://host/a#main:a/../../SECRET",
            "https://host/a#main:/etc/SECRET",
        ];
        for text in bad {
            let InvalidReference(message) = GitReference::parse(text).expect_err(text);
            assert!(!message.contains("SECRET"), "{message}");
        }
        assert!(GitReference::parse(&format!("https://host/{}", "x".repeat(400))).is_err());
    }

    #[test]
    fn submodules_lie_beside_their_repository_and_never_above_the_host() {
        let url = RepositoryUrl::parse("https://host:1/team/app.git").unwrap();
        let joined = |text: &str| url.join(text).map(|url| url.to_string());
        assert_eq!(joined("../lib.git").unwrap(), "https://host:1/team/lib.git");
        assert_eq!(joined("../../x/lib").unwrap(), "https://host:1/x/lib");
        assert_eq!(joined("./sub").unwrap(), "https://host:1/team/app.git/sub");
        assert_eq!(joined("https://other/lib").unwrap(), "https://other/lib");
        for bad in [
            "../../..",
            "../../../x",
            "../../../../x",
            "file:///x",
            "ext::x",
            "/x",
            "git@h:x",
            "../-x",
        ] {
            assert!(joined(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn every_address_has_a_name_that_a_pin_may_have() {
        for text in [
            "https://[::1]:1/~me/a+b.git",
            "http://127.0.0.1:8080/Team/app.git",
        ] {
            let name = RepositoryUrl::parse(text).unwrap().name();
            let pin = format!("{name}@git:{COMMIT}");
            assert!(
                pin.parse::<shipslog_core::deploys::PinnedReference>().is_ok(),
                "{pin}"
            );
        }
    }
}

//! The files of a built dashboard.

use std::borrow::Cow;
use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::http::HeaderValue;
use sha2::{Digest, Sha256};

use crate::dashboard::encoding::Accepted;

/// The page and its assets.
#[derive(Debug, Default)]
pub(crate) struct Site {
    pub(crate) page: Option<Page>,
    /// By their names below `assets/`.
    pub(crate) assets: BTreeMap<String, Asset>,
}

/// `index.html`, whose addresses begin with `./`.
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) html: String,
    pub(crate) etag: HeaderValue,
}

/// A file in the forms in which it was built.
#[derive(Debug, Default)]
pub(crate) struct Asset {
    pub(crate) content_type: &'static str,
    plain: Bytes,
    brotli: Option<Bytes>,
    gzip: Option<Bytes>,
}

impl Site {
    /// Sorts files, named by their path in the folder. `name.br` and `name.gz` are other forms of `name`.
    pub(crate) fn new(files: impl Iterator<Item = (String, Cow<'static, [u8]>)>) -> Self {
        let mut files: BTreeMap<String, Bytes> = files.map(|(name, data)| (name, bytes(data))).collect();
        let page = files.remove("index.html").and_then(Page::new);
        let assets = files
            .iter()
            .filter_map(|(path, plain)| Some((path.strip_prefix("assets/")?, path, plain)))
            .filter(|(name, ..)| !name.ends_with(".br") && !name.ends_with(".gz"))
            .map(|(name, path, plain)| {
                let asset = Asset {
                    content_type: content_type(name),
                    plain: plain.clone(),
                    brotli: files.get(&format!("{path}.br")).cloned(),
                    gzip: files.get(&format!("{path}.gz")).cloned(),
                };
                (name.to_owned(), asset)
            })
            .collect();
        Self { page, assets }
    }
}

fn bytes(data: Cow<'static, [u8]>) -> Bytes {
    match data {
        Cow::Borrowed(data) => Bytes::from_static(data),
        Cow::Owned(data) => Bytes::from(data),
    }
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        Some("woff2") => "font/woff2",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}

impl Page {
    fn new(html: Bytes) -> Option<Self> {
        let digest = Sha256::digest(&html);
        let etag: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Some(Self {
            html: String::from_utf8(html.into()).ok()?,
            etag: HeaderValue::try_from(format!("\"{etag}\"")).ok()?,
        })
    }
}

/// A page as it is right for a browser that is at this path. A host's mount is `/ops`, without a slash at its
/// end, and from there `./assets` would be beside it and not below it.
pub(crate) fn seen_from(path: &str, html: &str) -> String {
    match path.rsplit_once('/') {
        Some((_, mount)) if !mount.is_empty() => html.replace("\"./", &format!("\"./{}/", attribute(mount))),
        _ => html.to_owned(),
    }
}

/// A path may hold a quotation mark.
fn attribute(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('"', "&quot;")
        .replace('<', "&lt;")
}

impl Asset {
    /// The smallest form that is taken, and what it is called.
    pub(crate) fn encoded(&self, accepted: Accepted) -> (Option<&'static str>, Bytes) {
        let brotli = self
            .brotli
            .as_ref()
            .filter(|_| accepted.brotli)
            .map(|body| ("br", body));
        let gzip = self
            .gzip
            .as_ref()
            .filter(|_| accepted.gzip)
            .map(|body| ("gzip", body));
        match brotli.or(gzip) {
            Some((name, body)) => (Some(name), body.clone()),
            None => (None, self.plain.clone()),
        }
    }
}

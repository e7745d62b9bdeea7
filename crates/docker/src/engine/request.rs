//! Putting right what the client sends.

use bollard::models::SystemVersion;
use bollard::{API_DEFAULT_VERSION, BollardRequest};

/// A version of the engine's API, such as 1.41.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ApiVersion {
    major: usize,
    minor: usize,
}

impl ApiVersion {
    /// The newest version that both sides know. An engine that does not name its own is spoken to in the
    /// oldest that is tested.
    pub(super) fn common(engine: &SystemVersion) -> Self {
        let newest = Self {
            major: API_DEFAULT_VERSION.major_version,
            minor: API_DEFAULT_VERSION.minor_version,
        };
        let theirs = engine.api_version.as_deref().and_then(Self::parse);
        theirs.unwrap_or(Self { major: 1, minor: 41 }).min(newest)
    }

    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self {
            major: major.parse().ok()?,
            minor: minor.parse().ok()?,
        })
    }
}

/// The request as it should be. The client leaves the version out of the path, so that any engine would
/// answer in its newest; and it writes credentials in the alphabet of plain base64, which engines that read
/// the URL-safe one silently take for none.
pub(super) fn adapted(mut request: BollardRequest, version: ApiVersion) -> BollardRequest {
    name_version(&mut request, version);
    if let Some(credentials) = request.headers_mut().get_mut("X-Registry-Auth") {
        let safe = credentials
            .to_str()
            .map(|text| text.replace('+', "-").replace('/', "_"));
        if let Some(Ok(header)) = safe.ok().map(|text| text.parse()) {
            *credentials = header;
        }
        credentials.set_sensitive(true);
    }
    request
}

fn name_version(request: &mut BollardRequest, version: ApiVersion) {
    let prefix = format!("/v{}.{}", version.major, version.minor);
    let mut parts = request.uri().clone().into_parts();
    let path = parts.path_and_query.as_ref().map_or("/", |path| path.as_str());
    if path.starts_with(&format!("{prefix}/")) {
        return;
    }
    parts.path_and_query = format!("{prefix}{path}").parse().ok();
    if let Ok(uri) = parts.try_into() {
        *request.uri_mut() = uri;
    }
}

//! Images for the versions of the conformance suite, and how to tell which one answers.

use std::time::Duration;

use shipslog_core::testing::Version;
use shipslog_test_support::{Health, ImageSpec, try_http_get};

/// An image that shows its version at `/`, or does not work in the way of its version.
pub(crate) fn page(version: Version) -> ImageSpec {
    let health = match version {
        Version::One | Version::Two => Health::Always,
        Version::Broken => Health::Never,
        Version::Slow => Health::After(Duration::from_secs(3600)),
    };
    ImageSpec::web(&format!("{version:?}")).health(health)
}

/// The version that the page at a port shows.
pub(crate) fn shown_at(port: u16) -> Option<Version> {
    let page = try_http_get(&format!("127.0.0.1:{port}"), "/").ok()?.1;
    [Version::One, Version::Two, Version::Broken, Version::Slow]
        .into_iter()
        .find(|version| page.trim() == format!("{version:?}"))
}

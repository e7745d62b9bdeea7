//! Names that no other test and no other run uses.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Read as _;
use std::sync::LazyLock;

static RUN_ID: LazyLock<String> =
    LazyLock::new(|| std::env::var("SHIPSLOG_TEST_RUN").unwrap_or_else(|_| "local".to_owned()));

/// The mark of this test run: `SHIPSLOG_TEST_RUN`, or `local` when it is unset.
///
/// Every image built here carries it as the label `shipslog.test`, which containers inherit, and
/// every [`unique`] name contains it. The runner's teardown removes what carries it.
pub fn run_id() -> &'static str {
    &RUN_ID
}

/// A new name, `<prefix>-<run id>-<8 hex digits>`, fit for containers, networks, volumes and
/// repositories as long as `prefix` is.
pub fn unique(prefix: &str) -> String {
    format!("{prefix}-{}-{}", run_id(), random_hex(4))
}

/// `bytes` random bytes as lower-case hex.
pub(crate) fn random_hex(bytes: usize) -> String {
    let mut raw = vec![0; bytes];
    urandom().read_exact(&mut raw).expect("/dev/urandom is readable");
    raw.iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// The kernel's endless source of bytes that do not compress.
pub(crate) fn urandom() -> File {
    File::open("/dev/urandom").expect("/dev/urandom can be opened")
}

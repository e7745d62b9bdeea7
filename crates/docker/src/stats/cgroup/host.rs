//! What is read of the host.

use std::path::Path;

use super::parse;
use super::source::{Source, read_once};

/// The host's own files. What cannot be read is unknown.
#[derive(Debug)]
pub(super) struct Host {
    stat: Option<Source>,
    /// Bytes of memory of the machine, to which limits are cut.
    pub(super) memory: u64,
}

/// Processor time that passed on the host since it started, and the processors that it is summed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Passed {
    pub(super) ns: u64,
    pub(super) online: u32,
}

impl Host {
    pub(super) fn open(root: &Path) -> Self {
        let memory = read_once(&root.join("proc/meminfo")).ok();
        Self {
            stat: Source::open(root.join("proc/stat"), true).ok(),
            memory: memory.and_then(|text| total(&text)).unwrap_or(u64::MAX),
        }
    }

    pub(super) fn passed(&self, buffer: &mut Vec<u8>) -> Option<Passed> {
        let text = self.stat.as_ref()?.read(buffer).ok()?;
        let (ns, online) = parse::processors(text)?;
        Some(Passed { ns, online })
    }
}

/// `MemTotal:       24684096 kB`.
fn total(text: &[u8]) -> Option<u64> {
    let line = parse::lines(text).find_map(|line| line.strip_prefix(b"MemTotal:"))?;
    parse::number(parse::words(line).next()?)?.checked_mul(1024)
}

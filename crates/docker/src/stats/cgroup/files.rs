//! The files of one container.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use shipslog_core::stats::{IoCounters, MemoryCounters};

use super::place::Group;
use super::source::Source;
use super::{Obstacle, parse};

/// For so long, what an idle container cannot have changed is not read again, which spares two thirds of the work of a tick over
/// it. What others can change is late by that much: a new limit, memory that the kernel took back, and that it was paused.
const KEEP_FOR: Duration = Duration::from_secs(60);

/// The files that a container's counters are in.
#[derive(Debug)]
pub(super) struct Files {
    /// What was found last, and when all of it was read.
    last: Option<(Found, Instant)>,
    version: Version,
    cpu: Source,
    memory: Option<Memory>,
    /// In the order in which they are asked: the first that names a device is right.
    block: Vec<Source>,
    freezer: Option<Source>,
    /// `None` when the container has no network of its own.
    network: Option<Source>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V1,
    V2,
}

#[derive(Debug)]
struct Memory {
    usage: Source,
    stat: Source,
    limit: Source,
}

/// What was found in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) cpu_ns: u64,
    pub(super) memory: Option<MemoryCounters>,
    pub(super) block: Option<IoCounters>,
    pub(super) network: Option<IoCounters>,
    pub(super) paused: bool,
}

/// A file could not be read any more, or makes no sense.
#[derive(Debug)]
pub(super) struct Lost;

impl From<io::Error> for Lost {
    fn from(_: io::Error) -> Self {
        Self
    }
}

impl Files {
    /// Opens the files of a group, and `network` if that is a file of the container's own. All are held, or none.
    pub(super) fn open(group: &Group, network: Option<PathBuf>, hold: bool) -> Result<Self, Obstacle> {
        let opened = match group {
            Group::V2(group) => Self::open_v2(group, hold),
            Group::V1 {
                cpu,
                memory,
                block,
                freezer,
            } => Self::open_v1(cpu, memory.as_deref(), block.as_deref(), freezer.as_deref(), hold),
        };
        let mut files = opened.map_err(|error| Obstacle::of_group(&error))?;
        let network = network.map(|path| Source::open(path, hold)).transpose();
        files.network = network.map_err(|error| Obstacle::of_process(&error))?;
        Ok(files)
    }

    fn open_v2(group: &Path, hold: bool) -> io::Result<Self> {
        let names = ["memory.current", "memory.stat", "memory.max"];
        Ok(Self {
            last: None,
            version: Version::V2,
            cpu: Source::open(group.join("cpu.stat"), hold)?,
            memory: Memory::open(group, names, hold)?,
            block: Vec::from_iter(Source::open_if_there(group.join("io.stat"), hold)?),
            freezer: Source::open_if_there(group.join("cgroup.events"), hold)?,
            network: None,
        })
    }

    fn open_v1(
        cpu: &Path,
        memory: Option<&Path>,
        block: Option<&Path>,
        freezer: Option<&Path>,
        hold: bool,
    ) -> io::Result<Self> {
        let names = ["memory.usage_in_bytes", "memory.stat", "memory.limit_in_bytes"];
        let memory = memory.map(|group| Memory::open(group, names, hold)).transpose()?;
        let freezer = freezer.map(|group| Source::open_if_there(group.join("freezer.state"), hold));
        Ok(Self {
            last: None,
            version: Version::V1,
            cpu: Source::open(cpu.join("cpuacct.usage"), hold)?,
            memory: memory.flatten(),
            block: block
                .map(|group| block_v1(group, hold))
                .transpose()?
                .unwrap_or_default(),
            freezer: freezer.transpose()?.flatten(),
            network: None,
        })
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// How many descriptors are kept open for them.
    pub(super) fn held(&self) -> usize {
        self.sources().filter(|source| source.is_held()).count()
    }

    fn sources(&self) -> impl Iterator<Item = &Source> {
        let memory = self
            .memory
            .iter()
            .flat_map(|memory| [&memory.usage, &memory.stat, &memory.limit]);
        let few = [Some(&self.cpu), self.freezer.as_ref(), self.network.as_ref()];
        few.into_iter().flatten().chain(memory).chain(&self.block)
    }

    /// Reads them. `machine` is the machine's memory in bytes.
    ///
    /// A container that used no processor time since did nothing: its memory is taken to be what it was, as is its limit, for a
    /// minute at most.
    pub(super) fn read(&mut self, machine: u64, now: Instant, buffer: &mut Vec<u8>) -> Result<Found, Lost> {
        let cpu_ns = self.cpu_ns(buffer)?;
        let same =
            |(found, at): &(Found, Instant)| found.cpu_ns == cpu_ns && now.duration_since(*at) < KEEP_FOR;
        let last = self.last.filter(same);
        let idle = last.as_ref().map(|(found, _)| found);
        let found = Found {
            cpu_ns,
            memory: self.memory(idle, machine, buffer)?,
            block: self.block(idle, buffer)?,
            network: self.network(buffer)?,
            paused: self.paused(idle, buffer)?,
        };
        self.last = Some((found, last.map_or(now, |(_, at)| at)));
        Ok(found)
    }

    fn cpu_ns(&self, buffer: &mut Vec<u8>) -> Result<u64, Lost> {
        let text = self.cpu.read(buffer)?;
        let ns = match self.version {
            Version::V1 => parse::number(text),
            Version::V2 => parse::named(text, "usage_usec").and_then(|us| us.checked_mul(1000)),
        };
        ns.ok_or(Lost)
    }

    fn memory(
        &self,
        idle: Option<&Found>,
        machine: u64,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<MemoryCounters>, Lost> {
        let Some(memory) = &self.memory else {
            return Ok(None);
        };
        if let Some(found) = idle {
            return Ok(found.memory);
        }
        let usage = parse::number(memory.usage.read(buffer)?).ok_or(Lost)?;
        let inactive_file = match self.version {
            Version::V1 => "total_inactive_file",
            Version::V2 => "inactive_file",
        };
        Ok(Some(MemoryCounters {
            usage,
            inactive_file: parse::named(memory.stat.read(buffer)?, inactive_file).ok_or(Lost)?,
            limit: parse::limit(memory.limit.read(buffer)?, machine).ok_or(Lost)?,
        }))
    }

    /// Under cgroup v2 the kernel may write a container's pages for it, so that the lack of processor time says nothing.
    fn block(&self, idle: Option<&Found>, buffer: &mut Vec<u8>) -> Result<Option<IoCounters>, Lost> {
        if let (Version::V1, Some(found)) = (self.version, idle) {
            return Ok(found.block);
        }
        let mut moved = None;
        for source in &self.block {
            let text = source.read(buffer)?;
            let (parsed, names_device) = match self.version {
                Version::V1 => (parse::block_v1(text), text.contains(&b':')),
                Version::V2 => (parse::block_v2(text), true),
            };
            moved = Some(parsed.ok_or(Lost)?);
            if names_device {
                break;
            }
        }
        Ok(moved)
    }

    fn network(&self, buffer: &mut Vec<u8>) -> Result<Option<IoCounters>, Lost> {
        let Some(network) = &self.network else {
            return Ok(None);
        };
        parse::network(network.read(buffer)?).ok_or(Lost)
    }

    /// What is paused does not run, so that its end is always looked for.
    fn paused(&self, idle: Option<&Found>, buffer: &mut Vec<u8>) -> Result<bool, Lost> {
        if idle.is_some_and(|found| !found.paused) {
            return Ok(false);
        }
        let Some(freezer) = &self.freezer else {
            return Ok(false);
        };
        let text = freezer.read(buffer)?;
        Ok(match self.version {
            Version::V1 => text.trim_ascii() == b"FROZEN",
            Version::V2 => parse::named(text, "frozen") == Some(1),
        })
    }
}

impl Memory {
    /// `None` where the kernel does not account memory.
    fn open(group: &Path, [usage, stat, limit]: [&str; 3], hold: bool) -> io::Result<Option<Self>> {
        let Some(usage) = Source::open_if_there(group.join(usage), hold)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            usage,
            stat: Source::open(group.join(stat), hold)?,
            limit: Source::open(group.join(limit), hold)?,
        }))
    }
}

/// The files that the engine reads, in its order: that of the old scheduler CFQ, and that of the throttle, which counts where
/// the former names no device. It does not count what groups below the container's moved, and so neither is it counted here.
fn block_v1(group: &Path, hold: bool) -> io::Result<Vec<Source>> {
    let names = [
        "blkio.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes",
    ];
    let files = names.map(|name| Source::open_if_there(group.join(name), hold));
    let files: Vec<_> = files.into_iter().collect::<io::Result<_>>()?;
    Ok(files.into_iter().flatten().collect())
}

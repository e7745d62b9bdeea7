//! The containers that are followed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use shipslog_core::id::ContainerId;
use shipslog_core::stats::{CollectorShare, CollectorStatus, Counters, CpuCounters};
use shipslog_core::time::Timestamp;

use super::files::{Files, Found, Lost, Version};
use super::host::{Host, Passed};
use super::life::Life;
use super::place::{Group, Mounts};
use super::source::BUFFER;
use super::{KIND, Obstacle};
use crate::stats::api;

/// At most so many files are held of a container: its process, processor time, three of memory, one or two of block devices,
/// the freezer, the network.
const MOST_FILES: usize = 9;

/// What is not asked for during so long is let go, descriptors and all.
const FORGET_AFTER: Duration = Duration::from_secs(600);

/// What stood in the way may be gone after so long: a mount that came later, a limit that was raised.
const TRY_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// One run of a container, from a start to its end, as the engine describes it.
#[derive(Debug, Clone)]
pub(super) struct Run {
    /// The whole id.
    pub(super) id: String,
    pub(super) pid: u32,
    pub(super) started_at: Option<Timestamp>,
    /// Whether it has a network that it shares with no other and not with the host.
    pub(super) own_network: bool,
}

/// What reading a container came to.
#[derive(Debug)]
pub(super) enum Answer {
    /// Its counters, from its files.
    Read(Counters),
    /// The engine has to be asked about it: it is new, was started anew, or has ended; or it is time to try again.
    Unknown,
    /// Its files cannot be read.
    Obstructed,
}

/// Everything that is known and held open.
#[derive(Debug)]
pub(super) struct Table {
    root: PathBuf,
    host: Host,
    followed: HashMap<ContainerId, Followed>,
    /// How many descriptors may be held, and how many are.
    descriptors: usize,
    held: usize,
    buffer: Vec<u8>,
}

#[derive(Debug)]
struct Followed {
    started_at: Option<Timestamp>,
    asked: Instant,
    way: Way,
}

#[derive(Debug)]
enum Way {
    Direct(Box<Direct>),
    Obstructed { obstacle: Obstacle, since: Instant },
}

/// What is held of a container whose files can be read.
#[derive(Debug)]
struct Direct {
    files: Files,
    life: Life,
}

impl Table {
    pub(super) fn new(root: PathBuf, descriptors: usize) -> Self {
        Self {
            host: Host::open(&root),
            root,
            followed: HashMap::new(),
            descriptors,
            held: 0,
            buffer: vec![0; BUFFER],
        }
    }

    /// Reads each of these. What was read of a process that ended in the meantime does not count: the last file may have been
    /// read after that, and that of a network keeps on answering with what it said last.
    pub(super) fn read(&mut self, ids: &[ContainerId], now: Instant) -> Vec<Answer> {
        let passed = self.host.passed(&mut self.buffer);
        let mut answers: Vec<Answer> = ids.iter().map(|id| self.read_one(id, passed, now)).collect();
        if self.sweep(now) {
            for (id, answer) in ids.iter().zip(&mut answers) {
                if !self.followed.contains_key(id) {
                    *answer = Answer::Unknown;
                }
            }
        }
        answers
    }

    fn read_one(&mut self, id: &ContainerId, passed: Option<Passed>, now: Instant) -> Answer {
        let Some(followed) = self.followed.get_mut(id) else {
            return Answer::Unknown;
        };
        followed.asked = now;
        let files = match &mut followed.way {
            Way::Direct(direct) => &mut direct.files,
            Way::Obstructed { since, .. } if now.duration_since(*since) < TRY_AGAIN_AFTER => {
                return Answer::Obstructed;
            }
            Way::Obstructed { .. } => return Answer::Unknown,
        };
        let read_at = Timestamp::now();
        match files.read(self.host.memory, now, &mut self.buffer) {
            Ok(found) => Answer::Read(counters(found, followed.started_at, passed, read_at)),
            Err(Lost) => {
                self.forget(id);
                Answer::Unknown
            }
        }
    }

    /// Follows these runs from now on.
    pub(super) fn follow(&mut self, runs: Vec<(ContainerId, Run)>, now: Instant) {
        let mounts = Mounts::read(&self.root);
        for (id, run) in runs {
            self.forget(&id);
            let obstructed = |obstacle| Way::Obstructed { obstacle, since: now };
            let way = self.open(&run, &mounts, now).unwrap_or_else(obstructed);
            self.held += way.held();
            let (started_at, asked) = (run.started_at, now);
            self.followed.insert(
                id,
                Followed {
                    started_at,
                    asked,
                    way,
                },
            );
        }
    }

    /// The hold on the process comes first, so that all that is found after belongs to it or does not count.
    fn open(&mut self, run: &Run, mounts: &Mounts, now: Instant) -> Result<Way, Obstacle> {
        let life = Life::of(run.pid, &self.root).map_err(|error| Obstacle::of_process(&error))?;
        let group = Group::of(&run.id, run.pid, &self.root, mounts)?;
        let network = self.root.join(format!("proc/{}/net/dev", run.pid));
        let network = run.own_network.then_some(network);
        let hold = self.held + MOST_FILES <= self.descriptors;
        let mut files = Files::open(&group, network, hold)?;
        let tried = files.read(self.host.memory, now, &mut self.buffer);
        tried.map_err(|Lost| Obstacle::Senseless)?;
        Ok(Way::Direct(Box::new(Direct { files, life })))
    }

    /// Takes note of when a container that is read through the engine was started. Another start may have files that can be
    /// read.
    pub(super) fn started(&mut self, id: &ContainerId, at: Option<Timestamp>) {
        if self
            .followed
            .get(id)
            .is_some_and(|followed| followed.started_at != at)
        {
            self.forget(id);
        }
    }

    pub(super) fn forget(&mut self, id: &ContainerId) {
        let gone = self.followed.remove(id);
        self.held -= gone.map_or(0, |gone| gone.way.held());
    }

    /// Lets go of what has ended and of what nobody asks for; says whether there was any.
    fn sweep(&mut self, now: Instant) -> bool {
        let direct = self.followed.values().filter_map(|followed| followed.way.life());
        let mut ended = Life::ended(direct).into_iter();
        let mut is_over = |followed: &Followed| {
            let ended = followed.way.life().and_then(|_| ended.next()).unwrap_or(false);
            ended || now.duration_since(followed.asked) > FORGET_AFTER
        };
        let over = self.followed.iter().filter(|(_, followed)| is_over(followed));
        let gone: Vec<ContainerId> = over.map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.forget(id));
        !gone.is_empty()
    }

    /// How many are read in which way, and why.
    pub(super) fn status(&self) -> CollectorStatus {
        let mut shares: Vec<CollectorShare> = Vec::new();
        for followed in self.followed.values() {
            let (kind, reason) = followed.way.description();
            match shares
                .iter_mut()
                .find(|share| share.kind == kind && share.reason == reason)
            {
                Some(share) => share.containers += 1,
                None => shares.push(CollectorShare {
                    kind,
                    reason: reason.to_owned(),
                    containers: 1,
                }),
            }
        }
        shares.sort_by(|a, b| {
            b.containers
                .cmp(&a.containers)
                .then_with(|| a.reason.cmp(&b.reason))
        });
        let largest = shares.first();
        CollectorStatus {
            kind: largest.map_or(KIND, |share| share.kind),
            reason: largest.map(|share| share.reason.clone()),
            shares,
        }
    }
}

impl Way {
    fn life(&self) -> Option<&Life> {
        match self {
            Self::Direct(direct) => Some(&direct.life),
            Self::Obstructed { .. } => None,
        }
    }

    /// Descriptors that are kept open, that of the process included.
    fn held(&self) -> usize {
        match self {
            Self::Direct(direct) => direct.files.held() + 1,
            Self::Obstructed { .. } => 0,
        }
    }

    fn description(&self) -> (&'static str, &'static str) {
        match self {
            Self::Direct(direct) => match direct.files.version() {
                Version::V1 => (KIND, "its cgroup v1 is mounted here"),
                Version::V2 => (KIND, "its cgroup v2 is mounted here"),
            },
            Self::Obstructed { obstacle, .. } => (api::KIND, obstacle.reason()),
        }
    }
}

fn counters(
    found: Found,
    started_at: Option<Timestamp>,
    passed: Option<Passed>,
    read_at: Timestamp,
) -> Counters {
    let cpu = |passed: Passed| CpuCounters {
        total_ns: found.cpu_ns,
        system_ns: passed.ns,
        online: passed.online,
    };
    Counters {
        read_at: Some(read_at),
        started_at,
        paused: found.paused,
        cpu: passed.map(cpu),
        memory: found.memory,
        network: found.network,
        block: found.block,
    }
}

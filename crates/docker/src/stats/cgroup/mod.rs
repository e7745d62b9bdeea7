//! Counters read where the kernel keeps them.

mod files;
mod host;
mod life;
mod limits;
mod parse;
mod place;
mod source;
mod table;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use async_trait::async_trait;
use bollard::models::ContainerInspectResponse;
use shipslog_core::id::ContainerId;
use shipslog_core::stats::{CollectError, Collector, CollectorStatus, Counters};

use super::api::{refusal, side_by_side};
use super::counters::{has_own_network, time};
use super::{CollectorOptions, DockerApiCollector};
use crate::DockerEngine;
use table::{Answer, Run, Table};

const KIND: &str = "cgroup";

/// Why a container is read through the engine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Obstacle {
    NoProcess,
    NoGroup,
    NotMounted,
    Forbidden,
    NoDescriptors,
    Senseless,
}

impl Obstacle {
    fn of_process(error: &io::Error) -> Self {
        Self::of(error, Self::NoProcess)
    }

    fn of_group(error: &io::Error) -> Self {
        Self::of(error, Self::NotMounted)
    }

    fn of(error: &io::Error, missing: Self) -> Self {
        match error.kind() {
            io::ErrorKind::PermissionDenied => Self::Forbidden,
            _ if matches!(error.raw_os_error(), Some(TOO_MANY_HERE | TOO_MANY_ANYWHERE)) => {
                Self::NoDescriptors
            }
            _ => missing,
        }
    }

    fn reason(self) -> &'static str {
        match self {
            Self::NoProcess => {
                "its process is not seen here: the engine is on another host or in another process namespace"
            }
            Self::NoGroup => {
                "its process is in no cgroup of its own here, as with a remote or a rootless engine"
            }
            Self::NotMounted => "its cgroup is not mounted here",
            Self::Forbidden => "its files may not be read by this user",
            Self::NoDescriptors => "too many files are open",
            Self::Senseless => "its files could not be understood",
        }
    }
}

/// `EMFILE`, the same on every architecture of Linux.
const TOO_MANY_HERE: i32 = 24;
/// `ENFILE`, likewise.
const TOO_MANY_ANYWHERE: i32 = 23;

/// Reads counters from the control groups (v2, v1 or both) and the `/proc` of this host, which costs next to nothing, and
/// through the engine's API where that cannot be done.
///
/// The engine is asked once about each run of a container: its process, its start, its kind of network. From then on a reading
/// is some seven files, kept open. A run that ends is noticed with the reading that follows, from the process itself and not
/// from its number: nothing is ever read of a container that has ended or was started anew, although files of a dead process's
/// network would go on to answer.
///
/// A container whose files are not there is read by a [`DockerApiCollector`] until it is started anew: that of an engine on
/// another host, or one whose groups are not mounted where this process runs. [`status`](Collector::status) says how many those
/// are, and why.
///
/// # The same numbers
///
/// Both collectors give the same [`Counters`], each of them from the same files as the engine. Where they differ:
///
/// - A container under cgroup v2 that moved no block yet has moved 0 bytes; the engine does not say.
/// - Interfaces that a container made for itself do not count in either; the engine knows which are its own, and here they are
///   those named `eth…`, or all but the loopback if none is.
/// - The limit is the one that the kernel holds to, whoever set it; the engine's is the one it was told.
#[derive(Debug, Clone)]
pub struct CgroupCollector {
    api: DockerApiCollector,
    side_by_side: usize,
    table: Arc<Mutex<Table>>,
    status: Arc<Mutex<CollectorStatus>>,
}

impl CgroupCollector {
    /// A collector for the containers of `engine`, which is not contacted yet. May raise the process's soft limit of open
    /// files: see [`CollectorOptions::with_descriptors`].
    pub fn new(engine: DockerEngine, options: CollectorOptions) -> Self {
        let descriptors = options.descriptors.unwrap_or_else(limits::half_of_all);
        Self {
            side_by_side: options.side_by_side,
            table: Arc::new(Mutex::new(Table::new(options.root.clone(), descriptors))),
            status: Arc::new(Mutex::new(KIND.into())),
            api: DockerApiCollector::new(engine, options),
        }
    }

    /// Works on the table where it may take its time. `None` if that work panicked.
    async fn with_table<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Table) -> T + Send + 'static,
    ) -> Option<T> {
        let table = Arc::clone(&self.table);
        let work = move || work(&mut table.lock().unwrap_or_else(PoisonError::into_inner));
        tokio::task::spawn_blocking(work).await.ok()
    }

    async fn read_files(&self, ids: Vec<ContainerId>) -> Vec<Answer> {
        let count = ids.len();
        let read = self
            .with_table(move |table| (table.read(&ids, Instant::now()), table.status()))
            .await;
        let Some((answers, status)) = read else {
            return (0..count).map(|_| Answer::Obstructed).collect();
        };
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = status;
        answers
    }

    /// Asks the engine about these, follows those that run, and reads them.
    async fn meet(&self, ids: Vec<ContainerId>) -> Vec<Result<Answer, CollectError>> {
        let runs = self.runs(&ids).await;
        let met = ids.iter().zip(&runs);
        let met = met.filter_map(|(id, run)| Some((id.clone(), run.as_ref().ok()?.clone())));
        let met: Vec<_> = met.collect();
        let running = met.iter().map(|(id, _)| id.clone()).collect();
        self.with_table(move |table| table.follow(met, Instant::now()))
            .await;
        let mut answers = self.read_files(running).await.into_iter();
        let answer = |run: Result<Run, CollectError>| match run.map(|_| answers.next()) {
            // It ended just now.
            Ok(None | Some(Answer::Unknown)) => Err(CollectError::NotRunning),
            Ok(Some(answer)) => Ok(answer),
            Err(error) => Err(error),
        };
        runs.into_iter().map(answer).collect()
    }

    async fn runs(&self, ids: &[ContainerId]) -> Vec<Result<Run, CollectError>> {
        side_by_side(ids.iter().map(|id| self.run(id)), self.side_by_side).await
    }

    async fn run(&self, id: &ContainerId) -> Result<Run, CollectError> {
        run(self.api.inspect(id).await.map_err(refusal)?)
    }

    async fn read_through_api(&self, ids: Vec<ContainerId>) -> Vec<Result<Counters, CollectError>> {
        let read = self.api.collect(&ids).await;
        let started: Vec<_> = read
            .iter()
            .map(|read| {
                read.as_ref()
                    .map(|counters| counters.started_at)
                    .map_err(|error| *error)
            })
            .collect();
        self.with_table(move |table| {
            for (id, started) in ids.iter().zip(started) {
                match started {
                    Ok(at) => table.started(id, at),
                    Err(CollectError::NotRunning) => table.forget(id),
                    Err(_) => {}
                }
            }
        })
        .await;
        read
    }
}

#[async_trait]
impl Collector for CgroupCollector {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn status(&self) -> CollectorStatus {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn collect(&self, ids: &[ContainerId]) -> Vec<Result<Counters, CollectError>> {
        let read = self.read_files(ids.to_vec()).await;
        let mut answers: Vec<Result<Answer, CollectError>> = read.into_iter().map(Ok).collect();

        let (places, unknown) = pick(ids, &answers, |answer| matches!(answer, Answer::Unknown));
        if !unknown.is_empty() {
            let met = self.meet(unknown).await;
            places
                .into_iter()
                .zip(met)
                .for_each(|(place, answer)| answers[place] = answer);
        }
        let (places, obstructed) = pick(ids, &answers, |answer| matches!(answer, Answer::Obstructed));
        if !obstructed.is_empty() {
            let read = self.read_through_api(obstructed).await;
            let read = read.into_iter().map(|read| read.map(Answer::Read));
            places
                .into_iter()
                .zip(read)
                .for_each(|(place, answer)| answers[place] = answer);
        }
        answers.into_iter().map(settled).collect()
    }
}

/// The containers with such answers, and their places among all.
fn pick(
    ids: &[ContainerId],
    answers: &[Result<Answer, CollectError>],
    wanted: fn(&Answer) -> bool,
) -> (Vec<usize>, Vec<ContainerId>) {
    let all = ids.iter().zip(answers).enumerate();
    let picked = all.filter(|(_, (_, answer))| answer.as_ref().is_ok_and(wanted));
    picked.map(|(place, (id, _))| (place, id.clone())).unzip()
}

fn settled(answer: Result<Answer, CollectError>) -> Result<Counters, CollectError> {
    match answer? {
        Answer::Read(counters) => Ok(counters),
        Answer::Unknown | Answer::Obstructed => Err(CollectError::NotRunning),
    }
}

/// What is to be known of a container that runs. One that waits for its next start has no process.
fn run(container: ContainerInspectResponse) -> Result<Run, CollectError> {
    let own_network = has_own_network(&container);
    let (Some(id), Some(state)) = (container.id, container.state) else {
        return Err(CollectError::Unreadable);
    };
    let pid = state.pid.and_then(|pid| u32::try_from(pid).ok()).unwrap_or(0);
    if state.running != Some(true) || pid == 0 || id.is_empty() {
        return Err(CollectError::NotRunning);
    }
    Ok(Run {
        id,
        pid,
        started_at: time(state.started_at.as_deref())?,
        own_network,
    })
}

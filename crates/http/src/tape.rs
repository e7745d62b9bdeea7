//! Encoded points of windows that are asked for again and again.
//!
//! Charts ask for the same window every few seconds, and between two ticks nothing about it changes but where it begins. So
//! points stay encoded, one after another, and an answer is a part of them: what is new is read and encoded once, whoever asks
//! and however often, and while nothing is new the store is not asked at all. Where samples change that are not new, all is
//! read again.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::convert::Infallible;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes};
use futures_util::stream;
use shipslog_core::id::WorkloadId;
use shipslog_core::stats::{Point, Revision, aggregate};
use shipslog_core::store::{Store, StoreError};

/// Bytes that all tapes may take.
const MOST: usize = 32 << 20;

/// Points of a segment: enough for an answer to be few pieces, few enough for the newest to be copied at each tick.
const SEGMENT: usize = 512;

/// Tapes of the workloads that were asked for last.
#[derive(Debug)]
pub(crate) struct Tapes {
    held: Mutex<HashMap<WorkloadId, Arc<Tape>>>,
    uses: AtomicU64,
    /// Tells the tapes of one process from those of the next, whose revisions begin anew.
    epoch: u64,
}

/// The encoded points of a workload from a time on.
#[derive(Debug)]
pub(crate) struct Tape {
    revision: Revision,
    from: i64,
    segments: Vec<Segment>,
    used: AtomicU64,
}

/// Points one after another, each after a comma.
#[derive(Debug, Clone, Default)]
struct Segment {
    /// The time of each point, and where it begins.
    marks: Vec<(i64, usize)>,
    bytes: Bytes,
}

/// A part of a tape, as the answer to a request.
#[derive(Debug)]
pub(crate) struct Part {
    /// How many points there are.
    pub(crate) points: usize,
    /// Another one for other content.
    pub(crate) etag: String,
    pieces: Vec<Bytes>,
}

impl Tapes {
    pub(crate) fn new() -> Self {
        Self {
            held: Mutex::default(),
            uses: AtomicU64::new(0),
            epoch: RandomState::new().hash_one(0),
        }
    }

    /// The points of a workload with `from <= ts < to`, from memory as far as they are there.
    ///
    /// # Errors
    /// As the store; `NotFound` when there is no such workload.
    pub(crate) async fn part(
        &self,
        store: &dyn Store,
        workload: &WorkloadId,
        from: i64,
        to: i64,
    ) -> Result<Part, StoreError> {
        let revision = store.revision();
        let held = self.held().get(workload).cloned();
        let held = held.filter(|tape| tape.revision.rewritten == revision.rewritten && tape.from <= from);
        if let Some(tape) = held.as_ref().filter(|tape| tape.revision == revision) {
            return Ok(self.used(tape).part(from, to, self.epoch));
        }
        store.workload(workload).await?;
        let (start, segments) = match &held {
            Some(tape) => (tape.next(), tape.segments.clone()),
            None => (from, Vec::new()),
        };
        let fresh = aggregate(&store.samples(workload, start, to).await?).points();
        let whole_from = held.map_or(from, |tape| tape.from);
        let tape = Tape::new(revision, whole_from, extended(segments, &fresh));
        let tape = self.keep(workload, tape);
        Ok(self.used(&tape).part(from, to, self.epoch))
    }

    fn used<'a>(&self, tape: &'a Tape) -> &'a Tape {
        let now = self.uses.fetch_add(1, Ordering::Relaxed);
        tape.used.store(now, Ordering::Relaxed);
        tape
    }

    fn keep(&self, workload: &WorkloadId, tape: Tape) -> Arc<Tape> {
        let tape = Arc::new(tape);
        let mut held = self.held();
        held.insert(workload.clone(), Arc::clone(&tape));
        while held.values().map(|tape| tape.bytes()).sum::<usize>() > MOST {
            let oldest = held
                .iter()
                .min_by_key(|(_, tape)| tape.used.load(Ordering::Relaxed));
            let Some(oldest) = oldest.map(|(workload, _)| workload.clone()) else {
                break;
            };
            held.remove(&oldest);
        }
        tape
    }

    fn held(&self) -> MutexGuard<'_, HashMap<WorkloadId, Arc<Tape>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds points to the last segment as long as it has room, and then to new ones.
fn extended(mut segments: Vec<Segment>, points: &[Point]) -> Vec<Segment> {
    let room = segments.last().map_or(0, |last| SEGMENT - last.marks.len());
    let (first, rest) = points.split_at(room.min(points.len()));
    if let Some(last) = segments.last_mut()
        && !first.is_empty()
    {
        *last = last.with(first);
    }
    segments.extend(rest.chunks(SEGMENT).map(|points| Segment::default().with(points)));
    segments
}

impl Tape {
    fn new(revision: Revision, from: i64, segments: Vec<Segment>) -> Self {
        Self {
            revision,
            from,
            segments,
            // Newer than all, until it is used for the first time.
            used: AtomicU64::new(u64::MAX),
        }
    }

    /// The first time that is not on it.
    fn next(&self) -> i64 {
        let last = self.segments.last().and_then(|segment| segment.marks.last());
        last.map_or(self.from, |(ts, _)| ts + 1)
    }

    fn bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.bytes.len()).sum()
    }

    fn part(&self, from: i64, to: i64, epoch: u64) -> Part {
        let mut pieces = Vec::with_capacity(self.segments.len() + 2);
        let (mut points, mut ends) = (0, (0, 0));
        for segment in &self.segments {
            let (first, end) = (segment.place(from), segment.place(to));
            if first < end {
                if points == 0 {
                    ends.0 = segment.marks[first].0;
                }
                ends.1 = segment.marks[end - 1].0;
                points += end - first;
                pieces.push(segment.slice(first, end));
            }
        }
        // Every point comes after a comma, so the first one's makes room for the bracket.
        match pieces.first_mut() {
            Some(first) => *first = first.slice(1..),
            None => pieces.push(Bytes::new()),
        }
        pieces.insert(0, Bytes::from_static(b"["));
        pieces.push(Bytes::from_static(b"]"));
        let etag = format!(
            "\"{epoch:x}-{:x}-{:x}-{:x}-{points:x}\"",
            self.revision.rewritten, ends.0, ends.1
        );
        Part { points, etag, pieces }
    }
}

impl Segment {
    fn with(&self, points: &[Point]) -> Self {
        let (mut marks, mut bytes) = (self.marks.clone(), self.bytes.to_vec());
        for point in points {
            marks.push((point.ts, bytes.len()));
            bytes.push(b',');
            // A point has finite numbers and no maps, and a Vec takes all that is written.
            if serde_json::to_writer(&mut bytes, point).is_err() {
                bytes.extend(b"null");
            }
        }
        Self {
            marks,
            bytes: bytes.into(),
        }
    }

    fn place(&self, ts: i64) -> usize {
        self.marks.partition_point(|(at, _)| *at < ts)
    }

    fn slice(&self, first: usize, end: usize) -> Bytes {
        let start = |place: usize| {
            self.marks
                .get(place)
                .map_or(self.bytes.len(), |(_, start)| *start)
        };
        self.bytes.slice(start(first)..start(end))
    }
}

impl Part {
    /// Bytes of the body.
    pub(crate) fn len(&self) -> usize {
        self.pieces.iter().map(Bytes::len).sum()
    }

    /// The points as a JSON array.
    pub(crate) fn into_body(self) -> Body {
        Body::from_stream(stream::iter(self.pieces.into_iter().map(Ok::<_, Infallible>)))
    }
}

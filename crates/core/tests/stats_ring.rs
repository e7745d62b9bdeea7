//! The ring buffer as its callers see it: what a read gives, cursors as text, a model that generated pushes and reads must
//! agree with, and threads that write and read at the same time.

#![allow(clippy::unwrap_used, reason = "a test that fails may panic")]

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use proptest::prelude::*;
use shipslog_core::stats::{Batch, Cursor, InvalidCursor, Read, RingBuffer, Sample};

fn ring<T: Copy + Send>(capacity: usize, items: &[T]) -> RingBuffer<T> {
    let ring = RingBuffer::new(capacity);
    items.iter().for_each(|item| ring.push(*item));
    ring
}

#[test]
fn a_read_gives_what_came_after_the_cursor() {
    type Vector = (usize, &'static [u32], u64, &'static [u32], u64, u64);
    let vectors: [Vector; 8] = [
        (5, &[10, 20, 30], 0, &[10, 20, 30], 3, 0),
        (10, &[10, 20, 30], 8, &[], 3, 0),
        (3, &[5, 6, 7, 8], 0, &[6, 7, 8], 4, 1),
        (4, &[1, 2, 3, 4, 5, 6], 2, &[3, 4, 5, 6], 6, 0),
        (3, &[1, 2, 3, 4, 5, 6], 6, &[], 6, 0),
        (3, &[], 0, &[], 0, 0),
        (1, &[1, 2], 0, &[2], 2, 1),
        (0, &[1, 2], 1, &[2], 2, 0),
    ];
    for (capacity, pushed, from, items, next, missed) in vectors {
        let ring = ring(capacity, pushed);
        let expected = Batch {
            items: items.to_vec(),
            next: ring.cursor_at(next),
            missed,
            restarted: false,
        };
        assert_eq!(
            ring.since(ring.cursor_at(from)),
            expected,
            "{capacity} {pushed:?} {from}"
        );
    }
}

#[test]
fn the_start_has_missed_nothing() {
    let ring = ring(3, &[5, 6, 7, 8]);
    let batch = ring.since(Cursor::START);
    assert_eq!(batch.items, [6, 7, 8]);
    assert_eq!((batch.missed, batch.restarted), (0, false));
    assert_eq!(batch.next, ring.cursor_at(4));
}

#[test]
fn a_cursor_from_before_a_restart_is_answered_from_the_start() {
    let before = ring(10, &[1, 2, 3, 4]);
    let old = before.since(Cursor::START).next;
    let after = ring(10, &[7, 8]);
    let batch = after.since(old);
    assert_eq!(batch.items, [7, 8]);
    assert_eq!((batch.missed, batch.restarted), (0, true));
    assert!(!old.is_of(&after) && batch.next.is_of(&after));
    assert!(!after.since(batch.next).restarted);
}

#[test]
fn an_empty_buffer_recognises_a_cursor_from_before_a_restart() {
    let old = ring(10, &[1, 2]).cursor_at(2);
    let after = RingBuffer::<u32>::new(10);
    let batch = after.since(old);
    assert_eq!((batch.items, batch.restarted), (vec![], true));
    after.push(9);
    assert_eq!(after.since(batch.next).items, [9]);
}

#[test]
fn a_cursor_survives_as_text() {
    let ring = ring(3, &[1, 2, 3, 4]);
    for cursor in [
        Cursor::START,
        ring.cursor_at(0),
        ring.cursor_at(4),
        ring.cursor_at(u64::MAX),
    ] {
        let text = cursor.to_string();
        assert_eq!(text.parse(), Ok(cursor), "{text}");
        let safe = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        assert!(text.bytes().all(safe), "{text}");
    }
    assert_eq!("0".parse(), Ok(Cursor::START));
}

#[test]
fn what_is_no_cursor_is_refused() {
    let long = "0".repeat(500);
    let bad = [
        "",
        "-1",
        "1",
        "00",
        "-",
        "x",
        "0-0",
        "12-",
        "-12",
        " 0",
        "0123456789abcdef",
        "0123456789abcdef-",
        "0123456789abcdef--1",
        "0123456789abcdef-+1",
        "0123456789abcdef-1 ",
        "0123456789abcdef-1-1",
        "0123456789abcdef-99999999999999999999",
        "0123456789abcdef-000000000000000000001",
        "0000000000000000-1",
        "+123456789abcdef-1",
        "0123456789abcdeg-1",
        "00123456789abcdef-1",
        "0123456789abcdé-1",
        &long,
    ];
    for text in bad {
        assert_eq!(text.parse::<Cursor>(), Err(InvalidCursor), "{text:?}");
    }
}

#[test]
fn a_read_into_a_vector_appends_and_takes_no_memory_of_its_own() {
    let ring = ring(200, &(0..150).collect::<Vec<u32>>());
    let mut into = Vec::with_capacity(151);
    into.push(1_000);
    let memory = into.as_ptr();
    let read = ring.since_into(ring.cursor_at(50), &mut into);
    assert_eq!((into.len(), into[0], into[1], into[100]), (101, 1_000, 50, 149));
    let expected = Read {
        next: ring.cursor_at(150),
        missed: 0,
        restarted: false,
    };
    assert_eq!((read, into.as_ptr()), (expected, memory));
}

#[test]
fn three_thousand_items_are_kept_by_default() {
    let ring = RingBuffer::default();
    assert_eq!(
        (ring.capacity(), ring.is_empty(), ring.latest()),
        (3_000, true, None)
    );
    (0..3_001_u16).for_each(|item| ring.push(item));
    assert_eq!(
        (ring.len(), ring.pushed(), ring.latest()),
        (3_000, 3_001, Some(3_000))
    );
    assert_eq!(ring.since(Cursor::START).items, (1..=3_000).collect::<Vec<_>>());
}

#[test]
#[should_panic(expected = "capacity overflow")]
fn more_memory_than_there_can_be_is_refused_at_once() {
    RingBuffer::<u64>::new(usize::MAX);
}

#[test]
fn samples_with_unknown_values_come_back_as_they_went_in() {
    let some = Sample {
        cpu_percent: Some(12.5),
        network_tx: Some(7),
        ..Sample::default()
    };
    let ring = ring(2, &[Sample::default(), some, Sample::default()]);
    assert_eq!(ring.since(Cursor::START).items, [some, Sample::default()]);
}

/// What a user does to a buffer.
#[derive(Debug, Clone)]
enum Step {
    Push(usize),
    /// Reads from the cursor that the last read gave.
    GoOn,
    /// Reads from a place between the start and a little past the end.
    From(prop::sample::Index),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..40_usize).prop_map(Step::Push),
        Just(Step::GoOn),
        any::<prop::sample::Index>().prop_map(Step::From),
    ]
}

/// The buffer as one would write it without threads.
struct Model {
    capacity: usize,
    pushed: u64,
    items: VecDeque<u64>,
}

impl Model {
    fn push(&mut self) {
        self.items.push_back(self.pushed);
        self.pushed += 1;
        if self.items.len() > self.capacity {
            self.items.pop_front();
        }
    }

    fn since(&self, seq: u64) -> (Vec<u64>, u64) {
        let items: Vec<u64> = self.items.iter().copied().filter(|item| *item >= seq).collect();
        let oldest = self.items.front().copied().unwrap_or(0);
        (items, oldest.saturating_sub(seq))
    }
}

proptest! {
    #[test]
    fn any_pushes_and_reads_agree_with_a_queue(
        capacity in 1..300_usize,
        steps in prop::collection::vec(step(), 1..60),
    ) {
        let ring = RingBuffer::new(capacity);
        let mut model = Model { capacity, pushed: 0, items: VecDeque::new() };
        let mut seq = 0;
        for step in steps {
            match step {
                Step::Push(count) => (0..count).for_each(|_| {
                    ring.push(model.pushed);
                    model.push();
                }),
                Step::GoOn => {}
                Step::From(index) => seq = index.index(model.pushed as usize + 3) as u64,
            }
            let batch = ring.since(ring.cursor_at(seq));
            prop_assert_eq!((batch.items, batch.missed), model.since(seq));
            prop_assert_eq!(batch.next, ring.cursor_at(model.pushed));
            prop_assert_eq!(ring.latest(), model.items.back().copied());
            prop_assert_eq!((ring.len(), ring.pushed()), (model.items.len(), model.pushed));
            seq = model.pushed;
        }
    }

    #[test]
    fn no_text_makes_the_parser_panic(text in "[-0-9a-fx+ é]{0,45}") {
        if let Ok(cursor) = text.parse::<Cursor>() {
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }
}

/// 64 bytes that show whether they belong together.
#[derive(Debug, Clone, Copy)]
struct Stamped {
    writer: u64,
    number: u64,
    filling: [u64; 5],
    sum: u64,
}

impl Stamped {
    fn new(writer: u64, number: u64) -> Self {
        let filling =
            [1, 2, 3, 4, 5].map(|i: u64| (number ^ writer << 40).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ i);
        Self {
            writer,
            number,
            filling,
            sum: Self::sum(writer, number, &filling),
        }
    }

    fn sum(writer: u64, number: u64, filling: &[u64; 5]) -> u64 {
        let start = writer.wrapping_mul(31) ^ number;
        filling.iter().fold(start, |sum, word| sum.rotate_left(7) ^ word)
    }

    fn is_whole(&self) -> bool {
        self.sum == Self::sum(self.writer, self.number, &self.filling)
    }
}

/// Reads until `done` and then to the end. Returns how many items came and how many were missed.
fn follow(ring: &RingBuffer<Stamped>, done: &AtomicBool, writers: usize) -> (u64, u64) {
    let mut next = vec![0; writers];
    let (mut seen, mut missed) = (0, 0);
    let mut cursor = ring.cursor_at(0);
    loop {
        let last = done.load(Ordering::Acquire);
        let batch = ring.since(cursor);
        for item in &batch.items {
            assert!(item.is_whole(), "torn: {item:?}");
            let next = &mut next[item.writer as usize];
            assert!(item.number >= *next, "{} after {next}", item.number);
            *next = item.number + 1;
        }
        if let (1, Some(last)) = (writers, batch.items.last()) {
            assert_eq!(batch.next, ring.cursor_at(last.number + 1));
        }
        seen += batch.items.len() as u64;
        missed += batch.missed;
        cursor = batch.next;
        if last && cursor == ring.cursor_at(ring.pushed()) {
            return (seen, missed);
        }
    }
}

/// Threads that push and threads that read, on a buffer that is overwritten again and again.
fn stress(capacity: usize, writers: usize, readers: usize, each: u64) {
    let ring = RingBuffer::new(capacity);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reading: Vec<_> = (0..readers)
            .map(|_| scope.spawn(|| follow(&ring, &done, writers)))
            .collect();
        let writing: Vec<_> = (0..writers as u64)
            .map(|writer| (writer, &ring))
            .map(|(writer, ring)| {
                scope.spawn(move || (0..each).for_each(|i| ring.push(Stamped::new(writer, i))))
            })
            .collect();
        writing.into_iter().for_each(|thread| thread.join().unwrap());
        done.store(true, Ordering::Release);
        for reader in reading {
            let (seen, missed) = reader.join().unwrap();
            assert_eq!(
                seen + missed,
                each * writers as u64,
                "every item is seen or counted as missed"
            );
        }
    });
    assert_eq!(ring.pushed(), each * writers as u64);
}

/// Few enough for an interpreter to get through.
const PUSHES: u64 = if cfg!(miri) { 200 } else { 100_000 };

#[test]
fn no_item_is_torn_or_lost_under_one_writer() {
    stress(5, 1, 3, PUSHES);
    stress(100, 1, 3, PUSHES);
}

#[test]
fn no_item_is_torn_or_lost_under_several_writers() {
    stress(5, 3, 3, PUSHES / 3);
    stress(1_000, 3, 3, PUSHES / 3);
}

#[test]
fn more_readers_than_can_copy_at_once_all_get_everything() {
    stress(200, 1, 20, PUSHES / 10);
}

#[test]
fn the_latest_item_never_goes_back_while_others_push() {
    let ring = RingBuffer::new(3);
    ring.push(Stamped::new(0, 0));
    thread::scope(|scope| {
        let ring = &ring;
        scope.spawn(move || (1..PUSHES).for_each(|i| ring.push(Stamped::new(0, i))));
        let mut last = 0;
        while last + 1 < PUSHES {
            let item = ring.latest().unwrap();
            assert!(item.is_whole() && item.number >= last, "{item:?} after {last}");
            last = item.number;
        }
    });
}

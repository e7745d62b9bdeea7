//! Writers and readers in every order in which they can meet, up to a number of switches between threads, on buffers so
//! small that chunks are used again at once. loom fails a test in which an item is written while somebody reads it.

use loom::sync::Arc;
use loom::thread;

use super::chunks::Chunks;
use super::{Cursor, RingBuffer};

/// A buffer of chunks of `1 << shift` items.
fn ring(shift: u32, capacity: usize) -> Arc<RingBuffer<u64>> {
    Arc::new(RingBuffer::over(
        Chunks::with_chunks_of(shift, capacity),
        capacity,
    ))
}

/// Reads until `end` items were seen or counted as missed, and checks that they are in a row.
fn follow(ring: &RingBuffer<u64>, end: u64) {
    let mut cursor = ring.cursor_at(0);
    let mut next = 0;
    while next < end {
        let batch = ring.since(cursor);
        next += batch.missed;
        for item in batch.items {
            assert_eq!(item, next);
            next += 1;
        }
        assert_eq!(batch.next, ring.cursor_at(next));
        cursor = batch.next;
        thread::yield_now();
    }
}

/// Reads from the first item on, and checks that what comes is in a row and that the rest is counted.
fn read_once(ring: &RingBuffer<u64>) {
    let batch = ring.since(ring.cursor_at(0));
    let end = batch.missed + batch.items.len() as u64;
    assert!(batch.items.iter().copied().eq(batch.missed..end), "{batch:?}");
    assert_eq!(batch.next, ring.cursor_at(end));
}

fn push_all(ring: &RingBuffer<u64>, items: std::ops::Range<u64>) {
    items.for_each(|item| ring.push(item));
}

fn model(switches: usize, test: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(switches);
    builder.check(test);
}

#[test]
fn a_reader_sees_a_row_of_items_while_a_chunk_fills() {
    model(3, || {
        let ring = ring(2, 4);
        let reader = Arc::clone(&ring);
        let reading = thread::spawn(move || follow(&reader, 3));
        push_all(&ring, 0..3);
        reading.join().unwrap();
    });
}

#[test]
fn a_reader_is_not_overwritten_while_chunks_are_used_again() {
    // One item in a chunk, 2 chunks listed and 2 spare: the fifth push writes where the first did.
    model(3, || {
        let ring = ring(0, 1);
        let reader = Arc::clone(&ring);
        let reading = thread::spawn(move || read_once(&reader));
        push_all(&ring, 0..6);
        reading.join().unwrap();
        assert_eq!(ring.since(Cursor::START).items, [5]);
    });
}

#[test]
fn a_reader_that_is_overtaken_between_chunks_stops_without_a_gap() {
    model(3, || {
        let ring = ring(0, 2);
        push_all(&ring, 0..2);
        let reader = Arc::clone(&ring);
        let reading = thread::spawn(move || read_once(&reader));
        push_all(&ring, 2..7);
        reading.join().unwrap();
    });
}

#[test]
fn two_readers_share_one_pin_while_chunks_are_used_again() {
    model(2, || {
        let ring = ring(0, 1);
        ring.push(0);
        let other = Arc::clone(&ring);
        let reading = thread::spawn(move || read_once(&other));
        let writer = Arc::clone(&ring);
        let writing = thread::spawn(move || push_all(&writer, 1..5));
        read_once(&ring);
        reading.join().unwrap();
        writing.join().unwrap();
    });
}

#[test]
fn two_writers_take_turns() {
    model(3, || {
        let ring = ring(1, 4);
        let other = Arc::clone(&ring);
        let writing = thread::spawn(move || push_all(&other, 10..12));
        push_all(&ring, 20..22);
        writing.join().unwrap();
        let items = ring.since(Cursor::START).items;
        let of = |tens: u64| items.iter().copied().filter(move |item| item / 10 == tens);
        assert!(
            items.len() == 4 && of(1).eq([10, 11]) && of(2).eq([20, 21]),
            "{items:?}"
        );
    });
}

#[test]
fn the_latest_item_is_whole_while_its_chunk_is_used_again() {
    model(3, || {
        let ring = ring(0, 1);
        ring.push(0);
        let reader = Arc::clone(&ring);
        let reading = thread::spawn(move || reader.latest());
        push_all(&ring, 1..6);
        assert!(reading.join().unwrap().is_some_and(|item| item < 6));
    });
}

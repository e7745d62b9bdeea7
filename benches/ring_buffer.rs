//! The ring buffer beside what one would use instead: a `Vec` that wraps around or a `VecDeque` behind a lock, and the
//! crates `ringbuf` and `circular-buffer` behind one. Items of 64 bytes, 3,000 of them, and 0, 1 or 8 readers that ask
//! without a pause what is new.
//!
//! Criterion measures what reading 100 items, asking in vain and pushing take. After it, loops of its own read from places
//! all over the buffers, because how fast memory is copied depends on where it begins, and time single pushes and print how
//! they are spread, which shows the writers that readers stall. README.md beside this file says what came out.

#![allow(clippy::unwrap_used, reason = "a benchmark that fails may panic")]

use std::cell::RefCell;
use std::collections::VecDeque;
use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use circular_buffer::CircularBuffer;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion};
use ringbuf::LocalRb;
use ringbuf::storage::Heap;
use shipslog_core::stats::{Cursor, RingBuffer};

const CAPACITY: usize = 3_000;

const READERS: [usize; 3] = [0, 1, 8];

/// Pushes that are timed one by one, in each round for each contender.
const PUSHES: usize = 100_000;

const ROUNDS: usize = 5;

/// Places in the buffer from which 100 items are read.
const PLACES: usize = 64;

/// Items between two places: not a divisor of any buffer's length.
const APART: usize = 5;

/// Reads that are timed together, and how often.
const READS: u32 = 5_000;
const BATCHES: usize = 9;

type Item = [u64; 8];

fn item(number: u64) -> Item {
    [number; 8]
}

/// A buffer of the latest items that threads share.
trait Buffer: Sync {
    type Cursor: Copy;

    fn empty() -> Self;

    fn push(&self, item: Item);

    /// The place before the last `count` items.
    fn back(&self, count: u64) -> Self::Cursor;

    /// Appends what came after the cursor.
    fn since(&self, cursor: Self::Cursor, into: &mut Vec<Item>) -> Self::Cursor;
}

impl Buffer for RingBuffer<Item> {
    type Cursor = Cursor;

    fn empty() -> Self {
        Self::new(CAPACITY)
    }

    fn push(&self, item: Item) {
        RingBuffer::push(self, item);
    }

    fn back(&self, count: u64) -> Cursor {
        self.cursor_at(self.pushed() - count)
    }

    fn since(&self, cursor: Cursor, into: &mut Vec<Item>) -> Cursor {
        self.since_into(cursor, into).next
    }
}

/// A buffer for one thread.
trait Items: Send {
    fn empty() -> Self;

    /// Appends an item, in place of the oldest if there are 3,000.
    fn push(&mut self, item: Item);

    /// Appends the last `count` items to `into`.
    fn copy_last(&self, count: usize, into: &mut Vec<Item>);
}

/// Copies from a buffer that lies in two parts, the older one first.
fn copy_from((older, newer): (&[Item], &[Item]), count: usize, into: &mut Vec<Item>) {
    let of_newer = count.min(newer.len());
    let of_older = (count - of_newer).min(older.len());
    into.extend_from_slice(&older[older.len() - of_older..]);
    into.extend_from_slice(&newer[newer.len() - of_newer..]);
}

/// A `Vec` that is overwritten from the front once it is full.
struct Wrapping {
    items: Vec<Item>,
    oldest: usize,
}

impl Items for Wrapping {
    fn empty() -> Self {
        let items = Vec::with_capacity(CAPACITY);
        Self { items, oldest: 0 }
    }

    fn push(&mut self, item: Item) {
        if self.items.len() < CAPACITY {
            return self.items.push(item);
        }
        self.items[self.oldest] = item;
        self.oldest += 1;
        if self.oldest == CAPACITY {
            self.oldest = 0;
        }
    }

    fn copy_last(&self, count: usize, into: &mut Vec<Item>) {
        let (newer, older) = self.items.split_at(self.oldest);
        copy_from((older, newer), count, into);
    }
}

impl Items for VecDeque<Item> {
    fn empty() -> Self {
        Self::with_capacity(CAPACITY)
    }

    fn push(&mut self, item: Item) {
        if self.len() == CAPACITY {
            self.pop_front();
        }
        self.push_back(item);
    }

    fn copy_last(&self, count: usize, into: &mut Vec<Item>) {
        copy_from(self.as_slices(), count, into);
    }
}

impl Items for Box<CircularBuffer<CAPACITY, Item>> {
    fn empty() -> Self {
        CircularBuffer::boxed()
    }

    fn push(&mut self, item: Item) {
        self.push_back(item);
    }

    fn copy_last(&self, count: usize, into: &mut Vec<Item>) {
        copy_from(self.as_slices(), count, into);
    }
}

/// The variant of `ringbuf` without atomics, because there is a lock around it; it wants to be borrowed as mutable even to
/// be read.
struct Ringbuf(RefCell<LocalRb<Heap<Item>>>);

impl Items for Ringbuf {
    fn empty() -> Self {
        Self(RefCell::new(LocalRb::new(CAPACITY)))
    }

    fn push(&mut self, item: Item) {
        self.0.get_mut().push_overwrite(item);
    }

    fn copy_last(&self, count: usize, into: &mut Vec<Item>) {
        copy_from(self.0.borrow_mut().as_slices(), count, into);
    }
}

/// Items and how many there ever were.
struct State<I> {
    pushed: u64,
    items: I,
}

trait Lock<S>: Sync {
    fn over(state: S) -> Self;

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R;

    fn write(&self, change: impl FnOnce(&mut S));
}

impl<S: Send> Lock<S> for std::sync::Mutex<S> {
    fn over(state: S) -> Self {
        Self::new(state)
    }

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.lock().unwrap())
    }

    fn write(&self, change: impl FnOnce(&mut S)) {
        change(&mut self.lock().unwrap());
    }
}

impl<S: Send> Lock<S> for parking_lot::Mutex<S> {
    fn over(state: S) -> Self {
        Self::new(state)
    }

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.lock())
    }

    fn write(&self, change: impl FnOnce(&mut S)) {
        change(&mut self.lock());
    }
}

impl<S: Send + Sync> Lock<S> for std::sync::RwLock<S> {
    fn over(state: S) -> Self {
        Self::new(state)
    }

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.read().unwrap())
    }

    fn write(&self, change: impl FnOnce(&mut S)) {
        change(&mut self.write().unwrap());
    }
}

impl<S: Send + Sync> Lock<S> for parking_lot::RwLock<S> {
    fn over(state: S) -> Self {
        Self::new(state)
    }

    fn read<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.read())
    }

    fn write(&self, change: impl FnOnce(&mut S)) {
        change(&mut self.write());
    }
}

/// A buffer for one thread behind a lock.
struct Locked<L, I> {
    lock: L,
    items: PhantomData<fn() -> I>,
}

impl<L: Lock<State<I>>, I: Items> Buffer for Locked<L, I> {
    type Cursor = u64;

    fn empty() -> Self {
        let items = I::empty();
        Self {
            lock: L::over(State { pushed: 0, items }),
            items: PhantomData,
        }
    }

    fn push(&self, item: Item) {
        self.lock.write(|state| {
            state.items.push(item);
            state.pushed += 1;
        });
    }

    fn back(&self, count: u64) -> u64 {
        self.lock.read(|state| state.pushed - count)
    }

    fn since(&self, cursor: u64, into: &mut Vec<Item>) -> u64 {
        self.lock.read(|state| {
            let count = state.pushed - cursor;
            if count > 0 {
                state.items.copy_last(count as usize, into);
            }
            state.pushed
        })
    }
}

type StdMutex<I> = Locked<std::sync::Mutex<State<I>>, I>;
type StdRwLock<I> = Locked<std::sync::RwLock<State<I>>, I>;
type ParkingMutex<I> = Locked<parking_lot::Mutex<State<I>>, I>;
type ParkingRwLock<I> = Locked<parking_lot::RwLock<State<I>>, I>;

/// Runs a function for each contender, with its name.
macro_rules! contenders {
    ($run:ident $(, $argument:expr)*) => {
        $run::<RingBuffer<Item>>("RingBuffer" $(, $argument)*);
        $run::<StdRwLock<Wrapping>>("std RwLock<Vec>" $(, $argument)*);
        $run::<ParkingRwLock<Wrapping>>("parking_lot RwLock<Vec>" $(, $argument)*);
        $run::<StdMutex<VecDeque<Item>>>("std Mutex<VecDeque>" $(, $argument)*);
        $run::<ParkingMutex<VecDeque<Item>>>("parking_lot Mutex<VecDeque>" $(, $argument)*);
        $run::<ParkingMutex<Ringbuf>>("parking_lot Mutex<ringbuf>" $(, $argument)*);
        $run::<ParkingMutex<Box<CircularBuffer<CAPACITY, Item>>>>("parking_lot Mutex<circular-buffer>" $(, $argument)*);
    };
}

/// A buffer that has been full for a while.
fn full<B: Buffer>() -> B {
    let buffer = B::empty();
    (0..2 * CAPACITY as u64).for_each(|number| buffer.push(item(number)));
    buffer
}

/// Runs `measure` while `readers` threads ask without a pause what is new.
fn beside_readers<B: Buffer>(buffer: &B, readers: usize, measure: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..readers {
            scope.spawn(|| {
                let mut items = Vec::with_capacity(CAPACITY);
                let mut cursor = buffer.back(0);
                while !done.load(Ordering::Relaxed) {
                    items.clear();
                    cursor = buffer.since(cursor, &mut items);
                    black_box(&items);
                }
            });
        }
        measure();
        done.store(true, Ordering::Relaxed);
    });
}

fn group<'a>(criterion: &'a mut Criterion, name: &str) -> BenchmarkGroup<'a, WallTime> {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group.warm_up_time(Duration::from_millis(100));
    group.measurement_time(Duration::from_millis(300));
    group
}

fn memcpy(group: &mut BenchmarkGroup<'_, WallTime>) {
    let source: Vec<Item> = (0..CAPACITY as u64).map(item).collect();
    let mut into = Vec::with_capacity(CAPACITY);
    group.bench_function("memcpy", |bencher| {
        bencher.iter(|| {
            into.clear();
            into.extend_from_slice(&black_box(&source)[CAPACITY - 100..]);
            black_box(&into);
        });
    });
}

/// The last `count` items, read again and again.
fn read<B: Buffer>(name: &str, group: &mut BenchmarkGroup<'_, WallTime>, count: u64) {
    let buffer = full::<B>();
    let cursor = buffer.back(count);
    let mut into = Vec::with_capacity(CAPACITY);
    for readers in READERS {
        beside_readers(&buffer, readers, || {
            group.bench_function(BenchmarkId::new(name, readers), |bencher| {
                bencher.iter(|| {
                    into.clear();
                    black_box(buffer.since(black_box(cursor), &mut into));
                    black_box(&into);
                });
            });
        });
    }
}

fn push<B: Buffer>(name: &str, group: &mut BenchmarkGroup<'_, WallTime>) {
    let buffer = full::<B>();
    for readers in READERS {
        beside_readers(&buffer, readers, || {
            group.bench_function(BenchmarkId::new(name, readers), |bencher| {
                bencher.iter(|| buffer.push(black_box(item(7))));
            });
        });
    }
}

/// How long single pushes took, in nanoseconds, the shortest first.
type Times = Vec<u32>;

/// Of a contender, the times of each round.
type Spread = (String, Vec<Times>);

fn time_pushes<B: Buffer>(name: &str, readers: usize, spreads: &mut Vec<Spread>) {
    let buffer = full::<B>();
    let mut times = Vec::with_capacity(PUSHES);
    beside_readers(&buffer, readers, || {
        for number in 0..PUSHES as u64 {
            let start = Instant::now();
            buffer.push(black_box(item(number)));
            times.push(u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
    });
    times.sort_unstable();
    match spreads.iter_mut().find(|(other, _)| other == name) {
        Some((_, rounds)) => rounds.push(times),
        None => spreads.push((name.to_owned(), vec![times])),
    }
}

/// Of the rounds' times at `per_mille`, the one in the middle.
fn median_at(rounds: &[Times], per_mille: usize) -> u32 {
    let mut at: Vec<u32> = rounds
        .iter()
        .map(|times| times[(times.len() - 1) * per_mille / 1_000])
        .collect();
    at.sort_unstable();
    at[at.len() / 2]
}

/// Contenders take turns, so that what else the machine does hits them alike.
fn print_spread(readers: usize) {
    let mut spreads = Vec::new();
    for _ in 0..ROUNDS {
        contenders!(time_pushes, readers, &mut spreads);
    }
    println!("\nns a push beside {readers} readers, clock included; medians of {ROUNDS} rounds of {PUSHES}");
    println!(
        "{:<36}{:>10}{:>10}{:>10}{:>12}{:>12}",
        "", "p50", "p99", "p99.9", "slowest", "all, ms"
    );
    for (name, rounds) in &spreads {
        let [p50, p99, p999, max] = [500, 990, 999, 1_000].map(|per_mille| median_at(rounds, per_mille));
        let mut sums: Vec<u64> = rounds
            .iter()
            .map(|times| times.iter().map(|ns| u64::from(*ns)).sum())
            .collect();
        sums.sort_unstable();
        let all = sums[sums.len() / 2] / 1_000_000;
        println!("{name:<36}{p50:>10}{p99:>10}{p999:>10}{max:>12}{all:>12}");
    }
}

/// Nanoseconds of one read, the median of batches.
fn time_read(mut read: impl FnMut()) -> f64 {
    let mut batches: Vec<Duration> = (0..BATCHES)
        .map(|_| {
            let start = Instant::now();
            (0..READS).for_each(|_| read());
            start.elapsed()
        })
        .collect();
    batches.sort_unstable();
    batches[BATCHES / 2].as_secs_f64() * 1e9 / f64::from(READS)
}

/// The mean over all places of reading the last 100 items, and the slowest place.
fn time_reads<B: Buffer>(name: &str, memcpy: f64) {
    let (buffer, mut into) = (full::<B>(), Vec::with_capacity(CAPACITY));
    let times = (0..PLACES).map(|_| {
        (0..APART as u64).for_each(|number| buffer.push(item(number)));
        let cursor = buffer.back(100);
        time_read(|| {
            into.clear();
            black_box(buffer.since(black_box(cursor), &mut into));
            black_box(&into);
        })
    });
    print_reads(name, &times.collect::<Vec<_>>(), memcpy);
}

fn time_memcpy() -> f64 {
    let source: Vec<Item> = (0..CAPACITY as u64).map(item).collect();
    let mut into = Vec::with_capacity(CAPACITY);
    let times = (0..PLACES).map(|place| {
        let from = CAPACITY - 100 - place * APART;
        time_read(|| {
            into.clear();
            into.extend_from_slice(&black_box(&source)[from..from + 100]);
            black_box(&into);
        })
    });
    let times: Vec<f64> = times.collect();
    let mean = mean(&times);
    print_reads("memcpy", &times, mean);
    mean
}

fn mean(times: &[f64]) -> f64 {
    times.iter().sum::<f64>() / times.len() as f64
}

fn print_reads(name: &str, times: &[f64], memcpy: f64) {
    let slowest = times.iter().copied().fold(0.0, f64::max);
    let mean = mean(times);
    println!("{name:<36}{mean:>10.1}{slowest:>10.1}{:>10.2}", mean / memcpy);
}

fn print_all_reads() {
    println!("\nns to read 100 items, over {PLACES} places");
    println!("{:<36}{:>10}{:>10}{:>10}", "", "mean", "slowest", "÷ memcpy");
    let memcpy = time_memcpy();
    contenders!(time_reads, memcpy);
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    let mut reads = group(&mut criterion, "read 100");
    memcpy(&mut reads);
    contenders!(read, &mut reads, 100);
    reads.finish();
    let mut polls = group(&mut criterion, "empty poll");
    contenders!(read, &mut polls, 0);
    polls.finish();
    let mut pushes = group(&mut criterion, "push");
    contenders!(push, &mut pushes);
    pushes.finish();
    criterion.final_summary();
    print_all_reads();
    READERS.into_iter().for_each(print_spread);
}

//! From sums in columns to points, a chunk of the axis at a time.

use std::ops::Range;

use super::limits::Limit;
use super::sums::{BLOCK, Sums};
use super::tally::{Reader, Tally};
use super::{Point, Totals};
use crate::stats::columns::Measure;

/// Points that are made at a time: few enough for what goes into them to stay where it is fastest to reach.
const CHUNK: usize = 64;

/// Makes the points of a window.
#[derive(Debug)]
pub(super) struct Points<'a> {
    totals: &'a Totals<'a>,
    limits: std::slice::Iter<'a, Limit>,
    present: Reader<'a>,
    unknown: [Reader<'a>; 6],
    chunk: Chunk,
}

/// What is known of the places of a chunk. Beyond the end of the axis it holds what was there before.
#[derive(Debug)]
struct Chunk {
    totals: [[u64; CHUNK]; 6],
    cpu: [f64; CHUNK],
    containers: [u32; CHUNK],
    unknown: [u32; CHUNK],
}

impl<'a> Points<'a> {
    pub(super) fn new(totals: &'a Totals<'a>) -> Self {
        Self {
            totals,
            limits: totals.limits.iter(),
            present: totals.present.reader(),
            unknown: totals.unknown.each_ref().map(Tally::reader),
            chunk: Chunk::new(),
        }
    }

    pub(super) fn all(mut self) -> Vec<Point> {
        let len = self.totals.len();
        let mut points = Vec::with_capacity(len);
        for start in (0..len).step_by(CHUNK) {
            self.push_chunk(start..len.min(start + CHUNK), &mut points);
        }
        self.set_limits(&mut points);
        points
    }

    /// Most places know everything, so points are made as if all did, and what is not known is taken out of them again.
    fn push_chunk(&mut self, places: Range<usize>, points: &mut Vec<Point>) {
        let first = points.len();
        self.present.next(places.clone(), &mut self.chunk.containers);
        let sums = &self.totals.blocks[places.start / BLOCK];
        self.chunk.add_up(sums, places.start % BLOCK);
        let axis = self.totals.axis[places.clone()].iter().enumerate();
        points.extend(axis.map(|(i, ts)| self.chunk.point(i, *ts)));
        for measure in Measure::ALL {
            if self.unknown[measure as usize].next(places.clone(), &mut self.chunk.unknown) {
                self.chunk.forget(measure, &mut points[first..]);
            }
        }
    }

    fn set_limits(&mut self, points: &mut [Point]) {
        for limit in self.limits.by_ref() {
            points[limit.places.clone()]
                .iter_mut()
                .for_each(|point| point.memory_limit = Some(limit.bytes));
        }
    }
}

impl Chunk {
    fn new() -> Self {
        Self {
            totals: [[0; CHUNK]; 6],
            cpu: [0.0; CHUNK],
            containers: [0; CHUNK],
            unknown: [0; CHUNK],
        }
    }

    fn add_up(&mut self, sums: &[Sums; 6], first: usize) {
        for (sums, totals) in sums.iter().zip(&mut self.totals) {
            sums.write(first, totals);
        }
        for (percent, thousandths) in self.cpu.iter_mut().zip(&self.totals[Measure::Cpu as usize]) {
            *percent = *thousandths as f64 / 1000.0;
        }
    }

    fn point(&self, i: usize, ts: i64) -> Point {
        let total = |measure: Measure| Some(self.totals[measure as usize][i]);
        Point {
            ts,
            cpu_percent: Some(self.cpu[i]),
            memory_usage: total(Measure::Memory),
            memory_limit: None,
            network_rx: total(Measure::NetworkRx),
            network_tx: total(Measure::NetworkTx),
            block_read: total(Measure::BlockRead),
            block_write: total(Measure::BlockWrite),
            containers: self.containers[i],
        }
    }

    /// Takes a measure out of the points at which none of the containers knows it.
    fn forget(&self, measure: Measure, points: &mut [Point]) {
        let nobody = |i: usize| self.containers[i] == self.unknown[i];
        // Looking at all of them at once first is quicker than at one after the other.
        if !(0..CHUNK).fold(false, |any, i| any | nobody(i)) {
            return;
        }
        let forgotten = points.iter_mut().enumerate().filter(|(i, _)| nobody(*i));
        forgotten.for_each(|(_, point)| clear(point, measure));
    }
}

fn clear(point: &mut Point, measure: Measure) {
    match measure {
        Measure::Cpu => point.cpu_percent = None,
        Measure::Memory => point.memory_usage = None,
        Measure::NetworkRx => point.network_rx = None,
        Measure::NetworkTx => point.network_tx = None,
        Measure::BlockRead => point.block_read = None,
        Measure::BlockWrite => point.block_write = None,
    }
}

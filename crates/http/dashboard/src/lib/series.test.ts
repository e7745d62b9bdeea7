import { describe, expect, it } from 'vitest';
import type { Point, SteppedPoint } from '../api/schema';
import { columns, gapAfter, Series, spotOf, stepOf } from './series';

function point(ts: number, cpu: number | null = 1): Point {
  return {
    ts,
    cpu_percent: cpu,
    memory_usage: 1_048_576,
    memory_limit: 0,
    network_rx: 0,
    network_tx: 0,
    block_read: null,
    block_write: null,
    containers: 1,
  };
}

function stepped(ts: number, cpu: number, samples = 3): SteppedPoint {
  return { ...point(ts, cpu), cpu_percent_max: cpu + 1, memory_usage_max: 2_097_152, samples };
}

const times = (series: Series) => series.spots().map((spot) => spot.ts);

describe('a point of a chart', () => {
  it('has memory in MiB, and no limit where 0 says unlimited', () => {
    expect(spotOf(point(10))).toMatchObject({ ts: 10, memory: 1, memoryMax: 1, limit: null, read: null });
  });

  it('has peaks of its own where it is an average', () => {
    expect(spotOf(stepped(10, 4))).toMatchObject({ cpu: 4, cpuMax: 5, memory: 1, memoryMax: 2, samples: 3 });
  });
});

describe('the step of an answer', () => {
  it('is none where points are as they were stored', () => {
    expect(stepOf([point(0), point(10)], null)).toBeNull();
  });

  it('is what was asked for, or the distance of the points', () => {
    expect(stepOf([stepped(0, 1), stepped(30, 1)], 30)).toBe(30);
    expect(stepOf([stepped(0, 1), stepped(60, 1), stepped(62, 1)], null)).toBe(2);
    expect(stepOf([], 900)).toBe(900);
  });
});

describe('a series of stored points', () => {
  it('goes on with what is read live, and leaves out what is not newer', () => {
    const series = new Series(1800, null);
    series.load([point(100), point(110)]);
    for (const ts of [105, 110, 113, 116, 116]) series.append(point(ts));
    expect(times(series)).toEqual([100, 110, 113, 116]);
  });

  it('is what the history says as far as that reaches, and live beyond', () => {
    const series = new Series(1800, null);
    series.load([point(100)]);
    for (const ts of [103, 106, 109, 112]) series.append(point(ts));
    expect(series.since).toBe(100);
    series.extend([point(107), point(110)]);
    expect(times(series)).toEqual([100, 107, 110, 112]);
  });

  it('never holds more than its window', () => {
    const series = new Series(60, null);
    series.load([point(0)]);
    for (let ts = 1; ts <= 10_000; ts += 1) series.append(point(ts));
    expect(series.spots().length).toBe(61);
    expect(times(series)[0]).toBe(9_940);
  });

  it('takes live points into nothing, too', () => {
    const series = new Series(60, null);
    series.append(point(5));
    expect(series.since).toBeNull();
    expect(times(series)).toEqual([5]);
  });
});

describe('a series of averages', () => {
  it('takes a live point into the average of its step', () => {
    const series = new Series(86_400, 120);
    series.load([stepped(0, 2), stepped(120, 4, 1)]);
    series.append(point(130, 8));
    const last = series.spots().at(-1);
    expect(last).toMatchObject({ ts: 120, cpu: 6, cpuMax: 8, samples: 2 });
  });

  it('begins a step of its own with the first point of it', () => {
    const series = new Series(86_400, 120);
    series.load([stepped(0, 2)]);
    series.append(point(125, 1));
    series.append(point(128, 3));
    expect(series.spots().at(-1)).toMatchObject({ ts: 120, cpu: 2, cpuMax: 3, samples: 2 });
    expect(times(series)).toEqual([0, 120]);
  });

  it('asks for its last step again, which may not have been whole, and replaces it', () => {
    const series = new Series(86_400, 120);
    series.load([stepped(0, 2), stepped(120, 4)]);
    expect(series.since).toBe(119);
    series.append(point(250, 9));
    series.extend([stepped(120, 5), stepped(240, 7)]);
    expect(series.spots().map(({ ts, cpu }) => [ts, cpu])).toEqual([[0, 2], [120, 5], [240, 7]]);
  });

  it('does not take what is not known for 0', () => {
    const series = new Series(86_400, 120);
    series.load([stepped(0, 2)]);
    series.append(point(10, null));
    expect(series.spots().at(-1)).toMatchObject({ cpu: 2 });
  });
});

describe('columns', () => {
  it('end a line where readings are missing', () => {
    const spots = [point(0), point(10), point(60), point(70)].map(spotOf);
    expect(columns(spots, ['cpu'], 25)).toEqual([[0, 10, 22.5, 60, 70], [1, 1, null, 1, 1]]);
  });

  it('keep what is not known as a gap', () => {
    const spots = [point(0, null), point(10, 2)].map(spotOf);
    expect(columns(spots, ['cpu', 'memory'], 25)).toEqual([[0, 10], [null, 2], [1, 1]]);
  });

  it('of nothing are empty', () => {
    expect(columns([], ['cpu'], 25)).toEqual([[], []]);
  });
});

describe('the length of a gap', () => {
  it('is more than one missed tick, or more than a step', () => {
    expect(gapAfter(null, 10)).toBe(25);
    expect(gapAfter(null, 1)).toBe(15);
    expect(gapAfter(900, 10)).toBe(1350);
  });
});

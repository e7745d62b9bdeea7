import type { History, Point, SteppedPoint } from '../api/schema';
import { MIB } from './format';

export const WINDOWS = ['30m', '2h', '6h', '24h', '7d'] as const;
export type WindowName = (typeof WINDOWS)[number];

export const WINDOW_S: Record<WindowName, number> = { '30m': 1_800, '2h': 7_200, '6h': 21_600, '24h': 86_400, '7d': 604_800 };

/** What a window is averaged over; the short ones are shown as they were stored, as long as that is not too much. */
export const WINDOW_STEP: Record<WindowName, number | null> = { '30m': null, '2h': null, '6h': 30, '24h': 120, '7d': 900 };

/** A point of a chart: memory in MiB, the rest as the API has it. */
export interface Spot {
  ts: number;
  cpu: number | null;
  cpuMax: number | null;
  memory: number | null;
  memoryMax: number | null;
  received: number | null;
  sent: number | null;
  read: number | null;
  written: number | null;
  limit: number | null;
  samples: number;
}

export type Values = Exclude<keyof Spot, 'ts' | 'samples'>;

const mebibytes = (bytes: number | null | undefined): number | null => (bytes == null ? null : bytes / MIB);

export function spotOf(point: Point | SteppedPoint): Spot {
  const stepped = 'samples' in point ? point : null;
  return {
    ts: point.ts,
    cpu: point.cpu_percent ?? null,
    cpuMax: stepped ? (stepped.cpu_percent_max ?? null) : (point.cpu_percent ?? null),
    memory: mebibytes(point.memory_usage),
    memoryMax: mebibytes(stepped ? stepped.memory_usage_max : point.memory_usage),
    received: point.network_rx ?? null,
    sent: point.network_tx ?? null,
    read: point.block_read ?? null,
    written: point.block_write ?? null,
    limit: mebibytes(point.memory_limit || null),
    samples: stepped ? stepped.samples : 1,
  };
}

/** The step that an answer was averaged over; `null` when it is what was stored. */
export function stepOf(history: History, asked: number | null): number | null {
  const first = history[0];
  if (first === undefined) {
    return asked;
  }
  if (!('samples' in first)) {
    return null;
  }
  return asked ?? smallestDistance(history);
}

function smallestDistance(points: readonly { ts: number }[]): number {
  let smallest = Infinity;
  for (let i = 1; i < points.length; i += 1) {
    smallest = Math.min(smallest, (points[i]?.ts ?? 0) - (points[i - 1]?.ts ?? 0));
  }
  return Number.isFinite(smallest) ? smallest : 60;
}

/**
 * The points of one window. What the history says is so; points that came live go on from its end, and are replaced as the
 * history catches up. So there are never more than the window holds, however long the page is open.
 */
export class Series {
  private stored: Spot[] = [];
  private live: Spot[] = [];
  /** Seconds that points are averages over; `null` when they are what was stored. */
  step: number | null = null;

  constructor(
    readonly windowS: number,
    private readonly askedStep: number | null,
  ) {}

  load(history: History): void {
    this.step = stepOf(history, this.askedStep);
    this.stored = history.map(spotOf);
    this.live = this.live.filter((spot) => spot.ts > this.end);
    this.trim();
  }

  /** The parameter `since` for what is new: the last step again, since it may not have been whole. */
  get since(): number | null {
    const last = this.stored.at(-1);
    return last === undefined ? null : this.step === null ? last.ts : last.ts - 1;
  }

  /** Takes what the history says since then. */
  extend(history: History): void {
    const spots = history.map(spotOf);
    const first = spots[0]?.ts;
    if (first !== undefined) {
      this.stored = [...this.stored.filter((spot) => spot.ts < first), ...spots];
      this.live = this.live.filter((spot) => spot.ts > this.end);
    }
    this.trim();
  }

  /** Takes a point that was just read. What is not newer than what there is adds nothing. */
  append(point: Point): void {
    const spot = spotOf(point);
    if (this.step === null) {
      if (spot.ts > this.newest) {
        this.live.push(spot);
      }
    } else {
      this.fold({ ...spot, ts: Math.floor(spot.ts / this.step) * this.step });
    }
    this.trim();
  }

  private fold(spot: Spot): void {
    const list = this.live.length > 0 ? this.live : this.stored;
    const last = list.at(-1);
    if (last === undefined || spot.ts > last.ts) {
      this.live.push(spot);
    } else if (spot.ts === last.ts) {
      list[list.length - 1] = averaged(last, spot);
    }
  }

  private get end(): number {
    return this.stored.at(-1)?.ts ?? -Infinity;
  }

  private get newest(): number {
    return this.live.at(-1)?.ts ?? this.end;
  }

  private trim(): void {
    const from = this.newest - this.windowS - (this.step ?? 0);
    if ((this.stored[0]?.ts ?? Infinity) < from) {
      this.stored = this.stored.filter((spot) => spot.ts >= from);
    }
    if ((this.live[0]?.ts ?? Infinity) < from) {
      this.live = this.live.filter((spot) => spot.ts >= from);
    }
  }

  spots(): Spot[] {
    return [...this.stored, ...this.live];
  }
}

function averaged(sum: Spot, one: Spot): Spot {
  const mean = (a: number | null, b: number | null) =>
    a === null ? b : b === null ? a : (a * sum.samples + b) / (sum.samples + 1);
  const highest = (a: number | null, b: number | null) => (a === null ? b : b === null ? a : Math.max(a, b));
  return {
    ts: sum.ts,
    cpu: mean(sum.cpu, one.cpu),
    cpuMax: highest(sum.cpuMax, one.cpuMax),
    memory: mean(sum.memory, one.memory),
    memoryMax: highest(sum.memoryMax, one.memoryMax),
    received: mean(sum.received, one.received),
    sent: mean(sum.sent, one.sent),
    read: mean(sum.read, one.read),
    written: mean(sum.written, one.written),
    limit: highest(sum.limit, one.limit),
    samples: sum.samples + 1,
  };
}

/** Seconds without a point after which a line ends instead of going on. */
export function gapAfter(step: number | null, tickS: number): number {
  return step === null ? Math.max(2.5 * tickS, 15) : 1.5 * Math.max(step, tickS);
}

/** One column a value over a common axis of time, with an empty row wherever a line is to end. */
export function columns(spots: readonly Spot[], names: readonly Values[], gapS: number): [number[], ...(number | null)[][]] {
  const times: number[] = [];
  const values: (number | null)[][] = names.map(() => []);
  let last: number | null = null;
  for (const spot of spots) {
    if (last !== null && spot.ts - last > gapS) {
      times.push(last + gapS / 2);
      values.forEach((column) => column.push(null));
    }
    times.push(spot.ts);
    names.forEach((name, i) => values[i]?.push(spot[name]));
    last = spot.ts;
  }
  return [times, ...values];
}

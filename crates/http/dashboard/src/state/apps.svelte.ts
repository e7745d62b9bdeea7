import { isAbort, toFailure, type Failure } from '../api/error';
import type { LiveUsage, Point, Workload } from '../api/schema';
import { LiveStream, type LiveState } from '../lib/live';
import { Repeater, whileVisible } from '../lib/repeater';
import { Ring, type Spot } from '../lib/ring';
import { server } from './server.svelte';

/** Seconds that a sparkline shows. */
export const SPARK_S = 600;
const SPARK_SPOTS = 240;
const LIST_EVERY_MS = 15_000;
/** Histories that are fetched side by side. */
const SEEDERS = 3;

/** One workload of the list. What did not change is not touched, so that nothing is drawn again for it. */
export class AppRow {
  workload = $state.raw<Workload>() as Workload;
  cpu = $state<number | null>(null);
  memory = $state<number | null>(null);
  limit = $state<number | null>(null);
  /** The time of the latest reading: when it changes, the sparklines have changed. */
  readAt = $state(0);
  readonly cpuRing = new Ring(SPARK_SPOTS, SPARK_S);
  readonly memoryRing = new Ring(SPARK_SPOTS, SPARK_S);
  seeded = false;
  private text = '';

  constructor(workload: Workload) {
    this.update(workload);
  }

  update(workload: Workload): void {
    const text = JSON.stringify(workload);
    if (text !== this.text) {
      this.text = text;
      this.workload = workload;
    }
  }

  read(point: Point): void {
    this.cpu = point.cpu_percent ?? null;
    this.memory = point.memory_usage ?? null;
    this.limit = point.memory_limit || null;
    this.cpuRing.push({ ts: point.ts, value: this.cpu });
    this.memoryRing.push({ ts: point.ts, value: this.memory });
    this.readAt = point.ts;
  }

  /** It was not among what was read: its numbers are not known any more. */
  unread(): void {
    this.cpu = null;
    this.memory = null;
  }

  seed(points: readonly Point[]): void {
    const spots = (value: (point: Point) => number | null | undefined): Spot[] =>
      points.map((point) => ({ ts: point.ts, value: value(point) ?? null }));
    this.cpuRing.seed(spots((point) => point.cpu_percent));
    this.memoryRing.seed(spots((point) => point.memory_usage));
    this.readAt = Math.max(this.readAt, points.at(-1)?.ts ?? 0);
  }
}

/** The list of all workloads, with what they use. */
export class Apps {
  rows = $state.raw<AppRow[] | null>(null);
  failure = $state.raw<Failure | null>(null);
  live = $state<LiveState>('connecting');
  /** Grows when rows are to be put in order again: not with each reading, or they would jump about. */
  orderTick = $state(0);
  total = $state.raw<Point | null>(null);

  private readonly byId = new Map<string, AppRow>();
  private readonly toSeed: AppRow[] = [];
  private seeders = 0;
  private readonly abort = new AbortController();
  private readonly list = new Repeater((signal) => this.load(signal), LIST_EVERY_MS);
  private readonly stream = new LiveStream<LiveUsage>({
    address: () => server.ticketed('/api/ws/usage'),
    poll: () => server.client.get('/api/usage', { signal: this.abort.signal }),
    onMessage: (usage) => this.read(usage),
    onState: (state) => (this.live = state),
    onLost: () => this.lost(),
  });
  private readonly unwatch: () => void;

  constructor() {
    this.list.start();
    this.unwatch = whileVisible(
      () => this.stream.start(),
      () => this.stream.pause(),
    );
  }

  close(): void {
    this.unwatch();
    this.list.stop();
    this.stream.close();
    this.abort.abort();
    this.toSeed.length = 0;
  }

  reload(): void {
    this.list.now();
  }

  /** Fetches what a row's sparklines show of the time before the page was opened. */
  seed(row: AppRow): void {
    if (row.seeded) {
      return;
    }
    row.seeded = true;
    this.toSeed.push(row);
    if (this.seeders < SEEDERS) {
      void this.seedNext();
    }
  }

  private async load(signal: AbortSignal): Promise<void> {
    try {
      this.show(await server.client.get('/api/workloads', { signal }));
      this.failure = null;
    } catch (error) {
      if (!isAbort(error)) {
        this.failure = toFailure(error);
      }
      throw error;
    }
  }

  private show(workloads: readonly Workload[]): void {
    const rows = workloads.map((workload) => this.row(workload));
    const there = new Set(workloads.map((workload) => workload.id));
    for (const id of this.byId.keys()) {
      if (!there.has(id)) {
        this.byId.delete(id);
      }
    }
    const changed = rows.length !== this.rows?.length || rows.some((row, i) => row !== this.rows?.[i]);
    if (changed) {
      this.rows = rows;
    }
    this.orderTick += 1;
  }

  private row(workload: Workload): AppRow {
    const known = this.byId.get(workload.id);
    if (known !== undefined) {
      known.update(workload);
      return known;
    }
    const row = new AppRow(workload);
    this.byId.set(workload.id, row);
    return row;
  }

  private read(usage: LiveUsage): void {
    this.total = usage.total;
    const read = new Set<string>();
    for (const { workload_id, point } of usage.workloads) {
      read.add(workload_id);
      this.byId.get(workload_id)?.read(point);
    }
    for (const [id, row] of this.byId) {
      if (!read.has(id)) {
        row.unread();
      }
    }
  }

  private lost(): void {
    this.total = null;
    for (const row of this.byId.values()) {
      row.unread();
    }
  }

  private async seedNext(): Promise<void> {
    this.seeders += 1;
    for (let row = this.toSeed.shift(); row !== undefined; row = this.toSeed.shift()) {
      await this.fetchSeed(row);
    }
    this.seeders -= 1;
  }

  private async fetchSeed(row: AppRow): Promise<void> {
    try {
      const path = { id: row.workload.id };
      const request = { path, query: { window: '10m' }, signal: this.abort.signal };
      row.seed(await server.client.get('/api/workloads/{id}/stats/history', request));
    } catch {
      row.seeded = false; // The sparkline begins with what is read from now on.
    }
  }
}

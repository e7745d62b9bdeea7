import { isAbort, toFailure, type Failure } from '../api/error';
import type { History, Point } from '../api/schema';
import { LiveStream, type LiveState } from '../lib/live';
import { Repeater, whileVisible } from '../lib/repeater';
import { Series, WINDOW_S, WINDOW_STEP, type Spot, type WindowName } from '../lib/series';
import { server } from './server.svelte';

/** How often what came live is replaced by what was stored. */
const CATCH_UP_MS = 60_000;

/** What one workload used in a window, kept up to now. */
export class Metrics {
  window = $state<WindowName>('30m');
  spots = $state.raw<Spot[] | null>(null);
  step = $state<number | null>(null);
  /** Whether what is shown is still that of the window before. */
  busy = $state(false);
  /** Seconds that what is shown covers. */
  shownS = $state(WINDOW_S['30m']);
  failure = $state.raw<Failure | null>(null);
  live = $state<LiveState>('connecting');
  latest = $state.raw<Point | null>(null);
  /** The end of the window in unix seconds. */
  now = $state(Date.now() / 1000);

  private series = new Series(WINDOW_S['30m'], WINDOW_STEP['30m']);
  private loaded = false;
  private readonly abort = new AbortController();
  private readonly catchUp = new Repeater((signal) => this.refresh(signal), CATCH_UP_MS);
  private readonly stream: LiveStream<Point>;
  private readonly unwatch: () => void;

  constructor(private readonly id: string) {
    this.stream = new LiveStream<Point>({
      address: () => server.ticketed(`/api/workloads/${encodeURIComponent(id)}/ws/stats`),
      poll: () => this.poll(),
      onMessage: (point) => this.read(point),
      onState: (state) => (this.live = state),
      onLost: () => (this.latest = null),
    });
    this.catchUp.start();
    this.unwatch = whileVisible(
      () => this.stream.start(),
      () => this.stream.pause(),
    );
  }

  close(): void {
    this.unwatch();
    this.catchUp.stop();
    this.stream.close();
    this.abort.abort();
  }

  choose(window: WindowName): void {
    if (window === this.window) {
      return;
    }
    this.window = window;
    this.series = new Series(WINDOW_S[window], WINDOW_STEP[window]);
    this.loaded = false;
    this.busy = true;
    this.catchUp.now();
  }

  reload(): void {
    this.catchUp.now();
  }

  private read(point: Point): void {
    this.latest = point;
    if (this.loaded) {
      this.series.append(point);
      this.show();
    }
  }

  /** In the place of a stream: what was stored meanwhile, and the latest point. */
  private async poll(): Promise<Point | null> {
    const signal = this.abort.signal;
    await this.refresh(signal);
    const live = await server.client.get('/api/workloads/{id}/stats/live', { path: { id: this.id }, signal });
    if (!live.live) {
      this.latest = null;
    }
    return live.point ?? null;
  }

  private async refresh(signal: AbortSignal): Promise<void> {
    const series = this.series;
    try {
      const since = this.loaded ? series.since : null;
      const history = await this.history(series, since, signal);
      if (series === this.series) {
        this.take(history, since !== null);
      }
    } catch (error) {
      if (!isAbort(error) && series === this.series) {
        this.failure = toFailure(error);
        this.forget();
      }
      throw error;
    }
  }

  private history(series: Series, since: number | null, signal: AbortSignal): Promise<History> {
    const asked = WINDOW_STEP[this.window];
    const step = since === null ? asked : series.step;
    const query = {
      window: this.window,
      since: since ?? undefined,
      step: step === null ? (since === null ? undefined : 'raw') : `${step}s`,
    };
    return server.client.get('/api/workloads/{id}/stats/history', { path: { id: this.id }, query, signal });
  }

  private take(history: History, newer: boolean): void {
    if (newer) {
      this.series.extend(history);
    } else {
      this.series.load(history);
    }
    this.loaded = true;
    this.busy = false;
    this.failure = null;
    this.shownS = this.series.windowS;
    this.show();
  }

  /** What is shown of another window says nothing of this one. */
  private forget(): void {
    if (this.busy) {
      this.busy = false;
      this.spots = null;
    }
  }

  private show(): void {
    this.spots = this.series.spots();
    this.step = this.series.step;
    this.now = Math.max(Date.now() / 1000, this.spots.at(-1)?.ts ?? 0);
  }
}

import { Backoff } from './backoff';

/** Where a page says whether anybody can see it. */
export interface Visibility {
  readonly hidden: boolean;
  addEventListener(type: 'visibilitychange', listener: () => void): void;
  removeEventListener(type: 'visibilitychange', listener: () => void): void;
}

/** Calls `shown` now and whenever the page comes into sight, `hidden` when it goes out of it. Gives what ends that. */
export function whileVisible(shown: () => void, hidden: () => void, page: Visibility = document): () => void {
  const changed = () => (page.hidden ? hidden() : shown());
  page.addEventListener('visibilitychange', changed);
  changed();
  return () => page.removeEventListener('visibilitychange', changed);
}

/**
 * Does something at once and then again and again while the page can be seen, one at a time. What fails is tried again after a
 * wait that grows.
 */
export class Repeater {
  private timer: ReturnType<typeof setTimeout> | undefined;
  private running: AbortController | null = null;
  private unwatch: (() => void) | null = null;
  private started = false;
  private readonly backoff: Backoff;

  constructor(
    private readonly task: (signal: AbortSignal) => Promise<void>,
    private readonly everyMs: number,
    private readonly page: Visibility = document,
  ) {
    this.backoff = new Backoff(1_000, Math.min(everyMs, 15_000));
  }

  start(): void {
    if (!this.started) {
      this.started = true;
      this.unwatch = whileVisible(
        () => this.now(),
        () => this.rest(),
        this.page,
      );
    }
  }

  stop(): void {
    this.started = false;
    this.unwatch?.();
    this.unwatch = null;
    this.rest();
  }

  /** Does it now, whatever is under way, unless it is stopped or out of sight. */
  now(): void {
    this.rest();
    if (this.started && !this.page.hidden) {
      void this.run();
    }
  }

  private rest(): void {
    clearTimeout(this.timer);
    this.running?.abort();
    this.running = null;
  }

  private async run(): Promise<void> {
    const controller = new AbortController();
    this.running = controller;
    let wait = this.everyMs;
    try {
      await this.task(controller.signal);
      this.backoff.reset();
    } catch {
      wait = this.backoff.next();
    }
    if (!controller.signal.aborted) {
      this.timer = setTimeout(() => void this.run(), wait);
    }
  }
}

import { ApiError } from '../api/error';
import type { Deploy } from '../api/schema';
import { Backoff } from '../lib/backoff';
import { advanced, BEGINNING, type Progress } from '../lib/progress';
import { whileVisible } from '../lib/repeater';
import { serverEvents } from '../lib/sse';
import { server } from './server.svelte';

/** Follows one deploy by its events until it is over. What breaks is taken up again. */
export class DeployWatch {
  progress = $state.raw<Progress>(BEGINNING);
  broken = $state(false);
  readonly outcome = $derived(this.progress.outcome);

  private readonly backoff = new Backoff(500, 10_000);
  private abort: AbortController | null = null;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private readonly unwatch: () => void;

  constructor(
    readonly row: Deploy,
    private readonly onOutcome: (row: Deploy) => void,
  ) {
    this.unwatch = whileVisible(
      () => this.open(),
      () => this.rest(),
    );
  }

  get id(): string {
    return this.row.id;
  }

  close(): void {
    this.unwatch();
    this.rest();
  }

  private rest(): void {
    clearTimeout(this.timer);
    this.abort?.abort();
    this.abort = null;
  }

  private open(): void {
    this.rest();
    if (this.progress.outcome === null) {
      this.abort = new AbortController();
      void this.follow(this.abort.signal);
    }
  }

  private async follow(signal: AbortSignal): Promise<void> {
    try {
      const body = await server.client.stream('/api/deploys/{id}/events', { path: { id: this.id }, signal });
      this.broken = false;
      for await (const event of serverEvents(body)) {
        this.backoff.reset();
        this.progress = advanced(this.progress, event);
        if (this.progress.outcome !== null) {
          this.end(this.progress.outcome);
          return;
        }
      }
    } catch (error) {
      if (signal.aborted || (error instanceof ApiError && error.status === 404)) {
        return;
      }
    }
    this.again(signal);
  }

  private again(signal: AbortSignal): void {
    if (!signal.aborted) {
      this.broken = true;
      this.timer = setTimeout(() => this.open(), this.backoff.next());
    }
  }

  private end(outcome: Deploy): void {
    this.unwatch();
    this.onOutcome(outcome);
  }
}

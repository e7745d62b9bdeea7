import { idempotencyKey } from '../api/client';
import { isAbort, toFailure, type Failure } from '../api/error';
import type { Deploy, NewDeploy, NewRollback, Workload } from '../api/schema';
import { NOTHING, PAGE, withNewest, withOlder, withRow, type Pages } from '../lib/ledger';
import { Repeater } from '../lib/repeater';
import { DeployWatch } from './progress.svelte';
import { server } from './server.svelte';

const EVERY_MS = 10_000;
/** Rows that are shown before anybody asks for more. */
const FIRST = 10;
/** Rows that are looked through for one that an address names, or to mark deploys in a chart. */
const MOST_ROWS = 500;

/** One workload with its ledger, and the deploy that goes on. */
export class AppStore {
  workload = $state.raw<Workload | null>(null);
  failure = $state.raw<Failure | null>(null);
  pages = $state.raw<Pages>(NOTHING);
  ledgerFailure = $state.raw<Failure | null>(null);
  ledgerLoaded = $state(false);
  loadingOlder = $state(false);
  /** How many rows of the ledger are shown. */
  shown = $state(FIRST);
  watch = $state.raw<DeployWatch | null>(null);

  readonly busy = $derived(this.pages.rows.some((row) => row.outcome === 'running'));
  readonly current = $derived(this.pages.rows.find((row) => row.current) ?? this.workload?.current_deploy ?? null);

  /** Whether there is no such workload, or not any more. */
  readonly gone = $derived(this.failure?.kind === 'problem' && this.failure.problem.status === 404);

  private readonly abort = new AbortController();
  private readonly repeater = new Repeater((signal) => this.load(signal), EVERY_MS);

  constructor(readonly id: string) {
    this.repeater.start();
  }

  close(): void {
    this.abort.abort();
    this.repeater.stop();
    this.watch?.close();
  }

  reload(): void {
    this.repeater.now();
  }

  async deploy(body: NewDeploy): Promise<void> {
    const path = { id: this.id };
    this.began(await server.client.post('/api/workloads/{id}/deploys', { path, body, headers: once() }));
  }

  async rollBack(body: NewRollback): Promise<void> {
    const path = { id: this.id };
    this.began(await server.client.post('/api/workloads/{id}/rollback', { path, body, headers: once() }));
  }

  async remove(keepContainers: boolean): Promise<void> {
    const query = { keep_containers: keepContainers };
    await server.client.delete('/api/workloads/{id}', { path: { id: this.id }, query });
  }

  dismiss(): void {
    this.watch?.close();
    this.watch = null;
  }

  /** Shows the next page, loading it if need be. */
  async showOlder(): Promise<void> {
    this.shown += PAGE;
    if (this.pages.rows.length < this.shown && !this.pages.complete) {
      await this.loadOlder();
    }
  }

  /** Loads rows until one of this id is among them, and shows it. */
  async find(deploy: string): Promise<boolean> {
    await this.loadUntil((rows) => rows.some((row) => row.id === deploy));
    const at = this.pages.rows.findIndex((row) => row.id === deploy);
    this.shown = Math.max(this.shown, at + 1);
    return at >= 0;
  }

  /** Loads the rows that began after this, in milliseconds, without showing them. */
  async cover(sinceMs: number): Promise<void> {
    await this.loadUntil((rows) => rows.some((row) => Date.parse(row.started_at) < sinceMs));
  }

  private async loadUntil(enough: (rows: readonly Deploy[]) => boolean): Promise<void> {
    while (!enough(this.pages.rows) && !this.pages.complete && this.pages.rows.length < MOST_ROWS) {
      const before = this.pages.rows.length;
      await this.loadOlder(100);
      if (this.pages.rows.length === before) {
        return;
      }
    }
  }

  private async loadOlder(limit = PAGE): Promise<void> {
    const before = this.pages.rows.at(-1)?.id;
    this.loadingOlder = true;
    try {
      const query = { limit, before };
      const page = await server.client.get('/api/workloads/{id}/deploys', {
        path: { id: this.id },
        query,
        signal: this.abort.signal,
      });
      this.pages = before === undefined ? withNewest(this.pages, page, limit) : withOlder(this.pages, page, limit);
      this.ledgerLoaded = true;
      this.ledgerFailure = null;
    } catch (error) {
      this.ledgerFailed(error);
    } finally {
      this.loadingOlder = false;
    }
  }

  private began(row: Deploy): void {
    this.pages = withRow(this.pages, row);
    this.follow(row);
  }

  private follow(row: Deploy): void {
    if (this.watch?.id === row.id) {
      return;
    }
    this.watch?.close();
    this.watch = new DeployWatch(row, (closed) => this.closed(closed));
  }

  private closed(row: Deploy): void {
    this.pages = withRow(this.pages, row);
    this.reload();
  }

  private async load(signal: AbortSignal): Promise<void> {
    const ledger = this.loadNewest(signal);
    try {
      this.workload = await server.client.get('/api/workloads/{id}', { path: { id: this.id }, signal });
      this.failure = null;
    } catch (error) {
      if (!isAbort(error)) {
        this.failure = toFailure(error);
      }
      if (!this.gone) {
        throw error;
      }
    } finally {
      await ledger;
    }
  }

  private async loadNewest(signal: AbortSignal): Promise<void> {
    try {
      const query = { limit: PAGE };
      const page = await server.client.get('/api/workloads/{id}/deploys', { path: { id: this.id }, query, signal });
      this.pages = withNewest(this.pages, page);
      this.ledgerLoaded = true;
      this.ledgerFailure = null;
      const running = page.find((row) => row.outcome === 'running');
      if (running !== undefined) {
        this.follow(running);
      }
    } catch (error) {
      this.ledgerFailed(error);
    }
  }

  private ledgerFailed(error: unknown): void {
    if (!isAbort(error)) {
      this.ledgerFailure = toFailure(error);
    }
  }
}

function once(): Record<string, string> {
  return { 'idempotency-key': idempotencyKey() };
}

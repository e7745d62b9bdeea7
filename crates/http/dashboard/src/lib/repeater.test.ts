import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Repeater, type Visibility } from './repeater';

class Page implements Visibility {
  hidden = false;
  private readonly listeners = new Set<() => void>();

  addEventListener(_: string, listener: () => void): void {
    this.listeners.add(listener);
  }

  removeEventListener(_: string, listener: () => void): void {
    this.listeners.delete(listener);
  }

  turn(hidden: boolean): void {
    this.hidden = hidden;
    this.listeners.forEach((listener) => listener());
  }

  get listened(): number {
    return this.listeners.size;
  }
}

const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms);

describe('a repeater', () => {
  beforeEach(() => vi.useFakeTimers());
  afterEach(() => vi.useRealTimers());

  it('works at once and then at its pace', async () => {
    const task = vi.fn(async () => undefined);
    const repeater = new Repeater(task, 10_000, new Page());
    repeater.start();
    await pass(20_000);
    expect(task).toHaveBeenCalledTimes(3);
    repeater.stop();
  });

  it('rests while nobody can see the page and works at once when somebody can', async () => {
    const page = new Page();
    const task = vi.fn(async () => undefined);
    const repeater = new Repeater(task, 10_000, page);
    repeater.start();
    await pass(0);
    page.turn(true);
    expect(vi.getTimerCount()).toBe(0);
    await pass(60_000);
    expect(task).toHaveBeenCalledTimes(1);
    page.turn(false);
    await pass(0);
    expect(task).toHaveBeenCalledTimes(2);
    repeater.stop();
  });

  it('tries again soon after a failure', async () => {
    const task = vi.fn(async () => Promise.reject(new Error('away')));
    const repeater = new Repeater(task, 60_000, new Page());
    repeater.start();
    await pass(5_000);
    expect(task.mock.calls.length).toBeGreaterThanOrEqual(3);
    repeater.stop();
  });

  it('gives up what is under way and leaves nothing behind when it stops', async () => {
    const page = new Page();
    let seen: AbortSignal | undefined;
    const repeater = new Repeater((signal) => ((seen = signal), new Promise(() => undefined)), 1_000, page);
    repeater.start();
    repeater.stop();
    expect(seen?.aborted).toBe(true);
    expect(vi.getTimerCount()).toBe(0);
    expect(page.listened).toBe(0);
    repeater.now();
    expect(vi.getTimerCount()).toBe(0);
  });
});

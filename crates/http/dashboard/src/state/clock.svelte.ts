import { whileVisible } from '../lib/repeater';

/** The time for texts such as "5 minutes ago", ticking each second while somebody looks. */
class Clock {
  now = $state(Date.now());
  /** The same, to the minute: for what need not be written anew each second. */
  readonly minute = $derived(Math.floor(this.now / 60_000) * 60_000);

  /** Seconds since then, to the second at first and then to the minute, so that old ones need no new text each second. */
  since(then: number): number {
    const whole = this.minute - then;
    return Math.max(0, (whole > 120_000 ? whole : this.now - then) / 1000);
  }

  private timer: ReturnType<typeof setInterval> | undefined;
  private users = 0;
  private unwatch: (() => void) | null = null;

  /** Ticks until what it gives is called. */
  use(): () => void {
    this.users += 1;
    this.unwatch ??= whileVisible(
      () => this.tick(),
      () => clearInterval(this.timer),
    );
    return () => this.unuse();
  }

  private tick(): void {
    clearInterval(this.timer);
    this.now = Date.now();
    this.timer = setInterval(() => (this.now = Date.now()), 1_000);
  }

  private unuse(): void {
    this.users -= 1;
    if (this.users === 0) {
      this.unwatch?.();
      this.unwatch = null;
      clearInterval(this.timer);
    }
  }
}

export const clock = new Clock();

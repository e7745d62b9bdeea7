/** Ever longer waits between attempts, with some chance in them so that many pages do not come back at once. */
export class Backoff {
  private attempts = 0;

  constructor(
    private readonly firstMs = 1_000,
    private readonly longestMs = 30_000,
    private readonly random: () => number = Math.random,
  ) {}

  /** Milliseconds to wait before the next attempt: between half of the step and all of it. */
  next(): number {
    const step = Math.min(this.longestMs, this.firstMs * 2 ** this.attempts);
    this.attempts += 1;
    return Math.round(step * (0.5 + this.random() / 2));
  }

  reset(): void {
    this.attempts = 0;
  }
}

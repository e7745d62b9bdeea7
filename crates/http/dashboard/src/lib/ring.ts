/** A value at a time. `null` is "not known". */
export interface Spot {
  ts: number;
  value: number | null;
}

/** The latest values of something, in the order of time, no more than fit. */
export class Ring {
  private spots: Spot[] = [];

  constructor(
    private readonly capacity: number,
    private readonly spanS: number,
  ) {}

  /** What is not later than what there is adds nothing. */
  push(spot: Spot): boolean {
    const last = this.spots.at(-1);
    if (last !== undefined && spot.ts <= last.ts) {
      return false;
    }
    this.spots.push(spot);
    this.trim(spot.ts);
    return true;
  }

  /** Puts what was before under what there is. */
  seed(earlier: readonly Spot[]): void {
    const first = this.spots[0]?.ts ?? Infinity;
    this.spots = [...earlier.filter((spot) => spot.ts < first), ...this.spots];
    this.trim(this.spots.at(-1)?.ts ?? 0);
  }

  values(): readonly Spot[] {
    return this.spots;
  }

  private trim(now: number): void {
    const tooOld = this.spots.findIndex((spot) => spot.ts > now - this.spanS);
    const drop = Math.max(tooOld < 0 ? this.spots.length : tooOld, this.spots.length - this.capacity);
    if (drop > 0) {
      this.spots.splice(0, drop);
    }
  }
}

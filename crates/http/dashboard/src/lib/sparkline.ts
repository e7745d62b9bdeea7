import type { Spot } from './ring';

export interface Box {
  width: number;
  height: number;
}

/** Readings further apart than this are not joined by a line. */
const GAP_S = 45;

/**
 * The path of a line over the last `spanS` seconds before `now`, from 0 up to the highest value or `atLeast`. Gaps are gaps.
 */
export function sparkPath(spots: readonly Spot[], now: number, spanS: number, box: Box, atLeast: number): string {
  const top = Math.max(atLeast, highest(spots));
  const x = (ts: number) => round(box.width * (1 - (now - ts) / spanS));
  const y = (value: number) => round(box.height - 1 - (box.height - 2) * (value / top));
  let path = '';
  let last: number | null = null;
  for (const { ts, value } of spots) {
    if (value === null || ts < now - spanS) {
      last = null;
      continue;
    }
    const joined = last !== null && ts - last <= GAP_S;
    path += joined ? `L${x(ts)} ${y(value)}` : `M${x(ts)} ${y(value)}h.01`;
    last = ts;
  }
  return path;
}

function highest(spots: readonly Spot[]): number {
  return spots.reduce((top, { value }) => (value !== null && value > top ? value : top), 0);
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

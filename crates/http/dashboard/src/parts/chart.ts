import type { Values } from '../lib/series';

/** A line of a chart. Lines of one unit share an axis. */
export interface Line {
  value: Values;
  name: string;
  unit: 'percent' | 'mebibytes' | 'rate';
  /** The custom property that holds its colour. */
  color: '--series-1' | '--series-2' | '--series-3' | '--series-4';
  /** Drawn thin, as what goes with another line. */
  faint?: boolean;
  dashed?: boolean;
}

/** A moment that is marked on the axis of time. */
export interface Mark {
  id: string;
  ts: number;
  text: string;
  failed: boolean;
  color: '--good' | '--bad' | '--warn' | '--accent';
}

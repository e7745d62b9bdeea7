import type { Deploy } from '../api/schema';
import type { Dictionary } from '../i18n/en';
import { isInline } from './source';

/** Rows of a ledger, newest first and without holes between them. */
export interface Pages {
  rows: readonly Deploy[];
  /** Whether the oldest row that is kept is among them. */
  complete: boolean;
}

export const PAGE = 25;

export const NOTHING: Pages = { rows: [], complete: false };

/**
 * Puts the newest rows above what is known. If more were added than a page holds there would be a hole, so the older rows are
 * left to be asked for again.
 */
export function withNewest(known: Pages, page: readonly Deploy[], limit = PAGE): Pages {
  const newest = new Set(page.map((row) => row.id));
  const touches = known.rows.some((row) => newest.has(row.id));
  if (!touches) {
    return { rows: page, complete: page.length < limit };
  }
  const last = known.rows.findLastIndex((row) => newest.has(row.id));
  const older = known.rows.slice(last + 1);
  const moved = page.some((row) => row.current);
  return {
    rows: [...page, ...older.map((row) => (moved && row.current ? { ...row, current: false } : row))],
    complete: known.complete || page.length < limit,
  };
}

/** Puts older rows under what is known. */
export function withOlder(known: Pages, page: readonly Deploy[], limit = PAGE): Pages {
  const ids = new Set(known.rows.map((row) => row.id));
  return { rows: [...known.rows, ...page.filter((row) => !ids.has(row.id))], complete: page.length < limit };
}

/** Puts one row in the place of its earlier state, or on top when it is new. */
export function withRow(known: Pages, row: Deploy): Pages {
  const there = known.rows.some((other) => other.id === row.id);
  const others = row.current ? known.rows.map((other) => (other.current ? { ...other, current: false } : other)) : known.rows;
  return { ...known, rows: there ? others.map((other) => (other.id === row.id ? row : other)) : [row, ...others] };
}

/** Seconds that a dispatch took, or takes until `now`. */
export function duration(row: Deploy, now: number): number {
  const end = row.finished_at == null ? now : Date.parse(row.finished_at);
  return Math.max(0, (end - Date.parse(row.started_at)) / 1000);
}

/** What was asked for, in words where it was written in the spec. */
export function requestedOf(row: Deploy, t: Dictionary): string {
  return isInline(row.source_kind, row.requested) ? t.ledger.inline : row.requested;
}

/** Why a dispatch failed, with the part of it that did; `null` where nothing is said. */
export function whyFailed({ error }: Deploy, t: Dictionary): string | null {
  if (!error) {
    return null;
  }
  const { markers, ofPart } = t.ledger;
  return error.part ? ofPart(error.part, markers[error.marker]) : markers[error.marker];
}

/** Why a row cannot be rolled back to now; `null` when nothing that is known speaks against it. */
export type Obstacle = 'busy' | 'engine_unavailable' | NonNullable<Deploy['rollback']['reason']>;

export function obstacle(row: Deploy, busy: boolean, engineDown: boolean): Obstacle | null {
  if (!row.rollback.possible) {
    return row.rollback.reason ?? 'not_succeeded';
  }
  if (engineDown) {
    return 'engine_unavailable';
  }
  return busy ? 'busy' : null;
}

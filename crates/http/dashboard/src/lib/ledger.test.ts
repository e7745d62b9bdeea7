import { describe, expect, it } from 'vitest';
import type { Deploy } from '../api/schema';
import { en } from '../i18n/en';
import { ru } from '../i18n/ru';
import { duration, NOTHING, obstacle, requestedOf, whyFailed, withNewest, withOlder, withRow } from './ledger';

function row(id: string, change: Partial<Deploy> = {}): Deploy {
  return {
    id,
    workload_id: 'w',
    source_kind: 'image',
    reason: 'manual',
    requested: `app:${id}`,
    parts: [],
    reference: `r/app@sha256:${id}`,
    spec_revision: 1,
    outcome: 'succeeded',
    triggered_by: 'admin',
    current: false,
    rollback: { possible: true, reason: null },
    started_at: '2026-11-21T10:00:00Z',
    finished_at: '2026-11-21T10:00:03Z',
    ...change,
  };
}

const ids = (pages: { rows: readonly Deploy[] }) => pages.rows.map(({ id }) => id).join('');

describe('pages of a ledger', () => {
  it('are complete when a page is not full', () => {
    expect(withNewest(NOTHING, [row('c'), row('b')], 2)).toMatchObject({ complete: false });
    expect(withNewest(NOTHING, [row('c')], 2)).toMatchObject({ complete: true });
  });

  it('go on below without repeating a row', () => {
    const first = withNewest(NOTHING, [row('d'), row('c')], 2);
    const both = withOlder(first, [row('c'), row('b')], 2);
    expect(ids(both)).toBe('dcb');
    expect(withOlder(both, [row('a')], 2).complete).toBe(true);
  });

  it('keep older rows when newer ones come, and only one is current', () => {
    const known = withOlder(withNewest(NOTHING, [row('d'), row('c')], 2), [row('b', { current: true })], 2);
    const now = withNewest(known, [row('e', { current: true }), row('d')], 2);
    expect(ids(now)).toBe('edcb');
    expect(now.rows.filter(({ current }) => current).map(({ id }) => id)).toEqual(['e']);
  });

  it('begin anew rather than hide rows in between', () => {
    const known = withNewest(NOTHING, [row('b'), row('a')], 2);
    expect(withNewest(known, [row('f'), row('e')], 2)).toEqual({ rows: [row('f'), row('e')], complete: false });
  });

  it('take a row in the place of its earlier state', () => {
    const known = withNewest(NOTHING, [row('b', { outcome: 'running' }), row('a', { current: true })], 5);
    const closed = withRow(known, row('b', { current: true }));
    expect(closed.rows.map(({ id, outcome, current }) => [id, outcome, current])).toEqual([
      ['b', 'succeeded', true],
      ['a', 'succeeded', false],
    ]);
    expect(ids(withRow(closed, row('c')))).toBe('cba');
  });
});

describe('how long a deploy took', () => {
  it('is up to its end, or up to now', () => {
    expect(duration(row('a'), 0)).toBe(3);
    const now = Date.parse('2026-11-21T10:01:00Z');
    expect(duration(row('a', { finished_at: null }), now)).toBe(60);
    expect(duration(row('a', { finished_at: null }), now - 3_600_000)).toBe(0);
  });
});

describe('what keeps from a rollback', () => {
  it('is first of all what the ledger says', () => {
    const refused = row('a', { rollback: { possible: false, reason: 'not_pinned' } });
    expect(obstacle(refused, true, true)).toBe('not_pinned');
  });

  it('may be the engine or another deploy', () => {
    expect(obstacle(row('a'), true, true)).toBe('engine_unavailable');
    expect(obstacle(row('a'), true, false)).toBe('busy');
    expect(obstacle(row('a'), false, false)).toBeNull();
  });
});

describe('a row in words', () => {
  it('says that what was asked for is in the spec', () => {
    expect(requestedOf(row('a', { source_kind: 'compose', requested: 'inline' }), en)).toBe('The Compose file in the spec');
    expect(requestedOf(row('a', { source_kind: 'image', requested: 'inline' }), en)).toBe('inline');
  });

  it('names the part that failed', () => {
    const error = { marker: 'unhealthy', message: '', part: 'db' } as const;
    expect(whyFailed(row('a', { error }), en)).toBe('Service db: The healthcheck reported unhealthy.');
    expect(whyFailed(row('a', { error }), ru)).toContain('Сервис db: ');
    expect(whyFailed(row('a', { error: { ...error, part: null } }), en)).toBe('The healthcheck reported unhealthy.');
    expect(whyFailed(row('a'), en)).toBeNull();
  });
});

import { describe, expect, it } from 'vitest';
import type { Container, Deploy, Workload } from '../api/schema';
import { imageName, matches, otherImages, restarts, runningSince, sorted, type Listed } from './apps';
import { TimeLabels } from './axis';
import { commit, shortCommit, shortDigest, shortPinned, withoutDigest } from './reference';
import { Ring } from './ring';
import { paths, parseRoute } from './route';
import { sparkPath } from './sparkline';
import { takeToken, TokenKeeper } from './token';

function container(change: Partial<Container> = {}): Container {
  return { id: 'c', name: 'c-1', image: 'r/app:1', state: 'running', created_at: '2026-11-21T10:00:00Z', ...change };
}

function workload(name: string, change: Partial<Workload> = {}): Workload {
  return { id: name, name, managed: true, state: 'running', containers: [container()], created_at: '2026-11-21T10:00:00Z', ...change };
}

const listed = (name: string, cpu: number | null, change: Partial<Workload> = {}): Listed => ({ workload: workload(name, change), cpu, memory: cpu });
const collator = new Intl.Collator('en', { numeric: true });
const names = (rows: readonly Listed[]) => rows.map((row) => row.workload.name).join(' ');

describe('the list of apps', () => {
  const rows = [listed('web-10', 5), listed('web-2', null, { state: 'degraded' }), listed('api', 50)];

  it('is sorted by name as people count', () => {
    expect(names(sorted(rows, 'name', false, collator))).toBe('api web-2 web-10');
  });

  it('has what is not known last in both directions', () => {
    expect(names(sorted(rows, 'cpu', true, collator))).toBe('api web-10 web-2');
    expect(names(sorted(rows, 'cpu', false, collator))).toBe('web-10 api web-2');
  });

  it('has what needs attention first by state', () => {
    expect(names(sorted(rows, 'state', false, collator))).toBe('web-2 api web-10');
  });

  it('is filtered by name, image and state', () => {
    const one = workload('Shop', { containers: [container({ image: 'registry/Basket:2' })] });
    expect(matches(one, ' shop ', null)).toBe(true);
    expect(matches(one, 'basket', 'running')).toBe(true);
    expect(matches(one, 'basket', 'stopped')).toBe(false);
    expect(matches(one, 'other', null)).toBe(false);
  });

  it('sums restarts and takes the oldest start, and knows when it does not know', () => {
    const containers = [
      container({ restarts: 2, started_at: '2026-11-21T10:00:05Z' }),
      container({ restarts: 1, started_at: '2026-11-21T10:00:01Z' }),
      container({ state: 'exited', started_at: '2026-11-21T09:00:00Z' }),
    ];
    expect(restarts(containers)).toBe(3);
    expect(runningSince(containers)).toBe(Date.parse('2026-11-21T10:00:01Z'));
    expect(restarts([container()])).toBeNull();
    expect(runningSince([container()])).toBeNull();
  });

  it('names the image that was asked for', () => {
    expect(imageName(workload('a', { containers: [container({ image: 'sha256:1' }), container({ image: 'r/x:1' }), container({ image: 'r/x:1' })] }))).toBe('r/x:1');
    expect(imageName(workload('a', { containers: [] }))).toBeNull();
  });

  it('calls what is written in its spec by what it runs', () => {
    const row = { source_kind: 'compose', requested: 'inline' } as Deploy;
    const containers = [container({ image: 'r/web@sha256:1' }), container({ image: 'r/db@sha256:2' }), container({ image: 'r/web@sha256:1' })];
    const one = workload('a', { current_deploy: row, containers });
    expect([imageName(one), otherImages(one)]).toEqual(['r/web@sha256:1', 1]);
    expect(imageName({ ...one, containers: [] })).toBeNull();
    const ofImage = workload('b', { current_deploy: { ...row, source_kind: 'image' }, containers });
    expect([imageName(ofImage), otherImages(ofImage)]).toEqual(['inline', 0]);
  });
});

describe('references', () => {
  const digest = 'a1b2c3d4e5f6' + '0'.repeat(52);

  it('are cut for people at their digest', () => {
    expect(shortPinned(`r/app@sha256:${digest}`)).toBe('r/app@a1b2c3d4e5f6');
    expect(shortPinned(`sha256:${digest}`)).toBe('sha256:a1b2c3d4e5f6');
    expect(shortPinned('git@deadbeef')).toBe('git@deadbeef');
    expect(commit('git.example:8443/team/app@git:' + 'ab12'.repeat(10))).toBe('ab12'.repeat(10));
    expect(shortCommit('app@git:' + 'ab12'.repeat(10))).toBe('ab12ab12ab12');
    expect(commit(`r/app@sha256:${digest}`)).toBeNull();
    expect(shortDigest('r/app:1')).toBeNull();
    expect(withoutDigest(`r/app:1@sha256:${digest}`)).toBe('r/app:1');
  });
});

describe('a ring', () => {
  it('keeps what fits in number and in time', () => {
    const ring = new Ring(3, 100);
    for (const ts of [1, 2, 3, 4]) ring.push({ ts, value: ts });
    expect(ring.values().map(({ ts }) => ts)).toEqual([2, 3, 4]);
    ring.push({ ts: 103, value: null });
    expect(ring.values().map(({ ts }) => ts)).toEqual([4, 103]);
    expect(ring.push({ ts: 103, value: 9 })).toBe(false);
  });

  it('takes earlier values under what it has', () => {
    const ring = new Ring(10, 100);
    ring.push({ ts: 10, value: 1 });
    ring.seed([{ ts: 5, value: 0 }, { ts: 10, value: 7 }]);
    expect(ring.values()).toEqual([{ ts: 5, value: 0 }, { ts: 10, value: 1 }]);
  });
});

describe('a sparkline', () => {
  it('joins near readings and leaves gaps open', () => {
    const spots = [{ ts: 0, value: 0 }, { ts: 10, value: 10 }, { ts: 90, value: 10 }, { ts: 95, value: null }, { ts: 100, value: 0 }];
    const path = sparkPath(spots, 100, 100, { width: 100, height: 12 }, 1);
    expect(path).toBe('M0 11h.01L10 1M90 1h.01M100 11h.01');
  });
});

describe('addresses', () => {
  it('lead to their pages and back', () => {
    expect(parseRoute('')).toEqual({ page: 'apps' });
    expect(parseRoute('#/')).toEqual({ page: 'apps' });
    expect(parseRoute(paths.app('a b'))).toEqual({ page: 'app', id: 'a b', deploy: null });
    expect(parseRoute(paths.edit('x'))).toEqual({ page: 'edit', id: 'x' });
    expect(parseRoute(paths.deploy('x', 'd'))).toEqual({ page: 'app', id: 'x', deploy: 'd' });
    expect(parseRoute(paths.system)).toEqual({ page: 'system' });
  });

  it('that lead nowhere say so', () => {
    for (const hash of ['#/nope', '#/system/x', '#/apps/x/what', '#/apps/x/edit/y', '#/apps/%E0', '#/apps/x/deploys/y/z']) {
      expect(parseRoute(hash), hash).toEqual({ page: 'unknown' });
    }
  });
});

describe('a token', () => {
  it('is taken out of the address and nothing else', () => {
    expect(takeToken('http://h/ops/?a=1&token=s%20#/system')).toEqual({ token: 's', href: 'http://h/ops/?a=1#/system' });
    expect(takeToken('http://h/')).toEqual({ token: null, href: 'http://h/' });
  });

  it('is kept for the tab until it is forgotten', () => {
    const kept = new Map<string, string>();
    const tab = {
      getItem: (key: string) => kept.get(key) ?? null,
      setItem: (key: string, value: string) => void kept.set(key, value),
      removeItem: (key: string) => void kept.delete(key),
    };
    new TokenKeeper(tab).keep('secret');
    const keeper = new TokenKeeper(tab);
    expect(keeper.get()).toBe('secret');
    keeper.forget();
    expect(kept.size).toBe(0);
    expect(keeper.get()).toBeNull();
  });

  it('lasts as long as the page where storage is forbidden', () => {
    const keeper = new TokenKeeper(null);
    keeper.keep('secret');
    expect(keeper.get()).toBe('secret');
  });
});

describe('labels of the time axis', () => {
  const noon = Date.UTC(2026, 10, 21, 23) / 1000;

  it('name the day where a new one begins', () => {
    expect(new TimeLabels('en', 'UTC').of([noon, noon + 3_600, noon + 7_200], 3_600)).toEqual(['23:00', 'Nov 22', '01:00']);
    expect(new TimeLabels('ru', 'UTC').of([noon, noon + 86_400], 86_400)).toEqual(['21 нояб.', '22 нояб.']);
  });

  it('have seconds where steps are that short', () => {
    expect(new TimeLabels('en', 'UTC').of([noon + 15], 15)).toEqual(['23:00:15']);
  });
});

import { describe, expect, it } from 'vitest';
import { en } from '../i18n/en';
import { describe as words } from '../lib/failure';
import { ApiError, failureOf, toFailure } from './error';
import { idempotencyKey, target } from './client';

const problem = (status: number, detail = 'x') => ({ type: 'about:blank', title: 'T', status, detail });

describe('the address of a request', () => {
  it('has its parameters in place and nothing that was not given', () => {
    const path = { id: 'a/b c' };
    const query = { window: '30m', since: 0, step: undefined, keep: null };
    expect(target('/api/workloads/{id}/stats', { path, query })).toBe('/api/workloads/a%2Fb%20c/stats?window=30m&since=0');
    expect(target('/api/system', {})).toBe('/api/system');
  });
});

describe('an answer that is not a success', () => {
  it('is told by what the server says', () => {
    expect(failureOf(422, problem(422))).toEqual({ kind: 'problem', problem: problem(422) });
    expect(failureOf(401, problem(401))).toEqual({ kind: 'unauthenticated' });
  });

  it('of a proxy without a server behind it means that there is no server', () => {
    expect(failureOf(502, null)).toEqual({ kind: 'unreachable' });
    expect(failureOf(503, problem(503))).toEqual({ kind: 'problem', problem: problem(503) });
    expect(failureOf(418, '<html>')).toEqual({ kind: 'unexpected', status: 418 });
  });
});

describe('what a page says of a failure', () => {
  it('is never the error itself', () => {
    const said = words(toFailure(new TypeError('secret internals at line 5')), en);
    expect(JSON.stringify(said)).not.toContain('secret');
    expect(said.retry).toBe(true);
  });

  it('is what to do next', () => {
    expect(words({ kind: 'unreachable' }, en)).toMatchObject({ title: 'The server does not answer', retry: true });
    expect(words({ kind: 'problem', problem: problem(403) }, en)).toMatchObject({ retry: false, said: null });
    expect(words({ kind: 'problem', problem: problem(404) }, en, 'No such app.')).toMatchObject({ text: 'No such app.' });
    expect(words({ kind: 'problem', problem: problem(409, 'Busy.') }, en)).toMatchObject({ said: 'Busy.' });
  });

  it('knows the status', () => {
    expect(new ApiError({ kind: 'problem', problem: problem(404) }).status).toBe(404);
    expect(new ApiError({ kind: 'unreachable' }).status).toBeNull();
  });
});

describe('keys of requests', () => {
  it('are printable and differ', () => {
    expect(idempotencyKey()).toMatch(/^[0-9a-f]{32}$/);
    expect(idempotencyKey()).not.toBe(idempotencyKey());
  });
});

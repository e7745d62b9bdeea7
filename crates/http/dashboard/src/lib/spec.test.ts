import { describe, expect, it } from 'vitest';
import type { Spec } from '../api/schema';
import { parseNumber } from './reader';
import { draftOf, placeOf, ruleOf, specOf } from './spec';

const FULL: Spec = {
  name: 'web',
  source: { kind: 'image', reference: 'r/app:1' },
  command: ['sh', '-c', 'echo a\necho b', ''],
  env: [
    { name: 'MODE', value: ' prod ' },
    { name: 'EMPTY', value: '' },
    { name: 'PASSWORD', secret: 'file:/run/secrets/db' },
  ],
  ports: [{ host: 18080, container: 80, host_ip: '127.0.0.1', protocol: 'udp' }],
  mounts: [{ source: 'data', target: '/data', read_only: true }],
  networks: ['backend', 'front'],
  labels: { team: 'a', 'odd key': ' b ' },
  replicas: 1,
  memory_limit: 268_435_457,
  cpus: 1.5,
  restart: 'on-failure',
  healthcheck: { command: ['wget', '-qO-', 'http://127.0.0.1/'], interval_s: 6, timeout_s: 4, retries: 2, start_period_s: 1 },
  rollout: { strategy: 'recreate', health_timeout_s: 90, min_healthy_s: 4, stop_timeout_s: 9, watch_s: 0, on_unhealthy: 'notify' },
};

describe('a spec in a form', () => {
  it('comes out as it went in', () => {
    expect(specOf(draftOf(FULL))).toEqual({ spec: FULL, mistakes: {} });
  });

  it('has the values of the API for what is left out', () => {
    const { spec, mistakes } = specOf(draftOf({ name: 'web', source: { kind: 'image', reference: 'app' } }));
    expect(mistakes).toEqual({});
    expect(spec).toMatchObject({ replicas: 1, memory_limit: null, cpus: null, healthcheck: null, restart: 'unless-stopped' });
  });
});

describe('what was typed', () => {
  it('may have a comma or a point', () => {
    expect([parseNumber('1,5'), parseNumber(' 2.25 '), parseNumber('7')]).toEqual([1.5, 2.25, 7]);
    expect([parseNumber('a'), parseNumber('1.2.3'), parseNumber('1e3'), parseNumber('')]).toEqual([null, null, null, null]);
  });

  it('that is no number is named by its field, and nothing may be sent', () => {
    const draft = draftOf(FULL);
    draft.ports[0] = { host: 'x', container: '', host_ip: '', protocol: 'tcp' };
    draft.cpus = 'two';
    expect(specOf(draft).mistakes).toEqual({
      'ports[0].host': 'notANumber',
      'ports[0].container': 'required',
      cpus: 'notANumber',
    });
  });

  it('is missing where a new form is sent empty', () => {
    expect(specOf(draftOf(null)).mistakes).toEqual({ name: 'required', 'source.reference': 'required' });
  });

  it('must not use a label twice, for one of the two would be lost', () => {
    const draft = draftOf(FULL);
    draft.labels.push({ key: 'team', value: 'b' });
    expect(specOf(draft).mistakes).toEqual({ 'labels.team': 'twice' });
  });
});

describe('a field that the API refuses', () => {
  const draft = draftOf(FULL);

  it('is found in the form', () => {
    expect(placeOf('ports[0].host', draft)).toBe('ports[0].host');
    expect(placeOf('networks[1]', draft)).toBe('networks[1]');
    expect(placeOf('env[1]', draft)).toBe('env[1].value');
    expect(placeOf('env[2].secret', draft)).toBe('env[2].value');
    expect(placeOf('labels.team', draft)).toBe('labels.team');
    expect(placeOf('memory_limit', draft)).toBe('memory_limit');
  });

  it('is told above the form where that has no place for it', () => {
    expect(placeOf('ports[5].host', draft)).toBeNull();
    expect(placeOf('something_new', draft)).toBeNull();
  });

  it('is told without its own name', () => {
    expect(ruleOf('ports[0].host: must be 1 to 65535.', 'ports[0].host')).toBe('must be 1 to 65535.');
    expect(ruleOf('Another text.', 'name')).toBe('Another text.');
  });
});

describe('a spec of a kind to which some fields mean nothing', () => {
  const draft = draftOf({ ...FULL, source: { kind: 'compose', reference: '/srv/shop' } });

  it('is sent without them', () => {
    const { spec } = specOf(draft);
    expect(Object.keys(spec).sort()).toEqual(['env', 'name', 'rollout', 'source']);
    expect(spec.rollout).not.toHaveProperty('strategy');
    expect(spec.rollout).toMatchObject({ min_healthy_s: 4, on_unhealthy: 'notify' });
  });

  it('has no mistakes in them, for nobody could see them', () => {
    expect(specOf({ ...draft, cpus: 'two', replicas: '', ports: [{ host: 'x', container: '', host_ip: '', protocol: 'tcp' }] }).mistakes).toEqual({});
  });

  it('has none inside of a list either', () => {
    const swarm = draftOf({ ...FULL, source: { kind: 'swarm', reference: 'r/app:1' } });
    expect(specOf(swarm).spec.ports).toEqual([{ host: 18080, container: 80, host_ip: null, protocol: 'udp' }]);
    expect(placeOf('ports[0].host_ip', swarm)).toBeNull();
    expect(placeOf('ports[0].host', swarm)).toBe('ports[0].host');
  });

  it('has no place for them', () => {
    expect(placeOf('ports[0].host', draft)).toBeNull();
    expect(placeOf('replicas', draft)).toBeNull();
    expect(placeOf('rollout.strategy', draft)).toBeNull();
    expect(placeOf('rollout.watch_s', draft)).toBe('rollout.watch_s');
    expect(placeOf('source.reference', draft)).toBe('source.reference');
  });
});

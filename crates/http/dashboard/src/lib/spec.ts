import type { OnUnhealthy, Port, Protocol, RestartPolicy, Rollout, Spec, StrategyChoice } from '../api/schema';
import { MIB } from './format';
import { Reader, type Mistakes } from './reader';
import { draftOfSource, placeOfSource, sourceOf, type SourceDraft } from './source';
import { draftOfVariable, variableOf, type Variable } from './variables';

/** A spec as a form holds it: texts, as they are typed. */
export interface Draft {
  name: string;
  source: SourceDraft;
  command: string[];
  env: Variable[];
  ports: { host: string; container: string; host_ip: string; protocol: Protocol }[];
  mounts: { source: string; target: string; read_only: boolean }[];
  networks: string[];
  labels: { key: string; value: string }[];
  replicas: string;
  /** In MiB. */
  memory: string;
  cpus: string;
  restart: RestartPolicy;
  checked: boolean;
  healthcheck: { command: string[]; interval_s: string; timeout_s: string; retries: string; start_period_s: string };
  rollout: {
    strategy: StrategyChoice;
    health_timeout_s: string;
    min_healthy_s: string;
    stop_timeout_s: string;
    watch_s: string;
    on_unhealthy: OnUnhealthy;
  };
}

export const PROTOCOLS: Protocol[] = ['tcp', 'udp', 'sctp'];
export const RESTARTS: RestartPolicy[] = ['no', 'always', 'unless-stopped', 'on-failure'];
export const STRATEGIES: StrategyChoice[] = ['auto', 'recreate', 'verify_then_swap', 'start_then_stop'];
export const ON_UNHEALTHY: OnUnhealthy[] = ['keep', 'notify', 'rollback'];

const text = (value: number | null | undefined): string => (value == null ? '' : String(value));

/** The draft of a spec; of none, that of a new one of a kind, with the values that the API takes for what is left out. */
export function draftOf(spec: Spec | null, kind = 'image'): Draft {
  const check = spec?.healthcheck ?? null;
  const rollout: Rollout = spec?.rollout ?? {};
  return {
    name: spec?.name ?? '',
    source: draftOfSource(spec?.source ?? { kind, reference: '' }),
    command: [...(spec?.command ?? [])],
    env: (spec?.env ?? []).map(draftOfVariable),
    ports: (spec?.ports ?? []).map(draftOfPort),
    mounts: (spec?.mounts ?? []).map((mount) => ({ ...mount, read_only: mount.read_only ?? false })),
    networks: [...(spec?.networks ?? [])],
    labels: Object.entries((spec?.labels ?? {}) as Record<string, string>).map(([key, value]) => ({ key, value })),
    replicas: text(spec?.replicas ?? 1),
    memory: spec?.memory_limit == null ? '' : text(spec.memory_limit / MIB),
    cpus: text(spec?.cpus),
    restart: spec?.restart ?? 'unless-stopped',
    checked: check !== null,
    healthcheck: {
      command: [...(check?.command ?? [''])],
      interval_s: text(check?.interval_s ?? 5),
      timeout_s: text(check?.timeout_s ?? 3),
      retries: text(check?.retries ?? 3),
      start_period_s: text(check?.start_period_s ?? 0),
    },
    rollout: {
      strategy: rollout.strategy ?? 'auto',
      health_timeout_s: text(rollout.health_timeout_s),
      min_healthy_s: text(rollout.min_healthy_s ?? 5),
      stop_timeout_s: text(rollout.stop_timeout_s ?? 10),
      watch_s: text(rollout.watch_s ?? 0),
      on_unhealthy: rollout.on_unhealthy ?? 'keep',
    },
  };
}

function draftOfPort(port: Port): Draft['ports'][number] {
  return {
    host: text(port.host),
    container: text(port.container),
    host_ip: port.host_ip ?? '',
    protocol: port.protocol ?? 'tcp',
  };
}

/** Fields of a spec that mean nothing to a kind: what runs says them itself. */
const FOREIGN: Record<string, readonly string[]> = {
  compose: ['command', 'ports', 'mounts', 'networks', 'labels', 'replicas', 'memory_limit', 'cpus', 'restart', 'healthcheck', 'rollout.strategy'],
  swarm: ['ports.host_ip'],
};

/** Whether a field of a spec means something to a kind. */
export function means(kind: string, field: string): boolean {
  const plain = field.replace(/\[\d+\]/g, '');
  const isOf = (foreign: string) => plain === foreign || plain.startsWith(`${foreign}.`);
  return !FOREIGN[kind]?.some(isOf);
}

/** The spec of a draft. It is whole only where there are no mistakes. What the API judges is left to the API. */
export function specOf(draft: Draft): { spec: Spec; mistakes: Mistakes } {
  const read = new Reader();
  const { rollout, ...spec } = whole(draft, read);
  const meant = (field: string) => means(draft.source.kind, field);
  return {
    spec: { ...only(spec, meant), rollout: only(rollout ?? {}, (field) => meant(`rollout.${field}`)) },
    mistakes: only(read.mistakes, meant),
  };
}

/** The members that are meant; a spec that lacks the others has them as the API takes them to be. */
function only<T extends object>(members: T, meant: (name: string) => boolean): T {
  return Object.fromEntries(Object.entries(members).filter(([name]) => meant(name))) as T;
}

function whole(draft: Draft, read: Reader): Spec {
  const memory = read.optional('memory_limit', draft.memory);
  return {
    name: read.required('name', draft.name),
    source: sourceOf(draft.source, read),
    command: [...draft.command],
    env: draft.env.map(variableOf),
    ports: draft.ports.map((port, i) => ({
      host: read.number(`ports[${i}].host`, port.host),
      container: read.number(`ports[${i}].container`, port.container),
      host_ip: (means(draft.source.kind, 'ports.host_ip') && port.host_ip.trim()) || null,
      protocol: port.protocol,
    })),
    mounts: draft.mounts.map((mount) => ({ ...mount, source: mount.source.trim(), target: mount.target.trim() })),
    networks: draft.networks.map((network) => network.trim()),
    labels: labelsOf(draft, read),
    replicas: read.number('replicas', draft.replicas),
    memory_limit: memory === null ? null : Math.round(memory * MIB),
    cpus: read.optional('cpus', draft.cpus),
    restart: draft.restart,
    healthcheck: draft.checked ? checkOf(draft, read) : null,
    rollout: {
      ...draft.rollout,
      health_timeout_s: read.optional('rollout.health_timeout_s', draft.rollout.health_timeout_s),
      min_healthy_s: read.number('rollout.min_healthy_s', draft.rollout.min_healthy_s),
      stop_timeout_s: read.number('rollout.stop_timeout_s', draft.rollout.stop_timeout_s),
      watch_s: read.number('rollout.watch_s', draft.rollout.watch_s),
    },
  };
}

function checkOf(draft: Draft, read: Reader): NonNullable<Spec['healthcheck']> {
  const check = draft.healthcheck;
  return {
    command: check.command.filter((argument, i) => argument !== '' || i > 0),
    interval_s: read.number('healthcheck.interval_s', check.interval_s),
    timeout_s: read.number('healthcheck.timeout_s', check.timeout_s),
    retries: read.number('healthcheck.retries', check.retries),
    start_period_s: read.number('healthcheck.start_period_s', check.start_period_s),
  };
}

function labelsOf(draft: Draft, read: Reader): Record<string, string> {
  const labels = new Map<string, string>();
  for (const { key, value } of draft.labels) {
    if (labels.has(key)) {
      read.mistakes[`labels.${key}`] = 'twice';
    }
    labels.set(key, value);
  }
  return Object.fromEntries(labels);
}

/** Paths of fields that a form has a place for, where the API's own path is wider or narrower than it. */
export function placeOf(field: string, draft: Draft): string | null {
  if (field.startsWith('source')) {
    return placeOfSource(field, draft.source);
  }
  if (!means(draft.source.kind, field)) {
    return null;
  }
  const list = /^(env|ports|mounts|networks|command)\[(\d+)\](?:\.(\w+))?$/.exec(field);
  if (list !== null) {
    return placeInList(list[1] ?? '', Number(list[2]), list[3], draft);
  }
  if (field.startsWith('labels')) {
    return draft.labels.some(({ key }) => field === `labels.${key}`) ? field : draft.labels.length > 0 ? `labels.${draft.labels[0]?.key}` : null;
  }
  return PLACES.has(field) ? field : null;
}

function placeInList(list: string, index: number, member: string | undefined, draft: Draft): string | null {
  const rows = { env: draft.env, ports: draft.ports, mounts: draft.mounts, networks: draft.networks, command: draft.command }[list];
  if (rows?.[index] === undefined) {
    return null;
  }
  if (list === 'env') {
    return `env[${index}].${member === 'name' ? 'name' : 'value'}`;
  }
  return member === undefined ? `${list}[${index}]` : `${list}[${index}].${member}`;
}

const PLACES = new Set([
  'name',
  'command',
  'replicas',
  'memory_limit',
  'cpus',
  'restart',
  'healthcheck.command',
  'healthcheck.interval_s',
  'healthcheck.timeout_s',
  'healthcheck.retries',
  'healthcheck.start_period_s',
  'rollout.strategy',
  'rollout.health_timeout_s',
  'rollout.min_healthy_s',
  'rollout.stop_timeout_s',
  'rollout.watch_s',
  'rollout.on_unhealthy',
]);

/** What the API says of a field, without the field's name before it: the form shows it at the field. */
export function ruleOf(detail: string, field: string): string {
  return detail.startsWith(`${field}: `) ? detail.slice(field.length + 2) : detail;
}

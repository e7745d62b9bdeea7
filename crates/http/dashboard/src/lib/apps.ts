import type { Container, Workload, WorkloadState } from '../api/schema';
import { isInline } from './source';

/** What a row of the list is sorted and filtered by. */
export interface Listed {
  readonly workload: Workload;
  readonly cpu: number | null;
  readonly memory: number | null;
}

export const SORTS = ['name', 'state', 'image', 'uptime', 'restarts', 'cpu', 'memory'] as const;
export type SortKey = (typeof SORTS)[number];

/** What needs attention comes first. */
const STATE_ORDER: Record<WorkloadState, number> = { degraded: 0, unknown: 1, stopped: 2, absent: 3, running: 4 };

/** Since when the oldest of its running containers runs, in milliseconds; `null` when none runs or nobody knows. */
export function runningSince(containers: readonly Container[]): number | null {
  const starts = containers.filter((container) => container.state === 'running').flatMap((c) => startedAt(c) ?? []);
  return starts.length > 0 ? Math.min(...starts) : null;
}

export function startedAt(container: Container): number | null {
  const started = container.started_at;
  return started == null ? null : Date.parse(started);
}

/** Restarts of all its containers; `null` when no number is known. */
export function restarts(containers: readonly Container[]): number | null {
  const known = containers.flatMap((container) => container.restarts ?? []);
  return known.length > 0 ? known.reduce((sum, n) => sum + n, 0) : null;
}

/** The id of the image that a container runs. */
export function imageId(container: Container): string | null {
  return container.image_id ?? null;
}

/** The images that it runs, the most usual first; those of its spec where it runs none. */
export function images(workload: Workload): string[] {
  const counts = new Map<string, number>();
  for (const { image } of workload.containers) {
    counts.set(image, (counts.get(image) ?? 0) + 1);
  }
  const running = [...counts].sort((a, b) => b[1] - a[1]).map(([image]) => image);
  const wanted = asked(workload);
  return running.length > 0 ? running : wanted !== null ? [wanted] : [];
}

/** The reference that was asked for; `null` where what runs is written in the spec. */
function asked({ current_deploy: row, spec }: Workload): string | null {
  const kind = row?.source_kind ?? spec?.source.kind;
  const reference = row?.requested ?? spec?.source.reference ?? null;
  return isInline(kind, reference) ? null : reference;
}

/** What people call what it runs: for a managed one what was asked for, not the digest that it was started by. */
export function imageName(workload: Workload): string | null {
  return (workload.current_deploy ? asked(workload) : null) ?? images(workload)[0] ?? null;
}

/** How many images it runs besides the one that it is called by. */
export function otherImages(workload: Workload): number {
  const running = images(workload);
  return running.some((image) => image === imageName(workload)) ? running.length - 1 : 0;
}

export function matches(workload: Workload, text: string, state: WorkloadState | null): boolean {
  if (state !== null && workload.state !== state) {
    return false;
  }
  const wanted = text.trim().toLowerCase();
  const haystack = [workload.name, imageName(workload) ?? '', ...images(workload), ...workload.containers.map((c) => c.name)];
  return wanted === '' || haystack.some((part) => part.toLowerCase().includes(wanted));
}

type Key = string | number | null;

function key(listed: Listed, by: SortKey): Key {
  const { workload } = listed;
  switch (by) {
    case 'name':
      return workload.name;
    case 'state':
      return STATE_ORDER[workload.state];
    case 'image':
      return imageName(workload);
    case 'uptime': {
      const since = runningSince(workload.containers);
      return since === null ? null : -since;
    }
    case 'restarts':
      return restarts(workload.containers);
    case 'cpu':
      return listed.cpu;
    case 'memory':
      return listed.memory;
  }
}

/** Sorts by one column, then by name. What is not known comes last in both directions. */
export function sorted<T extends Listed>(rows: readonly T[], by: SortKey, descending: boolean, collator: Intl.Collator): T[] {
  const keyed = rows.map((row) => ({ row, key: key(row, by) }));
  keyed.sort((a, b) => compare(a.key, b.key, descending, collator) || collator.compare(a.row.workload.name, b.row.workload.name));
  return keyed.map(({ row }) => row);
}

function compare(a: Key, b: Key, descending: boolean, collator: Intl.Collator): number {
  if (a === null || b === null) {
    return a === b ? 0 : a === null ? 1 : -1;
  }
  const order = typeof a === 'string' ? collator.compare(a, String(b)) : a - Number(b);
  return descending ? -order : order;
}

/** Numbers are wanted with the highest first, words from the beginning. */
export function startsDescending(by: SortKey): boolean {
  return by === 'cpu' || by === 'memory' || by === 'restarts' || by === 'uptime';
}

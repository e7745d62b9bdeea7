import type { KindStatus } from '../api/schema';
import type { Dictionary } from '../i18n/en';

/** What people call a source kind. */
export const kindName = (kind: string, t: Dictionary): string => t.kinds[kind] ?? kind;

/** The kind that a new app has before somebody chooses one. */
export function firstKind(kinds: readonly KindStatus[]): string {
  return kinds.find(({ kind }) => kind === 'image')?.kind ?? kinds[0]?.kind ?? 'image';
}

/** What a kind lacks on this machine, in the server's words. */
export function lacking(kinds: readonly KindStatus[], kind: string): readonly string[] {
  return kinds.find((one) => one.kind === kind)?.missing ?? [];
}

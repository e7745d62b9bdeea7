/** What a reference says, cut for people. The whole is always there to be copied. */

const DIGEST = /(?:^|@)(sha256:)?([0-9a-f]{64})$/;
const COMMIT = /@git:([0-9a-f]{40,64})$/;
const SHORT = 12;

/** The first twelve digits of a digest or image id, as engines print them; `null` where there is none. */
export function shortDigest(reference: string | null | undefined): string | null {
  const match = reference ? DIGEST.exec(reference) : null;
  return match?.[2]?.slice(0, SHORT) ?? null;
}

/** The whole commit that a reference is pinned to; `null` where there is none. */
export function commit(reference: string | null | undefined): string | null {
  return (reference ? COMMIT.exec(reference)?.[1] : null) ?? null;
}

/** The first twelve digits of a commit. */
export function shortCommit(reference: string | null | undefined): string | null {
  return commit(reference)?.slice(0, SHORT) ?? null;
}

/** A reference without its digest: the part that people chose. */
export function withoutDigest(reference: string): string {
  const at = reference.indexOf('@sha256:');
  return at > 0 ? reference.slice(0, at) : reference;
}

/** A pinned reference with its digest cut; anything else as it is. */
export function shortPinned(reference: string): string {
  const digest = shortDigest(reference);
  if (digest === null) {
    return reference;
  }
  const name = withoutDigest(reference);
  return name === reference ? `sha256:${digest}` : `${name}@${digest}`;
}

/** Work that waits for a frame of its own, so that several charts at once do not hold up the page. */
const waiting = new Map<object, () => void>();
let asked = false;

function ask(): void {
  if (!asked && waiting.size > 0) {
    asked = true;
    requestAnimationFrame(runOne);
  }
}

function runOne(): void {
  asked = false;
  const [owner, work] = waiting.entries().next().value ?? [];
  if (owner !== undefined) {
    waiting.delete(owner);
    work?.();
  }
  ask();
}

/** Does it in a frame to come. Newer work of the same owner takes the place of older. */
export function inFrame(owner: object, work: () => void): void {
  waiting.set(owner, work);
  ask();
}

export function forgetFrame(owner: object): void {
  waiting.delete(owner);
}

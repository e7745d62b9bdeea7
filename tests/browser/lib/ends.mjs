// What a test leaves behind.

const left = new WeakMap();

/** Does it when the test has ended, before all that was asked for earlier: a page closes before its server does. */
export function atEnd(t, act) {
  const acts = left.get(t) ?? [];
  acts.unshift(act);
  if (acts.length === 1) t.after(() => doAll(acts));
  left.set(t, acts);
}

/** The first that fails does not keep the others from being done. */
async function doAll(acts) {
  const errors = [];
  for (const act of acts) await Promise.resolve().then(act).catch((error) => errors.push(error));
  if (errors.length > 0) throw errors[0];
}

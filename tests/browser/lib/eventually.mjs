// Waiting for what comes by itself.

const OFTEN = 50;

export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Asks until the answer is truthy, and gives it. Ends with what was waited for if it never is.
 *
 * @param {string} what
 * @param {() => unknown} ask may throw for "not yet"
 */
export async function eventually(what, ask, { within = 60_000 } = {}) {
  const deadline = Date.now() + within;
  let last;
  for (;;) {
    try {
      last = await ask();
      if (last) return last;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`never came: ${what}; last: ${last?.message ?? JSON.stringify(last)}`);
    await pause(OFTEN);
  }
}

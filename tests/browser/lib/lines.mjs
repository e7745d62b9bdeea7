// Connections that are passed on from one place to another.

import { pipeline } from 'node:stream';

/** How a connection ends is for its two ends to say. */
const ended = () => {};

/** The connections of a proxy. */
export class Lines {
  #open = new Set();

  /** Passes on what comes at either end; `through` is what the answers pass. */
  join(front, back, ...through) {
    for (const line of [front, back]) {
      this.#open.add(line);
      line.on('close', () => this.#open.delete(line));
    }
    front.pipe(back);
    front.on('close', () => back.destroy());
    // What is still on its way when the one behind hangs up is passed on before the other one is told.
    pipeline(back, ...through, front, ended);
  }

  /** Ends all of them in the middle. */
  cut() {
    for (const line of this.#open) line.destroy();
  }
}

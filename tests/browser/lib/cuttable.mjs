// A unix socket in front of an engine's, whose line can be cut.

import { connect, createServer } from 'node:net';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export class Cuttable {
  #lines = new Set();
  #server;

  /** @param {string} engine `unix:///path` */
  static async before(engine) {
    const folder = await mkdtemp(join(tmpdir(), 'engine-'));
    const cuttable = new Cuttable();
    cuttable.path = join(folder, 'engine.sock');
    cuttable.behind = engine.replace(/^unix:\/\//, '');
    cuttable.address = `unix://${cuttable.path}`;
    await cuttable.mend();
    return cuttable;
  }

  /** Lets through what comes from now on. */
  mend() {
    this.#server = createServer((front) => this.#relay(front));
    return new Promise((resolve) => this.#server.listen(this.path, resolve));
  }

  #relay(front) {
    const back = connect(this.behind);
    for (const [one, other] of [[front, back], [back, front]]) {
      this.#lines.add(one);
      one.pipe(other);
      one.on('error', () => other.destroy());
      one.on('close', () => {
        this.#lines.delete(one);
        other.destroy();
      });
    }
  }

  /** Ends every connection in the middle, and is gone. */
  async cut() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const line of this.#lines) line.destroy();
    await closed;
    await rm(this.path, { force: true });
  }
}

// A unix socket in front of an engine's, whose line can be cut.

import { mkdtemp } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { atEnd } from './ends.mjs';
import { Lines } from './lines.mjs';

export class Cuttable {
  #lines = new Lines();
  #server;
  #behind;
  #path;

  /** @param {string} engine `unix:///path` */
  static async before(t, engine) {
    const cuttable = new Cuttable();
    cuttable.#path = join(await mkdtemp(join(tmpdir(), 'engine-')), 'engine.sock');
    cuttable.#behind = engine.replace(/^unix:\/\//, '');
    cuttable.address = `unix://${cuttable.#path}`;
    await cuttable.mend();
    atEnd(t, () => cuttable.cut());
    return cuttable;
  }

  /** Lets through what comes from now on. */
  mend() {
    this.#server = createServer((front) => this.#lines.join(front, connect(this.#behind)));
    return new Promise((resolve) => this.#server.listen(this.#path, resolve));
  }

  /** Ends every connection in the middle, and is gone, with its socket. */
  cut() {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#lines.cut();
    return closed;
  }
}

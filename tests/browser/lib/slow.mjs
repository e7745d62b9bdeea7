// A line to a registry that is as slow as one over a network.

import { connect, createServer } from 'node:net';
import { Transform } from 'node:stream';

import { atEnd } from './ends.mjs';
import { pause } from './eventually.mjs';
import { Lines } from './lines.mjs';

/** Holds back what is more than so many bytes a second. */
function throttle(rate) {
  return new Transform({
    async transform(chunk, _, done) {
      await pause((chunk.length / rate) * 1_000);
      done(null, chunk);
    },
  });
}

/** Listens on a port of loopback before `host:port`, and gives its own `host:port`. */
export async function slow(t, behind, rate) {
  const [host, port] = behind.split(':');
  const lines = new Lines();
  const server = createServer((front) => lines.join(front, connect(Number(port), host), throttle(rate)));
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    lines.cut();
    return new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${server.address().port}`;
}

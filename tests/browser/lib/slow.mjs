// A line to a registry that is as slow as one over a network.

import { Transform } from 'node:stream';
import { connect, createServer } from 'node:net';

import { pause } from './eventually.mjs';

/** Holds back what is more than so many bytes a second. */
function throttle(rate) {
  return new Transform({
    highWaterMark: 16 * 1024,
    async transform(chunk, _, done) {
      await pause((chunk.length / rate) * 1_000);
      done(null, chunk);
    },
  });
}

/** Listens on a port of loopback before `host:port`, and gives its own `host:port`. */
export async function slow(t, behind, rate) {
  const [host, port] = behind.split(':');
  const lines = new Set();
  const server = createServer((front) => {
    const back = connect(Number(port), host);
    front.pipe(back);
    back.pipe(throttle(rate)).pipe(front);
    for (const line of [front, back]) {
      lines.add(line);
      line.on('error', () => {});
      line.on('close', () => {
        lines.delete(line);
        front.destroy();
        back.destroy();
      });
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.after(() => {
    for (const line of lines) line.destroy();
    return new Promise((resolve) => server.close(resolve));
  });
  return `127.0.0.1:${server.address().port}`;
}

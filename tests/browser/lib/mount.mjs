// A web server of somebody's that has the pages of another below a path of its own.

import { createServer, request } from 'node:http';

import { atEnd } from './ends.mjs';

/** Serves `server` below `prefix`, also its WebSockets; gives its address. */
export async function mount(t, server, prefix) {
  const behind = new URL(server.url);
  const forward = (incoming) => {
    const path = incoming.url.slice(prefix.length);
    return { host: behind.hostname, port: behind.port, path, method: incoming.method, headers: incoming.headers };
  };
  const proxy = createServer((incoming, outgoing) => {
    if (!incoming.url.startsWith(`${prefix}/`)) {
      outgoing.writeHead(404).end('not of shipslog');
      return;
    }
    const passed = request(forward(incoming), (answer) => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    passed.on('error', () => outgoing.destroy());
    outgoing.on('close', () => passed.destroy());
    incoming.pipe(passed);
  });
  proxy.on('upgrade', (incoming, front) => {
    const passed = request(forward(incoming));
    passed.on('upgrade', (answer, back, head) => {
      const headers = Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}`);
      front.write(`HTTP/1.1 101 Switching Protocols\r\n${headers.join('\r\n')}\r\n\r\n`);
      front.write(head);
      back.pipe(front).pipe(back);
      for (const line of [front, back]) line.on('error', () => line.destroy());
    });
    passed.on('response', () => front.destroy());
    passed.on('error', () => front.destroy());
    passed.end();
  });
  await new Promise((resolve) => proxy.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    proxy.closeAllConnections();
    return new Promise((resolve) => proxy.close(resolve));
  });
  return { url: `http://127.0.0.1:${proxy.address().port}${prefix}` };
}

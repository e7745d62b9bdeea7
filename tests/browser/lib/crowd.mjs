// An engine of make-believe with very many containers, which no machine could start for a test.

import { createServer } from 'node:http';

import { atEnd } from './ends.mjs';

const began = Date.now();
const id = (i) => i.toString(16).padStart(64, '0');

const listed = (i) => ({
  Id: id(i),
  Names: [`/crowd-${String(i).padStart(3, '0')}`],
  Image: `registry.example/crowd/app-${i % 12}:1.${i}`,
  ImageID: `sha256:${id(i)}`,
  Created: Math.floor(began / 1_000),
  State: 'running',
  Status: 'Up 1 minute',
  Labels: {},
  Ports: [],
});

// With a process that is not to be seen here, so that its counters are asked for.
const inspected = (i) => ({
  Id: id(i),
  Name: listed(i).Names[0],
  State: { Running: true, Status: 'running', Pid: 4_194_303, StartedAt: new Date(began).toISOString() },
});

/** Counters that go on, each container's at a pace of its own. */
function read(i) {
  const elapsed = (Date.now() - began) * 1e6;
  return {
    read: new Date().toISOString(),
    cpu_stats: {
      cpu_usage: { total_usage: Math.round(elapsed * (0.02 + (i % 7) / 20)) },
      system_cpu_usage: elapsed * 2,
      online_cpus: 2,
    },
    memory_stats: { usage: (20 + (i % 90)) * 1024 * 1024 + (Date.now() % 4096) * 256, limit: 512 * 1024 * 1024, stats: {} },
    networks: { eth0: { rx_bytes: Math.round(elapsed / 1e5), tx_bytes: Math.round(elapsed / 2e5) } },
    blkio_stats: { io_service_bytes_recursive: [] },
  };
}

function answer(path, many) {
  if (path === '/version') return { Version: '20.10.24', ApiVersion: '1.41' };
  if (path === '/containers/json') return Array.from({ length: many }, (_, i) => listed(i));
  const [, container, what] = /^\/containers\/([0-9a-f]{64})\/(json|stats)$/.exec(path) ?? [];
  if (container === undefined) return null;
  return what === 'json' ? inspected(parseInt(container, 16)) : read(parseInt(container, 16));
}

/** Answers for so many containers; gives its address. */
export async function crowd(t, many) {
  const server = createServer((request, response) => {
    const path = new URL(request.url, 'http://engine').pathname.replace(/^\/v[\d.]+/, '');
    // Nothing ever happens there: the stream of events stays open.
    if (path === '/events') return response.writeHead(200).flushHeaders();
    const body = answer(path, many);
    return response.writeHead(body ? 200 : 404, { 'content-type': 'application/json' }).end(JSON.stringify(body));
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  atEnd(t, () => {
    server.closeAllConnections();
    return new Promise((resolve) => server.close(resolve));
  });
  return `tcp://127.0.0.1:${server.address().port}`;
}

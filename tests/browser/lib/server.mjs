// The example server as a child process, and a client of its API.

import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { dockerConfig, engine, program } from './environment.mjs';
import { eventually } from './eventually.mjs';

export const ADMIN = 'admin-token-of-the-browser-tests';
export const VIEWER = 'viewer-token-of-the-browser-tests';

/** A port that is free, and not of those that outgoing connections take: one of them could have it before whoever it is for. */
export async function freePort() {
  const port = 10_000 + Math.floor(Math.random() * 22_000);
  const server = createServer();
  const listens = await new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '0.0.0.0', () => resolve(true));
  });
  if (!listens) return freePort();
  await new Promise((resolve) => server.close(resolve));
  return port;
}

export class Server {
  #child;
  #settings;

  /** Not started yet. */
  constructor(settings) {
    this.#settings = settings;
    this.url = `http://127.0.0.1:${settings.port}`;
    this.log = join(settings.data, '..', 'server.log');
  }

  /** Starts one with data of its own. */
  static async start({ docker = engine, flags = [], data, config = dockerConfig } = {}) {
    data ??= join(await mkdtemp(join(tmpdir(), 'server-')), 'data');
    const server = new Server({ docker, flags, data, config, port: await freePort() });
    await server.start();
    return server;
  }

  /** Starts it, at the same address as before, and waits until it listens. */
  async start() {
    const { docker, flags, data, config, port } = this.#settings;
    const args = ['--listen', `127.0.0.1:${port}`, '--data', data, '--docker', docker, '--tick', '1s', '--poll', '1s', ...flags];
    const env = { ...process.env, SHIPSLOG_ADMIN_TOKEN: ADMIN, SHIPSLOG_VIEWER_TOKEN: VIEWER, DOCKER_CONFIG: config };
    this.#child = spawn(program, args, { env, stdio: ['ignore', 'ignore', 'pipe'] });
    this.#child.stderr.pipe(createWriteStream(this.log, { flags: 'a' }));
    await eventually('a server that listens', () => this.#answers(), { within: 60_000 });
  }

  async #answers() {
    if (this.#child.exitCode !== null) throw new Error(await readFile(this.log, 'utf8'));
    return (await fetch(`${this.url}/readyz`)).ok;
  }

  /** Asks it to end, and waits until it has. */
  async stop() {
    const child = this.#child;
    if (child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGTERM');
    await ended;
  }

  /** The address that signs in. */
  signIn(token = ADMIN) {
    return `${this.url}/?token=${token}`;
  }

  /** Asks the API, as an admin; throws what it refuses. */
  async api(path, { method, body } = {}) {
    const answer = await fetch(`${this.url}/api${path}`, {
      method: method ?? (body === undefined ? 'GET' : 'POST'),
      headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    if (!answer.ok) throw new Error(`${path}: ${answer.status} ${await answer.text()}`);
    return answer.status === 204 ? null : answer.json();
  }

  /** Creates a workload and gives its id. */
  async create(spec) {
    return (await this.api('/workloads', { body: spec })).id;
  }

  /** Deploys and gives the closed row. */
  deploy(id, body = {}) {
    return this.api(`/workloads/${id}/deploys?wait=true`, { body });
  }

  workload(id) {
    return this.api(`/workloads/${id}`);
  }

  ledger(id) {
    return this.api(`/workloads/${id}/deploys`);
  }
}

/** A spec with limits that keep tests short. */
export function spec(name, reference, more = {}) {
  const rollout = { min_healthy_s: 1, stop_timeout_s: 1, health_timeout_s: 10 };
  return { name, source: { kind: 'image', reference }, rollout, ...more };
}

/** A published port on loopback. */
export const published = (port) => ({ ports: [{ host: port, container: 80, host_ip: '127.0.0.1' }] });

/** What a container serves. */
export function served(port) {
  return eventually('a page that is served', async () => {
    const answer = await fetch(`http://127.0.0.1:${port}/`, { signal: AbortSignal.timeout(5_000) });
    return (await answer.text()).trim();
  });
}

// The engine's command line, and images made on the spot.

import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';

import { dockerConfig, engine, registry, run, unique } from './environment.mjs';

const exec = promisify(execFile);
const MIB = 1024 * 1024;

/** Runs a docker command and gives what it printed. */
export async function docker(...args) {
  // The classic builder needs no plugin and pulls nothing.
  const env = { ...process.env, DOCKER_HOST: engine, DOCKER_CONFIG: dockerConfig, DOCKER_BUILDKIT: '0' };
  const { stdout } = await exec('docker', args, { env, maxBuffer: 16 * MIB });
  return stdout.trim();
}

/** A web server that answers this page. */
export const serves = (page) => ({ page, command: ['/bin/busybox', 'httpd', '-f', '-p', '80', '-h', '/www'] });

/** Ends at once. */
export const ends = { page: 'never seen', command: ['/bin/busybox', 'false'] };

/**
 * Builds an image of nothing but busybox, and pushes it.
 *
 * @param {string} name repository and tag
 * @param {{page: string, command: string[], layers?: number, mib?: number}} what `layers` more, of `mib` random MiB each
 * @returns {Promise<string>} its reference
 */
export async function push(name, { page, command, layers = 0, mib = 0 }) {
  const reference = `${registry}/${name}`;
  const folder = await mkdtemp(join(tmpdir(), 'image-'));
  try {
    await layOut(folder, page, command, layers, mib);
    await docker('build', '--quiet', '--tag', reference, folder);
  } finally {
    await rm(folder, { recursive: true });
  }
  await docker('push', '--quiet', reference);
  return reference;
}

async function layOut(folder, page, command, layers, mib) {
  await mkdir(join(folder, 'www'));
  await cp('/bin/busybox', join(folder, 'busybox'));
  await writeFile(join(folder, 'www/index.html'), page);
  const payload = Array.from({ length: layers }, (_, i) => `payload-${i}`);
  for (const file of payload) await writeFile(join(folder, file), randomBytes(mib * MIB));
  const lines = [
    'FROM scratch',
    'COPY busybox /bin/busybox',
    ...payload.map((file) => `COPY ${file} /${file}`),
    'COPY www /www',
    `CMD ${JSON.stringify(command)}`,
    // Last, so that the images in between do not have it: they go with this one, and not before it.
    `LABEL shipslog.test=${run}`,
  ];
  await writeFile(join(folder, 'Dockerfile'), `${lines.join('\n')}\n`);
}

/** Removes an image from the engine, so that it has to be pulled. */
export const forget = (reference) => docker('rmi', '--force', reference);

/** Starts a container that shipslog does not know, and gives its name. */
export async function start(reference, ...options) {
  const name = unique('strange');
  await docker('run', '--detach', '--name', name, '--label', `shipslog.test=${run}`, ...options, reference);
  return name;
}

export const remove = (...names) => docker('rm', '--force', '--volumes', ...names);

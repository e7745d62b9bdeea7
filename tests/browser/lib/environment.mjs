// What tests/env/run-tests.sh gives to these tests.

import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A variable that must be there. */
function required(name) {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set: run these tests with make test-browser`);
  return value;
}

export const run = required('SHIPSLOG_TEST_RUN');
export const engine = required('SHIPSLOG_TEST_ENGINE');
export const registry = required('SHIPSLOG_TEST_REGISTRY');
export const dockerConfig = required('DOCKER_CONFIG');

/** The example server's program. */
export const program = required('SHIPSLOG_TEST_SERVER');

/** The program that fills a database with history. */
export const fill = required('SHIPSLOG_TEST_FILL');

/** Where the pictures go: outside the repository, and kept. */
export const screenshots = process.env.SHIPSLOG_TEST_SCREENSHOTS || join(tmpdir(), 'shipslog-screenshots');

let names = 0;

/** A name that nobody else on this machine has. The run's end removes what has it. */
export function unique(what) {
  names += 1;
  return `${what}-${run}-${process.pid}-${names}`;
}

// Apps of every source kind, from the form to the ledger. A kind that the server does not have is skipped.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Visit, launch } from './lib/browser.mjs';
import { docker, ends, push, serves } from './lib/docker.mjs';
import { atEnd } from './lib/ends.mjs';
import { unique } from './lib/environment.mjs';
import { eventually } from './lib/eventually.mjs';
import { Server, freePort, served } from './lib/server.mjs';

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** What the server says of the source kinds once each of their tools has answered, which takes long on a busy machine. */
const kinds = () =>
  eventually('what all kinds find', async () => {
    const { kinds } = await server.api('/system');
    return kinds.every(({ missing }) => !missing.some((what) => what.includes('not known yet'))) && kinds;
  });

const kindOf = async (name) => (await kinds()).find(({ kind }) => kind === name);

/** The form of a new app, with a kind chosen. */
async function newApp(page, kind, name) {
  await page.goto(`${server.signIn()}#/new`);
  await page.getByRole('radio', { name: kind }).check();
  await page.getByLabel('Name', { exact: true }).fill(name);
}

/** Creates what the form says, notes it among those that are made, and gives its id. */
async function create(page, made) {
  await page.getByRole('button', { name: 'Create' }).click();
  await page.getByRole('button', { name: 'Deploy', exact: true }).waitFor();
  const [, id] = /#\/apps\/([^/]+)/.exec(page.url());
  made.push(id);
  return id;
}

/** Apps that are removed in the end, when no page shows them any more. */
function removedInTheEnd(t) {
  const made = [];
  atEnd(t, () => Promise.all(made.map((id) => server.api(`/workloads/${id}`, { method: 'DELETE' }))));
  return made;
}

/** Deploys by the dialog; gives the closed row. */
async function deploy(page, id, begin = async () => {}) {
  await page.getByRole('button', { name: 'Deploy', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await begin(dialog);
  const answered = page.waitForResponse((response) => response.request().method() === 'POST' && response.status() === 202);
  await dialog.getByRole('button', { name: 'Deploy', exact: true }).click();
  const row = await (await answered).json();
  await eventually('its end', async () => (await server.api(`/deploys/${row.id}`)).outcome !== 'running', { within: 180_000 });
  await page.locator(`[data-deploy="${row.id}"]`).filter({ hasText: /succeeded|failed/ }).waitFor();
  return server.api(`/deploys/${row.id}`);
}

const composeFile = (port, web, side) => `services:
  web:
    image: ${web}
    stop_grace_period: 1s
    ports: ["127.0.0.1:${port}:80"]
  side:
    image: ${side}
    stop_grace_period: 1s
`;

test('a Compose file is typed in, deployed, and told service by service', async (t) => {
  const repository = unique('composed');
  const [one, two, broken] = await Promise.all([
    push(`${repository}:1`, serves('version 1')),
    push(`${repository}:2`, serves('version 2')),
    push(`${repository}:broken`, ends),
  ]);
  const port = await freePort();
  const made = removedInTheEnd(t);
  const visit = await Visit.open(t, browser, server);
  visit.expectFailures = true;
  const { page } = visit;

  await newApp(page, 'Compose', unique('shop'));
  assert.equal(await page.getByRole('heading', { name: 'Published ports' }).count(), 0, 'what the file says is not asked for');
  const file = page.getByLabel('Text of the Compose file');
  await tabIndents(page, file);
  await file.fill('services:\n  web: [');
  await page.getByRole('button', { name: 'Create' }).click();
  await eventually('a refusal at the file', async () => (await file.getAttribute('aria-invalid')) === 'true');
  await file.fill(composeFile(port, one, two));
  await page.locator('summary', { hasText: 'How it is deployed' }).click();
  await page.getByLabel('Must run for, s').fill('1');
  const id = await create(page, made);

  const row = await deploy(page, id, async (dialog) => {
    assert.equal(await dialog.getByLabel(/reference/i).count(), 0, 'there is nothing to choose');
  });
  assert.equal(row.outcome, 'succeeded');
  assert.equal(await served(port), 'version 1');
  await servicesAreShown(page, row);
  await whatFailsIsNamed(page, id, composeFile(port, one, broken));
  assert.equal(await served(port), 'version 1');
});

async function tabIndents(page, file) {
  await file.fill('services:\n');
  await file.press('Tab');
  assert.equal(await file.inputValue(), 'services:\n  ');
  await file.press('Escape');
  await file.press('Tab');
  assert.ok(await file.evaluate((one) => one !== document.activeElement), 'after Escape, Tab leaves the field');
}

async function servicesAreShown(page, row) {
  const shown = page.locator(`[data-deploy="${row.id}"]`);
  await shown.getByText('2 services').click();
  for (const { name, reference } of row.parts) {
    const service = shown.locator('dl > div').filter({ has: page.getByText(name, { exact: true }) });
    const short = reference.split('sha256:')[1].slice(0, 12);
    assert.ok((await service.textContent()).includes(short), `${name} is pinned to ${short}`);
    await service.getByRole('button', { name: `Copy the pinned reference of ${name}` }).waitFor();
  }
}

async function whatFailsIsNamed(page, id, file) {
  await page.getByRole('link', { name: 'Edit' }).click();
  assert.equal(await page.getByLabel('Source kind').getAttribute('readonly'), '');
  await page.getByLabel('Text of the Compose file').fill(file);
  await page.getByRole('button', { name: 'Save as a new revision' }).click();
  const row = await deploy(page, id);
  assert.equal(row.outcome, 'failed');
  assert.equal(row.error.part, 'side');
  await page.locator(`[data-deploy="${row.id}"]`).getByText('Service side:').waitFor();
}

test('a Git reference is typed in by its parts, and taken apart again', async (t) => {
  const made = removedInTheEnd(t);
  const { page } = await Visit.open(t, browser, server);
  await newApp(page, 'Git', unique('built'));
  // A whole one that was copied from somewhere, and left for the next field.
  await page.getByLabel('Repository', { exact: true }).fill('https://git.example/team/app.git#v1:services/api');
  await page.getByLabel('Dockerfile').fill('docker/Dockerfile');
  assert.equal(await page.getByLabel('Branch, tag or commit').inputValue(), 'v1');
  await page.getByRole('button', { name: 'Add a build argument' }).click();
  await page.getByLabel('Name', { exact: true }).last().fill('VERSION');
  await page.getByLabel('Value', { exact: true }).fill('1');
  const id = await create(page, made);
  const { spec } = await server.workload(id);
  assert.equal(spec.source.reference, 'https://git.example/team/app.git#v1:services/api');
  assert.equal(spec.source.options.dockerfile, 'docker/Dockerfile');
  assert.deepEqual(spec.source.options.build_args, [{ name: 'VERSION', value: '1' }]);

  await page.getByRole('link', { name: 'Edit' }).click();
  assert.equal(await page.getByLabel('Repository', { exact: true }).inputValue(), 'https://git.example/team/app.git');
  assert.equal(await page.getByLabel('Subfolder').inputValue(), 'services/api');
  await page.getByRole('link', { name: 'Cancel' }).click();
  await page.getByRole('button', { name: 'Deploy', exact: true }).click();
  await page.getByRole('dialog').getByLabel('Branch, tag or commit').waitFor();
});

test('a kind that lacks something can be chosen, and says what it lacks before anything is deployed', async (t) => {
  const swarm = await kindOf('swarm');
  if (swarm.ready) return t.skip('this engine is a manager of a swarm');
  const image = await push(`${unique('swarm')}:1`, serves('service'));
  const made = removedInTheEnd(t);
  const { page } = await Visit.open(t, browser, server);
  await newApp(page, 'Swarm', unique('service'));
  await page.getByText(swarm.missing[0]).waitFor();
  await page.getByLabel('Image reference').fill(image);
  await page.getByLabel('Replicas replaced at a time').fill('2');
  const id = await create(page, made);
  assert.equal((await server.workload(id)).spec.source.options.parallelism, 2);
  await page.getByRole('button', { name: 'Deploy', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByText(swarm.missing[0]).waitFor();
  assert.equal(await dialog.getByRole('button', { name: 'Deploy', exact: true }).getAttribute('aria-disabled'), 'true');
  assert.deepEqual(await server.ledger(id), []);
  assert.equal(await docker('ps', '--all', '--quiet', '--filter', `label=shipslog.workload=${id}`), '');
});

test('the system page tells of every kind, and what it lacks', async (t) => {
  const known = await kinds();
  const { page } = await Visit.open(t, browser, server);
  await page.goto(`${server.signIn()}#/system`);
  const rows = page.getByRole('region', { name: 'Source kinds' }).locator('.kinds > li');
  await eventually('the kinds', async () => (await rows.count()) === known.length);
  for (const [i, kind] of known.entries()) {
    for (const said of [...kind.uses, ...kind.missing, kind.rollback ? 'Can roll back' : 'Cannot roll back']) {
      await eventually(`${kind.kind}: ${said}`, async () => (await rows.nth(i).textContent()).includes(said));
    }
  }
});

// From an empty form to a rollback, as an operator does it; what a container serves is the proof.

import assert from 'node:assert/strict';
import { mkdtemp, readFile, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Visit, launch } from './lib/browser.mjs';
import { docker, ends, forget, push, serves } from './lib/docker.mjs';
import { atEnd } from './lib/ends.mjs';
import { dockerConfig, registry, unique } from './lib/environment.mjs';
import { eventually } from './lib/eventually.mjs';
import { ADMIN, Server, VIEWER, freePort, published, served, spec } from './lib/server.mjs';
import { slow } from './lib/slow.mjs';

const MIB = 1024 * 1024;

let browser;
let server;
const images = {};

before(async () => {
  const repository = unique('app');
  [browser, server, images.one, images.two, images.ends] = await Promise.all([
    launch(),
    Server.start(),
    push(`${repository}:1`, serves('version 1')),
    push(`${repository}:2`, serves('version 2')),
    push(`${repository}:broken`, ends),
  ]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** The rows of the ledger on a page. */
const ledger = (page) => page.getByRole('list', { name: 'Deploy history' }).getByRole('listitem');

/** Deploys what the fields say, and waits for the end. */
async function deploy(page, reference, outcome) {
  await page.getByRole('button', { name: 'Deploy', exact: true }).click();
  const dialog = page.getByRole('dialog');
  await dialog.getByLabel('Reference').fill(reference);
  await over(page, () => dialog.getByRole('button', { name: 'Deploy', exact: true }).click(), outcome);
}

/** Until what `begin` begins is over; the page goes on showing the outcome before it until it is answered. */
async function over(page, begin, outcome) {
  const answered = page.waitForResponse((response) => response.request().method() === 'POST' && response.status() === 202);
  await begin();
  const { id } = await (await answered).json();
  await page.locator(`[data-deploy="${id}"]`).filter({ hasText: outcome.toLowerCase() }).waitFor();
  await page.getByTestId('progress').getByText(outcome).first().waitFor();
}

test('an app is created, deployed, fails to be replaced, and is rolled back', async (t) => {
  const visit = await Visit.open(t, browser, server);
  visit.expectFailures = true;
  const { page } = visit;
  const app = { name: unique('web'), port: await freePort() };
  await page.goto(server.signIn());
  await page.getByRole('link', { name: 'New app' }).first().click();
  await wrongFieldsAreSaidWhereTheyAre(page);
  app.id = await create(page, app);
  await deploy(page, '', 'Succeeded');
  assert.equal(await served(app.port), 'version 1');
  await deploy(page, images.two, 'Succeeded');
  assert.equal(await served(app.port), 'version 2');
  await aVersionThatDoesNotLiveIsNotLetIn(page, app);
  await aRollbackSaysWhatWillRunAndAsksFirst(page, app);
  await aRevisionIsSaved(page, app);
  await deleted(page, app);
});

async function wrongFieldsAreSaidWhereTheyAre(page) {
  const name = page.getByLabel('Name', { exact: true });
  await name.fill('no spaces please');
  await page.getByLabel('Image reference').fill(images.one);
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await eventually('a field that is marked', async () => (await name.getAttribute('aria-invalid')) === 'true');
  assert.match(await described(page, name), /must|characters/);
  assert.deepEqual(await managed(), []);
}

/** The texts that a field is described by. */
async function described(page, field) {
  const ids = (await field.getAttribute('aria-describedby')).split(' ');
  const texts = await Promise.all(ids.map((id) => page.locator(`[id="${id}"]`).textContent()));
  return texts.join(' ');
}

const managed = async () => (await server.api('/workloads')).filter((workload) => workload.managed);

async function create(page, { name, port }) {
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByRole('button', { name: 'Add a port' }).click();
  await page.getByLabel('Host port').fill(String(port));
  await page.getByLabel('Container port').fill('80');
  await page.locator('summary', { hasText: 'How it is deployed' }).click();
  await page.getByLabel('Must run for, s').fill('1');
  await page.getByLabel('Time to stop, s').fill('1');
  await page.getByRole('button', { name: 'Create', exact: true }).click();
  await page.getByRole('heading', { name, level: 1 }).waitFor();
  const [created] = await managed();
  assert.deepEqual([created.name, created.spec.ports[0].host, created.state], [name, port, 'absent']);
  return created.id;
}

async function aVersionThatDoesNotLiveIsNotLetIn(page, { port }) {
  await deploy(page, images.ends, 'Failed');
  await eventually('its row', async () => (await ledger(page).count()) === 3);
  const row = ledger(page).first();
  assert.match(await row.textContent(), /failed.*ended or restarted before it counted as healthy/s);
  assert.equal(await row.getByRole('button', { name: /^Roll back/ }).isEnabled(), false);
  assert.match(await row.textContent(), /Only a deploy that succeeded can be rolled back to/);
  assert.match(await ledger(page).nth(1).textContent(), /current/);
  assert.equal(await served(port), 'version 2');
}

async function aRollbackSaysWhatWillRunAndAsksFirst(page, { id, port }) {
  const first = ledger(page).last();
  await first.getByRole('button', { name: /^Roll back/ }).click();
  const dialog = page.getByRole('dialog', { name: 'Roll back?' });
  const pinned = (await server.ledger(id)).at(-1).reference;
  const said = await dialog.textContent();
  assert.ok(said.includes(images.one) && said.includes(pinned.split('@sha256:')[1].slice(0, 8)), said);
  assert.match(said, /revision 1/);
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  assert.equal(await served(port), 'version 2');

  await first.getByRole('button', { name: /^Roll back/ }).click();
  await dialog.getByRole('button', { name: 'Roll back', exact: true }).click();
  await page.getByTestId('progress').getByText('Succeeded').first().waitFor();
  assert.equal(await served(port), 'version 1');
  await eventually('its row', async () => (await ledger(page).count()) === 4);
  assert.match(await ledger(page).first().textContent(), /current.*rollback/s);
  await ledger(page).first().getByRole('link', { name: /^Replays the deploy/ }).click();
  await eventually('the row that it leads to', () => first.evaluate((row) => row === document.activeElement));
}

async function aRevisionIsSaved(page, { id, port }) {
  await page.getByRole('link', { name: 'Edit' }).click();
  const replicas = page.getByLabel('Replicas');
  await replicas.fill('0');
  await page.getByRole('button', { name: 'Save as a new revision' }).click();
  await eventually('a refusal', async () => (await replicas.getAttribute('aria-invalid')) === 'true');
  await replicas.fill('1');
  await page.getByLabel('Memory limit, MiB').fill('64');
  await page.getByRole('button', { name: 'Save as a new revision' }).click();
  await page.getByText('spec revision 2').waitFor();
  const { spec } = await server.workload(id);
  assert.deepEqual([spec.memory_limit, spec.ports[0].host], [64 * MIB, port]);
}

async function deleted(page, { name }) {
  await page.getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Delete', exact: true }).click();
  await page.getByRole('heading', { name: 'Apps', level: 1 }).waitFor();
  await page.getByRole('link', { name }).waitFor({ state: 'detached' });
  assert.equal(await docker('ps', '--all', '--quiet', '--filter', `name=${name}`), '');
}

/** A client configuration that knows the registry under another address, too. */
async function alsoAt(host) {
  const config = JSON.parse(await readFile(join(dockerConfig, 'config.json'), 'utf8'));
  config.auths[host] = config.auths[registry];
  const folder = await mkdtemp(join(tmpdir(), 'docker-'));
  await writeFile(join(folder, 'config.json'), JSON.stringify(config));
  return folder;
}

test('the layers and bytes of a running deploy are told as they come', async (t) => {
  const repository = unique('large');
  const reference = await push(`${repository}:1`, { ...serves('large'), layers: 3, mib: 4 });
  await forget(reference);
  const host = await slow(t, registry, 2 * MIB);
  const slowly = await Server.start({ config: await alsoAt(host) });
  atEnd(t, () => slowly.stop());
  const id = await slowly.create(spec(unique('large'), reference.replace(registry, host)));

  const { page } = await Visit.open(t, browser, slowly);
  await page.goto(`${slowly.url}/?token=${ADMIN}#/apps/${id}`);
  await page.evaluate(() => {
    window.seen = new Set();
    const look = () => document.querySelectorAll('[data-testid=progress] li').forEach((step) => window.seen.add(step.textContent));
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
  await deploy(page, '', 'Succeeded');
  const seen = await page.evaluate(() => [...window.seen].map((text) => text.replace(/\s+/g, ' ').trim()));
  const bytes = seen.flatMap((text) => [...text.matchAll(/([\d.]+) MiB of ([\d.]+) MiB/g)]).map(([, done, all]) => [Number(done), Number(all)]);
  assert.ok(new Set(bytes.map(([done]) => done)).size >= 3, `bytes were not counted up: ${seen.join(' | ')}`);
  assert.ok(bytes.some(([, all]) => all >= 12), 'all three layers are in the total');
  assert.ok(seen.some((text) => /\d of \d layers/.test(text)), seen.join(' | '));
  assert.ok(seen.some((text) => text.includes('Waiting until it is healthy')), seen.join(' | '));
});

test('a viewer sees everything, and no button that changes anything', async (t) => {
  const [name, port] = [unique('seen'), await freePort()];
  const id = await server.create(spec(name, images.one, published(port)));
  await server.deploy(id);
  await server.deploy(id, { reference: images.two });

  const { page } = await Visit.open(t, browser, server);
  await page.goto(server.signIn(VIEWER));
  await page.getByRole('link', { name }).click();
  await eventually('the ledger', async () => (await ledger(page).count()) === 2);
  for (const changing of [/^Deploy/, /^Roll back/, /^Delete/, /^Edit/, /New app/]) {
    assert.equal(await page.getByRole('button', { name: changing }).count(), 0, String(changing));
  }
  assert.equal(await page.getByRole('link', { name: 'Edit' }).count(), 0);
  await page.goto(`${server.url}/#/`);
  await page.getByRole('heading', { name: 'Apps', level: 1 }).waitFor();
  assert.equal(await page.getByRole('link', { name: 'New app' }).count(), 0);
  for (const address of ['#/new', `#/apps/${id}/edit`]) {
    await page.goto(`${server.url}/${address}`);
    await page.getByText('Your token may not do this').waitFor();
    assert.equal(await page.getByRole('button', { name: /Create|Save/ }).count(), 0);
  }
});

test('what another browser deploys shows up by itself', async (t) => {
  const [name, port] = [unique('shared'), await freePort()];
  const id = await server.create(spec(name, images.one, published(port)));
  const { page } = await Visit.open(t, browser, server);
  await page.goto(`${server.signIn()}#/apps/${id}`);
  await page.getByText('Nothing was deployed yet').waitFor();
  await server.deploy(id);
  await eventually('the row', async () => (await ledger(page).count()) === 1);
  await eventually('its end', async () => (await ledger(page).first().textContent()).includes('succeeded'));
});

// What goes away while a page is open, and comes back.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';

import { Visit, launch } from './lib/browser.mjs';
import { Cuttable } from './lib/cuttable.mjs';
import { push, serves } from './lib/docker.mjs';
import { atEnd } from './lib/ends.mjs';
import { engine, unique } from './lib/environment.mjs';
import { eventually } from './lib/eventually.mjs';
import { Server, spec } from './lib/server.mjs';

let browser;
let image;

before(async () => {
  [browser, image] = await Promise.all([launch(), push(`${unique('faulty')}:1`, serves('here'))]);
});

after(() => browser?.close());

/** A page that would lose this mark if it were loaded anew. */
const mark = (page) => page.evaluate(() => (window.sameAsBefore = true));
const isSame = (page) => page.evaluate(() => window.sameAsBefore === true);

const live = (page) => page.locator('[data-live=live]').first();

// Side by side, because a page looks for such things every 15 seconds.
describe('what goes away', { concurrency: true }, () => {
  test('without the engine the page says so, shows what is known, and takes it up again', async (t) => {
    const line = await Cuttable.before(t, engine);
    const server = await Server.start({ docker: line.address });
    atEnd(t, () => server.stop());
    const name = unique('cut');
    const id = await server.create(spec(name, image));
    await server.deploy(id);
    const visit = await Visit.open(t, browser, server);
    visit.expectFailures = true;
    const { page } = visit;
    await page.goto(`${server.signIn()}#/apps/${id}`);
    await live(page).waitFor();
    await mark(page);

    await line.cut();
    await page.getByText('The container engine does not answer').first().waitFor({ timeout: 60_000 });
    const row = page.getByRole('list', { name: 'Deploy history' }).getByRole('listitem').first();
    assert.match(await row.textContent(), /succeeded/);
    const rollBack = row.getByRole('button', { name: /^Roll back/ });
    await eventually('a button that cannot be used', async () => !(await rollBack.isEnabled()));
    assert.match(await row.textContent(), /engine does not answer/);
    await page.getByRole('link', { name: 'Apps', exact: true }).click();
    const app = page.getByRole('row', { name });
    await eventually('a state that is not known', async () => (await app.textContent()).includes('unknown'));

    await line.mend();
    // The page may notice by itself before the button is reached.
    await page.getByRole('button', { name: 'Try again' }).first().click({ timeout: 5_000 }).catch(() => {});
    await page.getByText('The container engine does not answer').waitFor({ state: 'detached', timeout: 60_000 });
    await eventually('a state that is known', async () => (await app.textContent()).includes('running'));
    assert.ok(await isSame(page));
  });

  test('a server that is started anew finds its page waiting', async (t) => {
    const server = await Server.start();
    atEnd(t, () => server.stop());
    const name = unique('waits');
    await server.create(spec(name, image));
    const visit = await Visit.open(t, browser, server);
    visit.expectFailures = true;
    const { page } = visit;
    await page.goto(server.signIn());
    await page.getByRole('link', { name }).waitFor();
    await live(page).waitFor();
    await mark(page);

    await server.stop();
    await page.getByRole('alert').getByText('The server does not answer').waitFor({ timeout: 60_000 });
    assert.ok(await page.getByRole('link', { name }).isVisible(), 'what was loaded stays');

    await server.start();
    await page.getByRole('alert').getByText('The server does not answer').waitFor({ state: 'detached', timeout: 60_000 });
    await live(page).waitFor({ timeout: 60_000 });
    assert.ok(await isSame(page));
  });
});

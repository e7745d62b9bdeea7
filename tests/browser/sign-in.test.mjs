// Coming in: the address with a token, and where the token is then.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { Visit, launch } from './lib/browser.mjs';
import { mount } from './lib/mount.mjs';
import { ADMIN, Server, VIEWER } from './lib/server.mjs';

let browser;
let server;

before(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** What a page keeps, and for how long. */
const kept = (page) =>
  page.evaluate(() => ({ tab: { ...sessionStorage }, browser: { ...localStorage }, cookies: document.cookie }));

test('the address with the token signs in, and the token leaves the address', async (t) => {
  const visit = await Visit.open(t, browser, server);
  const { page } = visit;
  await page.goto(server.signIn());
  await page.getByRole('heading', { name: 'Apps', level: 1 }).waitFor();
  assert.equal(page.url().replace(/#\/?$/, ''), `${server.url}/`);
  assert.equal(await page.evaluate(() => history.length), 2, 'the address with the token is not in the history');

  const { tab, browser: rest, cookies } = await kept(page);
  assert.deepEqual(Object.values(tab).filter((value) => value.includes(ADMIN)).length, 1);
  assert.ok(!JSON.stringify(rest).includes(ADMIN));
  assert.deepEqual([cookies, await visit.context.cookies()], ['', []]);
  assert.deepEqual(await page.evaluate(async () => [await caches.keys(), await indexedDB.databases()]), [[], []]);
  const carriers = visit.requests.filter((url) => url.includes(ADMIN));
  assert.deepEqual(carriers, [server.signIn()], 'nothing but the first request has the token in its address');

  await page.reload();
  await page.getByRole('heading', { name: 'Apps', level: 1 }).waitFor();
});

test('another tab has to sign in by itself, and says how', async (t) => {
  const visit = await Visit.open(t, browser, server);
  visit.expectFailures = true;
  await visit.page.goto(server.signIn());
  await visit.page.getByRole('heading', { name: 'Apps', level: 1 }).waitFor();

  const other = await visit.context.newPage();
  await other.goto(server.url);
  await other.getByRole('heading', { name: 'Sign in' }).waitFor();
  await other.getByLabel('Token').fill('wrong');
  await other.getByRole('button', { name: 'Sign in' }).click();
  await other.getByRole('alert').waitFor();
  await other.getByLabel('Token').fill(VIEWER);
  await other.getByRole('button', { name: 'Sign in' }).click();
  await other.getByRole('heading', { name: 'Apps', level: 1 }).waitFor();
});

test('signing out forgets the token', async (t) => {
  const visit = await Visit.open(t, browser, server);
  visit.expectFailures = true;
  const { page } = visit;
  await page.goto(server.signIn());
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.ok(!JSON.stringify(await kept(page)).includes(ADMIN));
  await page.reload();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
});

test('it works below a path of somebody else', async (t) => {
  const mounted = await mount(t, server, '/tools/ops');
  const visit = await Visit.open(t, browser, mounted);
  const { page } = visit;
  const stream = page.waitForEvent('websocket');
  await page.goto(`${mounted.url}/?token=${ADMIN}`);
  await page.getByRole('heading', { name: 'Apps', level: 1 }).waitFor();
  assert.ok((await stream).url().includes('/tools/ops/api/ws/usage'));
  await page.getByRole('link', { name: 'System' }).click();
  await page.getByRole('heading', { name: 'System', level: 1 }).waitFor();
});

test('what is sent compressed is what is sent plain', async () => {
  const html = await (await fetch(server.url)).text();
  const assets = [...html.matchAll(/"\.\/(assets\/[^"]+)"/g)].map(([, path]) => path);
  assert.ok(assets.length >= 2, html);
  for (const asset of assets) {
    const load = (encoding) => fetch(`${server.url}/${asset}`, { headers: { 'accept-encoding': encoding } });
    const plain = await (await load('identity')).text();
    for (const encoding of ['br', 'gzip']) {
      const answer = await load(encoding);
      assert.equal(answer.headers.get('content-encoding'), encoding, asset);
      assert.ok((await answer.text()) === plain, `${asset} is another one as ${encoding}`);
    }
  }
});

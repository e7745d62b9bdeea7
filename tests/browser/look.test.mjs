// How the pages look and read: both languages, both themes, a desk and a telephone; and for whoever cannot see them.

import assert from 'node:assert/strict';
import { mkdir, readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { after, before, test } from 'node:test';

import { Visit, launch } from './lib/browser.mjs';
import { ends, push, remove, serves, start } from './lib/docker.mjs';
import { atEnd } from './lib/ends.mjs';
import { screenshots, unique } from './lib/environment.mjs';
import { eventually } from './lib/eventually.mjs';
import { ADMIN, Server, freePort, published, spec } from './lib/server.mjs';

const SIZES = { desk: { width: 1440, height: 900 }, phone: { width: 375, height: 740 } };
const LOCALES = { en: 'en-GB', ru: 'ru-RU' };

let browser;
let server;
let app;
let image;
let kinds;
let axe;

before(async () => {
  const repository = unique('look');
  let broken;
  [browser, server, image, broken, axe] = await Promise.all([
    launch(),
    Server.start(),
    push(`${repository}:1`, serves('look')),
    push(`${repository}:broken`, ends),
    readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8'),
    mkdir(screenshots, { recursive: true }),
  ]);
  kinds = (await server.api('/system')).kinds.map(({ kind }) => kind);
  app = await server.create(spec('shop', image, published(await freePort())));
  await server.deploy(app);
  await server.deploy(app, { reference: broken, note: 'the new checkout' });
  await server.create(spec('not-there-yet', image));
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** What axe-core finds, in a line each. */
async function faults(page) {
  // In the place of a script element, which the policy of the page would refuse.
  await page.evaluate(axe);
  const { violations } = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target} ${node.failureSummary}`).join(' | ')}`);
}

/** How far a page can be moved sideways, and by what. */
const overflow = (page) =>
  page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const wide = [...document.body.querySelectorAll('*')].filter((one) => one.getBoundingClientRect().right > width + 1);
    const moves = document.documentElement.scrollWidth > width;
    return moves ? wide.slice(-3).map((one) => one.outerHTML.slice(0, 120)) : [];
  });

/** Each page, ready to be looked at. */
const PAGES = {
  apps: async (page) => {
    await page.goto(`${server.url}/#/`);
    await page.getByRole('link', { name: 'shop', exact: true }).waitFor();
  },
  app: async (page) => {
    await page.goto(`${server.url}/#/apps/${app}`);
    await eventually('a chart', async () => Number(await page.getByTestId('chart-cpu-memory').getAttribute('data-points')) > 1);
  },
  rollback: async (page) => {
    await PAGES.app(page);
    await page.locator('[data-deploy]').last().locator('.actions button').click();
    await page.getByRole('dialog').waitFor();
  },
  form: async (page) => {
    await page.goto(`${server.url}/#/apps/${app}/edit`);
    await page.locator('form').waitFor();
    await page.locator('summary').evaluateAll((all) => all.forEach((one) => (one.parentElement.open = true)));
  },
  system: async (page) => {
    await page.goto(`${server.url}/#/system`);
    await page.getByText('0.1.0').first().waitFor();
  },
};

/** The form of a new app of each source kind. */
const forms = () =>
  kinds.map((kind) => [
    `new ${kind}`,
    async (page) => {
      await page.goto(`${server.url}/#/new`);
      await page.locator('form').waitFor();
      if (kinds.length > 1) await page.locator(`input[type=radio][value=${kind}]`).check();
    },
  ]);

for (const colorScheme of ['light', 'dark']) {
  for (const [language, locale] of Object.entries(LOCALES)) {
    for (const [size, viewport] of Object.entries(SIZES)) {
      test(`${colorScheme}, ${language}, ${size}: pages fit, and axe-core finds nothing`, async (t) => {
        const { page } = await Visit.open(t, browser, server, { colorScheme, locale, viewport, reducedMotion: 'reduce' });
        await page.goto(server.signIn());
        await page.locator(`html[lang=${language}]`).waitFor();
        for (const [name, open] of [...Object.entries(PAGES), ...forms()]) {
          await open(page);
          await page.screenshot({ path: join(screenshots, `${name} ${colorScheme} ${language} ${size}.png`), fullPage: true });
          assert.deepEqual(await faults(page), [], name);
          assert.deepEqual(await overflow(page), [], name);
          await page.keyboard.press('Escape');
        }
      });
    }
  }
}

test('the sign-in page fits, and axe-core finds nothing', async (t) => {
  const visit = await Visit.open(t, browser, server, { viewport: SIZES.phone });
  visit.expectFailures = true;
  await visit.page.goto(server.url);
  await visit.page.getByLabel('Token').waitFor();
  await visit.page.screenshot({ path: join(screenshots, 'sign-in light en phone.png') });
  assert.deepEqual(await faults(visit.page), []);
  assert.deepEqual(await overflow(visit.page), []);
});

test('the language can be changed, and stays for the tab', async (t) => {
  const { page } = await Visit.open(t, browser, server);
  await page.goto(server.signIn());
  await page.getByRole('heading', { name: 'Apps', level: 1 }).waitFor();
  await page.getByLabel('Language').selectOption('ru');
  await page.getByRole('heading', { name: 'Приложения', level: 1 }).waitFor();
  assert.equal(await page.locator('html').getAttribute('lang'), 'ru');
  await page.getByRole('link', { name: 'Система' }).click();
  await page.getByRole('heading', { name: 'Система', level: 1 }).waitFor();
  await page.reload();
  await page.getByRole('heading', { name: 'Система', level: 1 }).waitFor();
  await page.getByLabel('Язык').selectOption('en');
  await page.getByRole('heading', { name: 'System', level: 1 }).waitFor();
});

test('every way leads somewhere with the keyboard alone', async (t) => {
  const { page } = await Visit.open(t, browser, server);
  await page.goto(server.signIn());
  const link = page.getByRole('link', { name: 'shop', exact: true });
  await link.waitFor();
  const focused = () => link.evaluate((one) => one === document.activeElement);
  for (let i = 0; i < 200 && !(await focused()); i += 1) await page.keyboard.press('Tab');
  await page.keyboard.press('Enter');
  const deploy = page.getByRole('button', { name: 'Deploy', exact: true });
  await deploy.waitFor();
  await deploy.focus();
  await page.keyboard.press('Enter');
  const dialog = page.getByRole('dialog');
  await dialog.waitFor();
  for (let i = 0; i < 12; i += 1) {
    await page.keyboard.press('Tab');
    const inside = await dialog.evaluate((one) => one.contains(document.activeElement) || document.activeElement === document.body);
    assert.ok(inside, 'the focus leaves an open dialog');
  }
  await page.keyboard.press('Escape');
  await dialog.waitFor({ state: 'detached' });
  assert.ok(await deploy.evaluate((one) => one === document.activeElement), 'the focus is back where it was');
});

test('hostile names are text', async (t) => {
  const names = ['<script>window.hacked=1</script><img src=x onerror="window.hacked=1">', '\u202Egnp.live\u202C مرحبا', 'n'.repeat(300)];
  const project = (name) => start(image, '--label', `com.docker.compose.project=${name}`);
  const containers = await Promise.all(names.map(project));
  atEnd(t, () => remove(...containers));
  const note = `</p><script>window.hacked=1</script> \u202Eback ${'w'.repeat(300)}`;
  await server.deploy(app, { note });

  const { page } = await Visit.open(t, browser, server, { viewport: SIZES.phone });
  await page.goto(`${server.url}/?token=${ADMIN}#/`);
  for (const name of names) {
    await page.goto(`${server.url}/#/`);
    const link = page.getByRole('link').filter({ hasText: name });
    await link.waitFor();
    assert.equal(await link.textContent(), name);
    assert.deepEqual(await overflow(page), [], name);
    await link.click();
    const heading = page.getByRole('heading', { level: 1 });
    await eventually('the page of it', async () => (await heading.textContent()) === name);
    assert.deepEqual(await overflow(page), [], name);
  }
  await page.goto(`${server.url}/#/apps/${app}`);
  const noted = page.locator('[data-deploy]').first().locator('.note');
  await eventually('the note', async () => (await noted.textContent()) === note);
  assert.deepEqual(await overflow(page), []);
  await page.screenshot({ path: join(screenshots, 'hostile names.png'), fullPage: true });
  assert.equal(await page.evaluate(() => window.hacked), undefined);
});

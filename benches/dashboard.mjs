// The longest task of the browser's main thread while the dashboard does what it is asked: `make bench-dashboard`.

import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { Visit, launch } from '../tests/browser/lib/browser.mjs';
import { crowd } from '../tests/browser/lib/crowd.mjs';
import { atEnd } from '../tests/browser/lib/ends.mjs';
import { fill } from '../tests/browser/lib/environment.mjs';
import { eventually, pause } from '../tests/browser/lib/eventually.mjs';
import { Server } from '../tests/browser/lib/server.mjs';

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

/** Notes every task of more than 50 ms from now on; the browser tells of no shorter one. */
const watchTasks = (page) =>
  page.evaluate(() => {
    window.longTasks = [];
    new PerformanceObserver((list) => window.longTasks.push(...list.getEntries().map((entry) => entry.duration))).observe({ type: 'longtask' });
  });

async function longestTask(page, act) {
  await page.evaluate(() => (window.longTasks.length = 0));
  await act();
  // Entries come a moment after their tasks.
  await pause(300);
  return page.evaluate(() => Math.max(0, ...window.longTasks));
}

/** Does something several times, and says the longest task of each. Other programs make a task look longer, and never shorter. */
async function measure(t, page, times, what, act) {
  const longest = [];
  for (let i = 0; i < times; i += 1) longest.push(await longestTask(page, () => act(i)));
  const said = longest.toSorted((a, b) => a - b).map((ms) => (ms === 0 ? 'none' : ms));
  t.diagnostic(`${what}: longest task of ${times} runs in ms, shortest first, none: all of 50 or less: ${said.join(', ')}`);
}

test('a week of one app', async (t) => {
  const data = await mkdtemp(join(tmpdir(), 'week-'));
  const { stdout } = await promisify(execFile)(fill, [join(data, 'shipslog.db')]);
  const server = await Server.start({ data });
  atEnd(t, () => server.stop());
  const { page } = await Visit.open(t, browser, server);
  await page.goto(`${server.signIn()}#/apps/${stdout.trim()}`);
  const chart = page.getByTestId('chart-cpu-memory');
  await chart.waitFor();
  await watchTasks(page);
  const points = async () => Number(await chart.getAttribute('data-points'));
  await measure(t, page, 5, 'charting 7 days', async () => {
    await page.getByRole('radio', { name: '30m' }).check({ force: true });
    await eventually('half an hour of points', async () => (await points()) < 500);
    await page.getByRole('radio', { name: '7d' }).check({ force: true });
    await eventually('a week of points', async () => (await points()) > 550);
  });
  const box = await chart.boundingBox();
  await measure(t, page, 5, 'pointing along them', async () => {
    for (let x = 100; x < box.width - 100; x += 10) await page.mouse.move(box.x + x, box.y + 100);
  });
});

test('two hundred apps', async (t) => {
  const server = await Server.start({ docker: await crowd(t, 200) });
  atEnd(t, () => server.stop());
  const { page } = await Visit.open(t, browser, server);
  await page.goto(server.signIn());
  const rows = page.getByRole('table', { name: 'Apps' }).getByRole('row');
  await eventually('all rows', async () => (await rows.count()) === 201);
  await eventually('their numbers', async () => /\d%/.test(await rows.nth(3).textContent()));
  await pause(3_000);
  await watchTasks(page);
  await page.mouse.move(700, 500);
  await measure(t, page, 5, 'five ticks of live numbers', () => pause(5_000));
  await measure(t, page, 5, 'scrolling', async () => {
    for (let i = 0; i < 12; i += 1) {
      await page.mouse.wheel(0, 800);
      await pause(40);
    }
    await page.evaluate(() => scrollTo(0, 0));
  });
  await measure(t, page, 6, 'sorting', (i) =>
    page.getByRole('columnheader', { name: ['CPU', 'Memory', 'Name'][i % 3] }).getByRole('button').click());
  await measure(t, page, 5, 'filtering', async () => {
    await page.getByLabel('Filter').pressSequentially('crowd-12', { delay: 30 });
    await eventually('ten rows', async () => (await rows.count()) === 11);
    await page.getByLabel('Filter').fill('');
    await eventually('all rows', async () => (await rows.count()) === 201);
  });
});

// Numbers as they come, and what showing them costs.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { promisify } from 'node:util';

import { Visit, launch } from './lib/browser.mjs';
import { crowd } from './lib/crowd.mjs';
import { docker, push, serves } from './lib/docker.mjs';
import { alive, changedBy, layouts, watchElements } from './lib/effort.mjs';
import { atEnd } from './lib/ends.mjs';
import { fill, unique } from './lib/environment.mjs';
import { eventually, pause } from './lib/eventually.mjs';
import { Server, spec } from './lib/server.mjs';

const KB = 1_000;
const HOUR = 3_600;
/** Per cent of a core. */
const LOADED = 20;

let browser;

before(async () => {
  browser = await launch();
});

after(() => browser?.close());

const chart = (page, name = 'chart-cpu-memory') => page.getByTestId(name);
const points = async (page) => Number(await chart(page).getAttribute('data-points'));

/** The figure behind a word such as CPU, in what is written below a chart. */
async function reading(page, word) {
  const list = page.locator('figure', { has: chart(page) }).locator('dl > div', { hasText: word }).first();
  return parseFloat((await list.locator('dd').textContent()).replace(/[^\d.]/g, ''));
}

test('a load that we cause is in the chart, and so is its end', async (t) => {
  const image = await push(`${unique('busy')}:1`, serves('busy'));
  const server = await Server.start();
  atEnd(t, () => server.stop());
  const id = await server.create(spec(unique('busy'), image));
  await server.deploy(id);
  const { name } = (await server.workload(id)).containers[0];
  const { page } = await Visit.open(t, browser, server);
  await page.goto(`${server.signIn()}#/apps/${id}`);
  await eventually('a quiet reading', async () => (await reading(page, 'CPU')) < LOADED / 2);

  const before = await points(page);
  // On a busy machine it gets but a part of a core.
  await docker('exec', '--detach', name, '/bin/busybox', 'timeout', '120', '/bin/busybox', 'sh', '-c', 'while [ ! -e /over ]; do :; done');
  await eventually('the load', async () => (await reading(page, 'CPU')) > LOADED);
  assert.ok((await points(page)) > before);
  await docker('exec', name, '/bin/busybox', 'touch', '/over');
  await eventually('its end', async () => (await reading(page, 'CPU')) < LOADED / 2);

  await chart(page).focus();
  const seen = [];
  for (let i = 0; i < 30; i += 1) {
    await page.keyboard.press('ArrowLeft');
    seen.push(await reading(page, 'CPU'));
  }
  assert.ok(seen.some((value) => value > LOADED), `going back in time does not meet the load: ${seen}`);
  const marks = page.getByRole('list', { name: 'Deploys in this window' }).getByRole('listitem');
  assert.equal(await marks.count(), 1);
});

/** A server with a week of history, of which half a day is missing. */
async function withHistory(t) {
  const data = await mkdtemp(join(tmpdir(), 'week-'));
  const { stdout } = await promisify(execFile)(fill, [join(data, 'shipslog.db')]);
  const server = await Server.start({ data });
  atEnd(t, () => server.stop());
  return [server, stdout.trim()];
}

test('a week is charted from few points, and pointing along it asks for nothing', async (t) => {
  const [server, id] = await withHistory(t);
  const { page, requests } = await Visit.open(t, browser, server);
  await page.goto(`${server.signIn()}#/apps/${id}`);
  await chart(page).waitFor();
  for (const [name, least, most] of [['24h', 200, 1_500], ['7d', 550, 2_500]]) {
    await page.getByRole('radio', { name }).check({ force: true });
    await eventually(`the points of ${name}`, async () => (await points(page)) > least && (await points(page)) < most);
  }
  await page.locator('figure', { has: chart(page) }).getByText('CPU, maximum').waitFor();

  const box = await chart(page).boundingBox();
  const histories = () => requests.filter((url) => url.includes(`${id}/stats/history`)).length;
  const asked = histories();
  await watchElements(page);
  const elements = await changedBy(page, async () => {
    for (let x = 100; x < box.width - 100; x += 10) await page.mouse.move(box.x + x, box.y + 100);
  });
  // The line under the pointer and its like come once, and not for each place pointed at.
  assert.ok(elements < 10, `${elements}`);
  assert.equal(histories(), asked);
  await hasGap(page, box);
});

/** Where nothing is known, no line is drawn: some columns of pixels have no colour of the line. */
async function hasGap(page, box) {
  const blank = await chart(page).locator('canvas').evaluate((canvas) => {
    const { data, width, height } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
    const vivid = (x, y) => {
      const at = 4 * (y * width + x);
      const [low, high] = [Math.min(data[at], data[at + 1], data[at + 2]), Math.max(data[at], data[at + 1], data[at + 2])];
      return data[at + 3] > 200 && high - low > 60;
    };
    const columns = Array.from({ length: width }, (_, x) => Array.from({ length: height }, (_, y) => y).some((y) => vivid(x, y)));
    const drawn = columns.slice(columns.indexOf(true), columns.lastIndexOf(true));
    return drawn.filter((column) => !column).length / drawn.length;
  });
  assert.ok(blank > 0.03 && blank < 0.2, `${blank} of ${box.width} px are blank; half a day of a week is 0.07`);
}

test('the first load is small', async (t) => {
  const server = await Server.start();
  atEnd(t, () => server.stop());
  const { page, context } = await Visit.open(t, browser, server);
  const session = await context.newCDPSession(page);
  await session.send('Network.enable');
  const sizes = [];
  session.on('Network.loadingFinished', ({ encodedDataLength }) => sizes.push(encodedDataLength));
  await page.goto(server.signIn());
  await page.getByRole('heading', { name: 'Apps', level: 1 }).waitFor();
  await page.waitForLoadState('networkidle');
  const total = sizes.reduce((sum, size) => sum + size, 0);
  t.diagnostic(`first load: ${(total / KB).toFixed(1)} kB in ${sizes.length} answers, headers and API included`);
  assert.ok(total <= 120 * KB, `${total} bytes`);
});

/** The server's line of all apps' numbers, which can be held; gives how many messages have come through. */
async function heldLine(page) {
  const line = { held: false, ticks: 0 };
  await page.routeWebSocket(/ws\/usage/, (socket) => {
    socket.connectToServer().onMessage((message) => {
      if (line.held) return;
      line.ticks += 1;
      socket.send(message);
    });
  });
  return line;
}

test('with two hundred apps only that is touched which changes', async (t) => {
  const server = await Server.start({ docker: await crowd(t, 200) });
  atEnd(t, () => server.stop());
  const { page, context } = await Visit.open(t, browser, server);
  const session = await context.newCDPSession(page);
  await session.send('Performance.enable');
  const line = await heldLine(page);
  await page.goto(server.signIn());
  const table = page.getByRole('table', { name: 'Apps' });
  const rows = table.getByRole('row');
  await eventually('all rows', async () => (await rows.count()) === 201);
  await eventually('their numbers', async () => /\d%/.test(await rows.nth(3).textContent()));
  await watchElements(page);
  await table.locator('tbody tr').evaluateAll((all) => all.forEach((row) => (row.isOld = true)));

  const threeTicks = async () => {
    const [began, laidOut] = [line.ticks, await layouts(session)];
    const elements = await changedBy(page, () => eventually('three ticks of live numbers', () => line.ticks >= began + 3));
    return { elements, layouts: ((await layouts(session)) - laidOut) / (line.ticks - began) };
  };
  // A reading that is late takes its unit away with it, and the small charts begin with what was stored: some ticks may make something anew.
  const quiet = await eventually('three ticks that make nothing anew', async () => {
    const ticked = await threeTicks();
    return ticked.elements === 0 && ticked;
  }, { within: 60_000 });
  t.diagnostic(`laid out ${quiet.layouts} times a tick`);
  // A page that asks where things are while it changes them would be laid out for each row.
  assert.ok(quiet.layouts <= 100, `${quiet.layouts}`);

  line.held = true;
  await pause(1_000);
  const elements = await changedBy(page, async () => {
    for (let i = 0; i < 12; i += 1) await page.mouse.wheel(0, 800);
  });
  // Each row gets its two small charts when it comes into sight, and loses them when it leaves.
  assert.ok(elements <= 200 * 4, `${elements} came or went while scrolling`);

  await page.getByLabel('Filter').pressSequentially('crowd-12');
  await eventually('ten rows', async () => (await rows.count()) === 11);
  await page.getByLabel('Filter').fill('');
  await eventually('all rows', async () => (await rows.count()) === 201);
  await table.getByRole('columnheader', { name: 'CPU' }).getByRole('button').click();
  const readings = await table.locator('tbody td.cpu .value').evaluateAll((all) => all.map((value) => parseFloat(value.textContent)));
  assert.deepEqual(readings, readings.toSorted((a, b) => b - a));
  const old = await table.locator('tbody tr').evaluateAll((all) => all.filter((row) => row.isOld).length);
  assert.equal(old, 200, 'rows were made anew');
});

test('hours of live numbers leave nothing behind', async (t) => {
  const [server, id] = await withHistory(t);
  const { page, context } = await Visit.open(t, browser, server);
  const session = await context.newCDPSession(page);
  await session.send('Performance.enable');
  // The hours come from here, in seconds, in the place of the server.
  const lines = [];
  await page.routeWebSocket(/ws\/stats/, (line) => lines.push(line));
  await page.goto(`${server.signIn()}#/apps/${id}`);
  await chart(page).waitFor();
  let ts = Math.floor(Date.now() / 1_000);
  const point = () => ({
    ts: (ts += 3), cpu_percent: 10 + (ts % 50), memory_usage: 3e7 + (ts % 1_000) * 1e4, memory_limit: 0,
    network_rx: ts % 5_000, network_tx: 7, block_read: 0, block_write: ts % 300, containers: 1,
  });
  const anHour = async () => {
    for (let sent = 0; sent < HOUR / 3; sent += 1) {
      lines[0].send(JSON.stringify(point()));
      if (sent % 50 === 49) await page.evaluate(() => new Promise(requestAnimationFrame));
    }
    return alive(session);
  };
  await eventually('a page that listens', () => lines.length === 1);
  const hours = [];
  for (let i = 0; i < 4; i += 1) hours.push(await anHour());
  t.diagnostic(`alive after 1, 2, 3 and 4 hours of live numbers: ${JSON.stringify(hours)}`);
  const [, second, , fourth] = hours;
  assert.ok(fourth.heap < second.heap * 1.05 + 200 * KB, JSON.stringify(hours));
  assert.ok(fourth.nodes <= second.nodes + 50 && fourth.listeners <= second.listeners + 5, JSON.stringify(hours));
});

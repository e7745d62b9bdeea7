// Chromium, and pages that are watched for what no page may do.

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';

import { chromium } from 'playwright-core';

import { atEnd } from './ends.mjs';
import { screenshots } from './environment.mjs';

const QUIET = ['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync'];

/** Debian's browser, where the shell would find it. */
function executable() {
  const folders = (process.env.PATH ?? '').split(delimiter);
  const found = folders.map((folder) => join(folder, 'chromium')).find((path) => existsSync(path));
  if (!found) throw new Error('there is no chromium in PATH');
  return found;
}

export function launch() {
  return chromium.launch({ executablePath: executable(), args: QUIET, chromiumSandbox: false });
}

/** A page in a profile of its own, with a list of what went wrong in it. */
export class Visit {
  /** For as long as the test takes; then nothing may have gone wrong in it. */
  static async open(t, browser, server, options = {}) {
    const context = await browser.newContext({ locale: 'en-GB', viewport: { width: 1440, height: 900 }, ...options });
    context.setDefaultTimeout(60_000);
    const visit = new Visit(context, await context.newPage(), new URL(server.url).origin);
    atEnd(t, () => visit.#end(t));
    return visit;
  }

  constructor(context, page, origin) {
    this.context = context;
    this.page = page;
    this.origin = origin;
    this.wrong = [];
    this.requests = [];
    this.expectFailures = false;
    page.on('pageerror', (error) => this.wrong.push(`script error: ${error.stack}`));
    page.on('console', (message) => this.#hear(message));
    page.on('request', (request) => this.#see(request.url()));
    page.on('websocket', (socket) => this.#see(socket.url().replace(/^ws/, 'http')));
  }

  #hear(message) {
    if (message.type() !== 'error' && message.type() !== 'warning') return;
    // A test leaves a page sooner than a person would.
    if (message.text().endsWith('WebSocket is closed before the connection is established.')) return;
    // The browser itself says so of each answer that is not a success; where a test provokes them, they are no fault.
    const refused = /^Failed to load resource|^WebSocket connection to .* failed/.test(message.text());
    if (!(refused && this.expectFailures)) this.wrong.push(`${message.type()}: ${message.text()} ${message.location().url}`);
  }

  #see(url) {
    this.requests.push(url);
    if (!url.startsWith('data:') && new URL(url).origin !== this.origin) this.wrong.push(`asked somebody else: ${url}`);
  }

  /** A failed test leaves a picture of what was to be seen. */
  async #end(t) {
    if (t.error) await this.page.screenshot({ path: join(screenshots, `failed ${t.name}.png`), fullPage: true });
    await this.context.close();
    assert.deepEqual(this.wrong, []);
  }
}

// Chromium, and what tests do with pages. A page tells of every fault of its own, every refusal by its policy, and every request that
// goes elsewhere than to the cluster: `faults(page)` is empty at the end of a good test.

import assert from 'node:assert/strict';
import { mkdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { chromium } from 'playwright-core';
import { PATIENCE_MS } from './wait.mjs';

export const PASSWORD = 'correct horse battery';
export const PHONE = { width: 390, height: 844 };
export const DESKTOP = { width: 1280, height: 800 };

/** The system's browser; `$CHROMIUM` names another. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage'],
    timeout: PATIENCE_MS,
  });
}

const known = new WeakMap();

/** A browser of one's own, as it were: a fresh profile with one page. */
export async function open(browser, url, { viewport = DESKTOP, dark = false, ...more } = {}) {
  const context = await browser.newContext({ viewport, colorScheme: dark ? 'dark' : 'light', locale: 'en-GB', ...more });
  context.setDefaultTimeout(PATIENCE_MS);
  const page = await context.newPage();
  watch(page);
  await page.goto(url);
  return page;
}

/** Notes every fault of a page. */
export function watch(page) {
  const faults = [];
  known.set(page, faults);
  page.on('pageerror', (error) => faults.push(`fault: ${error.stack ?? error}`));
  page.on('console', (message) => {
    const text = message.text();
    // A server that was killed refuses connections, and of what is no picture there is no thumbnail, or none just now: that is said on the
    // console, and is no fault of the page.
    const expected = /status of (415|503)|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_SOCKET_NOT_CONNECTED|WebSocket connection to/.test(text);
    if (message.type() === 'error' && !expected) faults.push(`console: ${text}`);
  });
  page.on('request', (request) => {
    const { protocol, hostname } = new URL(request.url());
    if (!['data:', 'blob:'].includes(protocol) && hostname !== '127.0.0.1' && hostname !== 'localhost') faults.push(`request: ${request.url()}`);
  });
}

/** What went wrong in a page so far. */
export function faults(page) {
  return known.get(page);
}

/** Registers somebody through the page, and waits until they are in. Where nobody has an account yet, the page offers to make one by itself. */
export async function register(page, name, password = PASSWORD) {
  const again = page.getByLabel('Password, again');
  await again.or(page.getByRole('button', { name: 'Make an account' })).first().waitFor();
  if (!(await again.count())) await page.evaluate(() => [...document.querySelectorAll('.link-button')].find((one) => one.textContent === 'Make an account')?.click());
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByLabel('Password, again').fill(password);
  await page.getByRole('button', { name: 'Make the account' }).click();
  await page.getByRole('navigation', { name: 'Conversations' }).waitFor({ state: 'attached' });
}

/** Signs somebody in through the page. */
export async function signIn(page, name, password = PASSWORD) {
  await page.getByLabel('Name', { exact: true }).fill(name);
  await page.getByLabel('Password', { exact: true }).fill(password);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByRole('navigation', { name: 'Conversations' }).waitFor({ state: 'attached' });
}

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');

/** Asserts that axe finds nothing to complain of, as the page is now, light and dark. */
export async function accessible(page, what) {
  await page.evaluate(AXE);
  for (const colorScheme of ['light', 'dark']) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await settled(page);
    const { violations } = await page.evaluate(() => axe.run(document, { resultTypes: ['violations'] }));
    const words = violations.flatMap(({ id, help, nodes }) => nodes.map((node) => `${id}: ${help}\n    ${node.html.slice(0, 200)}\n    ${node.failureSummary}`));
    assert.equal(words.join('\n'), '', `${what}, ${colorScheme}`);
  }
  await page.emulateMedia({ colorScheme: null, reducedMotion: null });
}

/** Asserts that nothing is cut off at its sides, by the window or by what scrolls around it. What ends in an ellipsis is cut as it should be, and
 * code is scrolled. */
export async function inside(page, what) {
  await settled(page);
  const cut = await page.evaluate(() => {
    const edges = (element) => {
      for (let around = element.parentElement; around; around = around.parentElement) {
        const { overflowX, textOverflow } = getComputedStyle(around);
        if (textOverflow === 'ellipsis' || around.matches('pre, svg')) return null;
        if (overflowX === 'visible') continue;
        const left = around.getBoundingClientRect().left + around.clientLeft;
        return [Math.max(0, left), Math.min(innerWidth, left + around.clientWidth)];
      }
      return [0, innerWidth];
    };
    return [...document.body.querySelectorAll('*')].flatMap((element) => {
      const { left, right, width, height } = element.getBoundingClientRect();
      const [from, to] = (width * height > 1 && !element.closest('.hidden-visually, .skip') && edges(element)) || [left, right];
      return left < from - 1 || right > to + 1 ? [`${element.localName}.${element.className}: ${left} to ${right}, seen ${from} to ${to}`] : [];
    });
  });
  assert.deepEqual(cut.slice(0, 8), [], what);
}

/** Waits until no colour is on its way to another one. */
async function settled(page) {
  await page.evaluate(async () => {
    await new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)));
    const ending = document.getAnimations().filter((animation) => Number.isFinite(animation.effect?.getComputedTiming().endTime));
    await Promise.allSettled(ending.map((animation) => animation.finished));
  });
}

/** Keeps a picture of the page, if `$SHOTS` names a directory for them. */
export async function shot(page, name) {
  const directory = process.env.SHOTS;
  if (!directory) return;
  mkdirSync(directory, { recursive: true });
  await page.screenshot({ path: join(directory, `${name}.png`) });
}

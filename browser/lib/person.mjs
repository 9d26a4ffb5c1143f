// Somebody with pages of their own, whom a test may keep from the servers.

import assert from 'node:assert/strict';
import { faults, open, register, watch } from './browser.mjs';
import { until } from './wait.mjs';
import { PNG } from './chat.mjs';

/** Registers somebody at a page of the first server. `cut(true)` keeps all of this person's pages from the servers; `heard(frame)` may
 * change what servers say. */
export async function person(cluster, browser, name, heard = (frame) => frame) {
  const page = await open(browser, 'about:blank');
  const context = page.context();
  let away = false;
  await context.routeWebSocket(/\/ws$/, (socket) => {
    if (away) {
      socket.close({ code: 1012, reason: 'cut by the test' });
      return;
    }
    const server = socket.connectToServer();
    server.onMessage((text) => socket.send(JSON.stringify(heard(JSON.parse(text)))));
  });
  const cut = async (is) => {
    away = is;
    for (const one of context.pages()) {
      await one.evaluate(async (is) => {
        const { connection } = await import('/js/state/app.js');
        if (is) connection.lost(null);
        else connection.hurry();
      }, is);
    }
  };
  await page.goto(cluster.url('server-1'));
  await register(page, name);
  return { page, context, cut };
}

/** Another page of theirs. */
export async function tab(cluster, context) {
  const page = await context.newPage();
  watch(page);
  await page.goto(cluster.url('server-1'));
  await page.getByRole('navigation', { name: 'Conversations' }).waitFor();
  return page;
}

/** Nothing was wrong with the page; all of theirs are closed. */
export async function end(page) {
  assert.deepEqual(faults(page), []);
  await page.context().close();
}

export const PICTURE = { name: 'dot.png', mimeType: 'image/png', buffer: PNG };

/** Waits until the one file of the draft is up. */
export const isUp = (page) => until('it is up', async () => (await page.locator('.upload').count()) === 1 && (await page.locator('.upload progress').count()) === 0);

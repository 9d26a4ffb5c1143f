// How the page is given out: whole, by every server, under a policy that lets nothing else in, and to nobody else's page.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { faults, open, register } from './lib/browser.mjs';
import { goTo } from './lib/chat.mjs';
import { until } from './lib/wait.mjs';
import { stage } from './lib/stage.mjs';

const WEB = join(dirname(fileURLToPath(import.meta.url)), '../crates/server/web');
const TIMEOUT = { timeout: 120_000 };
let cluster;
let browser;

stage((there) => {
  ({ cluster, browser } = there);
});

/** Whether a page may open a WebSocket there. */
const reaches = (page, address) =>
  page.evaluate(
    (at) =>
      new Promise((resolve) => {
        const socket = new WebSocket(`ws://${at}/ws`);
        socket.onopen = () => resolve(true);
        socket.onerror = () => resolve(false);
      }),
    address,
  );

test('every server gives out the page, and the page may go on at each of them', TIMEOUT, async () => {
  assert.equal(cluster.events.find((event) => event.event === 'started').page, cluster.url());
  for (const from of cluster.names) {
    const page = await open(browser, cluster.url(from));
    assert.equal(await page.title(), 'Threefold');
    for (const to of cluster.names) assert.ok(await reaches(page, cluster.address(to)), `${from} to ${to}`);
    assert.deepEqual(faults(page), []);
    await page.context().close();
  }
  const local = await open(browser, cluster.url().replace('127.0.0.1', 'localhost'));
  for (const to of cluster.names) assert.ok(await reaches(local, cluster.address(to)), `localhost to ${to}`);
  await local.context().close();
});

test('every module is sent in a form that browsers understand', TIMEOUT, async () => {
  const page = await open(browser, cluster.url());
  const modules = readdirSync(WEB, { recursive: true }).filter((path) => path.endsWith('.js') && path !== 'js/main.js');
  assert.ok(modules.length > 50);
  for (const path of modules) {
    const names = await page.evaluate(async (path) => Object.keys(await import(path)), `/${path}`);
    assert.ok(names.length > 0, path);
  }
  assert.deepEqual(faults(page), []);
  await page.context().close();
});

test('a single module is the one that the page runs', TIMEOUT, async () => {
  const page = await open(browser, cluster.url());
  const seen = await page.evaluate(async () => {
    const [{ phase }, whole] = await Promise.all([import('/js/state/app.js'), import('/js/main.js')]);
    return [phase.value, phase === whole.$state$app.phase];
  });
  assert.deepEqual(seen, ['out', true]);
  await page.context().close();
});

test('the page connects once, with the socket that it has opened before all else', TIMEOUT, async () => {
  const page = await open(browser, 'about:blank');
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket.url()));
  await page.goto(cluster.url());
  await until('it is connected', () => page.evaluate(async () => (await import('/js/state/app.js')).connection.state.value === 'online'));
  assert.deepEqual(sockets, [`ws://${cluster.address('server-1')}/ws`]);
  assert.deepEqual(faults(page), []);
  await page.context().close();
});

test('once the page is there, no view needs the server that gave it out', TIMEOUT, async () => {
  const page = await open(browser, cluster.url());
  await register(page, 'viewer');
  await page.route('**/*', (route) => route.abort('connectionrefused'));
  for (const [view, title] of [['settings', 'Settings'], ['admin', 'Administration'], ['search', 'Search'], ['new', 'New conversation'], ['rooms', 'Rooms'], ['cluster', 'The cluster']]) {
    await goTo(page, view);
    await page.getByRole('heading', { name: title, level: 1 }).waitFor();
  }
  assert.deepEqual(faults(page), []);
  await page.context().close();
});

test('the policy refuses inline scripts, markup from texts, frames and other places', TIMEOUT, async () => {
  const page = await open(browser, cluster.url());
  const wanted = ['require-trusted-types-for', 'img-src', 'connect-src'];
  const refused = await page.evaluate(async (wanted) => {
    const refused = [];
    addEventListener('securitypolicyviolation', (event) => refused.push(event.effectiveDirective));
    const script = document.createElement('script');
    try {
      script.textContent = 'window.hurt = true';
    } catch {
      // Refused even earlier.
    }
    document.body.append(script);
    try {
      document.body.insertAdjacentHTML('beforeend', '<img src=x onerror="window.hurt = true">');
    } catch {
      // No markup is made of texts.
    }
    const image = document.createElement('img');
    image.src = 'http://127.0.0.1:1/x.png';
    document.body.append(image);
    await fetch('http://127.0.0.1:1/').catch(() => {});
    for (let looks = 0; looks < 2400 && !wanted.every((directive) => refused.includes(directive)); looks += 1) await new Promise((resolve) => setTimeout(resolve, 25));
    return { refused, hurt: window.hurt ?? false };
  }, wanted);
  assert.equal(refused.hurt, false);
  for (const directive of wanted) assert.ok(refused.refused.includes(directive), `${directive}: ${refused.refused}`);
  await page.context().close();
});

test('a page from somewhere else may not connect, nor show this one in a frame', TIMEOUT, async () => {
  const elsewhere = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end(`<!doctype html><title>elsewhere</title><iframe src="${cluster.url()}"></iframe>`);
  });
  await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
  try {
    const page = await open(browser, `http://127.0.0.1:${elsewhere.address().port}/`);
    for (const name of cluster.names) assert.equal(await reaches(page, cluster.address(name)), false, name);
    await until('the frame is refused', () => page.frames().some((frame) => frame !== page.mainFrame() && frame.url().startsWith('chrome-error:')));
    await page.context().close();
  } finally {
    elsewhere.close();
  }
});

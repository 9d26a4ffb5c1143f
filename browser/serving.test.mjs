// How the page is given out: whole, by every server, under a policy that lets nothing else in, and to nobody else's page.

import assert from 'node:assert/strict';
import { readdirSync } from 'node:fs';
import { createServer } from 'node:http';
import { dirname, join } from 'node:path';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { accessible, faults, launch, open, register } from './lib/browser.mjs';
import { goTo } from './lib/chat.mjs';
import { Cluster } from './lib/cluster.mjs';
import { until } from './lib/wait.mjs';

const WEB = join(dirname(fileURLToPath(import.meta.url)), '../crates/server/web');
const TIMEOUT = { timeout: 120_000 };
let cluster;
let browser;

before(async () => {
  cluster = await Cluster.start();
  browser = await launch();
}, TIMEOUT);

after(async () => {
  await browser?.close();
  await cluster?.stop();
}, TIMEOUT);

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

test('a view that could not be fetched can be had again: it, or what it is made of', TIMEOUT, async () => {
  // The server is away; it dies while it gives out the view; or while it gives out what the view needs.
  for (const [place, missing] of [/icon\.svg/, /views\/settings\.js/, /views\/page\.js/].entries()) {
    const page = await open(browser, 'about:blank');
    let away = true;
    await page.route(missing, (route) => (away ? route.abort('connectionrefused') : route.continue()));
    await page.goto(cluster.url());
    await register(page, `late-${place}`);
    await page.evaluate(() => {
      window.neverReloaded = true;
    });
    await goTo(page, 'settings');
    await page.getByText('This part of the page could not be fetched').waitFor();
    if (place === 0) await accessible(page, 'a view that is not there');
    away = false;
    const anew = page.getByRole('button', { name: 'Load the page again' });
    const there = page.getByRole('heading', { name: 'Settings', level: 1 });
    await page.getByRole('button', { name: 'Try again' }).click();
    await there.or(anew).first().waitFor();
    if (place === 2 && (await anew.count())) await anew.click();
    await there.waitFor();
    if (place < 2) assert.equal(await page.evaluate(() => window.neverReloaded), true);
    assert.deepEqual(faults(page), []);
    await page.context().close();
  }
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

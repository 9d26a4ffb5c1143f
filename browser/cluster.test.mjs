// The cluster's page: what it shows is what is; servers are killed and started from it, and the conversation that counts itself loses nothing.

import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { test } from 'node:test';
import { accessible, DESKTOP, faults, inside, open, PHONE, register, shot, signIn } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 240_000 };
let cluster;
let browser;

stage((there) => {
  ({ cluster, browser } = there);
});

const card = (page, name) => page.locator(`[data-server="${name}"]`);
const standing = (page, name) => card(page, name).getAttribute('data-standing');
const title = (page) => page.locator('#the-state').textContent();
const heading = (page, words) => until(words, async () => (await title(page)).includes(words));
const told = (page, words) => page.locator('.timeline li', { hasText: words }).first().waitFor();

async function watched(page) {
  await page.goto(new URL('#/cluster', page.url()).href);
  await page.locator('[data-server]').nth(2).waitFor();
}

/** The names of the servers that stand so. */
async function those(page, ...words) {
  const all = await Promise.all(cluster.names.map(async (name) => [name, await standing(page, name)]));
  return all.filter(([, word]) => words.includes(word)).map(([name]) => name);
}

async function strike(page, name) {
  const before = cluster.events.length;
  await card(page, name).getByRole('button', { name: `Kill ${name}` }).click();
  await cluster.event('died', (event) => event.server === name, before);
}

async function kill(page, name) {
  await strike(page, name);
  await until(`${name} is shown as down`, async () => (await standing(page, name)) === 'down');
}

async function start(page, name) {
  await card(page, name).getByRole('button', { name: `Start ${name}` }).click();
  await until(`${name} is shown as back`, async () => !['down', 'unknown', 'candidate'].includes(await standing(page, name)));
}

/** What the counters say. */
async function counted(page) {
  const [sent, acknowledged, delivered] = await page.locator('.counts dd:not(.meter)').allTextContents();
  return { sent: digits(sent), acknowledged: digits(acknowledged), delivered: digits(delivered) };
}

const digits = (text) => Number(text.replace(/\D/g, ''));

/** Waits until so many more messages have come through. */
async function talked(page, more) {
  const { delivered } = await counted(page);
  await until(`${more} more messages`, async () => (await counted(page)).delivered >= delivered + more);
}

test('servers are killed and started from the page, and every message arrives once', TIMEOUT, async () => {
  const page = await open(browser, cluster.url());
  await register(page, 'ann');
  await watched(page);
  await heading(page, 'All is well');
  let leader;
  await until('the page shows who leads', async () => {
    leader = (await cluster.leader()).name;
    return (await those(page, 'leader')).join() === leader;
  });
  await page.getByRole('button', { name: 'Let them talk' }).click();
  await page.locator('[data-stage="talking"]').waitFor();
  await talked(page, 15);

  // The one that leads.
  await kill(page, leader);
  await told(page, `You killed ${leader}`);
  await told(page, `${leader} is down`);
  await told(page, 'leads now');
  await talked(page, 15);
  await heading(page, 'Degraded');
  await shot(page, 'cluster-degraded-desktop');
  await start(page, leader);
  await told(page, `${leader} is back`);
  await heading(page, 'All is well');

  // The one that this page talks with.
  const through = await page.locator('[data-server]', { hasText: 'This page talks with it' }).getAttribute('data-server');
  await kill(page, through);
  await told(page, 'This page goes on at');
  await talked(page, 15);
  await start(page, through);
  await heading(page, 'All is well');

  // Two of three.
  const [one, other, last] = cluster.names;
  await kill(page, one);
  await kill(page, other);
  await heading(page, 'Sole survivor');
  await talked(page, 15);
  await shot(page, 'cluster-survivor-desktop');
  await accessible(page, 'a sole survivor');
  // All of them: nobody is there to ask, and the page waits.
  await strike(page, last);
  await heading(page, 'No server answers');
  await told(page, 'No server answers');
  await shot(page, 'cluster-nobody-desktop');
  await accessible(page, 'no server');
  for (const name of [last, one, other]) await start(page, name);
  await heading(page, 'All is well');
  await talked(page, 15);

  await page.getByRole('button', { name: 'Stop', exact: true }).click();
  await page.locator('[data-stage="ended"]').waitFor();
  const { sent, acknowledged, delivered } = await counted(page);
  assert.ok(sent >= 75, `${sent}`);
  assert.deepEqual({ acknowledged, delivered }, { acknowledged: sent, delivered: sent });
  assert.match(await page.locator('.verdict').textContent(), /arrived, each once and in order/);
  const deaths = cluster.events.filter((event) => event.event === 'died');
  assert.deepEqual(deaths.map((death) => [death.server, death.ending]), [leader, through, one, other, last].map((name) => [name, 'signal 9']));
  assert.equal(cluster.events.filter((event) => event.event === 'restarted').length, 5);

  // Both who talked are gone.
  await cluster.command('ann', 'login', 'ann');
  await until('the accounts are deleted', async () => (await cluster.command('ann', 'users', 'demo-*')).length === 0);
  assert.deepEqual(faults(page), []);
  await page.context().close();
});

test('what is shown is what the command line says', TIMEOUT, async () => {
  const page = await open(browser, cluster.url('server-2'));
  await watched(page);
  await cluster.whole();
  // Asked one after the other, until nothing has changed in between.
  await until('both say the same', async () => {
    const status = await cluster.status();
    for (const server of status.servers) {
      const facts = Object.fromEntries(
        await card(page, server.name).locator('.facts > div').evaluateAll((all) => all.map((one) => [...one.children].map((part) => part.textContent))),
      );
      assert.equal(facts.Address, server.client_address);
      assert.equal(digits(facts.Process), server.pid);
      if (server.role === 'follower') assert.equal((await card(page, server.name).locator('.log').textContent()).includes('in sync'), server.in_sync);
      assert.equal(facts.Term.split('.').pop(), String(server.term % 2 ** 32));
    }
    return true;
  });
  await until('the leader counts what it committed', async () => {
    await cluster.command('ann', 'login', 'ann');
    return (await cluster.leader()).commands > 0;
  });
  // Nobody is signed in here: nobody could be spoken for.
  assert.equal(await page.getByRole('button', { name: 'Let them talk' }).count(), 0);
  await page.getByText('It needs somebody who is signed in').waitFor();
  assert.deepEqual(faults(page), []);
  await page.context().close();
});

test('it can be used by everyone, light and dark, on a phone and on a desk', TIMEOUT, async () => {
  for (const [name, viewport] of Object.entries({ phone: PHONE, desktop: DESKTOP })) {
    const page = await open(browser, cluster.url(), { viewport });
    await signIn(page, 'ann');
    await watched(page);
    await heading(page, 'All is well');
    await accessible(page, `the cluster, ${name}`);
    await inside(page, `the cluster, ${name}`);
    for (const colorScheme of ['light', 'dark']) {
      await page.emulateMedia({ colorScheme });
      await shot(page, `cluster-${name}-${colorScheme}`);
    }
    await page.context().close();
  }
  const page = await open(browser, cluster.url());
  await watched(page);
  await heading(page, 'All is well');
  const victim = await until('one that follows', async () => (await those(page, 'follower'))[0]);
  await kill(page, victim);
  await heading(page, 'Degraded');
  await accessible(page, 'a degraded cluster');
  await start(page, victim);
  await page.setViewportSize({ width: 320, height: 640 });
  await inside(page, 'the cluster at 320 px');
  await accessible(page, 'the cluster at 320 px');
  await page.context().close();
});

test('the server that gave out the page is killed before anybody looks at the cluster: the buttons are there all the same', TIMEOUT, async () => {
  await cluster.whole();
  const page = await open(browser, 'about:blank');
  let away = true;
  // Not asked yet, it is not known whether there are buttons, and nothing is said of it.
  await page.route('**/up', (route) => (away ? route.abort('connectionrefused') : route.continue()));
  await page.goto(cluster.url('server-2'));
  await watched(page);
  await heading(page, 'All is well');
  assert.equal(await page.getByText('gives this page buttons').count(), 0);
  away = false;
  await page.goto('about:blank');
  await page.goto(cluster.url('server-2'));
  await until('all of the page is there', () => page.evaluate(() => performance.getEntriesByType('resource').some((one) => one.name.endsWith('/up') && one.responseStatus === 200)));
  await cluster.kill('server-2');
  await page.evaluate(() => {
    location.hash = '#/cluster';
  });
  await until('it is shown as down', async () => (await standing(page, 'server-2')) === 'down');
  await start(page, 'server-2');
  await heading(page, 'All is well');
  assert.deepEqual(faults(page), []);
  await page.context().close();
});

test('a server that `up` did not start offers no buttons, and other pages get no token', TIMEOUT, async () => {
  await cluster.whole();
  const elsewhere = createServer((_, response) => {
    response.setHeader('content-type', 'text/html');
    response.end('<!doctype html><title>elsewhere</title>');
  });
  await new Promise((resolve) => elsewhere.listen(0, '127.0.0.1', resolve));
  const told = async (url, headers = {}) => (await fetch(`${url}up`, { headers })).status;
  try {
    assert.equal(await told(cluster.url()), 204, 'a program');
    assert.equal(await told(cluster.url(), { 'sec-fetch-site': 'cross-site' }), 204);
    const page = await open(browser, `http://127.0.0.1:${elsewhere.address().port}/`);
    const read = await page.evaluate((at) => fetch(`${at}up`).then(() => 'read', () => 'refused'), cluster.url());
    assert.equal(read, 'refused');
    await page.context().close();
  } finally {
    elsewhere.close();
  }
  // As a person at the terminal would.
  await cluster.kill('server-3');
  await cluster.restart('server-3');
  await cluster.whole();
  const page = await open(browser, cluster.url('server-3'));
  await watched(page);
  await page.getByText('gives this page buttons').waitFor();
  assert.equal(await page.getByRole('button', { name: /^Kill/ }).count(), 0);
  await page.goto(cluster.url('server-1'));
  await watched(page);
  await page.getByRole('button', { name: 'Kill server-3' }).click();
  await page.locator('.timeline li', { hasText: 'is not run by this' }).waitFor();
  assert.deepEqual(faults(page).filter((fault) => !/409/.test(fault)), []);
  await page.context().close();
});

test('changes between two looks are told in words', TIMEOUT, async () => {
  const page = await open(browser, cluster.url());
  const words = await page.evaluate(async () => {
    const { changes, standing, termOf } = await import('/js/cluster/changes.js');
    const server = (name, role, more = {}) => ({ name, role, voter: true, in_sync: true, term: 3, incarnation: 1, committed_index: 100, applied_index: 100, ...more });
    const at = (state, ...servers) => ({ state, detail: '', servers });
    const three = at('normal', server('a', 'leader'), server('b', 'follower'), server('c', 'follower'));
    const dead = at('degraded', server('a', 'down', { in_sync: false }), server('b', 'leader', { term: 4 }), server('c', 'follower', { term: 4 }));
    const back = at('degraded', server('a', 'follower', { in_sync: false, incarnation: 2, applied_index: 10 }), server('b', 'leader', { term: 4 }), server('c', 'follower', { term: 4 }));
    const words = (before, after) => changes(before, after).map((change) => change.words);
    return {
      first: words(null, three),
      none: words(three, structuredClone(three)),
      death: words(three, dead),
      back: words(dead, back),
      quick: words(three, at('normal', server('a', 'leader'), server('b', 'follower', { incarnation: 2 }), server('c', 'follower'))),
      left: words(three, at('normal', server('a', 'leader'), server('b', 'follower'))),
      behind: standing(back, back.servers[0]).word,
      alone: standing(at('sole survivor', server('a', 'leader')), server('a', 'leader')).word,
      epoch: termOf({ term: 2 ** 32 + 7 }),
    };
  });
  assert.deepEqual(words, {
    first: [],
    none: [],
    death: ['a is down', 'b leads now, in term 4', 'The cluster is degraded'],
    back: ['a is back, its run 2'],
    quick: ['b was started again'],
    left: ['c has left the cluster'],
    behind: 'catching up',
    alone: 'sole survivor',
    epoch: '1.7',
  });
  await page.context().close();
});

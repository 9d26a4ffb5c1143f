// What the page promises when servers die: nothing that was written is lost, nothing comes twice, nothing has to be loaded again, and
// nothing jumps.

import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { accessible, faults, open, register } from './lib/browser.mjs';
import { program } from './lib/cluster.mjs';
import { until } from './lib/wait.mjs';
import { PNG, composer, goTo, knowsUser, message, send, settled, texts } from './lib/chat.mjs';
import { stage } from './lib/stage.mjs';

/** Looks at a list that has not moved, until it is taken to rest. */
const RESTS = 20;
const TIMEOUT = { timeout: 240_000 };
let cluster;
let browser;
let ann;
let bob;

stage(async (there) => {
  ({ cluster, browser } = there);
  // Both pages come from servers that will be killed.
  ann = await open(browser, cluster.url('server-1'));
  bob = await open(browser, cluster.url('server-2'));
  await register(ann, 'ann');
  await register(bob, 'bob');
  await knowsUser(ann, 'bob');
  await knowsUser(bob, 'ann');
  await goTo(ann, 'c/bob');
  await goTo(bob, 'c/ann');
  for (const page of [ann, bob]) {
    await composer(page).waitFor();
    // A reload would forget this.
    await page.evaluate(() => {
      window.neverReloaded = true;
    });
  }
});

/** Every text once, on both pages, in the order of each author. */
async function complete(expected) {
  for (const page of [ann, bob]) {
    await until('all is there', async () => {
      const seen = new Set(await texts(page));
      return Object.values(expected).flat().every((text) => seen.has(text));
    });
    const seen = await texts(page);
    for (const [author, wanted] of Object.entries(expected)) {
      assert.deepEqual(seen.filter((text) => text.startsWith(`${author} `)), wanted, `${author}'s messages, once each, in order`);
    }
    assert.equal(await page.evaluate(() => window.neverReloaded), true);
  }
}

test('the leader is killed in the middle of typing and sending, twice', TIMEOUT, async () => {
  const expected = { ann: [], bob: [] };
  for (const round of [1, 2]) {
    for (let count = 0; count < 12; count += 1) {
      for (const [author, page] of [['ann', ann], ['bob', bob]]) {
        const text = `${author} ${round}.${count}`;
        await composer(page).pressSequentially(text);
        await composer(page).press('Enter');
        expected[author].push(text);
      }
      if (count !== 5) continue;
      // Half a word stands in the composer while the leader dies, and is gone on with.
      await composer(ann).pressSequentially('ann ');
      await composer(bob).pressSequentially('bob ');
      const dead = await cluster.killLeader();
      await composer(ann).pressSequentially(`in between ${round}`);
      await composer(bob).pressSequentially(`in between ${round}`);
      await composer(ann).press('Enter');
      await composer(bob).press('Enter');
      expected.ann.push(`ann in between ${round}`);
      expected.bob.push(`bob in between ${round}`);
      cluster.restart(dead.name).catch(() => {});
    }
    await settled(ann);
    await settled(bob);
    await complete(expected);
    await cluster.whole();
  }
});

test('the server one is connected to dies: the place where one reads does not move', TIMEOUT, async () => {
  for (let count = 0; count < 60; count += 1) await send(ann, `line ${count}`);
  await settled(ann);
  await message(bob, 'line 59').waitFor();
  const log = bob.getByRole('log', { name: 'Messages' });
  await log.evaluate((element) => {
    element.scrollTop = element.scrollHeight / 3;
  });
  const place = () => bob.evaluate(() => {
    const log = document.querySelector('[role=log]');
    const top = log.getBoundingClientRect().top;
    const row = [...log.querySelectorAll('[data-id]')].find((one) => one.getBoundingClientRect().bottom > top);
    return { id: row.dataset.id, at: Math.round(row.getBoundingClientRect().top - top) };
  });
  /** What lies around that place, for who has to find out why it moved. */
  const around = () => bob.evaluate(() => {
    const log = document.querySelector('[role=log]');
    const top = log.getBoundingClientRect().top;
    const rows = [...log.querySelectorAll('.filled > *')].map((one) => ({ one, box: one.getBoundingClientRect() }));
    const near = rows.filter(({ box }) => Math.abs(box.top - top) < 300);
    const said = near.map(({ one, box }) => `${Math.round(box.top - top)} +${Math.round(box.height)} ${one.dataset.id ?? one.className} ${one.innerText.replaceAll('\n', ' ')}`);
    return [`${rows.length} rows, ${Math.round(log.scrollTop)} of ${log.scrollHeight}`, ...said].join('\n');
  });
  // Scrolling may load older messages, which come above: where one reads is where one is when they are there.
  let before;
  let rests = 0;
  await until('the list rests', async () => {
    const now = await place();
    rests = before && now.id === before.id && now.at === before.at ? rests + 1 : 0;
    before = now;
    return rests >= RESTS;
  });
  const there = await around();
  const address = await bob.evaluate(async () => (await import('/js/state/app.js')).connection.server.value);
  const name = cluster.names.find((one) => cluster.address(one) === address);
  await cluster.kill(name);
  await send(ann, 'while bob was between servers');
  await until('bob is somewhere else', async () => {
    const now = await bob.evaluate(async () => {
      const { connection } = await import('/js/state/app.js');
      return connection.state.value === 'online' && connection.server.value;
    });
    return now && now !== address;
  });
  await message(bob, 'while bob was between servers').waitFor({ state: 'attached' });
  assert.deepEqual(await place(), before, `before:\n${there}\nafter:\n${await around()}`);
  await bob.getByRole('button', { name: '1 new' }).click();
  await message(bob, 'while bob was between servers').waitFor();
  // Files find their way, too.
  await goTo(bob, 'c/ann');
  await bob.locator('input[type=file]').setInputFiles([{ name: 'dot.png', mimeType: 'image/png', buffer: PNG }]);
  await until('it is up', async () => (await bob.locator('.upload').count()) === 1 && (await bob.locator('.upload progress').count()) === 0);
  await send(bob, 'a picture by another server');
  await message(ann, 'a picture by another server').locator('img').waitFor();
  await cluster.restart(name);
  await cluster.whole();
});

test('no server at all: said in words, kept, through a reload, and sent once when they are back', TIMEOUT, async () => {
  // The page's files come from the servers; for a reload without them they must be kept back: only the WebSocket is cut.
  let cut = true;
  const context = await browser.newContext();
  const page = await context.newPage();
  await page.routeWebSocket(/\/ws$/, (socket) => {
    if (cut) socket.close({ code: 1012, reason: 'cut by the test' });
    else socket.connectToServer();
  });
  cut = false;
  await page.goto(cluster.url('server-3'));
  await register(page, 'cat');
  await goTo(page, 'c/ann');
  await send(page, 'cat 1');
  await message(page, 'cat 1').getByText('sent', { exact: true }).waitFor({ state: 'attached' });
  cut = true;
  await page.evaluate(async () => {
    const { connection } = await import('/js/state/app.js');
    connection.lost(null);
  });
  await page.getByText(/^Reconnecting …/).first().waitFor();
  await send(page, 'cat 2');
  await send(page, 'cat 3');
  await page.getByText('2 messages are waiting and will be sent').waitFor();
  await accessible(page, 'reconnecting');
  await composer(page).fill('a draft');
  await page.reload();
  await message(page, 'cat 3').waitFor();
  assert.equal(await composer(page).inputValue(), 'a draft');
  cut = false;
  await until('all is sent', () => page.evaluate(async () => (await import('/js/state/app.js')).outbox.sends().length === 0));
  await knowsUser(ann, 'cat');
  await goTo(ann, 'c/cat');
  await message(ann, 'cat 3').waitFor();
  assert.deepEqual((await texts(ann)).filter((text) => text.startsWith('cat ')), ['cat 1', 'cat 2', 'cat 3']);
  await until('all of them', async () => (await texts(page)).filter((text) => text.startsWith('cat ')).length === 3);
  assert.deepEqual((await texts(page)).filter((text) => text.startsWith('cat ')), ['cat 1', 'cat 2', 'cat 3']);
  await context.close();
});

test('what is refused is shown as failed, and can be tried again or let go', TIMEOUT, async () => {
  const name = 'dora';
  const dora = await open(browser, cluster.url('server-3'));
  await register(dora, name);
  await goTo(dora, 'c/ann');
  await composer(dora).waitFor();
  // Too long for any server: the page would not send it, so it is put past it.
  await dora.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    outbox.write({ send: { to: { user: 'ann' }, body: 'x'.repeat(17000) } }, { place: 'c/ann', at: Date.now(), after: 0 });
  });
  await dora.getByText(/^Not sent:/).waitFor();
  await accessible(dora, 'a failed message');
  await dora.getByRole('button', { name: 'Try again' }).click();
  await dora.getByText(/^Not sent:/).waitFor();
  await dora.getByRole('button', { name: 'Discard' }).click();
  await dora.getByText(/^Not sent:/).waitFor({ state: 'detached' });
  await send(dora, 'this one goes through');
  await knowsUser(ann, name);
  await goTo(ann, `c/${name}`);
  await message(ann, 'this one goes through').waitFor();
  await dora.context().close();
});

test('a frozen cluster is said in words; what is written then is kept, and sent when it goes on', TIMEOUT, async () => {
  await cluster.whole();
  await promisify(execFile)(program(), ['survivor-mode', 'off', '--data-dir', cluster.data]);
  await goTo(ann, 'c/bob');
  await goTo(bob, 'c/ann');
  const [first, second] = cluster.names;
  await cluster.kill(first);
  await cluster.kill(second);
  await ann.getByText(/The cluster is frozen: too few servers are left/).first().waitFor();
  await send(ann, 'ann while it is frozen');
  await ann.locator('article.pending', { hasText: 'ann while it is frozen' }).waitFor();
  await accessible(ann, 'a frozen cluster, in the chat');
  await goTo(ann, 'cluster');
  await ann.getByRole('heading', { name: 'Frozen' }).waitFor();
  await accessible(ann, 'a frozen cluster');
  await goTo(ann, 'c/bob');
  await cluster.restart(first);
  await settled(ann);
  await message(bob, 'ann while it is frozen').waitFor();
  await ann.getByText(/The cluster is frozen/).first().waitFor({ state: 'detached' });
  assert.equal((await texts(bob)).filter((text) => text === 'ann while it is frozen').length, 1);
});

test('no page had a fault, was refused anything, or asked anybody else', async () => {
  assert.deepEqual(faults(ann), []);
  assert.deepEqual(faults(bob), []);
});

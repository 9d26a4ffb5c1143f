// What comes late, or not at all: answers while one does something else by then, servers that hang, and what a page says meanwhile.

import assert from 'node:assert/strict';
import { rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { PASSWORD, open, register, signIn, watch } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';
import { composer, goTo, knowsUser, send, settled } from './lib/chat.mjs';
import { PICTURE, end, isUp, person as newPerson } from './lib/person.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 180_000 };
let cluster;
let browser;

stage((there) => {
  ({ cluster, browser } = there);
});

const person = (name) => newPerson(cluster, browser, name);

/** A page whose frames pass `hooks.said(frame, ends)` and `hooks.heard(frame, ends)`, which say whether they have taken one. `hooks.confirmed` is the
 * last call by which a server that is not behind has told that the account is there. */
async function between(hooks) {
  const page = await open(browser, 'about:blank');
  const doubts = new Set();
  await page.routeWebSocket(/\/ws$/, (socket) => {
    const ends = { socket, server: socket.connectToServer() };
    socket.onMessage((text) => {
      const frame = JSON.parse(text);
      if (frame.call === 'who_am_i' && frame.with?.consistent) doubts.add(frame.id);
      return hooks.said?.(frame, ends) || ends.server.send(text);
    });
    ends.server.onMessage((text) => {
      const frame = JSON.parse(text);
      if (doubts.has(frame.id) && frame.reply) hooks.confirmed = frame.id;
      return hooks.heard?.(frame, ends) || socket.send(text);
    });
  });
  await page.goto(cluster.url());
  return page;
}

test('the form stays what it is while one fills it in, whoever makes the first account', TIMEOUT, async () => {
  const page = await open(browser, cluster.url());
  const nobody = page.getByText('Nobody has an account here yet');
  await nobody.waitFor();
  await page.getByLabel('Name', { exact: true }).fill('second');
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  const first = await open(browser, cluster.url());
  await register(first, 'first');
  await first.context().close();
  await page.evaluate(async () => (await import('/js/state/app.js')).connection.lost(null));
  await nobody.waitFor({ state: 'detached' });
  assert.equal(await page.getByRole('heading', { name: 'Make an account' }).count(), 1);
  assert.equal(await page.evaluate(() => document.activeElement.type), 'password');
  await page.getByLabel('Password, again').fill(PASSWORD);
  await page.getByRole('button', { name: 'Make the account' }).click();
  await page.getByRole('navigation', { name: 'Conversations' }).waitFor();
  await end(page);
});

test('an address that means nothing breaks nothing', TIMEOUT, async () => {
  const { page } = await person('lost-way');
  for (const view of ['toString', '__proto__', 'constructor']) {
    await goTo(page, view);
    await until('it was looked at', () => page.evaluate(async (view) => (await import('/js/state/route.js')).route.value.view === view, view));
    await page.locator('main#main').waitFor();
    assert.equal(await page.getByText('Something in this page went wrong').count(), 0);
  }
  await end(page);
});

test('a conversation that was not begun keeps its composer when no server tells of it', TIMEOUT, async () => {
  const asked = [];
  const hooks = { said: (frame, ends) => frame.call === 'history' && hooks.fails && asked.push({ frame, ends }) };
  const page = await between(hooks);
  await register(page, 'beginner');
  await knowsUser(page, 'lost-way');
  hooks.fails = true;
  await goTo(page, 'c/lost-way');
  await composer(page).fill('how do I begin');
  const area = await composer(page).elementHandle();
  await until('it is asked for', () => asked.length > 0);
  for (const { frame, ends } of asked) ends.socket.send(JSON.stringify({ id: frame.id, error: { code: 'internal', message: 'failed by the test' } }));
  const fault = page.getByRole('alert').filter({ hasText: 'failed by the test' });
  await fault.waitFor();
  assert.equal(await area.evaluate((element) => element.isConnected), true);
  assert.equal(await composer(page).inputValue(), 'how do I begin');
  hooks.fails = false;
  await fault.getByRole('button', { name: 'Try again' }).click();
  await fault.waitFor({ state: 'detached' });
  assert.equal(await area.evaluate((element) => element.isConnected), true);
  await goTo(page, 'c/nobody-at-all');
  await page.getByRole('heading', { name: 'Nobody is called nobody-at-all' }).waitFor();
  await end(page);
});

test('who scrolls up just when something comes is not taken back to the end', TIMEOUT, async () => {
  const { page: ann } = await person('scroller');
  await goTo(ann, 'c/scroller');
  for (let count = 0; count < 100; count += 1) await send(ann, `line ${count}`);
  await settled(ann);
  const seen = await ann.evaluate(async () => {
    const { anew } = await import('/js/state/app.js');
    const log = document.querySelector('[role=log]');
    const frames = async (count) => {
      for (let frame = 0; frame < count; frame += 1) await new Promise(requestAnimationFrame);
    };
    await frames(3);
    const end = log.scrollTop;
    log.scrollTop = 300;
    // The list is drawn anew before the browser tells it of the scrolling.
    anew.value += 1;
    await frames(10);
    return { end, now: log.scrollTop };
  });
  assert.ok(seen.end > 600, JSON.stringify(seen));
  assert.equal(seen.now, 300);
  // All that is shown is asked for anew, as after a long absence: around what one looks at, which stays where it is.
  const place = () => ann.evaluate(() => {
    const log = document.querySelector('[role=log]');
    const top = log.getBoundingClientRect().top;
    const row = [...log.querySelectorAll('[data-id]')].find((one) => one.getBoundingClientRect().bottom > top);
    return { id: row.dataset.id, at: Math.round(row.getBoundingClientRect().top - top) };
  });
  const there = await place();
  await ann.evaluate(async () => {
    (await import('/js/state/app.js')).anew.value += 1;
  });
  await until('a smaller window', async () => (await ann.locator('[role=log] [data-id]').count()) < 100);
  assert.deepEqual(await place(), there);
});

test('a late answer takes nobody away from what they are writing', TIMEOUT, async () => {
  const { page, cut } = await person('mover');
  const make = (name) => page.evaluate(async (name) => {
    const { outbox } = await import('/js/state/app.js');
    await outbox.write({ create_room: { name, topic: '', public: true } });
  }, name);
  const { page: host } = await person('mover-host');
  await host.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    const { room_created: { conversation } } = await outbox.write({ create_room: { name: 'not-wanted', topic: '', public: false } });
    await outbox.write({ invite_to_room: { room: { conversation }, user: 'mover' } });
  });
  await end(host);
  await make('left-late');
  const writes = async () => {
    await goTo(page, 'c/mover');
    await page.getByRole('heading', { name: 'mover', level: 1 }).waitFor();
    await composer(page).fill('in the middle of a');
  };
  const answered = async () => {
    await cut(false);
    await until('all is answered', () => page.evaluate(async () => {
      const { connection, outbox } = await import('/js/state/app.js');
      return outbox.waiting().length + connection.calls.size === 0;
    }));
    // What an answer leads to has had its turn.
    await page.evaluate(() => new Promise((resolve) => setTimeout(() => requestAnimationFrame(resolve), 0)));
    assert.equal(new URL(page.url()).hash, '#/c/mover');
    assert.equal(await composer(page).inputValue(), 'in the middle of a');
  };
  await goTo(page, 'room/left-late');
  await send(page, 'said on this day');
  await settled(page);
  await page.getByRole('button', { name: 'Members and settings of the room' }).click();
  await page.getByLabel('A day').fill('2020-02-20');
  await cut(true);
  await page.getByRole('button', { name: 'Go to the day' }).click();
  await writes();
  await answered();
  await goTo(page, 'room/left-late');
  await page.getByRole('button', { name: 'Members and settings of the room' }).click();
  await cut(true);
  await page.getByRole('button', { name: 'Leave the room' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Leave' }).click();
  await until('it is left', () => new URL(page.url()).hash === '#/');
  await writes();
  await answered();
  await goTo(page, 'room/not-wanted');
  const decline = page.getByRole('button', { name: 'Decline' });
  await decline.waitFor();
  await cut(true);
  await decline.click();
  await until('it is declined', () => new URL(page.url()).hash === '#/');
  await writes();
  await answered();
  await goTo(page, 'rooms');
  await page.getByLabel('Name', { exact: true }).fill('made-late');
  await cut(true);
  await page.getByRole('button', { name: 'Make the room' }).click();
  await writes();
  await answered();
  await until('it is there', () => page.evaluate(async () => Boolean((await import('/js/state/app.js')).chats.room('made-late')?.at)));
  assert.equal(new URL(page.url()).hash, '#/c/mover');
  // Who waits for it is led to it.
  await goTo(page, 'rooms');
  await page.getByLabel('Name', { exact: true }).fill('made-at-once');
  await page.getByRole('button', { name: 'Make the room' }).click();
  await page.getByRole('heading', { name: '#made-at-once', level: 1 }).waitFor();
  await end(page);
});

test('a picture that a hanging server leaves unanswered comes from the next one; a file that was saved is not kept', TIMEOUT, async () => {
  const { page, context } = await person('viewer');
  await goTo(page, 'c/viewer');
  await page.locator('input[type=file]').setInputFiles([PICTURE]);
  await isUp(page);
  await send(page, 'look at this');
  await page.locator('input[type=file]').setInputFiles([{ name: 'words.txt', mimeType: 'text/plain', buffer: Buffer.from('some words') }]);
  await isUp(page);
  await send(page, 'and read this');
  await settled(page);
  const fresh = await context.newPage();
  watch(fresh);
  let asked = 0;
  await fresh.route(`${cluster.url()}attachments/**`, () => {
    asked += 1;
  });
  await fresh.goto(`${cluster.url()}#/c/viewer`);
  await until('it hangs', () => asked > 0);
  const picture = fresh.getByRole('button', { name: 'Picture dot.png' }).locator('img');
  await until('the picture, from another server', async () => {
    await fresh.evaluate(async () => {
      const { connection } = await import('/js/state/app.js');
      if (connection.state.value === 'online' && connection.server.value === location.host) connection.lost(null);
    });
    return (await picture.count()) === 1;
  });
  let fetched = 0;
  fresh.on('request', (request) => {
    if (request.method() === 'GET' && new URL(request.url()).pathname.startsWith('/attachments/')) fetched += 1;
  });
  for (const times of [1, 2]) {
    const [download] = await Promise.all([fresh.waitForEvent('download'), fresh.getByRole('button', { name: /^Save words.txt/ }).click()]);
    assert.equal(download.suggestedFilename(), 'words.txt');
    assert.equal(fetched, times);
  }
  await fresh.close();
  await end(page);
});

test('a file that is on its way comes from where it began, whatever server the page is at', TIMEOUT, async () => {
  const { page } = await person('saver');
  await goTo(page, 'c/saver');
  await page.locator('input[type=file]').setInputFiles([{ name: 'large.bin', mimeType: 'application/octet-stream', buffer: Buffer.alloc(4e6, 7) }]);
  await isUp(page);
  await send(page, 'keep this');
  await settled(page);
  let fetched = 0;
  const isFile = (one) => new URL(one.url()).pathname.startsWith('/attachments/');
  page.on('request', (request) => {
    if (isFile(request)) fetched += 1;
  });
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  await network.send('Network.emulateNetworkConditions', { offline: false, latency: 0, downloadThroughput: 1e6, uploadThroughput: -1 });
  const saved = page.waitForEvent('download');
  await Promise.all([page.waitForResponse(isFile), page.getByRole('button', { name: /^Save large.bin/ }).click()]);
  const before = await page.evaluate(async () => (await import('/js/state/app.js')).connection.server.value);
  // Where the others are slow it comes back to the same one, and leaves it again.
  const moved = until('it has moved', () => page.evaluate(async (before) => {
    const { connection } = await import('/js/state/app.js');
    if (connection.state.value !== 'online') return false;
    if (connection.server.value !== before) return true;
    connection.lost(null);
    return false;
  }, before));
  const [download] = await Promise.all([saved, moved]);
  assert.equal(statSync(await download.path()).size, 4e6);
  assert.equal(fetched, 1);
  await end(page);
});

/** Asks for the end of the account; returns the dialog. */
async function remove(page) {
  await goTo(page, 'settings');
  await page.getByRole('button', { name: 'Delete the account …' }).click();
  const dialog = page.getByRole('dialog', { name: 'Delete the account' });
  await dialog.getByLabel('Password').fill(PASSWORD);
  await dialog.getByRole('button', { name: 'Delete for ever' }).click();
  return dialog;
}

/** Waits until the page knows that it was not done. */
async function foundOut(page, hooks) {
  const id = await until('a server tells that the account is there', () => hooks.confirmed);
  await until('the page has heard it', () => page.evaluate(async (id) => !(await import('/js/state/app.js')).connection.calls.has(id), id));
}

test('an account whose deletion is answered by nobody: said as it is, and nothing stays in the browser', TIMEOUT, async () => {
  const hooks = {};
  const page = await between(hooks);
  await register(page, 'leaver');
  await goTo(page, 'c/leaver');
  await composer(page).fill('half a thought of mine');
  const dies = ({ socket }) => {
    socket.close({ code: 1012, reason: 'died by the test' });
    return true;
  };
  // The server dies before it has heard of it: the account is there, and so is what was written.
  hooks.said = (frame, ends) => frame.call === 'delete_account' && dies(ends);
  const dialog = await remove(page);
  await dialog.getByText('The connection broke off before the answer came.').waitFor();
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  hooks.said = null;
  await foundOut(page, hooks);
  await page.evaluate(async () => {
    const { connection } = await import('/js/state/app.js');
    await connection.call('who_am_i');
    await connection.call('logout', {}, { once: true }).catch(() => {});
  });
  await page.getByText('This session has ended').waitFor();
  await signIn(page, 'leaver');
  await goTo(page, 'c/leaver');
  await until('the draft is there', async () => (await composer(page).inputValue()) === 'half a thought of mine');
  // It dies when it has done it, before it says so.
  hooks.said = (frame, { socket, server }) => {
    if (frame.call !== 'delete_account') return false;
    server.onMessage((text) => (JSON.parse(text).id === frame.id ? dies({ socket }) : socket.send(text)));
    server.onClose(() => dies({ socket }));
    return false;
  };
  await remove(page);
  await page.getByText('The account is deleted.').waitFor();
  assert.equal(await page.getByRole('dialog').count(), 0);
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes('half a thought')), false);
  await end(page);
});

test('a deletion that was not done erases nothing when the session ends later', TIMEOUT, async () => {
  const hooks = {};
  const page = await between(hooks);
  await register(page, 'stayer');
  hooks.said = (frame, { socket }) => {
    if (frame.call !== 'delete_account') return false;
    socket.send(JSON.stringify({ id: frame.id, error: { code: 'unavailable', message: 'not at the moment' } }));
    return true;
  };
  const dialog = await remove(page);
  await dialog.getByText('not at the moment').waitFor();
  await foundOut(page, hooks);
  await dialog.getByRole('button', { name: 'Cancel' }).click();
  await goTo(page, 'c/stayer');
  await composer(page).fill('half a thought of mine');
  const session = await page.evaluate(async () => (await import('/js/state/app.js')).me.value.session);
  const elsewhere = await open(browser, cluster.url('server-2'));
  await signIn(elsewhere, 'stayer');
  await elsewhere.evaluate(async (session) => (await import('/js/state/app.js')).connection.call('end_session', { session }), session);
  await page.getByText('This session has ended').waitFor();
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes('half a thought')), true);
  await end(elsewhere);
  await end(page);
});

test('a server that has lost its disk says of nobody that they are not there', TIMEOUT, async () => {
  for (const name of cluster.names) await cluster.kill(name);
  rmSync(join(cluster.data, 'server-3'), { recursive: true });
  await cluster.restart('server-3');
  const page = await open(browser, cluster.url('server-3'));
  const status = await page.evaluate(async () => (await import('/js/state/app.js')).connection.call('status', { local: true }));
  assert.equal(status.recovery_id, undefined);
  assert.equal(status.empty, undefined);
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  assert.equal(await page.getByText('Nobody has an account here yet').count(), 0);
  await end(page);
});

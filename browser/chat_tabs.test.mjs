// What else happens to a page: several tabs of one person, sessions that end, answers that fail, and what one does in between.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faults, open, register, signIn, watch } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';
import { PNG, composer, goTo, knowsRoom, knowsUser, menu, message, send, settled, texts } from './lib/chat.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 180_000 };
let cluster;
let browser;
let ann;
let bob;

stage(async (there) => {
  ({ cluster, browser } = there);
  ann = await open(browser, cluster.url('server-1'));
  bob = await open(browser, cluster.url('server-2'));
  await register(ann, 'ann');
  await register(bob, 'bob');
  await knowsUser(ann, 'bob');
  await knowsUser(bob, 'ann');
  await goTo(ann, 'c/bob');
  await goTo(bob, 'c/ann');
  await composer(ann).waitFor();
  await composer(bob).waitFor();
});

const mark = (page) =>
  page.evaluate(() => {
    window.neverReloaded = true;
  });

const isMarked = (page) => page.evaluate(() => window.neverReloaded === true);

/** Answers to calls of this name become a failure, as often as `times` says; the rest goes through. */
async function failing(page, name, times) {
  const left = { count: 0 };
  await page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((text) => {
      const frame = JSON.parse(text);
      if (frame.call === name && left.count > 0) {
        left.count -= 1;
        socket.send(JSON.stringify({ id: frame.id, error: { code: 'internal', message: 'failed by the test' } }));
      } else server.send(text);
    });
  });
  return (count = times) => {
    left.count = count;
  };
}

test('a duplicated tab writes in its own name: nothing is lost or doubled', TIMEOUT, async () => {
  await send(ann, 'from the first 1');
  await settled(ann);
  const [copy] = await Promise.all([ann.waitForEvent('popup'), ann.evaluate(() => void window.open(location.href))]);
  watch(copy);
  await composer(copy).waitFor();
  await send(ann, 'from the first 2');
  await send(copy, 'from the copy 1');
  await settled(ann);
  await settled(copy);
  await ann.reload();
  await composer(ann).waitFor();
  await send(ann, 'from the first 3');
  await send(copy, 'from the copy 2');
  await settled(ann);
  await settled(copy);
  const all = ['from the first 1', 'from the first 2', 'from the copy 1', 'from the first 3', 'from the copy 2'];
  for (const text of all) await message(bob, text).waitFor();
  assert.deepEqual((await texts(bob)).filter((text) => text.startsWith('from the')).sort(), all.sort());
  // Another name than before is known to every tab, without loading any anew.
  await mark(copy);
  await goTo(ann, 'settings');
  await ann.getByLabel('Name that is shown').fill('Ann of the tabs');
  await ann.getByRole('button', { name: 'Save' }).click();
  await ann.getByText('Saved.').waitFor();
  await ann.reload();
  const display = () => copy.evaluate(async () => (await import('/js/state/app.js')).me.value.display);
  await until('the copy knows it', async () => (await display()) === 'Ann of the tabs');
  assert.equal(await isMarked(copy), true);
  assert.deepEqual(faults(copy), []);
  await copy.close();
  await goTo(ann, 'c/bob');
});

test('what failed is all tabs’ together, and is tried again once', TIMEOUT, async () => {
  const cat = await open(browser, cluster.url('server-3'));
  await register(cat, 'cat');
  await goTo(cat, 'c/dan');
  await until('nobody is called so', () => cat.getByText('Nobody is called dan').isVisible());
  await cat.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    outbox.write({ send: { to: { user: 'dan' }, body: 'to one who comes later' } }, { place: 'c/dan', peer: 'dan', at: Date.now(), after: 0 });
  });
  const failed = (page) => page.evaluate(async () => (await import('/js/state/app.js')).outbox.failed.length);
  await until('it has failed', async () => (await failed(cat)) === 1);
  const other = await cat.context().newPage();
  await other.goto(cluster.url('server-3'));
  await until('the other tab shows it', async () => (await failed(other)) === 1);
  const dan = await open(browser, cluster.url('server-1'));
  await register(dan, 'dan');
  await Promise.all([cat, other].map((page) => page.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    for (const one of outbox.failed) outbox.retry(one);
  })));
  await settled(cat);
  await settled(other);
  await goTo(dan, 'c/cat');
  await message(dan, 'to one who comes later').waitFor();
  assert.deepEqual(await texts(dan), ['to one who comes later']);
  await dan.context().close();
  await cat.context().close();
});

test('a session that was ended: nothing of it stays in sight, and nothing that was written is lost', TIMEOUT, async () => {
  const eve = await open(browser, cluster.url('server-3'));
  await register(eve, 'eve');
  await goTo(eve, 'c/bob');
  await eve.locator('input[type=file]').setInputFiles([{ name: 'private.png', mimeType: 'image/png', buffer: PNG }]);
  await until('it is up', async () => (await eve.locator('.upload').count()) === 1 && (await eve.locator('.upload progress').count()) === 0);
  await send(eve, 'look');
  // Until it is there, it does not open.
  await eve.getByRole('button', { name: 'Picture private.png' }).locator('img').waitFor();
  await eve.getByRole('button', { name: 'Picture private.png' }).click();
  const dialog = eve.getByRole('dialog', { name: 'private.png' });
  await dialog.waitFor();
  await dialog.getByRole('button', { name: 'Close' }).click();
  await composer(eve).fill('half a thought of eve');
  await eve.getByRole('button', { name: 'Picture private.png' }).click();
  await dialog.waitFor();
  await mark(eve);
  // Another device ends all others.
  const device = await open(browser, cluster.url('server-1'));
  await signIn(device, 'eve');
  await device.evaluate(async () => {
    const { connection } = await import('/js/state/app.js');
    const { sessions } = await connection.call('list_sessions', {});
    for (const one of sessions.filter((one) => !one.current)) await connection.call('end_session', { session: one.session });
  });
  await eve.getByText('This session has ended').waitFor();
  await device.context().close();
  // The same person finds the draft again ...
  await signIn(eve, 'eve');
  assert.equal(await eve.getByRole('dialog').count(), 0);
  await goTo(eve, 'c/bob');
  await until('the draft is back', async () => (await composer(eve).inputValue()) === 'half a thought of eve');
  assert.equal(await isMarked(eve), true);
  await eve.evaluate(async () => {
    const { connection } = await import('/js/state/app.js');
    // The session's end may close the connection before its answer comes.
    await connection.call('logout', {}, { once: true }).catch(() => {});
  });
  await eve.getByText('This session has ended').waitFor();
  // ... and another one does not.
  await register(eve, 'frank');
  await goTo(eve, 'c/bob');
  await composer(eve).waitFor();
  assert.equal(await composer(eve).inputValue(), '');
  assert.equal(await eve.evaluate(() => JSON.stringify(localStorage).includes('half a thought')), false);
  assert.deepEqual(faults(eve), []);
  await eve.context().close();
});

test('a room is called otherwise while one writes in it: what one writes stays', TIMEOUT, async () => {
  await ann.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    await outbox.write({ create_room: { name: 'old', topic: '', public: true } });
  });
  await knowsRoom(bob, 'old');
  await goTo(bob, 'room/old');
  await bob.getByRole('button', { name: 'Join' }).click();
  await composer(bob).fill('being written');
  const area = await composer(bob).elementHandle();
  await ann.evaluate(async () => {
    const { chats, outbox } = await import('/js/state/app.js');
    await outbox.write({ change_room: { room: { conversation: chats.room('old').id }, name: 'new' } });
  });
  await bob.getByRole('heading', { name: '#new', level: 1 }).waitFor();
  await until('the address follows', async () => bob.url().endsWith('#/room/new'));
  assert.equal(await composer(bob).inputValue(), 'being written');
  assert.equal(await area.evaluate((element) => element.isConnected), true, 'the same composer');
  await send(bob, 'written');
  await goTo(bob, 'c/ann');
  await goTo(ann, 'room/new');
  await message(ann, 'written').waitFor();
  await goTo(ann, 'c/bob');
});

test('one edit after the other: the draft is back in the end', TIMEOUT, async () => {
  await send(ann, 'edit me first');
  await send(ann, 'edit me second');
  await settled(ann);
  await composer(ann).fill('my draft');
  await menu(ann, 'edit me first', 'Edit');
  await until('the first', async () => (await composer(ann).inputValue()) === 'edit me first');
  await menu(ann, 'edit me second', 'Edit');
  await until('the second', async () => (await composer(ann).inputValue()) === 'edit me second');
  await composer(ann).press('Escape');
  await until('the draft', async () => (await composer(ann).inputValue()) === 'my draft');
  await ann.reload();
  await until('the draft, kept', async () => (await composer(ann).inputValue()) === 'my draft');
  // An edit that is refused is not lost.
  await menu(ann, 'edit me first', 'Edit');
  await composer(ann).fill('edited too late');
  await ann.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    const { timelineOf } = await import('/js/state/timelines.js');
    const { id, conversation } = timelineOf('c/bob').messages.find((one) => one.body === 'edit me first');
    // Not told to the page, as if by another device in the same moment.
    outbox.write({ delete: { conversation, messages: [id], for_everyone: true } });
  });
  await composer(ann).press('Enter');
  const refused = ann.locator('article.failed', { hasText: 'edited too late' });
  await refused.getByText(/^Not sent:/).waitFor();
  assert.equal(await composer(ann).inputValue(), 'my draft');
  await refused.getByRole('button', { name: 'Discard' }).click();
  await refused.waitFor({ state: 'detached' });
  await composer(ann).fill('');
});

test('files go up while one looks elsewhere, and one that failed is not left behind', TIMEOUT, async () => {
  let hold;
  const held = new Promise((resolve) => {
    hold = resolve;
  });
  let mode = 'hold';
  let asked = 0;
  await ann.route('**/attachments?*', async (route) => {
    asked += 1;
    if (mode === 'hold') await held;
    if (mode === 'fail') await route.fulfill({ status: 400, contentType: 'application/json', body: '{"error":"refused by the test","code":"FAILED"}' });
    else await route.continue();
  });
  const add = (name) => ann.locator('input[type=file]').setInputFiles([{ name, mimeType: 'image/png', buffer: PNG }]);
  await add('slow.png');
  await goTo(ann, 'settings');
  await ann.getByRole('heading', { name: 'Leave' }).waitFor();
  mode = 'pass';
  hold();
  await goTo(ann, 'c/bob');
  await until('it is up', async () => (await ann.locator('.upload').count()) === 1 && (await ann.locator('.upload progress').count()) === 0);
  mode = 'fail';
  await add('refused.png');
  await ann.getByText('refused by the test').waitFor();
  await composer(ann).fill('both, or none');
  await composer(ann).press('Enter');
  await ann.getByText('A file was not sent up').waitFor();
  mode = 'pass';
  await ann.getByRole('button', { name: 'Retry' }).click();
  await until('both are up', async () => (await ann.locator('.upload').count()) === 2 && (await ann.locator('.upload progress').count()) === 0);
  await composer(ann).press('Enter');
  await message(bob, 'both, or none').waitFor();
  await until('both pictures', async () => (await message(bob, 'both, or none').locator('img').count()) === 2);
  assert.equal(asked, 3);
  await ann.unroute('**/attachments?*');
});

test('answers that fail once: a lane, the list, a page', TIMEOUT, async () => {
  const gus = await open(browser, cluster.url('server-3'));
  await register(gus, 'gus');
  const page = await gus.context().newPage();
  watch(page);
  const lanes = await failing(page, 'open_instance', 1);
  lanes();
  await page.goto(cluster.url('server-3'));
  await goTo(page, 'c/bob');
  await send(page, 'by a new lane');
  await settled(page);
  await page.close();
  const shown = await gus.context().newPage();
  watch(shown);
  const history = await failing(shown, 'history', 1);
  await shown.goto(cluster.url('server-3'));
  await goTo(shown, 'c/bob');
  await message(shown, 'by a new lane').waitFor();
  // What is shown goes on, though it could not be read anew.
  history();
  await shown.evaluate(async () => {
    const { anew } = await import('/js/state/app.js');
    anew.value += 1;
  });
  await knowsUser(bob, 'gus');
  await goTo(bob, 'c/gus');
  await send(bob, 'while it could not');
  await message(shown, 'while it could not').waitFor();
  assert.deepEqual(faults(shown), []);
  await gus.context().close();
  // The same of the list.
  const hal = await open(browser, cluster.url('server-3'));
  await register(hal, 'hal');
  const listed = await hal.context().newPage();
  watch(listed);
  const list = await failing(listed, 'list_conversations', 2);
  await listed.goto(cluster.url('server-3'));
  await listed.getByRole('navigation', { name: 'Conversations' }).waitFor();
  list();
  await listed.evaluate(async () => {
    const { chats, connection } = await import('/js/state/app.js');
    chats.load(connection.cursor);
  });
  await knowsUser(bob, 'hal');
  await goTo(bob, 'c/hal');
  await send(bob, 'to the list');
  await listed.getByRole('navigation', { name: 'Conversations' }).getByRole('link', { name: /bob.*1 unread/ }).waitFor();
  await until('it has been read', () => listed.evaluate(async () => (await import('/js/state/app.js')).chats.held === null));
  await listed.getByRole('navigation', { name: 'Conversations' }).getByRole('link', { name: /bob.*1 unread/ }).waitFor();
  await hal.context().close();
  await goTo(bob, 'c/ann');
});

test('a browser that cannot notify loses no message by it', TIMEOUT, async () => {
  const ida = await open(browser, cluster.url('server-3'));
  await register(ida, 'ida');
  await goTo(ida, 'c/bob');
  await composer(ida).waitFor();
  await ida.evaluate(async () => {
    window.Notification = class {
      static permission = 'granted';
      constructor() {
        window.tried = true;
        throw new TypeError('Illegal constructor');
      }
    };
    document.hasFocus = () => false;
    (await import('/js/state/notifications.js')).wanted.value = true;
  });
  await knowsUser(bob, 'ida');
  await goTo(bob, 'c/ida');
  await send(bob, 'is it there?');
  await message(ida, 'is it there?').waitFor();
  await until('it tried', () => ida.evaluate(() => window.tried === true));
  assert.deepEqual(faults(ida), []);
  await ida.context().close();
  await goTo(bob, 'c/ann');
});

test('no page had a fault, was refused anything, or asked anybody else', async () => {
  // One answer was refused on purpose.
  assert.deepEqual(faults(ann).filter((fault) => !fault.includes('400')), []);
  assert.deepEqual(faults(bob), []);
});

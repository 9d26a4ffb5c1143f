// What the browser keeps while no server answers: through reloads, in several tabs, for one account and no other, and with a full disk.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { open, register, signIn } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';
import { composer, goTo, knowsUser, menu, message, send, settled, texts } from './lib/chat.mjs';
import { PICTURE, end, isUp, person as newPerson, tab as newTab } from './lib/person.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 180_000 };
let cluster;
let browser;

stage((there) => {
  ({ cluster, browser } = there);
});

const person = (name, heard) => newPerson(cluster, browser, name, heard);
const tab = (context) => newTab(cluster, context);
const lanes = (page) => page.evaluate(async () => (await import('/js/state/app.js')).outbox.lanes.length);

test('a room is known by its name before a server says so: what waits and the draft are there after a reload', TIMEOUT, async () => {
  const { page, cut } = await person('room-goer');
  await page.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    await outbox.write({ create_room: { name: 'Tea', topic: '', public: true } });
  });
  await goTo(page, 'room/tea');
  await composer(page).waitFor();
  await cut(true);
  await send(page, 'first');
  await send(page, 'second');
  await composer(page).fill('the draft');
  await page.reload();
  await message(page, 'second').waitFor();
  assert.equal(await composer(page).inputValue(), 'the draft');
  await composer(page).press('Enter');
  await message(page, 'the draft').waitFor();
  await composer(page).fill('gone on with');
  await page.locator('input[type=file]').setInputFiles([PICTURE]);
  await isUp(page);
  await cut(false);
  await settled(page);
  await until('the list', () => page.evaluate(async () => (await import('/js/state/app.js')).chats.loaded.value));
  await until('all of them', async () => (await texts(page)).length === 3);
  assert.deepEqual(await texts(page), ['first', 'second', 'the draft']);
  assert.equal(await composer(page).inputValue(), 'gone on with');
  assert.equal(await page.locator('.upload').count(), 1);
  // Called otherwise meanwhile, it is found under its new name.
  await page.evaluate(async () => {
    const { chats, outbox } = await import('/js/state/app.js');
    await outbox.write({ change_room: { room: { conversation: chats.room('tea').id }, name: 'coffee' } });
  });
  await until('the address follows', async () => page.url().endsWith('#/room/coffee'));
  await cut(true);
  await goTo(page, 'room/Tea');
  assert.ok(page.url().endsWith('#/room/Tea'));
  await page.reload();
  await cut(false);
  await until('the address follows again', async () => page.url().endsWith('#/room/coffee'));
  assert.equal(await composer(page).inputValue(), 'gone on with');
  await end(page);
});

test('who signs out is told of what other tabs have not sent; what a closed one left, the others send', TIMEOUT, async () => {
  const { page, context, cut } = await person('tab-user');
  await goTo(page, 'c/tab-user');
  const other = await tab(context);
  await goTo(other, 'c/tab-user');
  await composer(other).waitFor();
  await cut(true);
  await send(other, 'from the other tab');
  await message(other, 'from the other tab').waitFor();
  await goTo(page, 'settings');
  await page.getByRole('button', { name: 'Sign out' }).click();
  const dialog = page.getByRole('dialog', { name: 'Sign out?' });
  await dialog.getByText('One message is not sent yet').waitFor();
  await page.keyboard.press('Escape');
  await other.close();
  await goTo(page, 'c/tab-user');
  await cut(false);
  await message(page, 'from the other tab').getByText('sent', { exact: true }).waitFor({ state: 'attached' });
  assert.deepEqual(await texts(page), ['from the other tab']);
  await end(page);
});

test('what was taken over from a tab is given back when it returns', TIMEOUT, async () => {
  const { page, context, cut } = await person('returner');
  const other = await tab(context);
  await goTo(other, 'c/returner');
  await composer(other).waitFor();
  await cut(true);
  await send(other, 'away for a moment');
  await message(other, 'away for a moment').waitFor();
  await other.goto('about:blank');
  await page.reload();
  await until('it is taken over', async () => (await lanes(page)) === 2);
  await other.goto(`${cluster.url('server-1')}#/c/returner`);
  await until('it is given back', async () => (await lanes(page)) === 1);
  await message(other, 'away for a moment').waitFor();
  await send(other, 'and here again');
  await cut(false);
  await settled(other);
  await settled(page);
  await until('both are there', async () => (await texts(other)).length === 2);
  assert.deepEqual(await texts(other), ['away for a moment', 'and here again']);
  await end(page);
});

test('a lane whose numbers another tab has used says only again what was never carried out', TIMEOUT, async () => {
  const { page } = await person('numbered');
  const seen = await page.evaluate(async () => {
    const { Lane } = await import('/js/net/lane.js');
    const said = [];
    const failed = [];
    const host = {
      session: () => 'a session',
      owner: () => 'an owner',
      isOnline: () => true,
      say: (frame) => said.push(frame.write.operation.send.body),
      call: async () => ({ instance: 9 }),
      fail: (write) => failed.push(write.operation.send.body),
      finished: () => {},
    };
    const lane = new Lane('of-the-test', host);
    lane.instance = 7;
    for (const body of ['taken', 'said', 'said too']) lane.add({ send: { body } });
    lane.hear(1, { error: { code: 'request_mismatch' } });
    while (said.length < 4) await new Promise((resolve) => setTimeout(resolve, 5));
    lane.forget();
    return { said, failed, left: lane.writes.map((write) => write.operation.send.body) };
  });
  assert.deepEqual(seen, { said: ['taken', 'said', 'said too', 'taken'], failed: ['said', 'said too'], left: ['taken'] });
  await end(page);
});

test('another account has nothing of the one before, though both have the same number', TIMEOUT, async () => {
  let same = 0;
  const { page } = await person('first-one', (frame) => {
    if (same && frame.reply?.instance) frame.reply.account = same;
    return frame;
  });
  const number = await page.evaluate(async () => (await import('/js/state/app.js')).me.value.account);
  await goTo(page, 'c/first-one');
  await composer(page).fill('a secret of the first one');
  await page.evaluate(async () => {
    const { connection } = await import('/js/state/app.js');
    // The session's end may close the connection before its answer comes.
    await connection.call('logout', {}, { once: true }).catch(() => {});
  });
  await page.getByText('This session has ended').waitFor();
  same = number;
  await register(page, 'second-one');
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes('a secret')), false);
  // A lane that a tab of the first one kept too late is not taken over.
  await page.evaluate(() => {
    const write = { number: 1, operation: { send: { to: { user: 'second-one' }, body: 'said by the first one' } } };
    localStorage.setItem('threefold:lane:late', JSON.stringify({ instance: 0, nonce: 1, next: 2, writes: [write], owner: 'somebody else' }));
  });
  await page.reload();
  await until('it is gone', () => page.evaluate(() => localStorage.getItem('threefold:lane:late') === null));
  assert.equal(await page.evaluate(async () => (await import('/js/state/app.js')).outbox.sends().length), 0);
  await end(page);
});

test('another tab signs in as somebody else: what was being written is not theirs', TIMEOUT, async () => {
  const { page, context } = await person('before');
  const { page: elsewhere } = await person('afterwards');
  const session = await elsewhere.evaluate(() => localStorage.getItem('threefold:session'));
  await knowsUser(page, 'afterwards');
  await goTo(page, 'c/afterwards');
  await page.locator('input[type=file]').setInputFiles([PICTURE]);
  await isUp(page);
  await composer(page).fill('for nobody else');
  const other = await tab(context);
  await other.evaluate((session) => {
    localStorage.removeItem('threefold:draft:c/afterwards');
    localStorage.setItem('threefold:session', session);
  }, session);
  const name = () => page.evaluate(async () => (await import('/js/state/app.js')).me.value?.name);
  await until('somebody else is in', async () => (await name()) === 'afterwards');
  await goTo(page, 'c/afterwards');
  await composer(page).waitFor();
  assert.equal(await composer(page).inputValue(), '');
  assert.equal(await page.evaluate(() => JSON.stringify(localStorage).includes('for nobody else')), false);
  await end(elsewhere);
  await end(page);
});

test('a tab that missed a change of session goes on with the new one, and forgets nothing', TIMEOUT, async () => {
  const { page } = await person('missed-it');
  const { page: elsewhere } = await person('changed-it');
  const session = await elsewhere.evaluate(() => localStorage.getItem('threefold:session'));
  await page.evaluate(async (session) => {
    // A tab hears nothing of its own changes, as one that was frozen hears nothing of others'.
    localStorage.setItem('threefold:session', session);
    const { connection } = await import('/js/state/app.js');
    connection.call('logout', {}, { once: true }).catch(() => {});
  }, session);
  await until('it goes on', () => page.evaluate(async () => (await import('/js/state/app.js')).me.value?.name === 'changed-it'));
  assert.equal(await page.evaluate(() => JSON.parse(localStorage.getItem('threefold:session')).name), 'changed-it');
  await end(elsewhere);
  await end(page);
});

test('what comes is news once all that was missed has come, or after a short absence', TIMEOUT, async () => {
  const { page } = await person('listener');
  const seen = await page.evaluate(async () => {
    const { Connection } = await import('/js/net/connection.js');
    const one = new Connection({ frame: () => {}, awaits: () => false });
    const seen = [];
    const hear = (frame) => {
      one.hear(JSON.stringify(frame));
      seen.push(one.live);
    };
    hear({ subscribed: { position: 10 } });
    hear({ caught_up: { position: 7 } });
    hear({ caught_up: { position: 10 } });
    one.drop();
    seen.push(one.live);
    for (const away of [5_000, 300_000]) {
      one.token = 'a token';
      one.wanted = false;
      one.lostAt = Date.now() - away;
      one.greet();
      seen.push(one.live);
      one.stop();
      one.cursor = 10;
    }
    return seen;
  });
  assert.deepEqual(seen, [false, false, true, false, true, false]);
  await end(page);
});

test('with a full disk nothing that was written is lost while the page is open', TIMEOUT, async () => {
  const { page, context } = await person('full');
  const other = await tab(context);
  await goTo(page, 'c/full');
  await composer(page).waitFor();
  // It is said once, for a few seconds, as soon as something is not kept.
  const told = page.getByText('leave the page open').first().waitFor();
  told.catch(() => {});
  await page.evaluate(() => {
    Storage.prototype.setItem = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
  });
  await page.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    outbox.write({ send: { to: { user: 'full' }, body: 'x'.repeat(17000) } }, { place: 'c/full', at: Date.now(), after: 0 });
  });
  await page.getByText(/^Not sent:/).waitFor();
  // Another tab has a failure of its own, which is kept.
  await other.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    outbox.write({ send: { to: { user: 'full' }, body: 'y'.repeat(17000) } }, { place: 'c/full', at: Date.now(), after: 0 });
  });
  await until('both', async () => (await page.getByText(/^Not sent:/).count()) === 2);
  await composer(page).fill('a draft on a full disk');
  await told;
  await goTo(page, 'settings');
  await page.getByRole('heading', { name: 'Leave' }).waitFor();
  await goTo(page, 'c/full');
  await until('the draft', async () => (await composer(page).inputValue()) === 'a draft on a full disk');
  await end(page);
});

test('an edit or a reaction that is refused after a reload is told, and its text is not lost', TIMEOUT, async () => {
  const { page, cut } = await person('editor');
  await goTo(page, 'c/editor');
  await send(page, 'to be edited');
  await settled(page);
  await cut(true);
  await menu(page, 'to be edited', 'Edit');
  await composer(page).fill('edited in the dark');
  await composer(page).press('Enter');
  await page.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    const { timelineOf } = await import('/js/state/timelines.js');
    const { id, conversation } = timelineOf('c/editor').messages.at(-1);
    outbox.write({ react: { conversation, message: id, emoji: '👍' } });
  });
  await page.reload();
  await composer(page).waitFor();
  const device = await open(browser, cluster.url('server-2'));
  await signIn(device, 'editor');
  await goTo(device, 'c/editor');
  await message(device, 'to be edited').waitFor();
  await device.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    const { timelineOf } = await import('/js/state/timelines.js');
    const { id, conversation } = timelineOf('c/editor').messages.at(-1);
    await outbox.write({ delete: { conversation, messages: [id], for_everyone: true } });
  });
  await Promise.all([page.getByText(/^A change made earlier:/).waitFor(), cut(false)]);
  const failed = page.locator('article.failed', { hasText: 'edited in the dark' });
  const key = () => page.evaluate(async () => (await import('/js/state/app.js')).outbox.failed[0]?.key);
  const first = await key();
  await failed.getByRole('button', { name: 'Try again' }).click();
  await until('it is refused again', async () => ![first, undefined].includes(await key()));
  await failed.getByRole('button', { name: 'Discard' }).click();
  await settled(page);
  await device.context().close();
  await end(page);
});

test('a file that another tab has added to the draft stays in it', TIMEOUT, async () => {
  const { page, context } = await person('filer');
  await goTo(page, 'c/filer');
  await composer(page).fill('with a file');
  await goTo(page, 'settings');
  await page.getByRole('heading', { name: 'Leave' }).waitFor();
  const other = await tab(context);
  await goTo(other, 'c/filer');
  await composer(other).waitFor();
  await other.locator('input[type=file]').setInputFiles([PICTURE]);
  await isUp(other);
  await goTo(page, 'c/filer');
  await isUp(page);
  assert.equal(await page.evaluate(async () => (await import('/js/state/drafts.js')).draft('c/filer').files.length), 1);
  await end(page);
});

test('what is unread stays so, and members are counted once, when news overtake the list', TIMEOUT, async () => {
  const { page } = await person('counter');
  const seen = await page.evaluate(async () => {
    const { Chats } = await import('/js/state/chats.js');
    let answer;
    const room = { conversation: 2, name: 'tea', members: 3, role: 'member' };
    const call = (name) => {
      if (name === 'get_room') return Promise.resolve({ room });
      if (name === 'list_invitations') return Promise.resolve({});
      return new Promise((resolve) => {
        answer = resolve;
      });
    };
    const chats = new Chats({ call, cursor: 0 }, { value: { account: 1 } }, { heard() {} });
    const loaded = chats.load();
    chats.apply({ id: 20, body: { read_marker_moved: { conversation: 3, up_to: 10, unread: 0 } } });
    chats.apply({ id: 30, body: { message: { id: 30, number: 2, conversation: 3, author: 5, peer_name: 'bob', body: 'news' } } });
    chats.apply({ id: 40, body: { member_joined: { room: { conversation: 2 }, member: { account: 7 } } } });
    const direct = { conversation: 3, peer_name: 'bob', unread: 1, read_up_to: 10, messages: 2, last: { id: 30 } };
    answer({ conversations: [direct, { conversation: 2, room, messages: 0 }] });
    await loaded;
    await new Promise((resolve) => setTimeout(resolve));
    return { unread: chats.get(3).unread, members: chats.get(2).room.members };
  });
  assert.deepEqual(seen, { unread: 1, members: 3 });
  await end(page);
});

test('a message whose file is no longer there can be sent without it', TIMEOUT, async () => {
  const { page } = await person('late');
  await goTo(page, 'c/late');
  await composer(page).waitFor();
  await page.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    const files = [{ attachment: 4242, name: 'gone.png', content_type: 'image/png', bytes: 1 }];
    outbox.write({ send: { to: { user: 'late' }, body: 'with a file of last week', attachments: [4242] } }, { place: 'c/late', at: Date.now(), after: 0, files });
  });
  await page.getByText(/^Not sent: .*without/).waitFor();
  await page.getByRole('button', { name: 'Try again' }).click();
  await message(page, 'with a file of last week').getByText('sent', { exact: true }).waitFor({ state: 'attached' });
  await end(page);
});

test('signing out leaves what is needed to clean up after the demonstration', TIMEOUT, async () => {
  const { page } = await person('demonstrator');
  await page.evaluate(() => localStorage.setItem('threefold:demo', '[]'));
  await goTo(page, 'settings');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('dialog').getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('button', { name: 'Make an account' }).waitFor();
  assert.deepEqual(await page.evaluate(() => Object.keys(localStorage).filter((name) => !/look|servers/.test(name))), ['threefold:demo']);
  await end(page);
});

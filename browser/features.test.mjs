// What the other tests of the page do not come by: each thing that people can do has a test in which they do it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { PASSWORD, faults, open, register, signIn } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';
import { composer, goTo, menu, message, send, settled } from './lib/chat.mjs';
import { end, isUp, person } from './lib/person.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 180_000 };
const MANY_ROOMS = 52;
const MANY_HITS = 35;
let cluster;
let browser;
let ann;
let bob;

stage(async (there) => {
  ({ cluster, browser } = there);
  ann = await open(browser, cluster.url());
  await register(ann, 'ann');
  bob = await open(browser, cluster.url());
  await register(bob, 'bob');
}, { servers: 1 });

/** Has something done that is not what is tested. */
const write = (page, ...operations) =>
  page.evaluate(async (operations) => {
    const { outbox } = await import('/js/state/app.js');
    for (let at = 0; at < operations.length; at += 50) await Promise.all(operations.slice(at, at + 50).map((one) => outbox.write(one)));
  }, operations);

const panel = (page) => page.getByRole('complementary');
const about = (page) => page.getByRole('button', { name: 'Members and settings of the room' }).click();
const confirm = (page, name) => page.getByRole('dialog').getByRole('button', { name, exact: true }).click();

async function member(page, name, item) {
  await panel(page).getByRole('button', { name: `What to do with ${name}` }).click();
  await page.getByRole('menuitem', { name: item }).click();
}

test('a room: roles given and taken, renamed, made private, and a member removed', TIMEOUT, async () => {
  await write(ann, { create_room: { name: 'club', topic: 'at first', public: true } });
  await goTo(bob, 'room/club');
  await bob.getByRole('button', { name: 'Join' }).click();
  await goTo(ann, 'room/club');
  await about(ann);
  await member(ann, 'bob', 'Make a moderator');
  await bob.getByText('You are now a moderator').waitFor();
  await about(bob);
  // What one is typing stays when somebody else changes it meanwhile; it can still be saved.
  await bob.getByLabel('Topic').fill('half a to');
  await ann.getByLabel('Topic').fill('by ann');
  await panel(ann).getByRole('button', { name: 'Save' }).click();
  await bob.getByText('set the topic: by ann').waitFor();
  assert.equal(await bob.getByLabel('Topic').inputValue(), 'half a to');
  await bob.getByLabel('Topic').fill('half a topic');
  await panel(bob).getByRole('button', { name: 'Save' }).click();
  await until('ann has it', async () => (await ann.getByLabel('Topic').inputValue()) === 'half a topic');
  await panel(bob).getByRole('button', { name: 'Save' }).waitFor({ state: 'detached' });

  await panel(ann).getByLabel('Name', { exact: true }).fill('society');
  await panel(ann).getByRole('checkbox', { name: 'Public' }).uncheck();
  await panel(ann).getByRole('button', { name: 'Save' }).click();
  for (const page of [ann, bob]) {
    await page.getByRole('heading', { name: '#society', level: 1 }).waitFor();
    await page.locator('.head .about', { hasText: 'private' }).waitFor();
    await until('the address follows', () => page.url().endsWith('#/room/society'));
  }
  await member(ann, 'bob', 'Make a plain member');
  await bob.getByText('You are now a member').waitFor();
  await panel(bob).getByLabel('Topic').waitFor({ state: 'detached' });
  await member(ann, 'bob', 'Make an owner');
  await bob.getByText('You are now an owner').waitFor();
  // Owners remove no owners.
  await member(ann, 'bob', 'Make a plain member');
  await panel(bob).getByLabel('Topic').waitFor({ state: 'detached' });
  await member(ann, 'bob', 'Remove from the room');
  await confirm(ann, 'Remove');
  await ann.getByText('You removed bob').waitFor();
  await bob.getByText('You are no longer in #society').waitFor();
  assert.equal(await bob.getByRole('button', { name: 'Join' }).count(), 0);
  await bob.getByRole('link', { name: /society/ }).waitFor({ state: 'detached' });

  await panel(ann).getByLabel('Invite somebody').fill('@bob');
  await panel(ann).getByRole('button', { name: 'Invite' }).click();
  await panel(ann).getByText('bob is invited.').waitFor();
  const invitation = bob.getByRole('link', { name: /Invitation to society/ });
  await invitation.click();
  await bob.getByRole('button', { name: 'Decline' }).click();
  await invitation.waitFor({ state: 'detached' });
});

test('rooms are found by a part of their name, and page by page', TIMEOUT, async () => {
  await write(ann, ...Array.from({ length: MANY_ROOMS }, (_, place) => ({ create_room: { name: `hall-${place}`, topic: '', public: true } })));
  await goTo(bob, 'rooms');
  const rooms = bob.getByRole('list', { name: 'Rooms' }).getByRole('listitem');
  await until('a page of them', async () => (await rooms.count()) === 50);
  await bob.getByRole('button', { name: 'Show more' }).click();
  await until('all of them', async () => (await rooms.count()) === MANY_ROOMS);
  await bob.getByLabel('Find a room').fill('#hall-17');
  await until('only this one', async () => (await rooms.count()) === 1);
  await rooms.getByText('open to all').waitFor();
  await bob.getByLabel('Find a room').fill('nothing-like-it');
  await bob.getByText('No room is called so.').waitFor();
});

test('whom one has met is found by what they are called: to write to, by a search, and to be named', TIMEOUT, async () => {
  const { page: carl } = await person(cluster, browser, 'c-1977');
  await write(carl, { set_display_name: { display_name: 'Ángel Robertson' } }, { send: { to: { user: 'ann' }, body: 'we have not met' } });
  await ann.getByRole('navigation', { name: 'Conversations' }).getByRole('link', { name: /^Ángel Robertson/ }).waitFor();
  await end(carl);
  await goTo(ann, 'new');
  const people = ann.getByRole('list', { name: 'People' }).getByRole('link', { name: /Ángel Robertson/ });
  await ann.getByLabel('With whom?').fill('@ángel');
  await people.waitFor();
  await ann.getByLabel('With whom?').fill('robert');
  await people.waitFor();
  await goTo(ann, 'search/ROBERTS');
  await people.click();
  await ann.getByRole('heading', { name: 'Ángel Robertson', level: 1 }).waitFor();
  await composer(ann).pressSequentially('hello @rob');
  await ann.getByRole('option', { name: 'Ángel Robertson @c-1977' }).waitFor();
  await composer(ann).press('Enter');
  await until('the name is there', async () => (await composer(ann).inputValue()) === 'hello @c-1977 ');
  await composer(ann).fill('');
});

test('a file that is larger than the server takes is told before it is sent up', TIMEOUT, async () => {
  const limit = (frame) => (frame.subscribed ? { subscribed: { ...frame.subscribed, attachment_bytes: 1_000 } } : frame);
  const { page } = await person(cluster, browser, 'hoarder', limit);
  await goTo(page, 'c/hoarder');
  let sent = 0;
  page.on('request', (request) => {
    if (request.method() === 'POST') sent += 1;
  });
  const file = (name, bytes) => ({ name, mimeType: 'text/plain', buffer: Buffer.alloc(bytes, 'x') });
  await page.locator('input[type=file]').setInputFiles([file('large.txt', 1_001)]);
  await page.locator('.upload', { hasText: 'Too large: at most 1 kB.' }).waitFor();
  assert.equal(sent, 0);
  await page.getByRole('button', { name: 'Remove large.txt' }).click();
  await page.locator('input[type=file]').setInputFiles([file('small.txt', 1_000)]);
  await isUp(page);
  assert.equal(sent, 1);
  await end(page);
});

test('what was said is searched here and everywhere, older and older, and shown without its signs', TIMEOUT, async () => {
  const needles = Array.from({ length: MANY_HITS }, (_, place) => ({ send: { to: { user: 'bob' }, body: `needle ${place}` } }));
  await write(ann, ...needles, { send: { to: { room: 'hall-1' }, body: 'the ferry leaves at **9:40** by `needle`, see [the plan](https://example.org/)' } });
  await goTo(ann, 'c/bob');
  await ann.getByRole('button', { name: 'About this conversation' }).click();
  await ann.getByLabel('Search in this conversation').fill('needle');
  await ann.keyboard.press('Enter');
  const hits = ann.getByRole('list', { name: 'Messages' }).getByRole('listitem');
  await until('a page of them', async () => (await hits.count()) === 30);
  await ann.getByRole('button', { name: 'Show older ones' }).click();
  await until('all of them', async () => (await hits.count()) === MANY_HITS);
  await ann.getByRole('link', { name: 'Search everywhere' }).click();
  await hits.first().getByText('#hall-1').waitFor();
  for (const [words, marks] of [['9:40', ['9', '40']], ['ferry', ['ferry']], ['needle', ['needle']]]) {
    await goTo(ann, `search/${words}`);
    const hit = hits.filter({ hasText: 'hall-1' });
    await until('the hit is marked', async () => isDeepStrictEqual(await hit.locator('mark').allInnerTexts(), marks));
    assert.equal(await hit.locator('.text').innerText(), 'the ferry leaves at 9:40 by needle, see the plan');
  }
});

test('the newest message is deleted for oneself: the list shows the one before', TIMEOUT, async () => {
  await goTo(ann, 'room/hall-2');
  await send(ann, 'this one stays');
  await send(ann, 'this one goes');
  await settled(ann);
  const entry = ann.getByRole('navigation', { name: 'Conversations' }).getByRole('link', { name: /hall-2\b/ });
  await entry.getByText('this one goes').waitFor();
  await menu(ann, 'this one goes', 'Delete for me');
  await confirm(ann, 'Delete');
  await entry.getByText('You: this one stays').waitFor();
  await menu(ann, 'this one stays', 'Delete for me');
  await confirm(ann, 'Delete');
  await entry.getByText('Nothing said yet').waitFor();
});

test('writing: emoji found by name, quotes and lists, and what is too long', TIMEOUT, async () => {
  await goTo(ann, 'c/bob');
  await composer(ann).fill('up ');
  await ann.getByRole('button', { name: 'Emoji', exact: true }).click();
  await ann.getByLabel('Find an emoji').fill('rocket');
  await ann.getByRole('dialog', { name: 'Emoji' }).getByRole('button', { name: 'rocket' }).click();
  await until('it is in its place', async () => (await composer(ann).inputValue()) === 'up 🚀');
  await composer(ann).press('Enter');
  await goTo(bob, 'c/ann');
  await message(bob, 'up 🚀').waitFor();
  await send(ann, '> well said\n- one\n- two\n3. three');
  const text = message(bob, 'well said').locator('.text');
  await text.waitFor();
  assert.deepEqual(await text.locator('> *').evaluateAll((all) => all.map((one) => `${one.localName} ${one.innerText}`)), ['blockquote well said', 'ul one\ntwo', 'ol three']);
  assert.equal(await text.locator('ol').getAttribute('start'), '3');
  await composer(ann).fill('é'.repeat(8_193));
  await ann.getByText('Too long by 2 bytes').waitFor();
  await ann.getByRole('button', { name: 'Send' }).and(ann.locator(':disabled')).waitFor();
  await composer(ann).fill('é'.repeat(8_192));
  await ann.getByText('0 bytes are left').waitFor();
  await composer(ann).fill('');
});

test('a message is copied, its text and its address, and its author written to', TIMEOUT, async () => {
  await ann.context().grantPermissions(['clipboard-read', 'clipboard-write']);
  await write(bob, { join_room: { room: { room: 'hall-3' } } }, { send: { to: { room: 'hall-3' }, body: 'copy **me**' } });
  await goTo(ann, 'room/hall-3');
  await message(ann, 'copy me').waitFor();
  await ann.bringToFront();
  const clipboard = () => ann.evaluate(() => navigator.clipboard.readText());
  await menu(ann, 'copy me', 'Copy text');
  await until('its text', async () => (await clipboard()) === 'copy **me**');
  await menu(ann, 'copy me', 'Copy link');
  await until('its address', async () => /#\/room\/hall-3\/\d+$/.test(await clipboard()));
  await goTo(ann, 'settings');
  await ann.goto(await clipboard());
  await ann.locator('article.found', { hasText: 'copy me' }).waitFor();
  await menu(ann, 'copy me', 'Write to the author');
  await ann.getByRole('heading', { name: 'bob', level: 1 }).waitFor();
});

test('all other devices are signed out at once, and the look is light', TIMEOUT, async () => {
  const others = [];
  for (let count = 0; count < 2; count += 1) {
    others.push(await open(browser, cluster.url()));
    await signIn(others[count], 'bob');
  }
  await goTo(bob, 'settings');
  await bob.getByRole('button', { name: 'Sign out all others' }).click();
  for (const other of others) {
    await other.getByText('This session has ended. Sign in again.').waitFor();
    await other.context().close();
  }
  await until('one device', async () => (await bob.getByText(/^since /).count()) === 1);
  await bob.getByRole('button', { name: 'Light' }).click();
  assert.equal(await bob.evaluate(() => document.documentElement.dataset.theme), 'light');
});

test('administrators give another password, make and unmake administrators, and delete', TIMEOUT, async () => {
  await goTo(ann, 'admin');
  const what = async (item) => {
    await ann.getByRole('button', { name: 'What to do with bob' }).click();
    await ann.getByRole('menuitem', { name: item }).click();
  };
  const row = ann.getByRole('list', { name: 'Accounts' }).getByRole('listitem').filter({ hasText: 'bob' });
  const told = (words) => ann.getByRole('listitem').filter({ hasText: words }).first().waitFor();
  await what('Give another password');
  await ann.getByLabel('New password').fill('a password by ann');
  await ann.getByRole('button', { name: 'Set it' }).click();
  await told('gave another password to bob');
  await bob.getByText('This session has ended').waitFor();
  await signIn(bob, 'bob', 'a password by ann');
  await what('Make an administrator');
  await row.getByText('administrator').waitFor();
  await goTo(bob, 'admin');
  await bob.reload();
  await bob.getByRole('heading', { name: 'Accounts' }).waitFor();
  await what('No longer an administrator');
  await row.getByText('administrator').waitFor({ state: 'detached' });
  await bob.reload();
  await bob.getByText('This page is for administrators.').waitFor();
  await ann.getByLabel('Find an account').fill('ob');
  await until('only bob', async () => (await ann.getByRole('list', { name: 'Accounts' }).getByRole('listitem').count()) === 1);
  await what('Delete');
  await confirm(ann, 'Delete');
  await told('deleted bob');
  await bob.getByRole('heading', { name: 'Sign in' }).waitFor();
});

test('who tries too often is told how long to wait', TIMEOUT, async () => {
  const page = await open(browser, 'about:blank');
  await page.routeWebSocket(/\/ws$/, (socket) => {
    const server = socket.connectToServer();
    socket.onMessage((text) => {
      const { id, call } = JSON.parse(text);
      if (call === 'login') socket.send(JSON.stringify({ id, error: { code: 'rate_limited', message: 'too many', retry_after_ms: 41_500 } }));
      else server.send(text);
    });
  });
  await page.goto(cluster.url());
  await page.getByLabel('Name', { exact: true }).fill('ann');
  await page.getByLabel('Password', { exact: true }).fill(PASSWORD);
  await page.getByRole('button', { name: 'Sign in', exact: true }).click();
  await page.getByText('Too many tries. Wait 42 seconds.').waitFor();
  assert.deepEqual(faults(page), []);
  await page.context().close();
});

test('no page had a fault, was refused anything, or asked anybody else', async () => {
  assert.deepEqual(faults(ann), []);
  assert.deepEqual(faults(bob), []);
});

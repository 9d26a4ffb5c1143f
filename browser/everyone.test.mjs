// The page is for everyone: by keys alone, on the narrowest screens, over slow networks, and whatever state it is in, light and dark, nothing
// for axe to complain of.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PASSWORD, accessible, faults, inside, open, register } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';
import { PNG, act, composer, goTo, menu, message, send, settled, texts } from './lib/chat.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 180_000 };
const NARROW = { width: 320, height: 640 };
const WIDE = { width: 1280, height: 800 };
let cluster;
let browser;
let ann;
let bob;

stage(async (there) => {
  ({ cluster, browser } = there);
  ann = await open(browser, cluster.url());
  bob = await open(browser, cluster.url());
  await register(ann, 'ann');
  await register(bob, 'bob');
  await bob.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    await outbox.write({ create_room: { name: 'tea', topic: 'leaves', public: true } });
    await outbox.write({ create_room: { name: 'secret', topic: '', public: false } });
    await outbox.write({ invite_to_room: { room: { room: 'secret' }, user: 'ann' } });
    await outbox.write({ send: { to: { user: 'ann' }, body: 'hello' } });
  });
}, { servers: 1 });

/** Goes on with Tab until what is wanted has the focus. */
async function tabTo(page, selector, key = 'Tab') {
  for (let count = 0; count < 60; count += 1) {
    if (await page.evaluate((selector) => document.activeElement.matches(selector), selector)) return;
    await page.keyboard.press(key);
  }
  assert.fail(`${selector} cannot be reached by ${key}`);
}

const focused = (page, selector) => until(`${selector} has the focus`, () => page.evaluate((selector) => document.activeElement.matches(selector), selector));

test('by keys alone: sign in, choose a conversation, write, walk through the messages, answer, react, edit, delete, leave a room', TIMEOUT, async () => {
  const page = await open(browser, cluster.url());
  const { keyboard } = page;
  const chatWith = (name) => until(`the conversation with ${name}`, async () => (await composer(page).getAttribute('placeholder'))?.includes(name));
  await focused(page, '[name=username]');
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  await keyboard.type('ann');
  await keyboard.press('Tab');
  await keyboard.type(PASSWORD);
  await keyboard.press('Enter');
  await page.getByRole('link', { name: /^bob/ }).waitFor();
  // Who has searched before is not thrown out of a conversation on the way through the list.
  await tabTo(page, '[name=query]');
  await keyboard.type('hello');
  await keyboard.press('Enter');
  await page.getByRole('list', { name: 'Messages' }).waitFor();
  await tabTo(page, '.entry[href="#/c/bob"]');
  await keyboard.press('Enter');
  await chatWith('bob');
  await tabTo(page, '[name=query]', 'Shift+Tab');
  await tabTo(page, '.entry[href="#/c/bob"]');
  assert.match(page.url(), /#\/c\/bob$/);
  await tabTo(page, '.composer textarea');
  await keyboard.type('first line');
  await keyboard.press('Shift+Enter');
  await keyboard.type('second line');
  await keyboard.press('Enter');
  await goTo(bob, 'c/ann');
  await message(bob, 'second line').waitFor();
  await settled(page);
  await tabTo(page, '.scroller', 'Shift+Tab');
  await keyboard.press('ArrowUp');
  await until('the newest has the focus', () => page.evaluate(() => document.activeElement.textContent.includes('second line')));
  await keyboard.press('r');
  await focused(page, '.composer textarea');
  await keyboard.type('an answer');
  await keyboard.press('Enter');
  await message(bob, 'an answer').getByRole('button', { name: /Answer to ann/ }).waitFor();
  await settled(page);
  await tabTo(page, '.scroller', 'Shift+Tab');
  await keyboard.press('ArrowUp');
  await keyboard.press('x');
  await page.getByRole('dialog', { name: 'Reactions' }).waitFor();
  await keyboard.press('ArrowRight');
  await keyboard.press('Enter');
  await message(bob, 'an answer').getByRole('button', { name: '👎 1' }).waitFor();
  // The focus is where it was: the keys go on.
  await keyboard.press('ArrowUp');
  await until('the one before has the focus', () => page.evaluate(() => document.activeElement.textContent.includes('second line')));
  await keyboard.press('Enter');
  await page.getByRole('menuitem', { name: 'Copy text' }).waitFor();
  await keyboard.press('Escape');
  await focused(page, 'article.message');
  await keyboard.press('e');
  await focused(page, '.composer textarea');
  await keyboard.press('Control+a');
  await keyboard.type('edited by keys');
  await keyboard.press('Enter');
  await message(bob, 'edited by keys').waitFor();
  await tabTo(page, '.scroller', 'Shift+Tab');
  await keyboard.press('ArrowUp');
  await keyboard.press('Shift+Delete');
  await page.getByRole('dialog', { name: 'Delete this message for everyone?' }).waitFor();
  await tabTo(page, 'dialog .danger');
  await keyboard.press('Enter');
  await message(bob, 'Message deleted').waitFor();

  await tabTo(page, 'a[href="#/rooms"]', 'Shift+Tab');
  await keyboard.press('Enter');
  await tabTo(page, 'a[href="#/room/tea"]');
  await keyboard.press('Enter');
  await page.getByRole('button', { name: 'Join' }).waitFor();
  await tabTo(page, '.empty .button.main');
  await keyboard.press('Enter');
  await chatWith('#tea');
  await tabTo(page, '.thread .head button', 'Shift+Tab');
  await keyboard.press('Enter');
  await page.getByRole('button', { name: 'Leave the room' }).waitFor();
  await tabTo(page, '.panel .button.danger');
  await keyboard.press('Enter');
  await tabTo(page, 'dialog .danger');
  await keyboard.press('Enter');
  await page.getByRole('heading', { name: 'Choose a conversation' }).waitFor();
  // Past the list, to what is open.
  await page.evaluate(() => document.activeElement.blur());
  await tabTo(page, '.skip');
  await keyboard.press('Enter');
  await focused(page, 'main');
  assert.deepEqual(faults(page), []);
  await page.context().close();
});

test('nothing is cut off at 320 pixels, with long words and text from right to left; axe finds nothing there', TIMEOUT, async () => {
  await goTo(ann, 'c/bob');
  await send(ann, `${'Donaudampfschifffahrt'.repeat(12)} https://example.org/${'a'.repeat(300)}`);
  await send(ann, 'שלום, מה שלומך?');
  await send(ann, '```\na line of code that is longer than a narrow screen is wide, and is scrolled\n```\n> quoted\n1. one');
  await settled(ann);
  await act(ann, 'שלום', 'React');
  await ann.getByRole('dialog', { name: 'Reactions' }).getByRole('button', { name: 'heart', exact: true }).click();
  await ann.getByRole('button', { name: '❤️ 1, yours', exact: true }).waitFor();
  assert.equal(await message(ann, 'שלום').locator('p').evaluate((element) => getComputedStyle(element).direction), 'rtl');
  await ann.setViewportSize(NARROW);
  const views = {
    'c/bob': '.composer', '': '.entry', settings: '.keys', rooms: '.list li', new: '.list li', 'search/hello': '.list li', 'room/tea': '.empty .button', 'room/secret': '.empty .button', admin: '.list li',
  };
  for (const [view, there] of Object.entries(views)) {
    await goTo(ann, view);
    await ann.locator(there).first().waitFor();
    await inside(ann, `${view} at 320 px`);
    await accessible(ann, `${view} at 320 px`);
  }
  await goTo(ann, 'c/bob');
  await composer(ann).waitFor();
  for (const [name, close] of [['Emoji', 'Escape'], ['About this conversation', '']]) {
    await ann.getByRole('button', { name, exact: true }).click();
    await inside(ann, `${name} at 320 px`);
    if (close) await ann.keyboard.press(close);
    else await ann.getByRole('button', { name: 'Close' }).click();
  }
  await menu(ann, 'שלום', 'Delete for me');
  await inside(ann, 'a dialog at 320 px');
  await ann.keyboard.press('Escape');
  await act(ann, 'שלום', 'More');
  await inside(ann, 'a menu at 320 px');
  await ann.keyboard.press('Escape');
  await ann.setViewportSize(WIDE);
});

test('whatever state the page is in, axe finds nothing', TIMEOUT, async () => {
  const stranger = await open(browser, cluster.url());
  await stranger.getByRole('heading', { name: 'Sign in' }).waitFor();
  await stranger.getByRole('button', { name: 'Sign in', exact: true }).click();
  await stranger.getByText('are needed').waitFor();
  await accessible(stranger, 'signing in');
  await stranger.getByRole('button', { name: 'Make an account' }).click();
  await accessible(stranger, 'making an account');
  await stranger.setViewportSize(NARROW);
  await inside(stranger, 'making an account at 320 px');
  await stranger.context().close();

  for (const [view, words] of [['room/tea', 'everybody may join'], ['room/secret', 'invites you'], ['room/nowhere', 'There is no room'], ['c/nobody-at-all', 'Nobody is called']]) {
    await goTo(ann, view);
    await ann.getByText(words).waitFor();
    await accessible(ann, view);
  }
  await goTo(ann, 'c/bob');
  await ann.getByRole('button', { name: 'Emoji', exact: true }).click();
  await accessible(ann, 'the emoji');
  await ann.keyboard.press('Escape');
  await act(ann, 'שלום', 'More');
  await accessible(ann, 'a menu');
  await ann.getByRole('menuitem', { name: 'Reply' }).click();
  await ann.getByText('Answering').waitFor();
  await composer(ann).pressSequentially('@b');
  await ann.getByRole('option', { name: /bob/ }).waitFor();
  await ann.locator('input[type=file]').setInputFiles([{ name: 'dot.png', mimeType: 'image/png', buffer: PNG }]);
  await until('it is up', async () => (await ann.locator('.upload').count()) === 1 && (await ann.locator('.upload progress').count()) === 0);
  await accessible(ann, 'an answer with a file, and completions');
  await composer(ann).press('Escape');
  await ann.getByRole('button', { name: 'Remove dot.png' }).click();
  await composer(ann).fill('');
  await ann.getByRole('button', { name: 'Do not answer' }).click();
  await menu(ann, 'שלום', 'Edit');
  await ann.getByText('Editing a message').waitFor();
  await accessible(ann, 'editing');
  await ann.getByRole('button', { name: 'Stop editing' }).click();
  await menu(ann, 'שלום', 'Who reacted');
  await ann.getByRole('dialog', { name: 'Reactions' }).getByText('ann').waitFor();
  await accessible(ann, 'a dialog');
  await ann.keyboard.press('Escape');
  await goTo(ann, 'settings');
  await ann.getByRole('button', { name: 'Delete the account' }).click();
  await accessible(ann, 'a dialog with a field');
  await ann.keyboard.press('Escape');
  await goTo(ann, 'admin');
  await ann.getByRole('button', { name: 'What to do with bob' }).click();
  await accessible(ann, 'an administrator’s menu');
  await ann.keyboard.press('Escape');
  await ann.getByRole('button', { name: 'Free a name' }).click();
  await accessible(ann, 'an administrator’s dialog');
  await ann.keyboard.press('Escape');
});

test('over a slow network the page opens, sends and hears', TIMEOUT, async () => {
  const page = await open(browser, 'about:blank');
  const network = await page.context().newCDPSession(page);
  await network.send('Network.enable');
  const slow = { offline: false, latency: 400, downloadThroughput: 50_000, uploadThroughput: 50_000 };
  await network.send('Network.emulateNetworkConditions', slow);
  await page.goto(cluster.url());
  await register(page, 'cat');
  await goTo(page, 'c/bob');
  await send(page, 'from far away');
  await goTo(bob, 'c/cat');
  await message(bob, 'from far away').waitFor();
  await send(bob, 'heard you');
  await message(page, 'heard you').waitFor();
  await settled(page);
  assert.deepEqual(await texts(page), ['from far away', 'heard you']);
  // It was one connection all the time: nothing was cut off for being slow.
  assert.equal(await page.evaluate(async () => (await import('/js/state/app.js')).connection.patience), 1);
  assert.deepEqual(faults(page), []);
  await page.context().close();
});

test('what is slow has more time with each try, and is asked for in smaller pages', TIMEOUT, async () => {
  const seen = await ann.evaluate(async () => {
    const { Connection, unavailable } = await import('/js/net/connection.js');
    const { Servers } = await import('/js/net/servers.js');
    const { Timeline } = await import('/js/state/timeline.js');
    const servers = new Servers('127.0.0.1:1');
    servers.told = ['127.0.0.1:2', '127.0.0.1:3'];
    const opening = Array.from({ length: 13 }, () => {
      servers.failed();
      return servers.patience(16);
    });
    // A server that has not said a word for so long, though something is awaited, is given up.
    const one = new Connection({ frame: () => {}, awaits: () => true });
    const silences = Array.from({ length: 6 }, () => {
      Object.assign(one, { wanted: true, opened: true, token: 'a token', socket: { readyState: WebSocket.CLOSED, close: () => {} }, lastHeard: Date.now() - 1e6 });
      one.look();
      let silence = 0;
      while (one.socket) {
        silence += 1000;
        one.asked -= 1000;
        one.lastHeard -= 1000;
        one.look();
      }
      one.wanted = false;
      clearTimeout(one.timer);
      return silence / 1000;
    });
    const limits = [];
    const connection = { cursor: 0, call: async (_, { limit }) => {
      limits.push(limit);
      throw unavailable('too slow');
    } };
    const timeline = new Timeline({ user: 'x' }, 0, { connection, me: { value: null }, people: {} });
    for (let count = 0; count < 5; count += 1) await timeline.load();
    return { opening, silences, limits };
  });
  assert.deepEqual(seen, {
    opening: [1, 1, 2, 2, 2, 4, 4, 4, 8, 8, 8, 16, 16],
    silences: [4, 8, 16, 32, 64, 64],
    limits: [60, 30, 15, 8, 8],
  });
});

test('no page had a fault, was refused anything, or asked anybody else', async () => {
  assert.deepEqual(faults(ann), []);
  assert.deepEqual(faults(bob), []);
});

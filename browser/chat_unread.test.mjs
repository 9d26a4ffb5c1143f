// What is unread stays unread until it has been in sight: it stands below a line, and the page begins there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faults, open, register } from './lib/browser.mjs';
import { sleep, until } from './lib/wait.mjs';
import { composer, goTo, knowsRoom, message, send } from './lib/chat.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 180_000 };
/** The page takes a third of it to say that something was read. On a slow machine it may not come to it: then nothing is asked of it. */
const TIME_TO_READ_MS = 1_000;
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
});

/** Ann writes so many messages, long enough to fill the screen soon. */
function write(to, words, count) {
  return ann.evaluate(async ({ to, words, count }) => {
    const { outbox } = await import('/js/state/app.js');
    for (let at = 0; at < count; at += 50) {
      const some = Array.from({ length: Math.min(50, count - at) }, (_, place) => `${words} ${at + place}\n${'and on '.repeat(40)}`);
      await Promise.all(some.map((body) => outbox.write({ send: { to, body } })));
    }
  }, { to, words, count });
}

/** What the list and the window know of a conversation. */
function known(page, name) {
  return page.evaluate(async (name) => {
    const { chats } = await import('/js/state/app.js');
    const chat = chats.direct(name) ?? chats.room(name);
    return { unread: chat?.unread ?? 0, count: chat?.count ?? 0 };
  }, name);
}

const isUnread = (page, name, unread) => until(`${unread} are unread`, async () => (await known(page, name)).unread === unread);

/** Whether the line is in sight, and the first line of what stands below it. */
async function line(page) {
  return page.evaluate(() => {
    const line = document.querySelector('.new-line');
    if (!line) return null;
    const sight = line.closest('.scroller').getBoundingClientRect();
    const { top, bottom } = line.getBoundingClientRect();
    return { seen: top >= sight.top && bottom <= sight.bottom, below: line.nextElementSibling.querySelector('.text')?.innerText.split('\n')[0] };
  });
}

/** Waits until the page has drawn what came while one looked elsewhere, and stopped above it: where the line is, a drawing decides. */
const drawn = (page, below) =>
  until(`the line is drawn above "${below}"`, async () => (await page.locator('.to-newest').count()) === 1 && (await line(page))?.below === below);

async function beginsAt(page, name, below, unread) {
  await until(`it begins at "${below}"`, async () => {
    const found = await line(page);
    return found?.seen && found.below === below;
  });
  await sleep(TIME_TO_READ_MS);
  assert.equal((await known(page, name)).unread, unread, 'nothing of it has been read');
  assert.deepEqual(await line(page), { seen: true, below });
}

async function read(page, name) {
  await page.locator('.scroller').focus();
  await page.keyboard.press('End');
  await isUnread(page, name, 0);
  // Drawn, too: what comes next begins a line of its own.
  await page.getByRole('navigation', { name: 'Conversations' }).getByRole('link', { name: /unread/ }).waitFor({ state: 'detached' });
}

const focused = (page, is) =>
  page.evaluate((is) => {
    document.hasFocus = () => is;
    window.dispatchEvent(new Event(is ? 'focus' : 'blur'));
  }, is);

test('to whom many have written before anything was read: it begins with the first', TIMEOUT, async () => {
  await write({ user: 'bob' }, 'early', 80);
  await isUnread(bob, 'ann', 80);
  await goTo(bob, 'c/ann');
  await beginsAt(bob, 'ann', 'early 0', 80);
  await read(bob, 'ann');
});

test('who comes back to a conversation begins where reading ended, though its window was kept', TIMEOUT, async () => {
  for (const [words, count] of [['some', 30], ['many', 100], ['more than are kept', 300]]) {
    await goTo(bob, 'c/bob');
    await bob.getByText('Notes to yourself').waitFor();
    await write({ user: 'bob' }, words, count);
    await isUnread(bob, 'ann', count);
    await goTo(bob, 'c/ann');
    await beginsAt(bob, 'ann', `${words} 0`, count);
    await read(bob, 'ann');
  }
});

test('what comes while the page is behind another window is not read by it', TIMEOUT, async () => {
  await goTo(bob, 'c/ann');
  for (const [words, count] of [['unseen', 60], ['unseen in masses', 300]]) {
    await focused(bob, false);
    await write({ user: 'bob' }, words, count);
    await isUnread(bob, 'ann', count);
    await drawn(bob, `${words} 0`);
    await focused(bob, true);
    await beginsAt(bob, 'ann', `${words} 0`, count);
    await read(bob, 'ann');
  }
  // A little, all of which is in sight, is read as soon as one looks.
  await focused(bob, false);
  await goTo(ann, 'c/bob');
  await composer(ann).waitFor();
  await send(ann, 'only this');
  await message(bob, 'only this').waitFor();
  await sleep(TIME_TO_READ_MS);
  assert.equal((await known(bob, 'ann')).unread, 1);
  await focused(bob, true);
  await isUnread(bob, 'ann', 0);
});

test('what came all at once, after the connection was lost, while one looked elsewhere', TIMEOUT, async () => {
  await focused(bob, false);
  await bob.evaluate(async () => {
    const { connection } = await import('/js/state/app.js');
    window.state = connection;
    connection.wanted = false;
    connection.lost(null);
  });
  await write({ user: 'bob' }, 'at once', 300);
  await bob.evaluate(() => {
    window.state.wanted = true;
    window.state.hurry();
  });
  await isUnread(bob, 'ann', 300);
  await drawn(bob, 'at once 0');
  await focused(bob, true);
  await beginsAt(bob, 'ann', 'at once 0', 300);
  await read(bob, 'ann');
});

test('who joins a room has read what was said before', TIMEOUT, async () => {
  await ann.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    await outbox.write({ create_room: { name: 'tea', topic: '', public: true } });
  });
  await write({ room: 'tea' }, 'of before', 50);
  await knowsRoom(bob, 'tea');
  await goTo(bob, 'room/tea');
  await bob.getByRole('button', { name: 'Join' }).click();
  await composer(bob).waitFor();
  await goTo(bob, 'c/bob');
  await bob.getByText('Notes to yourself').waitFor();
  await write({ room: 'tea' }, 'news', 60);
  await isUnread(bob, 'tea', 60);
  await goTo(bob, 'room/tea');
  await beginsAt(bob, 'tea', 'news 0', 60);
  await read(bob, 'tea');
});

test('no page had a fault, was refused anything, or asked anybody else', async () => {
  assert.deepEqual(faults(ann), []);
  assert.deepEqual(faults(bob), []);
});

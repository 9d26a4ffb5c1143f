// The stores of the page, one by one, with what servers would say made up: counts, presence, notifications.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { faults, open } from './lib/browser.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 180_000 };
let cluster;
let browser;
let page;

stage(async (there) => {
  ({ cluster, browser } = there);
  page = await open(browser, cluster.url());
}, { servers: 1 });

test('unread mentions: of edits, deletions and readings as well', TIMEOUT, async () => {
  const seen = await page.evaluate(async () => {
    const { Chats } = await import('/js/state/chats.js');
    let left = 0;
    let asked = 0;
    const call = async (name) => {
      if (name !== 'list_conversations') return {};
      asked += 1;
      const { unread, count } = chats.get(3) ?? {};
      return { conversations: chats.loaded.value ? [{ conversation: 3, unread, messages: count, unread_mentions: left }] : [] };
    };
    const chats = new Chats({ call, cursor: 0 }, { value: { account: 1 } }, { heard() {} });
    await chats.load();
    const until = async (mentions) => {
      while (chats.get(3).mentions !== mentions) await new Promise((resolve) => setTimeout(resolve, 5));
    };
    const me = [{ account: 1, name: 'me' }];
    const message = (id, mentions) => chats.apply({ id, body: { message: { id, number: id / 10, conversation: 3, author: 5, room_name: 'tea', mentions } } });
    const seen = [];
    const note = () => seen.push(chats.get(3).mentions);
    for (const id of [10, 20, 30]) message(id);
    note();
    left = 1;
    chats.apply({ id: 40, body: { message_edited: { conversation: 3, message: 20, by: 5, body: '@me', mentions: me } } });
    note();
    // Of what was read, and one's own, nothing is unread.
    left = 0;
    chats.apply({ id: 50, body: { messages_deleted: { conversation: 3, messages: [20] } } });
    await until(0);
    chats.apply({ id: 60, body: { read_marker_moved: { conversation: 3, up_to: 20, unread: 1 } } });
    chats.apply({ id: 70, body: { message_edited: { conversation: 3, message: 10, by: 5, body: '@me', mentions: me } } });
    chats.apply({ id: 75, body: { message_edited: { conversation: 3, message: 30, by: 1, body: '@me', mentions: me } } });
    note();
    message(80, me);
    message(90);
    note();
    left = 0;
    chats.apply({ id: 100, body: { read_marker_moved: { conversation: 3, up_to: 80, unread: 1 } } });
    await until(0);
    note();
    return { seen, asked };
  });
  assert.deepEqual(seen.seen, [0, 1, 0, 1, 0]);
  assert.ok(seen.asked <= 4, `${seen.asked} questions`);
});

test('who is online is asked for the more seldom the more there are', TIMEOUT, async () => {
  const asked = await page.evaluate(async () => {
    const { People } = await import('/js/state/people.js');
    let asked = 0;
    const accounts = Array.from({ length: 1000 }, (_, place) => ({ name: `n${place}` }));
    const call = async () => {
      asked += 1;
      return { accounts };
    };
    const people = new People({ call, token: 'a token', state: { value: 'online' } });
    const seen = [];
    const look = async () => {
      await people.look();
      seen.push(asked);
    };
    await look();
    await look();
    people.lastLook -= 75_000;
    await look();
    people.lastLook -= 50_000;
    await look();
    people.clear();
    await look();
    return seen;
  });
  assert.deepEqual(asked, [1, 1, 1, 2, 3]);
});

test('who is online is asked for page by page, and not for ever', TIMEOUT, async () => {
  const seen = await page.evaluate(async () => {
    const { People } = await import('/js/state/people.js');
    const seen = [];
    for (const there of [450, 1_000_000]) {
      const asked = [];
      const call = async (_, { limit, after }) => {
        asked.push(after);
        const count = Math.min(limit, there - after);
        return { accounts: Array.from({ length: count }, (_, place) => ({ account: after + place + 1, name: `N${after + place + 1}` })), more: after + count < there };
      };
      const people = new People({ call, token: 'a token', state: { value: 'online' } });
      await people.look();
      seen.push({ asked: asked.slice(0, 4), pages: asked.length, online: people.online.value.size, last: people.isOnline(`n${there}`) });
    }
    return seen;
  });
  assert.deepEqual(seen, [
    { asked: [0, 200, 400], pages: 3, online: 450, last: true },
    { asked: [0, 200, 400, 600], pages: 10, online: 2000, last: false },
  ]);
});

test('what is read at once elsewhere is not told', TIMEOUT, async () => {
  const told = await page.evaluate(async () => {
    const { notify, wanted } = await import('/js/state/notifications.js');
    const told = [];
    window.Notification = class {
      static permission = 'granted';
      constructor(_, { body }) {
        told.push(body);
      }
    };
    document.hasFocus = () => false;
    wanted.value = true;
    const chat = { name: 'ann', room: null, readUpTo: 0 };
    const say = (id) => notify({ id, conversation: 3, author: 5, author_name: 'ann', body: `message ${id}` }, { account: 1 }, { get: () => chat });
    say(10);
    say(20);
    say(30);
    chat.readUpTo = 20;
    while (told.length === 0) await new Promise((resolve) => setTimeout(resolve, 5));
    return told;
  });
  assert.deepEqual(told, ['message 30']);
});

test('a window that is loaded anew asks anew for what its messages answer', TIMEOUT, async () => {
  const seen = await page.evaluate(async () => {
    const { Timeline } = await import('/js/state/timeline.js');
    let body = 'a secret';
    const call = async (name) => {
      const messages = name === 'history' ? [{ id: 9, conversation: 3, reply_to: 5, body: 'an answer' }] : [{ id: 5, conversation: 3, body, deleted: !body }];
      return { messages };
    };
    const timeline = new Timeline({ conversation: 3 }, 3, { connection: { call, cursor: 1 }, me: { value: { account: 1 } }, people: { heard() {} } });
    const quoted = async () => {
      await timeline.load();
      while (timeline.quote(5) === undefined) await new Promise((resolve) => setTimeout(resolve, 5));
      return timeline.quote(5).body;
    };
    const before = await quoted();
    // Deleted for everyone while one was away for long.
    body = '';
    return [before, await quoted()];
  });
  assert.deepEqual(seen, ['a secret', '']);
});

test('a conversation has its newest message until it is known that there is none', TIMEOUT, async () => {
  const seen = await page.evaluate(async () => {
    const { Chats } = await import('/js/state/chats.js');
    let answer = null;
    let asked = 0;
    const call = async () => {
      asked += 1;
      if (answer) return answer;
      throw new Error('no server has answered');
    };
    const chats = new Chats({ call, cursor: 1 }, { value: { account: 1 } }, { heard() {} });
    const seen = [];
    for (const given of [null, {}, { messages: [{ id: 4, body: 'before it' }] }]) {
      answer = given;
      chats.map.set(3, { id: 3, name: 'ann', last: { id: 5, body: 'the newest' } });
      await chats.findLast(3, chats.get(3).last);
      seen.push(chats.get(3).last?.id ?? null);
    }
    return { seen, asked };
  });
  assert.deepEqual(seen, { seen: [5, null, 4], asked: 3 });
});

test('a server is known once, whether its address names the usual port or not', TIMEOUT, async () => {
  const seen = await page.evaluate(async () => {
    const { Servers } = await import('/js/net/servers.js');
    const of = (own, told) => {
      const servers = new Servers(own);
      servers.learn(told);
      return servers.all();
    };
    const seen = [of('chat-1.example', ['Chat-1.example:80', 'chat-2.example:80', 'chat-3.example:8080']), of('localhost:8080', ['127.0.0.1:8080', '127.0.0.1:80'])];
    localStorage.removeItem('threefold:servers');
    return seen;
  });
  assert.deepEqual(seen, [['chat-1.example', 'chat-2.example:80', 'chat-3.example:8080'], ['localhost:8080', '127.0.0.1:80']]);
});

test('no fault', async () => {
  assert.deepEqual(faults(page), []);
});

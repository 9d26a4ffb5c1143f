// Nothing that is written is lost, jams what is written after it, or is told nowhere: whatever it is, and whatever its page and other ones
// of the same person do.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessible, open, signIn } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';
import { act, composer, goTo, menu, message, send, settled, texts } from './lib/chat.mjs';
import { PICTURE, end, isUp, person as newPerson, tab as newTab } from './lib/person.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 180_000 };
let cluster;
let browser;

stage((there) => {
  ({ cluster, browser } = there);
});

const person = (name) => newPerson(cluster, browser, name);
const tab = (context) => newTab(cluster, context);

test('edits, reactions and deletions are seen at once while no server answers, marked, counted, and done when one does', TIMEOUT, async () => {
  const { page, cut } = await person('changer');
  await goTo(page, 'c/changer');
  for (const text of ['to be edited', 'to be liked', 'to be withdrawn', 'to be hidden']) await send(page, text);
  await settled(page);
  await cut(true);
  await menu(page, 'to be edited', 'Edit');
  await send(page, 'edited meanwhile');
  await act(page, 'to be liked', 'React');
  await page.getByRole('dialog', { name: 'Reactions' }).getByRole('button', { name: 'heart', exact: true }).click();
  for (const [text, whom] of [['to be withdrawn', 'everyone'], ['to be hidden', 'me']]) {
    await menu(page, text, `Delete for ${whom}`);
    await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click();
  }
  const changed = async () => {
    await message(page, 'edited meanwhile').waitFor();
    await message(page, 'to be liked').getByRole('button', { name: /^❤️ 1, yours/ }).waitFor();
    await message(page, 'Message deleted').waitFor();
    await message(page, 'to be hidden').waitFor({ state: 'detached' });
    assert.deepEqual((await texts(page)).slice(0, 2), ['edited meanwhile', 'to be liked']);
  };
  const waiting = async (count) => {
    await until('they wait', async () => (await page.locator('article.pending').count()) === count);
    assert.equal(await page.getByRole('button', { name: '❤️ 1, yours, waiting to be sent' }).count(), count / 2);
  };
  await changed();
  await waiting(2);
  await page.getByText('4 changes are waiting and will be sent.').waitFor();
  await accessible(page, 'waiting changes');
  await page.reload();
  await composer(page).waitFor();
  await send(page, 'and a message');
  await page.getByText('One message and 4 changes are waiting').waitFor();
  assert.equal(await page.getByRole('checkbox').count(), 0, 'nothing is being chosen');
  await goTo(page, 'settings');
  await page.getByRole('button', { name: 'Sign out' }).click();
  await page.getByRole('dialog', { name: 'Sign out?' }).getByText('One message and 4 changes are not sent yet, and would be lost.').waitFor();
  await page.keyboard.press('Escape');
  await goTo(page, 'c/changer');
  // What is shown never goes back to what was: each of its states is noted.
  await page.evaluate(() => {
    window.seen = new Set();
    new MutationObserver(() => document.querySelectorAll('.bubble > .text').forEach((one) => window.seen.add(one.innerText))).observe(document.body, { childList: true, subtree: true, characterData: true });
  });
  await cut(false);
  await until('all is done', () => page.evaluate(async () => (await import('/js/state/app.js')).outbox.waiting().length === 0));
  await changed();
  await waiting(0);
  const device = await open(browser, cluster.url('server-2'));
  await signIn(device, 'changer');
  await goTo(device, 'c/changer');
  await message(device, 'and a message').waitFor();
  assert.deepEqual(await texts(device), ['edited meanwhile', 'to be liked', 'and a message']);
  await message(device, 'to be liked').getByRole('button', { name: '❤️ 1, yours', exact: true }).waitFor();
  // What stays when nothing is foreseen any more is the same.
  await until('nothing is foreseen', () => page.evaluate(async () => (await import('/js/state/app.js')).outbox.lately.length === 0));
  assert.deepEqual(await texts(page), ['edited meanwhile', 'to be liked', 'and a message']);
  const seen = await page.evaluate(() => [...window.seen]);
  for (const text of ['to be edited', 'to be withdrawn', 'to be hidden']) assert.equal(seen.includes(text), false, text);
  await device.context().close();
  await end(page);
});

test('a number that another tab has used up long ago is no answer to what was said by it once', TIMEOUT, async () => {
  const { page } = await person('forgotten');
  const seen = await page.evaluate(async () => {
    const { Lane } = await import('/js/net/lane.js');
    const fresh = (id) => {
      const told = { said: [], failed: [], finished: [] };
      const body = (write) => write.operation.send.body;
      const host = {
        session: () => 'a session',
        owner: () => 'an owner',
        isOnline: () => told.said.length < 2 || told.online,
        say: (frame) => told.said.push(body(frame.write)),
        call: async () => ({ instance: 9 }),
        fail: (write, { code }) => told.failed.push(`${body(write)}: ${code}`),
        finished: (write) => told.finished.push(body(write)),
      };
      const lane = new Lane(id, host);
      lane.instance = 7;
      return { lane, told };
    };
    const once = fresh('said-once');
    for (const body of ['first', 'second', 'never said']) once.lane.add({ send: { body } });
    once.lane.hear(1, { error: { code: 'reply_forgotten' } });
    once.told.online = true;
    once.lane.flush();
    while (once.told.said.length < 3) await new Promise((resolve) => setTimeout(resolve, 5));
    const twice = fresh('said-twice');
    twice.lane.add({ send: { body: 'said again' } });
    twice.lane.begin();
    twice.lane.hear(1, { error: { code: 'reply_forgotten' } });
    for (const { lane } of [once, twice]) lane.forget();
    const { said, failed, finished } = once.told;
    return { said, failed, finished, moved: once.lane.id !== 'said-once', twice: twice.told };
  });
  assert.deepEqual(seen, {
    said: ['first', 'second', 'never said'],
    failed: ['first: unknown', 'second: unknown'],
    finished: [],
    moved: true,
    twice: { said: ['said again', 'said again'], failed: [], finished: ['said again'] },
  });
  await end(page);
});

test('a page that is shown again goes on where another page of its tab has left their lane', TIMEOUT, async () => {
  const { page, cut } = await person('back');
  await goTo(page, 'c/back');
  await composer(page).waitFor();
  await cut(true);
  await send(page, 'sent by the other page');
  await send(page, 'not sent yet');
  await message(page, 'not sent yet').waitFor();
  const seen = await page.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    const lane = outbox.lanes[0];
    const [answered, waiting] = lane.writes;
    const results = [answered, waiting].map((write) => new Promise((resolve, reject) => lane.promises.set(write, { resolve, reject })));
    const name = `threefold:lane:${lane.id}`;
    // As a page that the same tab has loaded meanwhile would leave it: one is answered, and others that it had written too.
    const kept = JSON.parse(localStorage.getItem(name));
    localStorage.setItem(name, JSON.stringify({ ...kept, instance: lane.instance || 0, writes: kept.writes.slice(1), next: kept.next + 5 }));
    dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }));
    const [{ reason }] = await Promise.allSettled([results[0]]);
    const now = outbox.lanes[0];
    return { reason: reason?.code, bodies: now.writes.map((write) => write.operation.send.body), next: now.next - kept.next, awaited: now.promises.size };
  });
  assert.deepEqual(seen, { reason: 'unknown', bodies: ['not sent yet'], next: 5, awaited: 1 });
  await end(page);
});

test('no text jams what is written after it', TIMEOUT, async () => {
  const { page } = await person('odd');
  await goTo(page, 'c/odd');
  await composer(page).waitFor();
  await page.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    const write = (body, more) => outbox.write({ send: { to: { user: 'odd' }, body, ...more } }, { place: 'c/odd', peer: 'odd', at: Date.now(), after: 0 });
    write('half a sign \ud83d');
    write('a sign too many \0');
    // What no server knows, as another version of this page may have left it.
    write('not understood', { unheard_of: 1 });
    write('the next');
  });
  for (const text of ['half a sign \ufffd', 'the next']) await page.locator('article:not(.pending):not(.failed)', { hasText: text }).waitFor();
  const fault = (text) => page.locator('article.failed', { hasText: text }).getByText(/^Not sent:/);
  assert.match(await fault('a sign too many').innerText(), /control character/);
  assert.match(await fault('not understood').innerText(), /unheard_of/);
  await page.getByRole('button', { name: 'Discard' }).first().click();
  await page.getByRole('button', { name: 'Discard' }).click();
  await settled(page);
  await end(page);
});

test('what was not sent is told beside the list, and is within reach though its room is not', TIMEOUT, async () => {
  const { page: host } = await person('host');
  const room = await host.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    const { room_created: made } = await outbox.write({ create_room: { name: 'closed', topic: '', public: false } });
    return made.conversation;
  });
  const { page } = await person('removed');
  await page.evaluate(async (room) => {
    const { outbox } = await import('/js/state/app.js');
    outbox.write({ send: { to: { conversation: room }, body: 'said too late' } }, { place: `k/${room}`, room: true, at: Date.now(), after: 0 });
    outbox.write({ send: { to: { room: 'closed' }, body: 'said before the list came' } }, { place: 'room/closed', room: true, at: Date.now(), after: 0 });
  }, room);
  const list = page.getByRole('navigation', { name: 'Conversations' });
  await list.getByRole('heading', { name: 'Not sent' }).waitFor();
  const failed = (text) => page.locator('article.failed', { hasText: text });
  for (const text of ['said too late', 'said before the list came']) {
    await list.getByRole('link', { name: text }).click();
    await failed(text).getByText(/^Not sent:/).waitFor();
  }
  await failed('said before').getByRole('button', { name: 'Try again' }).click();
  await until('it has failed again', async () => (await failed('said before').count()) === 1 && (await failed('said before').getByRole('button').count()) === 2);
  await failed('said before').getByRole('button', { name: 'Discard' }).click();
  await list.getByRole('link', { name: 'said too late' }).click();
  await failed('said too late').getByRole('button', { name: 'Discard' }).click();
  await list.getByRole('heading', { name: 'Not sent' }).waitFor({ state: 'detached' });
  await end(host);
  await end(page);
});

test('a draft is all tabs’ together: gone on with in any of them, and over in all when it is sent', TIMEOUT, async () => {
  const { page, context } = await person('drafter');
  await goTo(page, 'c/drafter');
  const other = await tab(context);
  await goTo(other, 'c/drafter');
  await composer(other).waitFor();
  const is = (page, text) => until(`the draft is "${text}"`, async () => (await composer(page).inputValue()) === text);
  await composer(page).pressSequentially('begun here');
  await is(other, 'begun here');
  await composer(other).press('End');
  await composer(other).pressSequentially(', ended there');
  await is(page, 'begun here, ended there');
  await page.locator('input[type=file]').setInputFiles([PICTURE]);
  await isUp(page);
  await isUp(other);
  await composer(other).press('Enter');
  await settled(other);
  await is(page, '');
  await until('the file is gone from it', async () => (await page.locator('.upload').count()) === 0);
  await page.reload();
  await composer(page).waitFor();
  await message(page, 'begun here, ended there').waitFor();
  assert.equal(await composer(page).inputValue(), '');
  assert.equal((await texts(page)).length, 1);
  await other.close();
  await end(page);
});

test('a draft that another tab goes on with while a conversation is being opened is not missed', TIMEOUT, async () => {
  const { page } = await person('opener');
  await page.evaluate(() => {
    new MutationObserver((_, observer) => {
      if (!document.querySelector('.composer textarea')) return;
      observer.disconnect();
      // Drawn, and nothing that waits for the picture has run: as the browser would tell of another tab.
      localStorage.setItem('threefold:draft:c/opener', JSON.stringify({ text: 'written elsewhere', reply: 0, files: [] }));
      dispatchEvent(new StorageEvent('storage', { key: 'threefold:draft:c/opener' }));
    }).observe(document.body, { childList: true, subtree: true });
    location.hash = '#/c/opener';
  });
  await until('the draft', async () => (await composer(page).inputValue()) === 'written elsewhere');
  await end(page);
});

test('an edit that was begun is gone on with after one has looked elsewhere, or loaded the page anew', TIMEOUT, async () => {
  const { page, cut } = await person('reviser');
  await goTo(page, 'c/reviser');
  await send(page, 'as it was');
  await settled(page);
  await composer(page).fill('something else');
  await menu(page, 'as it was', 'Edit');
  await composer(page).fill('as it shall be');
  const goesOn = async () => {
    await page.getByText('Editing a message').waitFor();
    await until('its text', async () => (await composer(page).inputValue()) === 'as it shall be');
  };
  await goTo(page, 'settings');
  await page.getByRole('heading', { name: 'Leave' }).waitFor();
  await goTo(page, 'c/reviser');
  await goesOn();
  await page.reload();
  await goesOn();
  await composer(page).press('Escape');
  await until('the draft', async () => (await composer(page).inputValue()) === 'something else');
  await page.reload();
  await until('the draft, and no edit', async () => (await composer(page).inputValue()) === 'something else');
  assert.equal(await page.getByText('Editing a message').count(), 0);
  // Refused while one looks elsewhere.
  await menu(page, 'as it was', 'Edit');
  await composer(page).fill('as it shall be');
  await cut(true);
  await composer(page).press('Enter');
  await goTo(page, 'settings');
  await page.getByRole('heading', { name: 'Leave' }).waitFor();
  const device = await open(browser, cluster.url('server-2'));
  await signIn(device, 'reviser');
  await device.evaluate(async () => {
    const { chats, outbox } = await import('/js/state/app.js');
    while (!chats.direct('reviser')) await new Promise((resolve) => setTimeout(resolve, 20));
    const { id, last } = chats.direct('reviser');
    await outbox.write({ delete: { conversation: id, messages: [last.id], for_everyone: true } });
  });
  await cut(false);
  await until('it was refused', () => page.evaluate(async () => (await import('/js/state/app.js')).outbox.failed.length === 1));
  await goTo(page, 'c/reviser');
  const refused = page.locator('article.failed', { hasText: 'as it shall be' });
  await refused.getByRole('button', { name: 'Discard' }).click();
  await refused.waitFor({ state: 'detached' });
  await device.context().close();
  await end(page);
});

test('the page does not let one leave while something would be lost', TIMEOUT, async () => {
  const { page } = await person('leaver');
  await goTo(page, 'c/leaver');
  const holds = () => page.evaluate(() => !dispatchEvent(new Event('beforeunload', { cancelable: true })));
  await composer(page).fill('kept, and so no matter');
  assert.equal(await holds(), false);
  let go;
  const held = new Promise((resolve) => {
    go = resolve;
  });
  await page.route('**/attachments?*', async (route) => {
    await held;
    await route.continue();
  });
  await page.locator('input[type=file]').setInputFiles([PICTURE]);
  await page.locator('.upload progress').waitFor();
  assert.equal(await holds(), true);
  go();
  await isUp(page);
  assert.equal(await holds(), false);
  await page.evaluate(() => {
    Storage.prototype.setItem = () => {
      throw new DOMException('full', 'QuotaExceededError');
    };
  });
  await composer(page).fill('not kept');
  assert.equal(await holds(), true);
  await composer(page).fill('');
  await page.getByRole('button', { name: 'Remove dot.png' }).click();
  await until('there is nothing to lose', async () => !(await holds()));
  await end(page);
});

test('the key that ends a composition sends nothing', TIMEOUT, async () => {
  const { page } = await person('composer');
  await goTo(page, 'c/composer');
  await composer(page).fill('にほんご');
  // Safari tells of the composition's end before it tells of the key that ended it.
  const taken = await composer(page).evaluate((area) => !area.dispatchEvent(new KeyboardEvent('keydown', { key: 'Enter', keyCode: 229, bubbles: true, cancelable: true })));
  assert.equal(taken, false);
  assert.equal(await composer(page).inputValue(), 'にほんご');
  await composer(page).press('Enter');
  await settled(page);
  await end(page);
});

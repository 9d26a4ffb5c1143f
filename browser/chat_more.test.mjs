// A long conversation, a long absence, files that are dropped and pasted, and notifications.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { accessible, faults, open, register } from './lib/browser.mjs';
import { until } from './lib/wait.mjs';
import { PNG, composer, goTo, knowsRoom, knowsUser, message, send, texts } from './lib/chat.mjs';
import { stage } from './lib/stage.mjs';

const TIMEOUT = { timeout: 240_000 };
const LINES = 1_200;
/** More is never in the page (`LIMIT` in state/timeline.js). */
const MOST = 240;
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

/** The numbers of the lines that are in the page. */
async function numbers(page) {
  const lines = (await texts(page)).filter((text) => text.startsWith('line '));
  return lines.map((text) => Number(text.slice('line '.length)));
}

/** Moves the list, and waits until the page has drawn what is there. */
function scroll(page, by) {
  return page.locator('.scroller').evaluate(async (element, by) => {
    element.scrollTop += by;
    for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
    return { top: element.scrollTop, rest: element.scrollHeight - element.scrollTop - element.clientHeight };
  }, by);
}

test('a long conversation, from its end to its beginning and back: no line is missing, and the page stays small', TIMEOUT, async () => {
  await goTo(bob, 'settings');
  await ann.evaluate(async (lines) => {
    const { outbox } = await import('/js/state/app.js');
    for (let line = 0; line < lines; ) {
      const written = [];
      for (const end = Math.min(lines, line + 60); line < end; line += 1) {
        written.push(outbox.write({ send: { to: { user: 'bob' }, body: `line ${line}` } }, { place: 'c/bob', peer: 'bob', at: 0, after: 0 }));
      }
      await Promise.all(written);
    }
  }, LINES);
  await goTo(bob, 'c/ann');
  await message(bob, 'line ').waitFor();
  const newest = bob.locator('.to-newest');
  if (await newest.count()) await newest.click();
  await until('the end', async () => (await numbers(bob)).at(-1) === LINES - 1);
  const seen = new Set();
  let largest = 0;
  const look = async () => {
    const here = await numbers(bob);
    for (const [place, number] of here.entries()) assert.equal(number, here[0] + place, 'one after the other');
    here.forEach((number) => seen.add(number));
    largest = Math.max(largest, await bob.locator('article.message').count());
    return here;
  };
  // There are many steps: patience begins anew whenever other lines have come.
  const along = async (what, step) => {
    for (let here = {}; !here.done; ) {
      const { first } = here;
      here = await until(what, async () => {
        const now = await step();
        return (now.done || now.first !== first) && now;
      });
    }
  };
  await along('the beginning', async () => {
    await scroll(bob, -600);
    const [first] = await look();
    return { first, done: first === 0 && (await scroll(bob, -600)).top === 0 };
  });
  assert.equal(seen.size, LINES);
  seen.clear();
  await along('the end again', async () => {
    await scroll(bob, 600);
    const here = await look();
    // So near that what comes is followed (`BOTTOM_PX` in views/message_list.js), and with nothing loaded since.
    return { first: here[0], done: here.at(-1) === LINES - 1 && (await scroll(bob, 0)).rest < 40 };
  });
  assert.equal(seen.size, LINES);
  assert.ok(largest <= MOST, `${largest} messages in the page`);
});

test('after a long absence all is asked for anew: nothing twice, nothing missing', TIMEOUT, async () => {
  await bob.evaluate(async () => {
    const { connection } = await import('/js/state/app.js');
    window.state = connection;
    connection.wanted = false;
    connection.lost(null);
    connection.lostAt = Date.now() - 11 * 60 * 1000;
  });
  await send(ann, 'while bob was away');
  await message(ann, 'while bob was away').getByText('sent', { exact: true }).waitFor({ state: 'attached' });
  await bob.evaluate(() => {
    window.state.wanted = true;
    window.state.hurry();
  });
  await message(bob, 'while bob was away').waitFor();
  await send(ann, 'and since');
  await message(bob, 'and since').waitFor();
  const last = (await texts(bob)).slice(-3);
  assert.deepEqual(last, [`line ${LINES - 1}`, 'while bob was away', 'and since']);
});

test('files are dropped anywhere on the conversation, and pasted', TIMEOUT, async () => {
  await goTo(ann, 'c/bob');
  const give = (how) => ann.evaluate(({ how, base64 }) => {
    const bytes = Uint8Array.from(atob(base64), (sign) => sign.charCodeAt(0));
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(new File([bytes], `${how}.png`, { type: 'image/png' }));
    const init = { bubbles: true, cancelable: true };
    if (how === 'paste') {
      document.querySelector('.composer textarea').dispatchEvent(new ClipboardEvent('paste', { ...init, clipboardData: dataTransfer }));
      return;
    }
    const zone = document.querySelector('.thread');
    zone.dispatchEvent(new DragEvent('dragover', { ...init, dataTransfer }));
    window.shown = zone.classList.contains('dropping');
    zone.dispatchEvent(new DragEvent('drop', { ...init, dataTransfer }));
  }, { how, base64: PNG.toString('base64') });
  await give('drop');
  assert.equal(await ann.evaluate(() => window.shown), true, 'it shows that files may be let go here');
  await give('paste');
  await until('both are up', async () => (await ann.locator('.upload').count()) === 2 && (await ann.locator('.upload progress').count()) === 0);
  await send(ann, 'dropped and pasted');
  await until('both pictures', async () => (await message(bob, 'dropped and pasted').locator('img').count()) === 2);
});

/** A picture too large to be shown whole: noise, so that it stays large as a file. */
function noise(page, width, height) {
  return page.evaluate(async ({ width, height }) => {
    const canvas = Object.assign(document.createElement('canvas'), { width, height });
    const context = canvas.getContext('2d');
    const points = context.createImageData(width, height);
    let state = 1;
    for (let place = 0; place < points.data.length; place += 1) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      points.data[place] = place % 4 === 3 ? 255 : state >>> 24;
    }
    context.putImageData(points, 0, 0);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, 'image/png'));
    return [...new Uint8Array(await blob.arrayBuffer())];
  }, { width, height });
}

test('a large picture is shown by its thumbnail, opens whole, and what is none is named', TIMEOUT, async () => {
  await goTo(ann, 'c/bob');
  const asked = [];
  bob.on('request', (request) => asked.push(new URL(request.url())));
  const whole = Buffer.from(await noise(ann, 600, 400));
  await ann.locator('input[type=file]').setInputFiles([
    { name: 'noise.png', mimeType: 'image/png', buffer: whole },
    { name: 'broken.png', mimeType: 'image/png', buffer: Buffer.concat([whole.subarray(0, 8), Buffer.alloc(60_000, 7)]) },
  ]);
  await until('both are up', async () => (await ann.locator('.upload').count()) === 2 && (await ann.locator('.upload progress').count()) === 0);
  await send(ann, 'a large one');
  const files = message(bob, 'a large one');
  const size = (image) => image.evaluate((image) => [image.naturalWidth, image.naturalHeight]);
  const inline = files.getByRole('button', { name: 'Picture noise.png' }).locator('img');
  await inline.waitFor();
  await until('the small picture', async () => (await size(inline))[0] > 0);
  assert.deepEqual(await size(inline), [480, 320]);
  // Only its file's name is left of what nothing can show.
  await files.getByRole('button', { name: /Save broken.png/ }).waitFor();
  const of = (small) => asked.filter((url) => url.pathname.startsWith('/attachments/') && url.searchParams.has('thumbnail') === small).length;
  assert.deepEqual([of(true), of(false)], [2, 1], 'the whole file only of the one that has no thumbnail');
  await inline.click();
  const dialog = bob.getByRole('dialog', { name: 'noise.png' });
  await until('the whole picture', async () => (await size(dialog.locator('img')))[0] === 600);
  await dialog.getByRole('button', { name: 'Close' }).click();
  await dialog.waitFor({ state: 'detached' });
});

test('a picture with no thumbnail just now is asked for again, and never fetched whole unasked', TIMEOUT, async () => {
  await goTo(ann, 'c/bob');
  const tries = new Map();
  let whole = 0;
  bob.on('request', (request) => {
    const { pathname, searchParams } = new URL(request.url());
    if (pathname.startsWith('/attachments/') && !searchParams.has('thumbnail')) whole += 1;
  });
  const crowded = { status: 503, headers: { 'access-control-allow-origin': '*' }, body: '{"error": "too many", "code": "UNAVAILABLE"}' };
  // Of the first one a thumbnail is to be had at the third try, of the other never.
  const pattern = /\/attachments\/.*\?thumbnail/;
  await bob.route(pattern, (route) => {
    const request = route.request();
    if (request.method() !== 'GET') return route.continue();
    const count = (tries.get(request.url()) ?? 0) + 1;
    tries.set(request.url(), count);
    return count === 3 && [...tries.keys()][0] === request.url() ? route.continue() : route.fulfill(crowded);
  });
  for (const name of ['first', 'other']) {
    await ann.locator('input[type=file]').setInputFiles([{ name: `${name}.png`, mimeType: 'image/png', buffer: Buffer.from(await noise(ann, 600, 400)) }]);
    await until('it is up', async () => (await ann.locator('.upload').count()) === 1 && (await ann.locator('.upload progress').count()) === 0);
    await send(ann, `crowded ${name}`);
    await until('it is asked for', () => tries.size === (name === 'first' ? 1 : 2));
  }
  const picture = (name) => message(bob, `crowded ${name}`).getByRole('button', { name: `Picture ${name}.png` });
  await until('the small picture', async () => (await picture('first').locator('img').count()) === 1);
  await picture('other').getByText('Show the picture').waitFor();
  assert.deepEqual([[...tries.values()], whole], [[3, 4], 0]);
  await picture('other').click();
  await picture('other').locator('img').waitFor();
  assert.equal(whole, 1, 'who wants to see it does');
  await bob.unroute(pattern);
});

test('a picture that no server could be asked for comes once one can', TIMEOUT, async () => {
  let asked = 0;
  let away = true;
  await bob.route('**/attachments/**', async (route) => {
    asked += 1;
    if (away) await route.abort('connectionrefused');
    else await route.continue();
  });
  await ann.locator('input[type=file]').setInputFiles([{ name: 'late.png', mimeType: 'image/png', buffer: PNG }]);
  await until('it is up', async () => (await ann.locator('.upload').count()) === 1 && (await ann.locator('.upload progress').count()) === 0);
  await send(ann, 'a late picture');
  await message(bob, 'a late picture').getByText('Loading').waitFor();
  await until('it is asked for again and again', () => asked > 5);
  assert.equal(await message(bob, 'a late picture').locator('img').count(), 0);
  away = false;
  await message(bob, 'a late picture').locator('img').waitFor();
  await bob.unroute('**/attachments/**');
});

test('older messages that are only loaded are not read out, and what comes is', TIMEOUT, async () => {
  await goTo(bob, 'c/bob');
  await bob.getByText('Notes to yourself').waitFor();
  await goTo(bob, 'c/ann');
  await message(bob, 'a late picture').waitFor();
  // How the list was announced whenever something was put into it.
  await bob.locator('.scroller').evaluate((scroller) => {
    window.heard = [];
    new MutationObserver((changes) => {
      for (const { addedNodes } of changes) for (const node of addedNodes) if (node.matches?.('article')) window.heard.push([scroller.getAttribute('aria-live'), node.innerText]);
    }).observe(scroller.querySelector('.column'), { childList: true });
  });
  const before = (await numbers(bob))[0];
  await until('older ones', async () => {
    await scroll(bob, -600);
    return (await numbers(bob))[0] < before;
  });
  const loaded = await bob.evaluate(() => window.heard.splice(0).map(([live]) => live));
  assert.ok(loaded.length > 0 && loaded.every((live) => live === 'off'), loaded.join());
  await bob.keyboard.press('Escape');
  await bob.locator('.scroller').focus();
  await bob.keyboard.press('End');
  await until('it listens again', () => bob.locator('.scroller').evaluate((scroller) => scroller.getAttribute('aria-live') === 'polite'));
  await send(ann, 'and this is read out');
  await message(bob, 'and this is read out').waitFor();
  const heard = await bob.evaluate(() => window.heard.find(([, text]) => text.includes('and this is read out'))[0]);
  assert.equal(heard, 'polite');
});

test('the files of a conversation, and a day of it, are found', TIMEOUT, async () => {
  await goTo(bob, 'c/ann');
  await bob.getByRole('button', { name: 'About this conversation' }).click();
  const panel = bob.getByRole('complementary');
  await panel.getByRole('button', { name: 'Show the files' }).click();
  await panel.getByRole('button', { name: 'Picture late.png' }).waitFor();
  await panel.getByRole('button', { name: 'Picture noise.png' }).waitFor();
  await until('all of it was looked through', async () => {
    const further = panel.getByRole('button', { name: 'Look further back' });
    if (await further.count()) await further.click({ timeout: 1000 }).catch(() => {});
    return (await panel.getByRole('button', { name: /Picture (drop|paste).png/ }).count()) === 2 && (await further.count()) === 0;
  });
  const day = (at) => new Date(at).toLocaleDateString('sv');
  await panel.getByLabel('A day').fill(day(Date.now() - 86_400_000));
  await panel.getByRole('button', { name: 'Go to the day' }).click();
  await until('the first message of all', async () => (await bob.locator('article.found').count()) === 1 && (await numbers(bob))[0] === 0);
  await panel.getByLabel('A day').fill(day(Date.now() + 3 * 86_400_000));
  await panel.getByRole('button', { name: 'Go to the day' }).click();
  await bob.getByText('Nothing was said on that day or later.').waitFor();
  await accessible(bob, 'the panel with files');
  await panel.getByRole('button', { name: 'Close' }).click();
});

test('who wants it is notified of direct messages and mentions, while the page is not looked at', TIMEOUT, async () => {
  await ann.evaluate(async () => {
    const { outbox } = await import('/js/state/app.js');
    await outbox.write({ create_room: { name: 'tea', topic: '', public: true } });
  });
  await knowsRoom(bob, 'tea');
  await goTo(bob, 'room/tea');
  await bob.getByRole('button', { name: 'Join' }).click();
  await composer(bob).waitFor();
  await bob.evaluate(() => {
    window.notified = [];
    window.Notification = class {
      static permission = 'granted';
      static requestPermission = async () => 'granted';
      constructor(title, { body }) {
        window.notified.push({ title, body, shown: this });
      }
      close() {}
    };
  });
  await goTo(bob, 'settings');
  await bob.getByRole('checkbox', { name: /Tell me of direct messages/ }).check();
  const write = (to, body) => ann.evaluate(async ({ to, body }) => {
    const { outbox } = await import('/js/state/app.js');
    await outbox.write({ send: { to, body } });
  }, { to, body });
  const looksAway = (away) => bob.evaluate((away) => {
    document.hasFocus = () => !away;
  }, away);
  await looksAway(false);
  await write({ user: 'bob' }, 'he looks');
  await until('bob has it', () => bob.evaluate(async () => (await import('/js/state/app.js')).chats.direct('ann').last.body === 'he looks'));
  await looksAway(true);
  await write({ room: 'tea' }, 'to nobody');
  await write({ room: 'tea' }, 'tea for @bob');
  await write({ user: 'bob' }, 'he looks away');
  const told = () => bob.evaluate(() => window.notified.map(({ title, body }) => `${title}: ${body}`));
  await until('the last', async () => (await told()).length >= 2);
  assert.deepEqual(await told(), ['ann in #tea: tea for @bob', 'ann: he looks away']);
  await bob.evaluate(() => window.notified[0].shown.onclick());
  await bob.getByRole('heading', { name: '#tea', level: 1 }).waitFor();
});

test('no page had a fault, was refused anything, or asked anybody else', async () => {
  assert.deepEqual(faults(ann), []);
  assert.deepEqual(faults(bob), []);
});

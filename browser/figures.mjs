// What the page costs, measured: `node figures.mjs [messages]`. Its weight, the first usable view, opening a room of many messages (100,000
// unless said otherwise), scrolling through 10,000 of them, and a burst of 200 messages a second into the open room. Wall time, and the time of
// the page's own thread, which a busy machine does not stretch.

import { gzipSync } from 'node:zlib';
import { launch, open, register } from './lib/browser.mjs';
import { goTo } from './lib/chat.mjs';
import { Cluster } from './lib/cluster.mjs';
import { until } from './lib/wait.mjs';

const MESSAGES = Number(process.argv[2] ?? 100_000);
const ROUNDS = 5;
const cluster = await Cluster.start();
const browser = await launch();
try {
  await main();
} finally {
  await browser.close();
  await cluster.stop();
}

async function main() {
  await weight();
  const page = await open(browser, cluster.url());
  await register(page, 'reader');
  await goTo(page, 'rooms');
  await page.getByLabel('Name', { exact: true }).fill('big');
  await page.getByRole('button', { name: 'Make the room' }).click();
  await page.locator('.composer').waitFor();
  await goTo(page, 'settings');
  const writers = await open(browser, cluster.url('server-2'));
  console.log(`filling a room with ${MESSAGES} messages ...`);
  await writers.evaluate(write, { address: cluster.address('server-2'), senders: 40, messages: MESSAGES, rate: 0, first: true });
  await until('all has arrived', () => page.evaluate(async (wanted) => (await import('/js/state/app.js')).chats.room('big').count >= wanted, MESSAGES));
  await firstView(page);
  await opening(page);
  await scrolling(page);
  await burst(page, writers);
}

async function weight() {
  const page = await (await fetch(cluster.url())).text();
  const paths = ['/', ...[...page.matchAll(/ (?:href|src)="(\/[^"]+)"/g)].map(([, path]) => path)];
  let bytes = 0;
  for (const path of paths) {
    const response = await fetch(new URL(path, cluster.url()));
    bytes += gzipSync(Buffer.from(await response.arrayBuffer()), { level: 9 }).length;
  }
  console.log(`weight: ${paths.length} files, ${bytes} bytes as they are sent, gzipped`);
}

/** By whoever loads the page again, by a browser that has a session and nothing of the page, and by one that has neither. */
async function firstView(page) {
  await goTo(page, '');
  const storageState = await page.context().storageState();
  const [again, session, stranger] = [[], [], []];
  for (let round = 0; round < ROUNDS; round += 1) {
    await page.reload();
    again.push(await shownAfter(page, '.entry'));
    for (const [all, options, there] of [[session, { storageState }, '.entry'], [stranger, {}, '.sign-in input']]) {
      const context = await browser.newContext(options);
      const fresh = await context.newPage();
      await fresh.goto(cluster.url(), { waitUntil: 'commit' });
      all.push(await shownAfter(fresh, there));
      await context.close();
    }
    await page.waitForTimeout(2000);
  }
  console.log(`first usable view after the response: loaded again, the list ${rounded(again)} ms; a fresh profile with a session, the list ${rounded(session)} ms; ` +
    `without one, signing in ${rounded(stranger)} ms`);
  await coldView(storageState);
}

function shownAfter(page, selector) {
  return page.evaluate((selector) => new Promise((resolve) => {
    const look = () => {
      const [{ responseStart }] = performance.getEntriesByType('navigation');
      if (document.querySelector(selector)) requestAnimationFrame(() => resolve(performance.now() - responseStart));
      else requestAnimationFrame(look);
    };
    look();
  }), selector);
}

/** The first page of a browser that was started for it. */
async function coldView(storageState) {
  const all = [];
  for (let round = 0; round < ROUNDS; round += 1) {
    const cold = await launch();
    const context = await cold.newContext({ storageState });
    const page = await context.newPage();
    await page.goto(cluster.url(), { waitUntil: 'commit' });
    all.push(await shownAfter(page, '.entry'));
    await cold.close();
  }
  console.log(`in a browser that was just started, with a session, the list ${rounded(all)} ms`);
}

async function metrics(page) {
  const session = await page.context().newCDPSession(page);
  await session.send('Performance.enable', { timeDomain: 'threadTicks' });
  return async () => {
    const { metrics } = await session.send('Performance.getMetrics');
    return metrics.find(({ name }) => name === 'TaskDuration').value * 1000;
  };
}

async function opening(page) {
  const busy = await metrics(page);
  const [wall, thread] = [[], []];
  for (let round = 0; round < ROUNDS + 1; round += 1) {
    await goTo(page, 'settings');
    await page.waitForTimeout(800);
    const before = await busy();
    const time = await page.evaluate(async () => {
      // As if it had never been open.
      const { timelineOf } = await import('/js/state/timelines.js');
      const { chats } = await import('/js/state/app.js');
      const { id } = chats.room('big');
      Object.assign(timelineOf(`k/${id}`, {}, id), { phase: 'new', messages: [] });
      const start = performance.now();
      location.hash = '#/room/big';
      return new Promise((resolve) => {
        const look = () => (document.querySelectorAll('article.message').length > 20 ? requestAnimationFrame(() => resolve(performance.now() - start)) : requestAnimationFrame(look));
        look();
      });
    });
    // The first one marks as read, and ends where the newest are.
    if (round > 0) {
      wall.push(time);
      thread.push((await busy()) - before);
    } else {
      const newest = page.locator('.to-newest');
      if (await newest.count()) await newest.click();
      await until('read', () => page.evaluate(async () => (await import('/js/state/app.js')).chats.room('big').unread === 0));
    }
  }
  console.log(`opening the room: ${rounded(wall)} ms; the page's thread ${rounded(thread)} ms`);
}

/** From the newest message to older ones, as fast as a hand on a wheel, until so many were in the page. */
async function scrolling(page) {
  const busy = await metrics(page);
  const before = await busy();
  const seen = await page.evaluate(async (wanted) => {
    const scroller = document.querySelector('.scroller');
    const { timelineOf } = await import('/js/state/timelines.js');
    const { chats } = await import('/js/state/app.js');
    const { id } = chats.room('big');
    const timeline = timelineOf(`k/${id}`, {}, id);
    const newest = timeline.messages.at(-1).number;
    const frames = [];
    let [nodes, rows, waited] = [0, 0, 0];
    const start = performance.now();
    let last = start;
    while (newest - timeline.messages[0].number < wanted && last - start < 240_000) {
      if (scroller.scrollTop < 1) waited += 1;
      scroller.scrollTop -= 250;
      await new Promise(requestAnimationFrame);
      const now = performance.now();
      frames.push(now - last);
      last = now;
      if (frames.length % 20) continue;
      nodes = Math.max(nodes, document.getElementsByTagName('*').length);
      rows = Math.max(rows, document.querySelectorAll('article.message').length);
    }
    frames.sort((one, other) => one - other);
    const part = (share) => frames[Math.floor(frames.length * share)];
    return {
      messages: newest - timeline.messages[0].number, seconds: (last - start) / 1000, frames: frames.length, median: part(0.5), late: part(0.99),
      worst: frames.at(-1), long: frames.filter((frame) => frame > 50).length, waited, nodes, rows,
    };
  }, Math.min(10_000, MESSAGES - 500));
  const thread = ((await busy()) - before) / 10 / seen.seconds;
  console.log(`${seen.messages} messages scrolled through in ${rounded([seen.seconds])} s: ${rounded([seen.frames / seen.seconds])} frames a second, half below ` +
    `${rounded([seen.median])} ms, 99 % below ${rounded([seen.late])} ms, the longest ${rounded([seen.worst])} ms, ${seen.long} of ${seen.frames} longer than 50 ms; ` +
    `${seen.waited} frames at the edge of what was there; the page's thread ${rounded([thread])} % busy; at most ${seen.rows} messages and ${seen.nodes} elements in the page`);
  await page.locator('.to-newest').click();
  await until('at the end', () => page.locator('.scroller').evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight < 48));
}

async function burst(page, writers) {
  const seconds = 10;
  const busy = await metrics(page);
  const before = await busy();
  const writing = writers.evaluate(write, { address: cluster.address('server-2'), senders: 40, messages: 200 * seconds, rate: 200, first: false });
  const seen = await page.evaluate(async (seconds) => {
    const frames = [];
    let last = performance.now();
    for (const end = last + seconds * 1000; last < end; ) {
      await new Promise(requestAnimationFrame);
      frames.push(performance.now() - last);
      last = performance.now();
    }
    frames.sort((one, other) => one - other);
    return { frames: frames.length, median: frames[frames.length >> 1], late: frames[Math.floor(frames.length * 0.99)] };
  }, seconds);
  await writing;
  await page.waitForTimeout(1000);
  const thread = ((await busy()) - before) / 10 / (seconds + 1);
  const rows = await page.locator('article.message').count();
  const rest = await page.locator('.scroller').evaluate((element) => element.scrollHeight - element.scrollTop - element.clientHeight);
  console.log(`200 messages/s for ${seconds} s: ${seen.frames} frames, half below ${rounded([seen.median])} ms, 99 % below ${rounded([seen.late])} ms; ` +
    `the page's thread ${rounded([thread])} % busy; ${rows} messages in the page; ${Math.round(rest)} px from the end`);
}

/** Runs in a page: writes messages into the room, over connections of its own. */
async function write({ address, senders, messages, rate, first }) {
  const connect = (name) => new Promise((resolve, reject) => {
    const socket = new WebSocket(`ws://${address}/ws`);
    const answers = new Map();
    let next = 1;
    let answered = 0;
    const say = (frame) => socket.send(JSON.stringify(frame));
    const call = (name, request) => new Promise((good, bad) => {
      answers.set('call', { good, bad });
      say({ id: 1, call: name, with: request });
    });
    const me = { write: (operation) => new Promise((good) => {
      const number = next;
      next += 1;
      answers.set(number, { good });
      say({ write: { request: { instance: me.instance, number }, operation, ...(answered && { answered }) } });
    }) };
    socket.onerror = reject;
    socket.onmessage = ({ data }) => {
      const frame = JSON.parse(data);
      const key = frame.id ? 'call' : frame.result?.request.number;
      const answer = answers.get(key);
      answers.delete(key);
      if (frame.result) answered = Math.max(answered, key);
      if (frame.error) answer?.bad(new Error(frame.error.message));
      else answer?.good(frame.reply ?? frame.result);
    };
    socket.onopen = async () => {
      const token = Array.from(crypto.getRandomValues(new Uint8Array(32)), (byte) => byte.toString(16).padStart(2, '0')).join('');
      try {
        const { instance } = await call(first ? 'register' : 'login', { name, password: 'correct horse', token, device: 'figures' });
        me.instance = instance;
        resolve(me);
      } catch (error) {
        reject(error);
      }
    };
  });
  const words = 'the kettle boils over quietly while nobody looks and then somebody says hello about trains rivers cats clouds bread'.split(' ');
  const all = [];
  for (let sender = 0; sender < senders; sender += 1) all.push(await connect(`writer${sender}`));
  if (first) for (const one of all) await one.write({ join_room: { room: { room: 'big' } } });
  const start = performance.now();
  const each = Math.round(messages / senders);
  await Promise.all(all.map(async (one, sender) => {
    const waiting = [];
    for (let count = 0; count < each; count += 1) {
      const due = rate ? start + (count * senders + sender) * (1000 / rate) : 0;
      if (due > performance.now()) await new Promise((resolve) => setTimeout(resolve, due - performance.now()));
      const body = Array.from({ length: 3 + ((count * 7 + sender) % 12) }, (_, place) => words[(count * 5 + sender * 3 + place * 11) % words.length]).join(' ');
      waiting.push(one.write({ send: { to: { room: 'big' }, body: `${body} ${count}` } }));
      if (waiting.length >= 50) await waiting.shift();
    }
    await Promise.all(waiting);
  }));
}

function rounded(numbers) {
  return numbers.map((number) => (number < 10 ? number.toFixed(1) : Math.round(number))).join(', ');
}

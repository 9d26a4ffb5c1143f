// The promise, to be watched: two accounts made for it talk, and every message is counted when it is sent, when it is acknowledged, and
// when it is delivered. Nothing in here is a short cut: both are clients like any other, each with a connection, a token and numbered writes.
//
// The conversation lives in this page only. Both accounts are deleted when it ends; what an interrupted one left, when the next begins.

import { signal } from '../preact.js';
import { Connection } from '../net/connection.js';
import { SAY_AGAIN } from '../net/lane.js';
import { randomHex, recall, remember } from '../net/storage.js';

const PAUSE_MS = 100;
/** How many may be unanswered at once (a rule of the servers), and how many wait here while nothing goes on. */
const WINDOW = 64;
const WAITING = 2000;
const AGAIN_MS = 250;
const CLEANING_MS = 8000;
const COUNT_EVERY_MS = 100;

/** 'idle', 'beginning', 'talking', 'ending', 'leaving', 'ended' */
export const stage = signal('idle');
/** {sent, acknowledged, delivered, doubled, disordered, refused, longest, began, why} */
export const counts = signal(nothing());

function nothing() {
  return { sent: 0, acknowledged: 0, delivered: 0, doubled: 0, disordered: 0, refused: 0, longest: 0, began: 0, why: '' };
}

let tally = nothing();
let timer = 0;
let telling = 0;
let speaker = null;
let listener = null;

function publish() {
  if (telling) return;
  telling = setTimeout(() => {
    telling = 0;
    counts.value = { ...tally };
  }, COUNT_EVERY_MS);
}

/** One of the two. */
class Person {
  constructor(hear) {
    this.hear = hear;
    this.connection = new Connection({
      ready: () => this.ready?.(),
      frame: (frame) => this.hear(frame),
      ended: (error) => this.ended?.(error),
      awaits: () => tally.delivered < tally.sent,
    });
  }

  async register(name) {
    const token = randomHex(32);
    this.token = token;
    this.name = name;
    this.password = randomHex(16);
    remember('demo', [...recall('demo', []), { token, password: this.password }]);
    this.connection.start();
    const reply = await this.connection.call('register', { name, password: this.password, token, device: 'the cluster page' });
    this.connection.token = token;
    this.account = reply.account;
    this.instance = reply.instance;
    this.connection.subscribeFrom(reply.position);
    this.connection.bound(reply, false);
  }

  async leave() {
    await this.connection.call('delete_account', { password: this.password }, { patience: CLEANING_MS });
    forget(this.token);
    this.connection.stop();
  }
}

function forget(token) {
  const rest = recall('demo', []).filter((one) => one.token !== token);
  remember('demo', rest.length ? rest : null);
}

/** Writes, numbered, said again with the same numbers until they are answered. */
class Speech {
  constructor(person, to) {
    this.person = person;
    this.to = to;
    this.next = 1;
    this.waiting = [];
    this.said = 0;
    this.timer = 0;
    person.ready = () => this.again();
  }

  add(body) {
    this.waiting.push({ number: this.next, operation: { send: { to: { user: this.to }, body } } });
    this.next += 1;
    this.flush();
  }

  again() {
    this.said = 0;
    this.flush();
  }

  flush() {
    if (this.timer || this.person.connection.state.value !== 'online') return;
    for (; this.said < Math.min(WINDOW, this.waiting.length); this.said += 1) {
      const { number, operation } = this.waiting[this.said];
      const write = { request: { instance: this.person.instance, number }, operation };
      if (this.waiting[0].number > 1) write.answered = this.waiting[0].number - 1;
      if (!this.person.connection.say({ write })) return;
    }
  }

  answered({ request, result }) {
    const place = this.waiting.findIndex((write) => write.number === request?.number);
    if (place < 0) return;
    if (result.error && SAY_AGAIN.has(result.error.code)) {
      if (this.timer) return;
      this.timer = setTimeout(() => {
        this.timer = 0;
        this.again();
      }, Math.max(AGAIN_MS, result.error.retry_after_ms ?? 0));
      return;
    }
    this.waiting.splice(place, 1);
    if (place < this.said) this.said -= 1;
    if (result.error && result.error.code !== 'reply_forgotten') {
      tally.refused += 1;
      tally.why = result.error.message;
    } else tally.acknowledged += 1;
    this.flush();
    publish();
  }
}

let speech = null;
let newest = 0;
let seen = new Set();
let arrivedAt = 0;

function delivered(message) {
  if (message.author !== speaker.account) return;
  const said = Number(message.body.replace(/\D/g, ''));
  if (seen.has(said)) {
    tally.doubled += 1;
    return publish();
  }
  if (said !== newest + 1) tally.disordered += 1;
  seen.add(said);
  newest = Math.max(newest, said);
  tally.delivered += 1;
  const now = performance.now();
  if (arrivedAt) tally.longest = Math.max(tally.longest, now - arrivedAt);
  arrivedAt = now;
  publish();
  if (stage.value === 'ending') finish();
}

/** Two people begin to talk. */
export async function begin() {
  if (!['idle', 'ended'].includes(stage.value)) return;
  stage.value = 'beginning';
  tally = { ...nothing(), began: Date.now() };
  counts.value = { ...tally };
  newest = 0;
  seen = new Set();
  arrivedAt = 0;
  speaker ??= new Person(({ result }) => result && speech?.answered(result));
  listener ??= new Person(({ event }) => event?.body?.message && delivered(event.body.message));
  try {
    speaker.ended = listener.ended = null;
    await clean();
    const name = `demo-${randomHex(4)}`;
    await listener.register(`${name}-ear`);
    await speaker.register(`${name}-mouth`);
  } catch (error) {
    tally.why = error.message;
    counts.value = { ...tally };
    stage.value = 'ended';
    return;
  }
  speech = new Speech(speaker, listener.name);
  stage.value = 'talking';
  speaker.ended = listener.ended = broken;
  timer = setInterval(() => {
    if (speech.waiting.length >= WAITING) return;
    tally.sent += 1;
    speech.add(`Message ${tally.sent}`);
    publish();
  }, PAUSE_MS);
}

/** The servers know one of the two no more: an administrator may have deleted them. */
function broken(error) {
  clearInterval(timer);
  tally.why = error.message;
  counts.value = { ...tally };
  stage.value = 'ended';
}

/** No more is said; what is on its way still arrives. */
export function end() {
  if (stage.value !== 'talking') return;
  clearInterval(timer);
  stage.value = 'ending';
  finish();
}

async function finish() {
  if (stage.value !== 'ending' || tally.delivered < tally.sent || tally.acknowledged + tally.refused < tally.sent) {
    // An acknowledgement may come after what it acknowledges.
    if (stage.value === 'ending') setTimeout(() => stage.value === 'ending' && tally.delivered >= tally.sent && finish(), COUNT_EVERY_MS);
    return;
  }
  stage.value = 'leaving';
  counts.value = { ...tally };
  speech = null;
  // With the account its session ends, which is no surprise now.
  speaker.ended = listener.ended = null;
  await Promise.all([speaker.leave(), listener.leave()].map((leaving) => leaving.catch(() => {})));
  stage.value = 'ended';
}

/** Deletes the accounts that an interrupted conversation left. */
async function clean() {
  for (const { token, password } of recall('demo', [])) {
    const person = speaker;
    await new Promise((resolve) => {
      const patience = setTimeout(resolve, CLEANING_MS);
      const done = () => {
        clearTimeout(patience);
        forget(token);
        resolve();
      };
      person.ready = () => person.connection.call('delete_account', { password }).then(done, done);
      person.ended = done;
      person.connection.start(token);
    });
    person.ready = person.ended = null;
    person.connection.stop();
  }
}

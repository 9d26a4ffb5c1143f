// One instance's writes: numbered 1, 2, 3, ..., kept in the browser until they are answered, said again with the same numbers after
// every lost connection. The servers carry each number out once, in order, so nothing is lost or doubled by saying it again.

import { recall, remember, randomHex, randomNumber } from './storage.js';

/** How many may be unanswered at once (a rule of the servers). */
const WINDOW = 64;
/** So often something is said that a server may not understand. */
const NONSENSE_TIMES = 5;
const NONSENSE_PAUSE_MS = 300;
/** The number is not used up by these: the same write is said again. */
export const SAY_AGAIN = new Set(['unavailable', 'overloaded', 'rate_limited', 'out_of_order']);

export class Lane {
  constructor(id, host) {
    this.id = id;
    this.host = host;
    let kept = recall(`lane:${id}`) ?? {};
    this.owner = host.owner();
    // What a tab of somebody else kept too late is nobody's.
    if (kept.owner && kept.owner !== this.owner) kept = {};
    this.instance = kept.instance ?? 0;
    this.nonce = kept.nonce ?? randomNumber();
    this.next = kept.next ?? 1;
    /** {number, operation, note, times}; `note` is what the page wants to know of it later; `times`: how often it was said. */
    this.writes = kept.writes ?? [];
    this.promises = new Map();
    this.said = 0;
    this.opening = false;
    this.timer = 0;
    this.stopped = false;
    // Instances end with their session: what was said in an earlier one has an answer that nobody will ever hear.
    this.session = host.session();
    if (!kept.session) for (const write of this.writes) write.times ??= 1;
    else if (kept.session !== this.session) {
      this.lose(1);
      this.renumber('another session');
    }
  }

  keep() {
    if (this.stopped) return true;
    const { instance, nonce, next, writes, session, owner } = this;
    return remember(`lane:${this.id}`, { instance, nonce, next, writes, session, owner });
  }

  /** Says nothing more; what is not answered stays in the browser. */
  stop() {
    clearTimeout(this.timer);
    this.stopped = true;
  }

  /** As the browser keeps it now: another page may have gone on with it while this one was away. */
  anew() {
    this.stop();
    const lane = new Lane(this.id, this.host);
    for (const [write, promise] of this.promises) {
      const still = lane.writes.find(({ number, operation }) => number === write.number && JSON.stringify(operation) === JSON.stringify(write.operation));
      if (still) lane.promises.set(still, promise);
      else promise.reject(UNKNOWN);
    }
    return lane;
  }

  forget() {
    this.stop();
    remember(`lane:${this.id}`, null);
  }

  /** Takes a write; the promise is kept with its result, or broken with the refusal. */
  add(operation, note = null) {
    const write = { number: this.next, operation, note };
    this.next += 1;
    this.writes.push(write);
    if (!this.keep()) this.host.forgetful();
    const result = new Promise((resolve, reject) => this.promises.set(write, { resolve, reject }));
    result.catch(() => {});
    this.flush();
    return result;
  }

  /** A connection has its session: everything unanswered is said (again). */
  begin() {
    this.said = 0;
    this.flush();
  }

  flush() {
    if (this.stopped || this.timer || !this.host.isOnline() || this.writes.length === 0) return;
    if (!this.instance) {
      this.open();
      return;
    }
    const answered = this.writes[0].number - 1;
    const most = Math.min(WINDOW, this.writes.length);
    if (this.said >= most) return;
    for (const write of this.writes.slice(this.said, most)) write.times = (write.times ?? 0) + 1;
    this.keep();
    for (; this.said < most; this.said += 1) {
      const { number, operation } = this.writes[this.said];
      const frame = { write: { request: { instance: this.instance, number }, operation } };
      if (answered) frame.write.answered = answered;
      if (!this.host.say(frame)) return;
    }
  }

  async open() {
    if (this.opening) return;
    this.opening = true;
    try {
      const reply = await this.host.call('open_instance', { nonce: this.nonce });
      this.instance = reply.instance;
      this.keep();
    } catch {
      // After a freeze no other connection may come that would try again.
      if (!this.stopped) this.again(1000);
    }
    this.opening = false;
    this.said = 0;
    if (this.instance) this.flush();
  }

  /** A result of this lane's instance. */
  hear(number, result) {
    const place = this.writes.findIndex((write) => write.number === number);
    if (place < 0) return;
    const write = this.writes[place];
    const error = result.error;
    if (error && error.code === 'out_of_order' && error.expected < this.writes[0].number) {
      this.renumber('a number was lost');
    } else if (error && SAY_AGAIN.has(error.code)) {
      this.again(Math.max(error.retry_after_ms || 0, 300));
    } else if (error && (error.code === 'unknown_instance' || error.code === 'request_mismatch' || (error.code === 'reply_forgotten' && (write.times ?? 0) < 2))) {
      // Of an instance that is forgotten, what was said for the first time was not carried out. Where another tab has used a number, only
      // what went by it was surely not: what was said after it may have gone by numbers that were due. Where it has used many, the servers
      // do not compare any more: perhaps it has said this very write.
      if (error.code === 'request_mismatch') write.times = 0;
      this.lose(error.code === 'unknown_instance' ? 2 : 1);
      this.renumber(error.code);
    } else {
      this.writes.splice(place, 1);
      if (place < this.said) this.said -= 1;
      this.keep();
      this.finish(write, result);
      this.flush();
    }
  }

  /** A frame made no sense to the server, which does not say which one. Where it is a write, it is said to the person at last. */
  nonsense(error) {
    const [write] = this.writes;
    if (!(write?.times > 0)) return;
    if (write.times < NONSENSE_TIMES) this.again(NONSENSE_PAUSE_MS);
    else this.hear(write.number, { error: write.times > NONSENSE_TIMES ? UNKNOWN : error });
  }

  /** Of what was said so often nobody knows whether it was carried out: what people wrote is shown as failed, and they decide. */
  lose(often) {
    const lost = this.writes.filter((write) => (write.times ?? 0) >= often);
    this.writes = this.writes.filter((write) => !lost.includes(write));
    for (const write of lost) this.fail(write, UNKNOWN);
  }

  /** Who waits for it hears of it. What was written is not lost, whoever waits, and what nobody waits for is not passed over in silence. */
  fail(write, error) {
    const promise = this.promises.get(write);
    this.promises.delete(write);
    promise?.reject(error);
    if (write.operation.send || write.operation.edit || !promise) this.host.fail(write, error);
  }

  finish(write, result) {
    // Said again, carried out long ago, and the answer forgotten: that is an answer too.
    if (result.error && result.error.code !== 'reply_forgotten') this.fail(write, result.error);
    this.promises.get(write)?.resolve(result);
    this.promises.delete(write);
    this.host.finished(write, result);
  }

  again(pause) {
    if (this.timer) return;
    this.timer = setTimeout(() => {
      this.timer = 0;
      this.begin();
    }, pause);
  }

  /** Begins anew under another instance; nothing of what is left was carried out. */
  renumber(why) {
    console.warn('threefold: a new instance:', why);
    // Another tab has this one's place: it keeps it.
    if (why === 'request_mismatch' || why === 'reply_forgotten') this.id = randomHex(8);
    this.instance = 0;
    this.nonce = randomNumber();
    this.next = 1;
    for (const write of this.writes) {
      write.number = this.next;
      write.times = 0;
      this.next += 1;
    }
    this.said = 0;
    this.keep();
    this.flush();
  }
}

const UNKNOWN = { code: 'unknown', message: 'It is not known whether this was sent.' };

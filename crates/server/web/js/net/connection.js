// The standing connection: one WebSocket to one living server. When it is lost, the next server is tried, the session shown and the
// subscription taken up at the cursor. Calls that were not answered are asked again; writes are the outbox's matter.
//
// It tells its owner, by the handlers, what comes; it keeps nothing but the cursor.

import { signal } from '../preact.js';
import { opened } from './early.js';
import { Servers, address } from './servers.js';

/** How long a server has to take a connection; twice as long after each round in vain, for the network may be slow. */
const OPEN_PATIENCE_MS = 3000;
const MOST_PATIENCE = 16;
/** So long it has more time: it may have been one server that hung, or a machine that slept. */
const PATIENT_MS = 60000;
/** Between two looks whether the server lives; how long it may be silent before it is asked, while something is awaited and while not; and
 * how long it may leave that unanswered. A server that dies closes its connections at once: this is for one that hangs. What comes slowly
 * is heard only when all of it is there: so the next time it has twice as long. */
const LOOK_PAUSE_MS = 1500;
const AWAITING_MS = 2000;
const IDLE_MS = 10000;
const SILENCE_MS = 4000;
const CALL_PATIENCE_MS = 20000;
/** After a longer absence everything is asked for anew: what happened meanwhile may be more than one wants to hear told. */
const LONG_AWAY_MS = 10 * 60 * 1000;
/** What came during a shorter one is still news. */
const SHORT_AWAY_MS = 60 * 1000;
const RETRY_CODES = new Set(['unavailable', 'overloaded', 'rate_limited']);

/** A refusal, or a failure, in the servers' words. */
export class Refused extends Error {
  constructor(error) {
    super(error.message || error.code || 'failed');
    this.code = error.code || 'unavailable';
    this.expected = error.expected || 0;
    this.retryAfter = error.retry_after_ms || 0;
  }
}

export const unavailable = (words) => new Refused({ code: 'unavailable', message: words });

export class Connection {
  /** `handlers`: ready(identity, resumed), frame(frame), ended(why, token), awaits() (whether an answer is due). */
  constructor(handlers) {
    this.handlers = handlers;
    this.servers = new Servers();
    /** 'idle', 'connecting', 'online', 'reconnecting' */
    this.state = signal('idle');
    /** Which server, while online. */
    this.server = signal('');
    this.condition = signal({ state: 'normal', detail: '' });
    this.token = null;
    this.cursor = 0;
    this.recovery = '';
    /** The largest file that the server takes, in bytes; 0: not known. */
    this.largestFile = 0;
    this.socket = null;
    this.calls = new Map();
    this.lastId = 0;
    this.lastHeard = 0;
    this.asked = 0;
    this.lostAt = 0;
    this.patience = 1;
    this.opened = false;
    /** What comes now is news: everything missed has been heard, or was missed only now. */
    this.live = false;
    /** Where the server stood when it began to tell. */
    this.goal = 0;
    this.wanted = false;
    this.timer = 0;
    addEventListener('online', () => this.hurry());
    addEventListener('pagehide', () => this.drop());
    addEventListener('pageshow', (event) => event.persisted && this.hurry());
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState === 'visible') this.look();
    });
    setInterval(() => this.look(), LOOK_PAUSE_MS);
  }

  /** Connects with a session (or, for signing in, without one) and stays so. */
  start(token = null) {
    this.token = token;
    this.wanted = true;
    if (this.state.value === 'idle') this.state.value = 'connecting';
    if (!this.socket) this.connect();
  }

  /** Lets go; nothing is tried again. */
  stop() {
    this.wanted = false;
    this.token = null;
    this.cursor = 0;
    this.recovery = '';
    this.drop();
    for (const [, call] of this.calls) call.reject(unavailable('signed out'));
    this.calls.clear();
    this.state.value = 'idle';
  }

  drop() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.live = false;
    if (this.wanted) this.lostAt ||= this.lastHeard;
    const socket = this.socket;
    this.socket = null;
    if (socket) {
      socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
      socket.close();
    }
  }

  /** Now rather than after the pause: something has changed for the better. */
  hurry() {
    if (this.wanted && !this.socket) {
      clearTimeout(this.timer);
      this.servers.failures = 0;
      this.patience = 1;
      this.connect();
    } else this.look();
  }

  connect() {
    clearTimeout(this.timer);
    let socket;
    try {
      socket = opened(address(this.servers.current(), '/ws'));
    } catch {
      this.lost(null);
      return;
    }
    this.socket = socket;
    this.opened = false;
    this.timer = setTimeout(() => this.lost(null), OPEN_PATIENCE_MS * this.servers.patience(MOST_PATIENCE));
    socket.onopen = () => this.greet();
    socket.onmessage = (event) => this.hear(event.data);
    socket.onclose = (event) => this.lost(event);
    if (socket.readyState === WebSocket.OPEN) this.greet();
  }

  greet() {
    clearTimeout(this.timer);
    this.timer = 0;
    this.opened = true;
    this.lastHeard = Date.now();
    if (!this.token) {
      this.settle();
      return;
    }
    const id = this.nextId();
    const token = this.token;
    this.calls.set(id, {
      name: 'resume',
      lasting: false,
      resolve: (identity) => this.resumed(identity),
      reject: (error) => {
        if (error.code === 'session_invalid' || error.code === 'account_disabled') this.over(error);
        else if (this.token === token) this.lost(null);
      },
    });
    this.say({ id, call: 'resume', with: { token } });
    const away = this.lostAt && Date.now() - this.lostAt;
    if (away > LONG_AWAY_MS) this.cursor = 0;
    this.live = Boolean(this.cursor) && away > 0 && away < SHORT_AWAY_MS;
    this.lostAt = 0;
    // What has been seen is gone on with at once; with nothing seen yet, the beginning is where the server stands.
    if (this.cursor) this.subscribe();
  }

  resumed(identity) {
    const first = !this.cursor;
    if (first) this.subscribeFrom(identity.position || 0);
    this.bound(identity, !first);
  }

  /** This connection has its session. */
  bound(identity, resumed) {
    this.servers.learn(identity.servers);
    this.settle();
    this.handlers.ready(identity, resumed);
  }

  settle() {
    this.servers.succeeded();
    this.state.value = 'online';
    this.server.value = this.servers.current();
    for (const [id, call] of this.calls) {
      if (call.lasting && !call.said) this.sayCall(id, call);
    }
  }

  subscribeFrom(position) {
    this.cursor = position;
    this.recovery = '';
    this.subscribe();
  }

  subscribe() {
    const subscribe = { after: this.cursor };
    if (this.recovery) subscribe.recovery_id = this.recovery;
    this.say({ subscribe });
  }

  /** Says something if there is a connection; the outbox and the calls say again what was lost. */
  say(frame) {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    // Half a sign of two, as is left of an emoji that was cut, is no text: a server would understand nothing of the frame.
    this.socket.send(JSON.stringify(frame, (_, value) => value?.toWellFormed?.() ?? value));
    return true;
  }

  nextId() {
    this.lastId += 1;
    return this.lastId;
  }

  /**
   * Asks something. A call is asked again after a lost connection, at another server, for up to 20 seconds; with `once` it fails instead,
   * for what must not be done twice.
   */
  call(name, request = {}, { once = false, patience = CALL_PATIENCE_MS } = {}) {
    return new Promise((resolve, reject) => {
      const id = this.nextId();
      const timer = setTimeout(() => {
        this.calls.delete(id);
        reject(unavailable('No server has answered. Try again.'));
      }, patience);
      const done = (how) => (value) => {
        clearTimeout(timer);
        how(value);
      };
      const call = { name, request, lasting: !once, said: false, resolve: done(resolve), reject: done(reject), tries: 0 };
      this.calls.set(id, call);
      if (this.state.value === 'online') this.sayCall(id, call);
      else if (once && this.state.value === 'reconnecting') {
        this.calls.delete(id);
        call.reject(unavailable('There is no connection at the moment.'));
      } else call.lasting = true;
    });
  }

  sayCall(id, call) {
    call.said = this.say({ id, call: call.name, with: call.request });
  }

  hear(text) {
    this.lastHeard = Date.now();
    let frame;
    try {
      frame = JSON.parse(text);
    } catch {
      return;
    }
    if (frame.id !== undefined) this.answered(frame);
    else if (frame.caught_up) {
      this.live ||= frame.caught_up.position >= this.goal;
      this.reached(frame.caught_up.position);
    } else if (frame.subscribed) {
      this.recovery = frame.subscribed.recovery_id || '';
      this.goal = frame.subscribed.position || 0;
      this.largestFile = frame.subscribed.attachment_bytes || 0;
      this.servers.learn(frame.subscribed.servers);
      this.condition.value = { state: 'normal', detail: '' };
      this.handlers.frame(frame);
    } else if (frame.condition) {
      this.condition.value = { state: frame.condition.state || 'normal', detail: frame.condition.detail || '' };
    } else if (frame.event) {
      this.handlers.frame(frame);
      this.reached(frame.event.id);
    } else {
      if (frame.error) console.warn('threefold:', frame.error.message);
      this.handlers.frame(frame);
    }
  }

  reached(position) {
    if (position > this.cursor) this.cursor = position;
  }

  answered(frame) {
    const call = this.calls.get(frame.id);
    if (!call) return;
    const error = frame.error && new Refused(frame.error);
    if (error && call.lasting && RETRY_CODES.has(error.code) && call.tries < 6 && error.retryAfter < 5000) {
      call.tries += 1;
      setTimeout(() => this.calls.has(frame.id) && this.sayCall(frame.id, call), error.retryAfter || 250 * 2 ** call.tries);
      return;
    }
    this.calls.delete(frame.id);
    if (error) {
      call.reject(error);
      return;
    }
    call.resolve(frame.reply ?? {});
  }

  /** The connection is gone, or never came to be. */
  lost(event) {
    this.drop();
    for (const [id, call] of this.calls) {
      call.said = false;
      if (call.lasting) continue;
      this.calls.delete(id);
      if (call.name !== 'resume') call.reject(unavailable('The connection broke off before the answer came.'));
    }
    if (!this.wanted) return;
    if (event?.code === 4001) {
      this.over(new Refused({ code: 'session_invalid', message: event.reason || 'the session has ended' }));
      return;
    }
    if (event?.code === 4002) {
      this.cursor = 0;
      this.recovery = '';
    }
    if (this.state.value !== 'connecting') this.state.value = 'reconnecting';
    const pause = this.servers.failed();
    this.timer = setTimeout(() => this.wanted && this.connect(), pause);
  }

  over(error) {
    const { token } = this;
    this.stop();
    this.handlers.ended(error, token);
  }

  /** Finds out whether the server still lives: a question that nothing is said to means no. */
  look() {
    if (!this.wanted || !this.socket || !this.opened) return;
    const now = Date.now();
    const asked = this.asked > this.lastHeard;
    if (asked && now - this.asked >= SILENCE_MS * this.patience) {
      this.patience = Math.min(MOST_PATIENCE, this.patience * 2);
      setTimeout(() => {
        this.patience = Math.max(1, this.patience / 2);
      }, PATIENT_MS);
      this.asked = 0;
      this.lost(null);
    } else if (!asked && now - this.lastHeard >= (this.calls.size > 0 || this.handlers.awaits() ? AWAITING_MS : IDLE_MS)) {
      this.asked = now;
      // Without a session nothing but this may be asked.
      this.say(this.token ? { ping: { number: 1 } } : { id: 0, call: 'status', with: { local: true } });
    }
  }
}

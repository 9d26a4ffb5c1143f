// Everything this tab wants to have done and has no answer for. Each tab has a lane of its own; what a closed tab left behind is taken
// over by the next one, under the numbers it had.

import { signal } from '../../vendor/preact.js';
import { Lane } from './lane.js';
import { recall, remember, remembered, randomHex } from './storage.js';

/** How long other tabs have to say that a lane is theirs. */
const CLAIM_MS = 400;
/** Where a tab remembers, for itself alone, which lane is its own. */
const PLACE = 'threefold:lane';

export class Outbox {
  /** `connection` carries; `settled(write, result)` hears of every answer. */
  constructor(connection, settled) {
    this.connection = connection;
    this.settled = settled;
    /** Grows whenever something is added, answered or has failed. */
    this.version = signal(0);
    this.lanes = [];
    this.failed = [];
    this.channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('threefold') : null;
    this.channel?.addEventListener('message', ({ data }) => {
      if (data?.who) this.channel.postMessage({ mine: this.lanes.map((lane) => lane.id) });
    });
  }

  /** Finds this tab's lane, and what other tabs left. `instance`: a fresh one, with a log-in. */
  start(instance = 0) {
    if (this.lanes.length > 0) return;
    let id = null;
    try {
      id = sessionStorage.getItem(PLACE);
    } catch {
      // Then this tab forgets its place when it is reloaded, and adopts it as if it were another's.
    }
    const own = new Lane(id ?? this.anotherName(), this);
    if (instance && own.writes.length === 0) {
      own.instance = instance;
      own.next = 1;
      own.keep();
    }
    this.lanes = [own];
    this.failed = recall('failed', []);
    this.adopt();
    this.changed();
  }

  /** A lane's name, which this tab has from now on. */
  anotherName() {
    const id = randomHex(8);
    try {
      sessionStorage.setItem(PLACE, id);
    } catch {
      // As at the start.
    }
    return id;
  }

  async adopt() {
    const taken = new Set(this.lanes.map((lane) => lane.id));
    const listen = ({ data }) => data?.mine?.forEach((id) => taken.add(id));
    this.channel?.addEventListener('message', listen);
    this.channel?.postMessage({ who: true });
    await new Promise((resolve) => setTimeout(resolve, CLAIM_MS));
    this.channel?.removeEventListener('message', listen);
    if (this.lanes.length === 0) return;
    for (const name of remembered('lane:')) {
      const id = name.slice('lane:'.length);
      if (taken.has(id)) continue;
      const lane = new Lane(id, this);
      if (lane.writes.length === 0) lane.forget();
      else {
        this.lanes.push(lane);
        lane.begin();
      }
    }
    this.changed();
  }

  stop() {
    for (const lane of this.lanes) lane.forget();
    this.lanes = [];
    this.failed = [];
    try {
      sessionStorage.removeItem(PLACE);
    } catch {
      // Nothing was there.
    }
    this.changed();
  }

  /** Has something done, exactly once: `{send: {...}}`, `{mark_read: {...}}`, ... */
  write(operation, note = null) {
    const result = this.lanes[0].add(operation, note);
    this.changed();
    return result;
  }

  /** A connection has its session. */
  begin() {
    for (const lane of this.lanes) lane.begin();
  }

  hear({ request, result }) {
    const lane = this.lanes.find((lane) => lane.instance === request?.instance);
    lane?.hear(request.number, result ?? {});
  }

  // What lanes ask of their host.
  isOnline() {
    return this.connection.state.value === 'online';
  }
  say(frame) {
    return this.connection.say(frame);
  }
  call(name, request) {
    return this.connection.call(name, request);
  }

  finished(write, result) {
    const refused = result.error && result.error.code !== 'reply_forgotten';
    if (refused && write.operation.send) {
      this.failed.push({ ...write, key: `${Date.now()}-${write.number}`, why: result.error.message || result.error.code });
      remember('failed', this.failed);
    }
    const [own, ...adopted] = this.lanes;
    this.lanes = [own, ...adopted.filter((lane) => lane.writes.length > 0 || lane.forget())];
    this.settled(write, result);
    this.changed();
  }

  /** Tries a failed message again, as a new write. */
  retry(failed) {
    if (this.discard(failed)) this.write(failed.operation, { ...failed.note, at: Date.now() });
  }

  discard(failed) {
    const before = this.failed.length;
    this.failed = this.failed.filter((one) => one.key !== failed.key);
    remember('failed', this.failed.length ? this.failed : null);
    this.changed();
    return this.failed.length < before;
  }

  /** Messages on their way, and those that failed, oldest first. */
  sends() {
    const waiting = this.lanes.flatMap((lane) => lane.writes.filter((write) => write.operation.send));
    return [...this.failed, ...waiting];
  }

  changed() {
    this.version.value += 1;
  }
}

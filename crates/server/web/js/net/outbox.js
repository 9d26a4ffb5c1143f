// Everything this tab wants to have done and has no answer for. Each tab has a lane of its own; what a closed tab left behind is taken
// over by the next one, under the numbers it had.

import { signal } from '../../vendor/preact.js';
import { Lane } from './lane.js';
import { onChangedElsewhere, recall, remember, remembered, randomHex } from './storage.js';

/** How long other tabs have to say that a lane is theirs. */
const CLAIM_MS = 400;
/** Where a tab remembers, for itself alone, which lane is its own: only from one page to the next, for a duplicate of a tab begins with
 * all that it remembers. */
const PLACE = 'threefold:lane';

function place(id) {
  try {
    if (id) sessionStorage.setItem(PLACE, id);
    else sessionStorage.removeItem(PLACE);
  } catch {
    // Then this tab forgets its place when it is reloaded, and adopts it as if it were another's.
  }
}

function lastPlace() {
  try {
    return sessionStorage.getItem(PLACE);
  } catch {
    return null;
  }
}

export class Outbox {
  /** `connection` carries; `settled(write, result)` hears of every answer; `forgetful()` that this browser keeps nothing. */
  constructor(connection, settled, forgetful) {
    this.connection = connection;
    this.settled = settled;
    this.forgetful = forgetful;
    /** Grows whenever something is added, answered or has failed. */
    this.version = signal(0);
    this.lanes = [];
    this.failed = [];
    this.channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('threefold') : null;
    this.channel?.addEventListener('message', ({ data }) => {
      if (data?.who) this.channel.postMessage({ mine: this.lanes.map((lane) => lane.id) });
    });
    addEventListener('pagehide', () => this.lanes[0] && place(this.lanes[0].id));
    addEventListener('pageshow', (event) => event.persisted && place(null));
    // What has failed is all tabs' together.
    onChangedElsewhere('failed', () => {
      this.failed = recall('failed', []);
      this.changed();
    });
  }

  /** Finds this tab's lane, and what other tabs left. `instance`: a fresh one, with a log-in. */
  start(instance = 0) {
    if (this.lanes.length > 0) return;
    this.failed = recall('failed', []);
    const own = new Lane(lastPlace() ?? randomHex(8), this);
    place(null);
    if (instance && own.writes.length === 0) {
      own.instance = instance;
      own.next = 1;
      own.keep();
    }
    this.lanes = [own];
    this.adopt();
    this.changed();
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

  /** The session is over. What was not sent is kept where it is, for when the same account signs in again. */
  stop() {
    for (const lane of this.lanes) lane.stop();
    this.lanes = [];
    this.failed = [];
    place(null);
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
  session() {
    return this.connection.token?.slice(0, 12);
  }
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
    if (refused && write.operation.send) this.fail(write, result.error);
    const [own, ...adopted] = this.lanes;
    this.lanes = [own, ...adopted.filter((lane) => lane.writes.length > 0 || lane.forget())];
    this.settled(write, result);
    this.changed();
  }

  fail(write, { message, code }) {
    this.change((failed) => [...failed, { ...write, key: randomHex(6), why: message || code }]);
    this.changed();
  }

  /** Changes what has failed; other tabs may have done so since. */
  change(how) {
    this.failed = how(this.unkept ? this.failed : recall('failed', []));
    this.unkept = !remember('failed', this.failed.length ? this.failed : null);
  }

  /** Tries a failed message again, as a new write. */
  retry(failed) {
    if (this.discard(failed)) this.write(failed.operation, { ...failed.note, at: Date.now() });
  }

  discard(failed) {
    let was = false;
    this.change((all) => {
      const others = all.filter((one) => one.key !== failed.key);
      was = others.length < all.length;
      return others;
    });
    this.changed();
    return was;
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

// Everything this tab wants to have done and has no answer for. Each tab has a lane of its own; what a closed tab left behind is taken
// over by the next one, under the numbers it had.

import { signal } from '../preact.js';
import { Lane } from './lane.js';
import { onChangedElsewhere, recall, remember, remembered, randomHex } from './storage.js';

/** How long other tabs have to say that a lane is theirs. */
const CLAIM_MS = 400;
/** So long what was answered is still shown as it will be. */
const LATELY_MS = 1500;
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

/** Where one has read is said by the page. */
const isOfPerson = ({ operation }) => !operation.mark_read;

/** "2 messages and one change are": what it comes to, in words; nothing for nothing. */
export function tally(writes) {
  const messages = writes.filter(({ operation }) => operation.send).length;
  const count = (many, one) => many && (many === 1 ? `one ${one}` : `${many} ${one}s`);
  const words = [count(messages, 'message'), count(writes.length - messages, 'change')].filter(Boolean).join(' and ');
  return words && `${words[0].toUpperCase()}${words.slice(1)} ${writes.length === 1 ? 'is' : 'are'}`;
}

export class Outbox {
  /** `connection` carries; `settled(write, result)` hears of every answer; `forgetful()` that this browser keeps nothing; `say(words)` tells
   * the person of what was refused though nobody waits for it any more. */
  constructor(connection, settled, forgetful, say) {
    Object.assign(this, { connection, settled, forgetful, tell: say });
    /** Grows whenever something is added, answered or has failed. */
    this.version = signal(0);
    this.lanes = [];
    this.failed = [];
    /** What was answered a moment ago: the news of it may still be on its way. */
    this.lately = [];
    this.channel = 'BroadcastChannel' in globalThis ? new BroadcastChannel('threefold') : null;
    this.channel?.addEventListener('message', ({ data }) => {
      if (data?.who) this.claim();
      if (data?.mine) this.giveBack(data.mine);
    });
    addEventListener('pagehide', () => this.lanes[0] && place(this.lanes[0].id));
    addEventListener('pageshow', (event) => {
      if (!event.persisted) return;
      place(null);
      const [own, ...adopted] = this.lanes;
      if (!own) return;
      for (const lane of adopted) lane.stop();
      this.lanes = [own.anew()];
      this.claim();
      this.changed();
    });
    onChangedElsewhere('failed:', () => this.look());
  }

  /** Tells other tabs which lanes are this one's, its own first. */
  claim() {
    if (this.lanes.length > 0) this.channel?.postMessage({ mine: this.lanes.map((lane) => lane.id) });
  }

  /** A lane that was taken over goes back to its tab; of two tabs that have taken one over, one keeps it. */
  giveBack([owner, ...others]) {
    const [own, ...adopted] = this.lanes;
    for (const lane of adopted) {
      if (lane.id !== owner && !(owner < own.id && others.includes(lane.id))) continue;
      lane.stop();
      this.lanes = this.lanes.filter((one) => one !== lane);
      this.changed();
    }
  }

  /** What has failed is all tabs' together, each under a name of its own. */
  look() {
    const kept = remembered('failed:').map((name) => recall(name));
    this.failed = kept.filter((one) => one?.owner === this.owner()).sort((one, other) => one.failedAt - other.failedAt);
    this.changed();
  }

  /** Finds this tab's lane, and what other tabs left. `instance`: a fresh one, with a log-in. */
  start(instance = 0) {
    if (this.lanes.length > 0) return;
    const own = new Lane(lastPlace() ?? randomHex(8), this);
    place(null);
    if (instance && own.writes.length === 0) {
      own.instance = instance;
      own.next = 1;
      own.keep();
    }
    this.lanes = [own];
    this.claim();
    this.adopt();
    this.look();
  }

  /** Takes over what no tab says is its own. Of tabs that ask at the same time one does. */
  async adopt() {
    const [own] = this.lanes;
    if (!own) return;
    const taken = new Set();
    let yields = false;
    const listen = ({ data }) => {
      data?.mine?.forEach((id) => taken.add(id));
      yields ||= data?.who < own.id;
    };
    this.channel?.addEventListener('message', listen);
    this.channel?.postMessage({ who: own.id });
    await new Promise((resolve) => setTimeout(resolve, CLAIM_MS));
    this.channel?.removeEventListener('message', listen);
    if (yields || this.lanes[0] !== own) return;
    for (const lane of this.lanes) taken.add(lane.id);
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
    this.claim();
    this.changed();
  }

  /** The session is over. What was not sent is kept where it is, for when the same account signs in again. */
  stop() {
    for (const lane of this.lanes) lane.stop();
    this.lanes = [];
    this.failed = [];
    this.lately = [];
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
    this.adopt();
  }

  hear({ request, result }) {
    const lane = this.lanes.find((lane) => lane.instance === request?.instance);
    lane?.hear(request.number, result ?? {});
  }

  /** A frame made no sense to the server. */
  nonsense(error) {
    for (const lane of this.lanes) lane.nonsense(error);
  }

  // What lanes ask of their host.
  owner() {
    return recall('owner');
  }
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
    const [own, ...adopted] = this.lanes;
    this.lanes = [own, ...adopted.filter((lane) => lane.writes.length > 0 || lane.forget())];
    this.settled(write, result);
    if (!result.error && !write.operation.send) {
      this.lately.push(write);
      setTimeout(() => {
        this.lately = this.lately.filter((one) => one !== write);
        this.changed();
      }, LATELY_MS);
    }
    this.changed();
  }

  /** What was written, a message or an edit, is kept for the person to decide; of anything else that nobody waits for they are told. */
  fail({ operation, note }, { message, code }) {
    const { send, edit, mark_read } = operation;
    let why = message || code;
    if (code === 'unknown_attachment' && send) {
      operation = { send: { ...send, attachments: [] } };
      note = { ...note, files: [] };
      why = 'its files are no longer there. It can go without them.';
    }
    if (send || edit) {
      const key = randomHex(6);
      if (!remember(`failed:${key}`, { operation, note, key, why, owner: this.owner(), failedAt: Date.now() })) this.forgetful();
      this.look();
    } else if (!mark_read) this.tell(`A change made earlier: ${why}`);
  }

  /** Tries a failed message again, as a new write. Of two tabs that want to at once one does: what they read may be a moment old, so it
   * holds a lock for as long as it is there. */
  retry(failed) {
    const { operation, note } = failed;
    const again = () => this.write(operation, { ...note, at: Date.now() });
    const go = () => this.lanes[0] && this.discard(failed) && again();
    if (navigator.locks) navigator.locks.request(failed.key, { ifAvailable: true }, (lock) => lock && go() && new Promise(() => {}));
    else go();
  }

  discard({ key }) {
    const was = recall(`failed:${key}`);
    remember(`failed:${key}`, null);
    this.look();
    return was;
  }

  /** What all tabs together have not sent. */
  unsent() {
    const elsewhere = remembered('lane:').filter((name) => this.lanes.every(({ id }) => name !== `lane:${id}`));
    return [...this.failed, ...this.waiting(), ...elsewhere.flatMap((name) => recall(name)?.writes ?? []).filter(isOfPerson)];
  }

  /** What people have done and no server has answered, oldest first. */
  waiting() {
    return this.lanes.flatMap((lane) => lane.writes).filter(isOfPerson);
  }

  /** Messages on their way, and those that failed, oldest first. */
  sends() {
    return [...this.failed, ...this.waiting().filter((write) => write.operation.send)];
  }

  changed() {
    this.version.value += 1;
  }
}

// The part of a conversation that is on the screen: a window of messages without gaps, moved by scrolling, kept by events. It never
// holds more than LIMIT messages, however long the conversation is.

import { signal } from '../preact.js';
import { same } from './chats.js';

const LIMIT = 240;
/** So many are asked for at once; half as many after each time that no answer has come, for the network may be slow. */
const PAGE = 60;
const LEAST = 8;
/** What could not be asked now may be asked again, after a while. */
const PASSING = new Set(['unavailable', 'overloaded', 'rate_limited']);
const AGAIN_MS = 2000;

export class Timeline {
  /** `place`: {user}, {room} or {conversation}, as the servers want it. */
  constructor(place, id, { connection, me, people }) {
    this.place = place;
    this.id = id ?? 0;
    this.connection = connection;
    this.me = me;
    this.people = people;
    this.version = signal(0);
    /** 'new', 'loading', 'ready', 'failed' */
    this.phase = 'new';
    this.fault = null;
    this.messages = [];
    this.older = false;
    this.newer = false;
    this.busy = false;
    this.page = PAGE;
    this.held = [];
    /** The ids that answers have named as one's own. */
    this.confirmed = new Set();
    /** What messages of one's own were called on their way: they stay the same thing on the page. */
    this.keys = new Map();
    /** What others answer, though it is not in the window; null: gone. */
    this.quoted = new Map();
    this.asked = new Set();
    /** Grows with each message that comes at the end; tells the view to follow. */
    this.arrivals = 0;
    this.due = false;
    /** What is looked at, said by the view that shows it: the first message in sight; 0: the end. */
    this.sight = null;
  }

  changed(now = true) {
    if (now) {
      this.due = false;
      this.version.value += 1;
    } else if (!this.due) {
      this.due = true;
      const go = () => this.due && this.changed();
      if (document.visibilityState === 'visible') requestAnimationFrame(go);
      setTimeout(go, 150);
    }
  }

  where() {
    return this.id ? { conversation: this.id } : this.place;
  }

  async ask(from) {
    const request = { in: this.where(), limit: this.page, from, position: this.connection.cursor };
    const reply = await this.connection.call('history', request).catch((error) => {
      if (error.code === 'unavailable') this.page = Math.max(LEAST, this.page >> 1);
      throw error;
    });
    const { messages = [] } = reply;
    for (const message of messages) this.people.heard(message);
    return { messages, older: Boolean(reply.older), newer: Boolean(reply.newer) };
  }

  /** The newest messages; or those around one. */
  async load(around = 0) {
    this.phase = this.messages.length ? this.phase : 'loading';
    const turn = (this.turn = Symbol('load'));
    this.loading = true;
    this.changed();
    try {
      const page = await this.ask(around ? { around } : { before: 0 });
      if (this.turn !== turn) return;
      Object.assign(this, { ...page, phase: 'ready', fault: null });
      // What was edited or deleted meanwhile may not have been told.
      this.quoted.clear();
      if (this.messages[0]) this.id ||= this.messages[0].conversation;
    } catch (error) {
      if (this.turn !== turn) return;
      // What is shown stays, and goes on.
      this.phase = this.messages.length ? 'ready' : 'failed';
      this.fault = error;
      const again = () => this.fault === error && this.me.value && this.load(around);
      if (PASSING.has(error.code)) setTimeout(again, AGAIN_MS);
    }
    this.loading = false;
    this.release();
  }

  /** What came while a page was asked for, and may not be in it. */
  release() {
    const held = this.held;
    this.held = [];
    for (const event of held) this.apply(event);
    this.changed();
  }

  async more(direction) {
    const older = direction === 'older';
    if (this.busy || this.loading || this.phase !== 'ready' || !(older ? this.older : this.newer) || this.messages.length === 0) return;
    this.busy = true;
    const turn = this.turn;
    try {
      const edge = older ? this.messages[0].id : this.messages.at(-1).id;
      const page = await this.ask(older ? { before: edge } : { after: edge });
      if (this.turn === turn) this.extend(older, page);
    } catch {
      // Scrolling on asks again.
    }
    this.busy = false;
    if (!this.loading) this.release();
  }

  extend(older, page) {
    const known = new Set(this.messages.map((message) => message.id));
    const fresh = page.messages.filter((message) => !known.has(message.id));
    if (older) {
      this.messages = [...fresh, ...this.messages];
      this.older = page.older;
      if (this.messages.length > LIMIT) {
        this.messages = this.messages.slice(0, LIMIT);
        this.newer = true;
      }
    } else {
      this.messages = [...this.messages, ...fresh].sort((one, other) => one.id - other.id);
      this.newer = page.newer;
      this.trimOld();
    }
  }

  trimOld() {
    if (this.messages.length <= LIMIT) return;
    this.messages = this.messages.slice(-LIMIT);
    this.older = true;
  }

  /** Nothing is shown until it is loaded anew. */
  reset() {
    this.phase = 'new';
    this.messages = [];
  }

  has(id) {
    return this.messages.some((message) => message.id === id);
  }

  find(id) {
    return this.messages.find((message) => message.id === id);
  }

  /** One of one's own messages on its way that has landed already, though its answer has not come: [write] -> Set of landed writes. */
  landed(writes) {
    const landed = new Set();
    if (writes.length === 0) return landed;
    const mine = this.messages.filter((message) => message.author === this.me.value?.account && !this.confirmed.has(message.id));
    for (const write of writes) {
      const { send } = write.operation;
      const fits = (message) => message.id > (write.note?.after ?? 0) && (message.body ?? '') === send.body && (message.reply_to ?? 0) === (send.reply_to ?? 0);
      const place = mine.findIndex(fits);
      if (place < 0) continue;
      this.keys.set(mine[place].id, write.note?.key);
      mine.splice(place, 1);
      landed.add(write);
    }
    return landed;
  }

  /** A message's text for those who answer it: the message, null if it is gone, undefined if it is being asked for. */
  quote(id) {
    const here = this.find(id);
    if (here) return here;
    if (this.quoted.has(id)) return this.quoted.get(id);
    if (!this.asked.has(id)) {
      if (this.asked.size === 0) setTimeout(() => this.fetchQuotes(), 30);
      this.asked.add(id);
    }
    return undefined;
  }

  async fetchQuotes() {
    const wanted = [...this.asked].slice(0, 100);
    try {
      const reply = await this.connection.call('get_messages', { conversation: this.id, messages: wanted });
      for (const id of wanted) this.quoted.set(id, null);
      for (const message of reply.messages ?? []) this.quoted.set(message.id, message);
    } catch {
      await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    }
    this.asked.clear();
    this.changed();
  }

  /** Whether an event is of this conversation. One that began only now is known by whom it is with. */
  concerns(body) {
    const message = body.message ?? body.sent;
    if (message) {
      if (!this.id && ((this.place.user && !message.room_name && same(message.peer_name, this.place.user)) || (this.place.room && same(message.room_name, this.place.room)))) {
        this.id = message.conversation;
      }
      return message.conversation === this.id;
    }
    const [[, what] = []] = Object.entries(body);
    return Boolean(this.id) && (what?.conversation === this.id || what?.room?.conversation === this.id);
  }

  apply(event) {
    const body = event.body ?? {};
    if (!this.concerns(body)) return;
    if (this.loading || this.busy) {
      this.held.push(event);
      return;
    }
    if (this.phase !== 'ready') return;
    const [[kind, what]] = Object.entries(body);
    if (kind === 'message') this.arrive(what);
    else if (kind === 'sent') {
      this.confirmed.add(what.id);
      this.keys.set(what.id, what.key);
      if (!this.has(what.id)) this.arrive(what);
    } else if (CHANGES[kind]) this.change(CHANGES[kind](what, this.me.value?.account));
    else if (NOTICES.has(kind)) this.arrive({ id: event.id, time_ms: event.time_ms, notice: { kind, ...what }, conversation: this.id });
    else return;
    this.changed(kind === 'sent');
  }

  arrive(message) {
    const last = this.messages.at(-1);
    if (this.newer) return;
    if (!last || message.id > last.id) {
      this.messages = [...this.messages, message];
      this.arrivals += 1;
    } else {
      const place = this.messages.findIndex((one) => one.id >= message.id);
      const replaces = this.messages[place].id === message.id;
      // What was there before the window begins is not part of it.
      if (!replaces && place === 0 && this.older) return;
      this.messages = this.messages.toSpliced(place, replaces ? 1 : 0, replaces ? { ...message, reactions: this.messages[place].reactions } : message);
    }
    // A window that nobody moves is cut at its old end, where nobody looks; one that is scrolled up stops growing.
    if (this.messages.length > LIMIT) {
      if (this.pinned) {
        this.messages = this.messages.slice(0, LIMIT);
        this.newer = true;
      } else this.trimOld();
    }
  }

  change({ ids, how }) {
    const concerned = new Set(ids);
    this.messages = this.messages.flatMap((message) => {
      if (!concerned.has(message.id)) return [message];
      const changed = how(message);
      return changed ? [changed] : [];
    });
    for (const id of ids) {
      const quoted = this.quoted.get(id);
      if (quoted) this.quoted.set(id, how(quoted));
    }
  }
}

/** What waits to be done to a message, as it will be: `how` gives it, or null where it will not be there. */
const CHANGED_BY = {
  edit: ({ message, body }) => ({
    ids: [message],
    how: (one) => ({ ...one, body, edited_at_ms: one.edited_at_ms || Date.now() }),
  }),
  delete: ({ messages, for_everyone: everyone }) => ({ ids: messages, how: (one) => (everyone ? withdrawn(one) : null) }),
  react: ({ message, emoji, remove }) => ({
    ids: [message],
    how: ({ ...one }, waits) => {
      const { count = 0, own } = one.reactions?.find((known) => known.emoji === emoji) ?? {};
      if (Boolean(own) === Boolean(remove)) one.reactions = reacted(one.reactions ?? [], { emoji, count: count + (remove ? -1 : 1), added: !remove }, true);
      one.reactions = one.reactions?.map((known) => (known.emoji === emoji ? { ...known, waits } : known));
      return one;
    },
  }),
};

/** The messages as they will be when what was done to them is answered; what still waits is marked. */
export function foreseen(messages, waiting, lately) {
  for (const write of [...lately, ...waiting]) {
    const [[kind, operation]] = Object.entries(write.operation);
    if (!CHANGED_BY[kind]) continue;
    const { ids, how } = CHANGED_BY[kind](operation);
    const waits = !lately.includes(write);
    messages = messages.flatMap((message) => {
      if (!ids.includes(message.id)) return [message];
      const changed = how(message, waits);
      return changed ? [{ ...changed, waits: waits && kind !== 'react' }] : [];
    });
  }
  return messages;
}

const withdrawn = (message) => ({ ...message, deleted: true, body: '', attachments: [], reactions: [], mentions: [] });

const NOTICES = new Set(['room_opened', 'member_joined', 'member_left', 'member_removed', 'role_changed', 'room_changed']);

const CHANGES = {
  messages_deleted: ({ messages = [] }) => ({
    ids: messages,
    how: withdrawn,
  }),
  messages_hidden: ({ messages = [] }) => ({ ids: messages, how: () => null }),
  message_edited: (edit) => ({
    ids: [edit.message],
    how: (message) => ({ ...message, body: edit.body ?? '', mentions: edit.mentions ?? [], edited_at_ms: message.edited_at_ms || Date.now() }),
  }),
  reaction_changed: (reaction, me) => ({
    ids: [reaction.message],
    how: (message) => ({ ...message, reactions: reacted(message.reactions ?? [], reaction, reaction.account === me) }),
  }),
};

function reacted(reactions, { emoji, count = 0, added = false }, mine) {
  const known = reactions.find((one) => one.emoji === emoji);
  const next = { emoji, count, own: mine ? added : Boolean(known?.own) };
  if (count === 0) return reactions.filter((one) => one.emoji !== emoji);
  return known ? reactions.map((one) => (one.emoji === emoji ? next : one)) : [...reactions, next];
}

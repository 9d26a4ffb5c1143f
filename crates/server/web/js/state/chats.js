// The conversations of the account: what each is called, what was said last, how much is unread. Loaded once, then kept by events.

import { signal } from '../preact.js';
import { recall, remember, remembered } from '../net/storage.js';

/** So many are asked for at once; half as many after each time that no answer has come, for the network may be slow. */
const PAGE = 200;
const LEAST = 12;
/** Beyond so many the list is cut: nobody scrolls through more. */
const MOST = 5000;
const RECOUNT_MS = 500;

export class Chats {
  constructor(connection, me, people) {
    this.connection = connection;
    this.me = me;
    this.people = people;
    this.version = signal(0);
    /** False until the list has been loaded. */
    this.loaded = signal(false);
    this.map = new Map();
    this.invitations = signal([]);
    this.held = null;
    this.page = PAGE;
    /** While what came during the loading is applied: the list may know it already. */
    this.replaying = false;
    this.due = false;
    this.counting = 0;
  }

  clear() {
    this.held = null;
    this.map.clear();
    this.invitations.value = [];
    this.loaded.value = false;
    this.changed();
  }

  /** Changes come in bursts: the list is drawn at most once a frame. */
  changed() {
    if (this.due) return;
    this.due = true;
    const go = () => {
      if (!this.due) return;
      this.due = false;
      this.version.value += 1;
    };
    if (document.visibilityState === 'visible') requestAnimationFrame(go);
    setTimeout(go, 120);
  }

  /** Everything anew, not older than `position`. Events that come meanwhile are applied after (again, where there is a list already). */
  async load(position = 0, held = []) {
    this.held = held;
    const found = [];
    try {
      let after = 0;
      while (found.length < MOST) {
        const reply = await this.connection.call('list_conversations', { limit: this.page, after, position });
        const conversations = reply.conversations ?? [];
        found.push(...conversations);
        if (!reply.more || conversations.length === 0) break;
        after = conversations.at(-1).conversation;
      }
    } catch (error) {
      console.warn('threefold: the conversations could not be listed:', error.message);
      this.page = Math.max(LEAST, this.page >> 1);
      setTimeout(() => this.held === held && this.me.value && this.load(position, held), 2000);
      return;
    }
    if (this.held !== held) return;
    this.held = null;
    this.map = new Map(found.map((one) => [one.conversation, chatOf(one)]));
    for (const { last } of found) if (last) this.people.heard(last);
    this.findFormer();
    this.replaying = true;
    for (const event of held) this.apply(event);
    this.replaying = false;
    this.loaded.value = true;
    this.version.value += 1;
    this.loadInvitations();
  }

  /** A room that was open under another name is found by it for as long as this page is open; the name may become another room's. */
  findFormer() {
    for (const key of remembered('room:')) {
      const chat = this.map.get(recall(key));
      const name = key.slice('room:'.length);
      if (same(chat?.name, name)) continue;
      if (chat) chat.former = [...(chat.former ?? []), name];
      remember(key, null);
    }
  }

  /** The number of the room that was last open under this name: known before the list is. */
  lastOpen(name) {
    return this.loaded.value ? 0 : recall(`room:${name.toLowerCase()}`, 0);
  }

  async loadInvitations() {
    try {
      const reply = await this.connection.call('list_invitations', { position: this.connection.cursor });
      this.invitations.value = reply.invitations ?? [];
    } catch {
      // They are asked for again with the next event about them.
    }
  }

  get(id) {
    return this.map.get(id);
  }

  direct(name) {
    return this.find((chat) => !chat.room && same(chat.name, name));
  }

  /** By its name, or by one it had while this page was open. */
  room(name) {
    return this.find((chat) => chat.room && same(chat.name, name)) ?? this.find((chat) => chat.room && chat.former?.some((one) => same(one, name)));
  }

  find(fits) {
    for (const chat of this.map.values()) if (fits(chat)) return chat;
    return undefined;
  }

  /** Newest first. */
  sorted() {
    return [...this.map.values()].sort((one, other) => newest(other) - newest(one));
  }

  unread() {
    let count = 0;
    for (const chat of this.map.values()) count += chat.unread;
    return count;
  }

  update(id, change) {
    const chat = this.map.get(id);
    if (!chat) return;
    this.map.set(id, { ...chat, ...change });
    this.changed();
  }

  apply(event) {
    this.held?.push(event);
    if (this.held && !this.loaded.value) return;
    const [[kind, body] = []] = Object.entries(event.body ?? {});
    HANDLERS[kind]?.call(this, body, event);
  }

  /** A message of one's own was taken; its event may still be on its way. */
  sent(message, note) {
    if (this.map.has(message.conversation) || note?.room) return;
    this.map.set(message.conversation, { ...BLANK, id: message.conversation, name: note?.peer ?? message.peer_name, last: message });
    this.version.value += 1;
  }

  hear(message) {
    const chat = this.map.get(message.conversation) ?? {
      ...BLANK,
      id: message.conversation,
      readUpTo: message.id - 1,
      name: message.room_name || message.peer_name || '',
      room: message.room_name ? { public: false, role: 'member', members: 0, topic: '' } : null,
    };
    if ((message.number ?? 0) <= chat.count) return;
    const mine = message.author === this.me.value?.account;
    const named = !mine && this.names(message.mentions);
    const change = { last: message, count: message.number };
    if (mine && chat.room) Object.assign(change, { unread: 0, mentions: 0, readUpTo: message.id });
    else if (!mine) Object.assign(change, { unread: chat.unread + 1, mentions: chat.mentions + (named ? 1 : 0) });
    this.map.set(message.conversation, { ...chat, ...change });
    this.changed();
  }

  names(mentions) {
    return mentions?.some((mention) => mention.account === this.me.value?.account);
  }

  /** Which mentions are left the servers know: they are asked, once for many changes. */
  recount(id) {
    if (!this.map.get(id)?.mentions) return;
    clearTimeout(this.counting);
    this.counting = setTimeout(async () => {
      const { conversations = [] } = await this.connection.call('list_conversations', { limit: PAGE, unread_only: true, position: this.connection.cursor }).catch(() => ({}));
      for (const { conversation, unread = 0, unread_mentions: mentions = 0, messages = 0 } of conversations) {
        const chat = this.map.get(conversation);
        // What has come or was read meanwhile is not in this answer.
        if (chat?.mentions && chat.unread === unread && chat.count === messages) this.update(conversation, { mentions });
      }
    }, RECOUNT_MS);
  }

  /** The newest message is gone: the one before it is asked for. */
  async findLast(id, gone) {
    this.update(id, { last: { ...gone, body: '', attachments: [] } });
    const request = { in: { conversation: id }, limit: 1, from: { before: 0 }, position: this.connection.cursor };
    const reply = await this.connection.call('history', request).catch(() => null);
    if (reply && this.get(id)?.last?.id === gone.id) this.update(id, { last: reply.messages?.[0] ?? null });
  }

  /** Becoming a member: what the room is like is asked for. */
  async joined(id) {
    try {
      const { room } = await this.connection.call('get_room', { room: { conversation: id }, position: this.connection.cursor });
      // What was said before is no news.
      const before = this.map.get(id) ?? { ...BLANK, id, readUpTo: this.connection.cursor };
      if (room?.role) this.map.set(id, { ...before, name: room.name, room: roomOf(room), at: room.created_at_ms });
    } catch {
      // Left again meanwhile.
    }
    this.changed();
  }
}

const BLANK = { name: '', room: null, unread: 0, mentions: 0, readUpTo: 0, peerReadUpTo: 0, count: 0, last: null };

function chatOf(one) {
  return {
    id: one.conversation,
    name: one.room ? one.room.name : (one.peer_name ?? ''),
    room: one.room ? roomOf(one.room) : null,
    unread: one.unread ?? 0,
    mentions: one.unread_mentions ?? 0,
    readUpTo: one.read_up_to ?? 0,
    peerReadUpTo: one.peer_read_up_to ?? 0,
    count: one.messages ?? 0,
    last: one.last ?? null,
  };
}

export function roomOf(room) {
  return { topic: room.topic ?? '', public: Boolean(room.public), members: room.members ?? 0, role: room.role ?? '', invited: Boolean(room.invited) };
}

function newest(chat) {
  return Math.max(chat.last?.id ?? 0, chat.id);
}

export function same(one, other) {
  return (one ?? '').toLowerCase() === (other ?? '').toLowerCase();
}

const HANDLERS = {
  message(message) {
    this.hear(message);
  },
  messages_deleted({ conversation, messages }) {
    const { last } = this.map.get(conversation) ?? {};
    if (last && messages?.includes(last.id)) this.update(conversation, { last: { ...last, deleted: true, body: '', attachments: [] } });
    this.recount(conversation);
  },
  messages_hidden({ conversation, messages }) {
    const { last } = this.map.get(conversation) ?? {};
    if (last && messages?.includes(last.id)) this.findLast(conversation, last);
    this.recount(conversation);
  },
  message_edited({ conversation, message, by, body, mentions }) {
    const { last, unread, mentions: before, readUpTo } = this.map.get(conversation) ?? {};
    if (last?.id === message) this.update(conversation, { last: { ...last, body: body ?? '' } });
    if (unread && message > readUpTo && by !== this.me.value?.account && this.names(mentions)) this.update(conversation, { mentions: Math.max(1, before) });
    this.recount(conversation);
  },
  read_marker_moved({ conversation, up_to, unread = 0 }) {
    const { mentions = 0, readUpTo = 0 } = this.map.get(conversation) ?? {};
    // What the list knew already is older than what it counted.
    if (up_to > readUpTo) this.update(conversation, { readUpTo: up_to, unread, mentions: Math.min(mentions, unread) });
    this.recount(conversation);
  },
  peer_read({ conversation, up_to }) {
    this.update(conversation, { peerReadUpTo: up_to });
  },
  room_opened({ room, by, topic }, event) {
    if (by?.account !== this.me.value?.account || this.map.has(room.conversation)) return;
    const made = { topic: topic ?? '', public: false, members: 1, role: 'owner' };
    this.map.set(room.conversation, { ...BLANK, id: room.conversation, name: room.name, room: made, at: event.time_ms });
    this.joined(room.conversation);
  },
  member_joined({ room, member }) {
    if (member?.account === this.me.value?.account) this.joined(room.conversation);
    else this.count(room.conversation, 1);
  },
  member_left({ room, member }) {
    this.gone(room, member);
  },
  member_removed({ room, member }) {
    this.gone(room, member);
  },
  role_changed({ room, member, role }) {
    const chat = this.map.get(room.conversation);
    if (chat?.room && member?.account === this.me.value?.account) this.update(chat.id, { room: { ...chat.room, role } });
  },
  room_changed({ room, name, topic, public: visible }) {
    const chat = this.map.get(room.conversation);
    if (!chat?.room) return;
    const changed = { ...chat.room, topic: topic ?? chat.room.topic, public: visible ?? chat.room.public };
    const former = name ? [...(chat.former ?? []), chat.name] : chat.former;
    this.update(chat.id, { name: name ?? chat.name, former, room: changed });
  },
  invited() {
    this.loadInvitations();
  },
  invitation_ended({ conversation }) {
    this.invitations.value = this.invitations.value.filter((one) => one.conversation !== conversation);
  },
};

Chats.prototype.count = function count(id, change) {
  const chat = this.map.get(id);
  // The room is asked.
  if (chat && this.replaying) this.joined(id);
  else if (chat?.room) this.update(id, { room: { ...chat.room, members: Math.max(1, chat.room.members + change) } });
};

Chats.prototype.gone = function gone(room, member) {
  if (member?.account === this.me.value?.account) {
    this.map.delete(room.conversation);
    this.changed();
  } else this.count(room.conversation, -1);
};

// One conversation: its head, its messages, the composer, and the panel about it. Finds out what the address means: a conversation one
// has, a person never talked with, a room one may join, or nothing.

import { html, useEffect, useMemo, useRef, useState } from '../preact.js';
import { remember } from '../net/storage.js';
import { act, chats, me, outbox, people, typing } from '../state/app.js';
import { same } from '../state/chats.js';
import { chatPath, go } from '../state/route.js';
import { foreseen } from '../state/timeline.js';
import { timelineOf } from '../state/timelines.js';
import { ago } from '../text/time.js';
import { Avatar } from '../ui/avatar.js';
import { Icon } from '../ui/icon.js';
import { Composer } from './composer.js';
import { Details } from './details.js';
import { JoinRoom } from './join_room.js';
import { MessageList, Unsent } from './message_list.js';
import { removeMessages } from './message.js';
import { botOf, useAccount } from './person_row.js';

/** With more unread than this, the conversation opens where reading ended. */
const MANY_UNREAD = 40;
const READ_AFTER_MS = 350;

/** `place`: the key of its draft, the same for as long as this is shown. */
export function Conversation({ place, view, name, message }) {
  chats.version.value;
  const known = useRef(Number(place.match(/^k\/(\d+)$/)?.[1] ?? 0));
  const chat = chats.get(known.current) ?? (view === 'c' ? chats.direct(name) : undefined);
  known.current = chat?.id ?? known.current;
  const to = known.current ? { conversation: known.current } : view === 'room' ? { room: name } : { user: name };
  const timeline = useMemo(() => {
    const kept = timelineOf(place, to, known.current);
    // A window that what is unread does not begin in is none to begin with.
    if (chat?.unread && !message && !holds(kept, readEnd(chat))) kept.reset();
    return kept;
  }, []);
  if (chat) timeline.id = chat.id;
  timeline.version.value;
  const [details, setDetails] = useState(false);
  const [editing, setEditing] = useState(null);
  const [reply, setReply] = useState(0);
  /** The ids of messages to be deleted together; null while none are chosen. */
  const [chosen, setChosen] = useState(null);
  const loaded = chats.loaded.value;
  const ready = loaded || Boolean(chat);
  const outside = view === 'room' && !chat && (loaded || !known.current);
  const open = ready && !outside;
  const unreadFrom = useLine(chat, open);
  const target = message && timeline.phase === 'ready' && timeline.has(message) ? message : 0;

  // A room's new name: the address follows.
  useEffect(() => {
    if (!chat?.room) return;
    remember(`room:${chat.name.toLowerCase()}`, chat.id);
    if (view === 'room' && !same(chat.name, name)) go(chatPath(chat), { replace: true });
  }, [chat?.name]);

  useEffect(() => {
    if (!open || message) return;
    if (chat?.unread > MANY_UNREAD && !holds(timeline, unreadFrom)) timeline.load(unreadFrom);
    else if (timeline.phase === 'new' || timeline.phase === 'failed' || timeline.newer) timeline.load();
  }, [open]);
  useEffect(() => {
    if (open && message && !(timeline.phase === 'ready' && timeline.has(message))) timeline.load(message);
  }, [open, message]);
  // More came at once, while one looked elsewhere, than the window holds.
  useEffect(() => {
    if (!unreadFrom || target || timeline.phase !== 'ready' || timeline.newer || holds(timeline, unreadFrom)) return;
    timeline.reset();
    timeline.load(unreadFrom);
  }, [unreadFrom]);

  const reading = useReading(chat, timeline);
  const writes = outbox.version.value >= 0 ? waiting(timeline, place, known.current) : [];
  const messages = foreseen(timeline.messages, outbox.waiting(), outbox.lately);

  const unsent = html`<${Unsent} writes=${writes} />`;
  // Of anything else that keeps it from being loaded the list tells: what one is writing stays.
  const unknown = view === 'c' && timeline.fault?.code === 'unknown_user';
  if (!chat && (unknown || (loaded && view === 'k'))) return html`<${Nobody} name=${unknown && name} />${unsent}`;

  const host = {
    chat,
    timeline,
    choose: (id) => setChosen((before) => new Set(before).symmetricDifference(new Set([id]))),
    reply: (id) => {
      setEditing(null);
      setReply(id);
    },
    edit: (one) => {
      setReply(0);
      // A new one each time: what was given up is not gone on with. It may have no text.
      setEditing({ ...one, body: one.body ?? '' });
    },
    jump: (id) => {
      // There once already, it is looked for again.
      if (message === id) go(chatPath(chat), { replace: true });
      setTimeout(() => go(chatPath(chat, id)), 0);
    },
  };
  return html`<div class="with-panel">
    <section class="thread" aria-label=${view === 'room' ? `Room ${name}` : `Conversation with ${name}`}>
      <${Head} chat=${chat} view=${view} name=${name} details=${details} toggle=${() => setDetails(!details)} />
      ${outside
        ? loaded && html`<${JoinRoom} name=${name} />${unsent}`
        : html`<${MessageList} timeline=${timeline} messages=${messages} version=${timeline.version.value} writes=${writes} chat=${chat} unreadFrom=${unreadFrom}
            target=${target} message=${message} host=${host} peerReadUpTo=${chat?.peerReadUpTo ?? 0} onBottom=${reading.setBottom} name=${name} room=${view === 'room'} chosen=${chosen} />
            ${chosen && html`<${Chosen} chat=${chat} timeline=${timeline} ids=${[...chosen]} close=${() => setChosen(null)} />`}
            <${TypingLine} id=${chat?.id} />
            <${Composer} place=${place} chat=${chat} to=${to} name=${name} room=${view === 'room'}
              timeline=${timeline} messages=${messages} editing=${editing} stopEditing=${() => setEditing(null)} edit=${host.edit} replyTo=${reply} setReply=${setReply} />`}
    </section>
    ${details && chat && html`<${Details} chat=${chat} close=${() => setDetails(false)} />`}
  </div>`;
}

/** Where reading ended: what comes after it is unread. 0: nothing is. */
const readEnd = (chat) => (chat?.unread ? chat.readUpTo || 1 : 0);

/** Whether what comes after a place begins in the window. */
function holds({ messages, older, newer }, from) {
  return messages.length > 0 && (!older || messages[0].id <= from) && (!newer || messages.at(-1).id > from);
}

/** What is unread when a conversation is opened stands below a line, and so does what comes while one looks elsewhere. Known while it is
 * drawn: the list finds its place by it. */
function useLine(chat, open) {
  const { current: line } = useRef({});
  const unread = chat?.unread > 0;
  if (open !== line.open || (unread && !line.unread && !document.hasFocus())) line.from = readEnd(chat);
  Object.assign(line, { open, unread });
  return line.from;
}

/** Messages of this conversation that are on their way, or failed. Those that have landed already are not shown twice. */
function waiting(timeline, place, id) {
  const here = outbox.sends().filter(({ operation: { send, edit }, note }) => (id && (send?.to ?? edit).conversation === id) || note?.place === place);
  const landed = timeline.landed(here.filter((write) => !write.why));
  return here.filter((write) => !landed.has(write));
}

/** Marks as read what is looked at: the page in front, the list at its end. */
function useReading(chat, timeline) {
  const bottom = useRef(true);
  const marked = useRef(0);
  const timer = useRef(0);
  const [, look] = useState(0);
  const now = useRef({});
  now.current = { chat, timeline };
  useEffect(() => {
    const again = () => look((count) => count + 1);
    addEventListener('focus', again);
    document.addEventListener('visibilitychange', again);
    return () => {
      clearTimeout(timer.current);
      removeEventListener('focus', again);
      document.removeEventListener('visibilitychange', again);
    };
  }, []);
  const seen = () => {
    const { chat, timeline } = now.current;
    const last = timeline.messages.at(-1)?.id ?? 0;
    const all = bottom.current && !timeline.newer && timeline.phase === 'ready';
    return chat?.unread > 0 && all && last > marked.current && document.hasFocus() && document.visibilityState === 'visible' ? last : 0;
  };
  useEffect(() => {
    // One at a time, also while messages come without a pause.
    if (timer.current || !seen()) return;
    timer.current = setTimeout(() => {
      timer.current = 0;
      const last = seen();
      if (!last) return;
      marked.current = last;
      act({ mark_read: { in: { conversation: now.current.chat.id }, up_to: last } }, { quiet: true }).catch(() => {});
    }, READ_AFTER_MS);
  });
  const setBottom = (is) => {
    if (is === bottom.current) return;
    bottom.current = is;
    if (is) look((count) => count + 1);
  };
  return { setBottom };
}

function Head({ chat, view, name, details, toggle }) {
  const room = view === 'room';
  const online = !room && people.isOnline(name);
  const title = room ? (chat?.name ?? name) : chat && !chat.name ? 'deleted user' : people.display(chat?.name ?? name);
  const about = room ? roomLine(chat) : html`<${AboutPerson} name=${chat?.name ?? name} title=${title} online=${online} />`;
  return html`<header class="head">
    <a class="icon-button only-narrow" href="#/" aria-label="Back to the list"><${Icon} name="back" /></a>
    <${Avatar} name=${title} by=${chat?.name ?? name} room=${room} online=${online} size="small" />
    <div class="grow">
      <h1 class="cut"><bdi>${room ? `#${title}` : title}</bdi></h1>
      <p class="about cut"><bdi>${about}</bdi></p>
    </div>
    ${chat && html`<button class="icon-button" aria-expanded=${details ? 'true' : 'false'}
      aria-label=${room ? 'Members and settings of the room' : 'About this conversation'} title="Details" onClick=${toggle}>
      <${Icon} name=${room ? 'people' : 'more'} />
    </button>`}
  </header>`;
}

function roomLine(chat) {
  if (!chat?.room) return 'a room';
  const { members, topic, public: open } = chat.room;
  return [topic, `${members} ${members === 1 ? 'member' : 'members'}`, open ? '' : 'private'].filter(Boolean).join(' · ');
}

function AboutPerson({ name, title, online }) {
  const account = useAccount(name);
  if (same(name, me.value?.name)) return 'Notes to yourself';
  return [title === name ? '' : `@${name}`, botOf(account), online ? 'online' : account.last_seen_ms ? `last seen ${ago(account.last_seen_ms)}` : ''].filter(Boolean).join(' · ') || 'direct conversation';
}

/** What can be done with several messages. */
function Chosen({ chat, timeline, ids, close }) {
  const own = ids.every((id) => timeline.find(id)?.author === me.value.account);
  const remove = (everyone) => async () => (await removeMessages(chat.id, ids, everyone)) && close();
  return html`<div class="column"><div class="row chosen" role="group" aria-label="Chosen messages">
    <span class="grow" role="status">${ids.length} chosen</span>
    <button class="button slim" onClick=${close}>Cancel</button>
    <button class="button slim danger" disabled=${!ids.length} onClick=${remove(false)}>Delete for me</button>
    ${own && html`<button class="button slim danger" disabled=${!ids.length} onClick=${remove(true)}>Delete for everyone</button>`}
  </div></div>`;
}

function TypingLine({ id }) {
  const busy = id ? (typing.who.value.get(id) ?? []) : [];
  const names = busy.map((one) => people.display(one.name));
  const words = names.length === 0 ? '' : names.length === 1 ? `${names[0]} is typing …` : names.length === 2 ? `${names[0]} and ${names[1]} are typing …` : 'Several people are typing …';
  return html`<div class="column"><div class="typing" aria-live="off"><bdi>${words}</bdi></div></div>`;
}

/** `name`: of whom there is not; none: of what is not one's own. */
function Nobody({ name }) {
  return html`<div class="empty" role="alert">
    <a class="button slim only-narrow" href="#/">Back</a>
    <h1>${name ? html`Nobody is called <bdi>${name}</bdi>` : 'This conversation could not be opened'}</h1>
    ${!name && html`<p>It is not one of yours.</p>`}
    <div class="row"><a class="button" href="#/new">Find people</a></div>
  </div>`;
}

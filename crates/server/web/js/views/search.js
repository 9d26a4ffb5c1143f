// Searching: people, rooms and messages at once. A message that is found opens in its place.

import { html, useEffect, useRef, useState } from '../preact.js';
import { chats, connection, me, people } from '../state/app.js';
import { chatPath, go, route } from '../state/route.js';
import { plain } from '../text/markdown.js';
import { fullTime, shortTime } from '../text/time.js';
import { Avatar } from '../ui/avatar.js';
import { say } from '../ui/toast.js';
import { Page } from './page.js';
import { PersonRow } from './person_row.js';

const PAUSE_MS = 180;
const NONE = { people: [], rooms: [], found: [], more: 0, fault: '', done: false };

export function Search() {
  const { name: query, rest } = route.value;
  const only = Number(rest) || 0;
  const [result, setResult] = useState(NONE);
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  useEffect(() => {
    const words = query.trim();
    if (!words) {
      setResult(NONE);
      return undefined;
    }
    let here = true;
    const timer = setTimeout(() => find(words, only).then((found) => here && setResult(found)), PAUSE_MS);
    return () => {
      here = false;
      clearTimeout(timer);
    };
  }, [query, only]);
  const more = async () => {
    const next = await messages(query.trim(), only, result.more).catch((error) => say(error.message));
    if (!next) return;
    setResult((now) => (now === result ? { ...result, found: [...result.found, ...next.found], more: next.more } : now));
  };
  const chat = only && chats.get(only);
  const nothing = result.done && result.people.length + result.rooms.length + result.found.length === 0;
  return html`<${Page} title="Search">
    <div class="field"><label for="query">Words, a name, or a room${chat ? html` in <bdi>${chat.room ? `#${chat.name}` : chat.name}</bdi>` : ''}</label>
      <input id="query" ref=${field} class="input" type="search" autocomplete="off" value=${query}
        onInput=${(event) => go(`search/${encodeURIComponent(event.target.value)}${only ? `/${only}` : ''}`, { replace: true })} />
      <span class="hint">All words must occur. “hel*” finds all that begins so.${chat ? html` <a
        href=${`#/search/${encodeURIComponent(query)}`}>Search everywhere</a>` : ''}</span></div>
    <div role="status" aria-live="polite" class="hidden-visually">
      ${result.done ? `${result.people.length} people, ${result.rooms.length} rooms, ${result.found.length} messages` : ''}</div>
    <p class="fault">${result.fault}</p>
    ${result.people.length > 0 && html`<h2 class="found-title">People</h2><ul class="list" aria-label="People">
      ${result.people.map((account) => html`<${PersonRow} key=${account.account} account=${account}
      href=${`#/c/${encodeURIComponent(account.name)}`} />`)}</ul>`}
    ${result.rooms.length > 0 && html`<h2 class="found-title">Rooms</h2><ul class="list" aria-label="Rooms">
      ${result.rooms.map((room) => html`<li key=${room.conversation}><a class="row grow" href=${`#/room/${encodeURIComponent(room.name)}`}><${Avatar} room=${true} />
      <span class="grow"><bdi class="strong">${room.name}</bdi><br /><span class="soft small"><bdi>
      ${room.topic}</bdi></span></span></a></li>`)}</ul>`}
    ${result.found.length > 0 && html`<h2 class="found-title">Messages</h2><ul class="list" aria-label="Messages">
      ${result.found.map(({ message, marks }) => html`<${Hit} key=${message.id} message=${message} marks=${marks} />`)}</ul>`}
    ${result.more > 0 && html`<button class="button" onClick=${more}>Show older ones</button>`}
    ${nothing && html`<p class="soft">Nothing was found.</p>`}
  <//>`;
}

async function find(words, only) {
  const part = words.replace(/^[@#]/, '');
  const quiet = (promise) => promise.catch(() => []);
  const accounts = only ? [] : quiet(people.find(part.slice(0, 60), 8));
  const rooms = only ? [] : quiet(connection.call('list_rooms', { pattern: part.slice(0, 60), limit: 8 }).then((reply) => reply.rooms ?? []));
  const [found, there, said] = await Promise.all([accounts, rooms, messages(words, only, 0).catch((error) => ({ found: [], more: 0, fault: error.code === 'search_invalid' ? '' : error.message }))]);
  return { people: found, rooms: there, found: said.found, more: said.more, fault: said.fault ?? '', done: true };
}

async function messages(query, only, before) {
  const request = { query, before, limit: 30, position: connection.cursor, ...(only && { in: { conversation: only } }) };
  const reply = await connection.call('search_messages', request);
  return { found: reply.found ?? [], more: reply.more_before ?? 0 };
}

function Hit({ message, marks = [] }) {
  const chat = chats.get(message.conversation) ?? { id: message.conversation, name: message.room_name || message.peer_name, room: message.room_name ? {} : null };
  const author = message.author === me.value.account ? 'You' : message.author_display_name || message.author_name || 'deleted user';
  return html`<li><a class="row grow" href=${`#/${chatPath(chat, message.id)}`}>
    <${Avatar} name=${author === 'You' ? me.value.display || me.value.name : author} by=${message.author_name} size="small" />
    <span class="grow"><span class="row small"><strong class="cut"><bdi>${author}</bdi></strong><span class="soft cut">in <bdi>
      ${chat.room ? `#${chat.name}` : people.display(chat.name) || 'a deleted user’s'}</bdi></span><time class="soft" title=${fullTime(message.time_ms)}
      style=${{ marginInlineStart: 'auto', whiteSpace: 'nowrap' }}>${shortTime(message.time_ms)}</time></span>
    <span class="text block"><bdi>${excerpt(message.body ?? '', marks)}</bdi></span></span>
  </a></li>`;
}

/** The part of the text around what was found, with it marked. Marks count in code points. */
function excerpt(body, marks) {
  // Signs that no text needs stand for the marks while those of Markdown are taken away.
  const signs = [...body.replace(/[\uE000\uE001]/g, ' ')];
  const from = Math.max(0, (marks[0]?.start ?? 0) - 60);
  const to = from + 220;
  let at = from;
  for (const { start = 0, end = 0 } of marks) {
    if (start < at || end > to || end > signs.length || start >= end) continue;
    signs[start] = `\uE000${signs[start]}`;
    signs[end - 1] += '\uE001';
    at = end;
  }
  const parts = plain(signs.slice(from, to).join(''), 400).split(/[\uE000\uE001]/);
  return [from > 0 && '…', parts.map((part, place) => (place % 2 ? html`<mark>${part}</mark>` : part)), to < signs.length && '…'];
}

// The list of conversations: people and rooms, newest first, with what is unread in each.

import { html, useMemo } from '../preact.js';
import { chats, connection, me, outbox, people, typing } from '../state/app.js';
import { draft, draftsVersion } from '../state/drafts.js';
import { chatKey, chatPath, go, route } from '../state/route.js';
import { fullTime, shortTime } from '../text/time.js';
import { plain } from '../text/markdown.js';
import { Avatar } from '../ui/avatar.js';
import { Icon } from '../ui/icon.js';

/** More are reached by searching: a longer list is not read, and costs every redraw. */
const SHOWN = 200;

export function Sidebar() {
  const version = chats.version.value;
  const list = useMemo(() => chats.sorted().slice(0, SHOWN), [version]);
  const invitations = chats.invitations.value;
  const { view, name } = route.value;
  return html`<nav class="sidebar" aria-label="Conversations">
    <div class="sidebar-head">
      <a class="wordmark grow" href="#/"><${Icon} name="logo" size=${22} /> Threefold</a>
      <a class="icon-button" href="#/rooms" aria-label="Rooms" title="Rooms"><${Icon} name="people" /></a>
      <a class="icon-button" href="#/new" aria-label="New conversation" title="New conversation"><${Icon} name="plus" /></a>
    </div>
    <form class="searchbox" role="search" onSubmit=${search}>
      <${Icon} name="search" size=${18} />
      <input class="input" type="search" name="query" placeholder="Search" aria-label="Search people, rooms and messages" autocomplete="off"
        onInput=${(event) => view === 'search' && go(`search/${encodeURIComponent(event.target.value)}`, { replace: true })}
        onClick=${(event) => view !== 'search' && event.target.value && search(event)} />
    </form>
    <div class="conversations" tabindex="-1">
      <${Unsent} />
      ${invitations.length > 0 && html`<h2>Invitations</h2>`}
      ${invitations.map((one) => html`<${InvitationEntry} key=${`i${one.conversation}`} invitation=${one} />`)}
      ${chats.loaded.value && list.length === 0 && invitations.length === 0 && html`<p class="soft begin-here">Nothing here yet. <a
        href="#/new">Write to somebody</a>, or <a href="#/rooms">make or join a room</a>.</p>`}
      <h2 class=${invitations.length || (outbox.version.value >= 0 && outbox.failed.length) ? '' : 'hidden-visually'}>Conversations</h2>
      <ul>
        ${list.map((chat) => {
          const current = (chat.room ? view === 'room' : view === 'c') ? chat.name.toLowerCase() === name.toLowerCase() : view === 'k' && chat.id === Number(name);
          return html`<li key=${chat.id}><${Entry} chat=${chat} current=${current} /></li>`;
        })}
      </ul>
    </div>
    <${Foot} />
  </nav>`;
}

/** Where something was not sent: it may be a conversation that is one's own no more. */
function Unsent() {
  const places = new Map();
  for (const { operation, note, key } of outbox.version.value >= 0 ? outbox.failed : []) {
    const what = operation.send ?? operation.edit;
    const { conversation } = operation.send?.to ?? what;
    const chat = chats.get(conversation);
    const name = chat?.name || note?.peer || what.to?.room || 'A conversation of before';
    places.set(chat ? chatPath(chat) : (note?.place ?? `k/${conversation}`), { key, name, text: plain(what.body ?? '', 80) });
  }
  return html`<div aria-live="polite">
    ${places.size > 0 && html`<h2>Not sent</h2>`}
    ${[...places].map(([path, { key, name, text }]) => html`<a class="entry" key=${key} href=${`#/${path}`}><span class="draft"><${Icon} name="warning" size=${24} /></span>
      <span class="grow"><span class="title"><bdi class="cut">${name}</bdi></span><span class="line cut"><bdi>${text}</bdi></span></span></a>`)}
  </div>`;
}

function search(event) {
  event.preventDefault();
  const query = new FormData(event.target.form ?? event.target).get('query') ?? '';
  go(`search/${encodeURIComponent(query)}`);
}

function Entry({ chat, current }) {
  const online = !chat.room && chat.name && people.isOnline(chat.name);
  const title = chat.room ? chat.name : chat.name ? people.display(chat.name) : 'deleted user';
  return html`<a class="entry ${chat.unread ? 'unread' : ''}" href=${`#/${chatPath(chat)}`} aria-current=${current ? 'page' : undefined}>
    <${Avatar} name=${title} by=${chat.name} room=${Boolean(chat.room)} online=${online} />
    <span class="grow">
      <span class="title"><bdi class="cut">${chat.room && html`<span class="hidden-visually">room </span>`}${title}</bdi>${online && html`<span
        class="hidden-visually">, online</span>`}${chat.room && !chat.room.public && html`<${Icon} name="lock" size=${13} />`}</span>
      <span class="line cut"><${LastLine} chat=${chat} current=${current} /></span>
    </span>
    <span class="side">
      ${chat.last && html`<time class="time" title=${fullTime(chat.last.time_ms)}>${shortTime(chat.last.time_ms)}</time>`}
      <span class="badges">
        ${chat.mentions > 0 && html`<span class="badge mention">@<span class="hidden-visually"> ${chat.mentions} mention you,</span></span>`}
        ${chat.unread > 0 && html`<span class="badge">${chat.unread > 999 ? '999+' : chat.unread}<span class="hidden-visually"> unread</span></span>`}
      </span>
    </span>
  </a>`;
}

function LastLine({ chat, current }) {
  const busy = typing.who.value.get(chat.id);
  if (busy) return html`<em>typing …</em>`;
  const kept = draftsVersion.value >= 0 && !current && draft(chatKey(chat)).text.trim();
  if (kept) return html`<span class="draft">Draft:</span> <bdi>${plain(kept, 80)}</bdi>`;
  const { last } = chat;
  if (!last) return chat.room ? chat.room.topic || 'Nothing said yet' : 'Nothing said yet';
  const mine = last.author === me.value?.account;
  const by = mine ? 'You: ' : chat.room ? `${last.author_display_name || last.author_name || 'deleted user'}: ` : '';
  const text = last.deleted ? 'message deleted' : plain(last.body, 90) || (last.attachments?.length ? last.attachments[0].name : '');
  return html`<bdi>${by}${text}</bdi>`;
}

function InvitationEntry({ invitation }) {
  return html`<a class="entry" href=${`#/room/${encodeURIComponent(invitation.room_name)}`}>
    <${Avatar} name=${invitation.room_name} room=${true} />
    <span class="grow">
      <span class="title"><span class="hidden-visually">Invitation to </span><bdi class="cut">${invitation.room_name}</bdi></span>
      <span class="line cut">from <bdi>${invitation.by?.name ?? 'somebody'}</bdi></span>
    </span>
    <span class="side"><span class="badge mention">new</span></span>
  </a>`;
}

const DOTS = { normal: 'good', degraded: 'warning', 'sole survivor': 'warning', frozen: 'bad', removed: 'bad' };

function Foot() {
  const state = connection.state.value;
  const condition = connection.condition.value.state;
  const online = state === 'online';
  const waiting = outbox.version.value >= 0 && outbox.waiting().length;
  return html`<div class="sidebar-foot">
    <a class="row grow" href="#/settings">
      <${Avatar} name=${me.value?.display || me.value?.name || ''} by=${me.value?.name} size="small" />
      <bdi class="cut">${me.value?.display || me.value?.name}</bdi><span class="hidden-visually">: profile and settings</span>
    </a>
    <a class="state-pill" href="#/cluster" title=${online ? `Connected to ${connection.server.value}` : ''}>
      <span class="dot ${online ? (DOTS[condition] ?? 'warning') : 'bad'}"></span>
      <span>${online ? (condition === 'normal' ? 'all well' : condition) : 'reconnecting'}${!online && waiting ? ` · ${waiting}` : ''}</span>
    </a>
    <a class="icon-button" href="#/settings" aria-label="Settings" title="Settings"><${Icon} name="settings" /></a>
  </div>`;
}

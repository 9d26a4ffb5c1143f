// The panel beside a conversation: a room's members and settings, or the person one talks with.

import { html, useEffect, useState } from '../preact.js';
import { act, connection, me, people } from '../state/app.js';
import { chatPath, go, route } from '../state/route.js';
import { fullTime } from '../text/time.js';
import { Avatar } from '../ui/avatar.js';
import { ask } from '../ui/dialog.js';
import { Icon } from '../ui/icon.js';
import { menuItems, openPopup } from '../ui/popup.js';
import { say } from '../ui/toast.js';
import { Files } from './files.js';
import { writeTo } from './person_row.js';

export function Details({ chat, close }) {
  return html`<aside class="panel" aria-label=${chat.room ? `About #${chat.name}` : 'About this conversation'}>
    <div class="head"><h2 class="grow cut"><bdi>${chat.room ? `#${chat.name}` : people.display(chat.name)}</bdi></h2><button class="icon-button"
      aria-label="Close" onClick=${close}><${Icon} name="close" /></button></div>
    <div class="panel-body">${chat.room ? html`<${Room} chat=${chat} />` : html`<${Person} chat=${chat} />`}</div>
  </aside>`;
}

function Person({ chat }) {
  return html`<div class="beginning" style=${{ padding: 0 }}>
      <${Avatar} name=${people.display(chat.name)} by=${chat.name} online=${people.isOnline(chat.name)} size="large" />
      <h3><bdi>${people.display(chat.name) || 'deleted user'}</bdi></h3>
      ${chat.name && html`<p>@${chat.name}</p>`}
    </div>
    <p class="soft small">${chat.count} ${chat.count === 1 ? 'message' : 'messages'} so far.</p>
    <${FindHere} chat=${chat} />`;
}

/** Ways into what was said: by words, by the day, by what was attached. */
function FindHere({ chat }) {
  const submit = (event) => {
    event.preventDefault();
    const query = new FormData(event.target).get('query');
    go(`search/${encodeURIComponent(query)}/${chat.id}`);
  };
  const toDay = async (event) => {
    event.preventDefault();
    const at = new Date(`${new FormData(event.target).get('day')}T00:00`).getTime();
    if (Number.isNaN(at)) return;
    const here = route.value;
    const { messages } = await history(chat, { at_ms: Math.max(1, at) }, 1);
    // Who has gone elsewhere meanwhile stays there.
    if (route.value !== here) return;
    if (messages?.[0]) go(chatPath(chat, messages[0].id));
    else if (messages) say('Nothing was said on that day or later.');
  };
  return html`<form role="search" aria-label="Here" onSubmit=${submit}><input class="input" type="search" name="query" placeholder="Search here"
    aria-label="Search in this conversation" /></form>
    <form class="row" onSubmit=${toDay}><input class="input" type="date" name="day" required aria-label="A day" /><button class="button" type="submit">Go to the day</button></form>
    <${Shared} chat=${chat} />`;
}

/** A page of what was said; without messages: it could not be had, and the person was told. */
async function history(chat, from, limit) {
  try {
    return { messages: [], ...(await connection.call('history', { in: { conversation: chat.id }, limit, from, position: connection.cursor })) };
  } catch (error) {
    say(error.message);
    return {};
  }
}

/** The files of the conversation, newest first, found by going back through it. */
function Shared({ chat }) {
  const [{ list, before, older }, setFound] = useState({ list: null, before: 0, older: true });
  const [busy, setBusy] = useState(false);
  const look = async () => {
    setBusy(true);
    const found = { list: list ?? [], before, older };
    const enough = found.list.length + FILES_AT_ONCE;
    for (let page = 0; page < PAGES_AT_ONCE && found.older && found.list.length < enough; page += 1) {
      const reply = await history(chat, { before: found.before }, 200);
      if (!reply.messages) break;
      const { messages } = reply;
      found.list = [...found.list, ...messages.filter((message) => message.attachments?.length).reverse()];
      found.older = Boolean(reply.older) && messages.length > 0;
      found.before = messages[0]?.id ?? 0;
      setFound({ ...found });
    }
    setBusy(false);
  };
  return html`<section class="stack" aria-labelledby="shared"><h3 id="shared">Files</h3>
    ${list?.map((message) => html`<div key=${message.id}><a class="small" href=${`#/${chatPath(chat, message.id)}`}>
      ${message.author_display_name || message.author_name || 'deleted user'}, ${fullTime(message.time_ms)}</a><${Files} message=${message} /></div>`)}
    ${list?.length === 0 && !older && html`<p class="soft small">There are none.</p>`}
    ${older && html`<div><button class="button slim" disabled=${busy} onClick=${look}>${list ? 'Look further back' : 'Show the files'}</button></div>`}
  </section>`;
}

const FILES_AT_ONCE = 20;
const PAGES_AT_ONCE = 10;

const RANK = { owner: 3, moderator: 2, member: 1 };
const ROLE_WORDS = { owner: 'owner', moderator: 'moderator', member: '' };

function Room({ chat }) {
  const rank = RANK[chat.room.role] ?? 0;
  const here = { conversation: chat.id };
  const [members, setMembers] = useState(null);
  const load = async (after = 0) => {
    const reply = await connection.call('list_members', { room: here, limit: 100, after, position: connection.cursor });
    setMembers((now) => ({ list: [...(after ? now.list : []), ...(reply.members ?? [])], more: Boolean(reply.more) }));
  };
  useEffect(() => {
    load().catch(() => {});
  }, [chat.id, chat.room.members, chat.room.role]);
  const change = async (operation) => {
    await act(operation);
    load().catch(() => {});
  };
  const leave = async () => {
    const words = chat.room.public ? 'You can join again whenever you like.' : 'To come back, somebody has to invite you.';
    if (await ask({ title: `Leave #${chat.name}?`, words, action: 'Leave', danger: true })) {
      act({ leave_room: { room: here } });
      go('');
    }
  };
  return html`
    ${rank >= 2 ? html`<${Settings} chat=${chat} rank=${rank} />` : chat.room.topic && html`<p><bdi>${chat.room.topic}</bdi></p>`}
    <${FindHere} chat=${chat} />
    ${(chat.room.public || rank >= 2) && html`<${Invite} chat=${chat} />`}
    <section aria-labelledby="members">
      <h3 id="members">${chat.room.members} ${chat.room.members === 1 ? 'member' : 'members'}</h3>
      <ul class="list">
        ${members?.list.map((member) => html`<li key=${member.account}>
          <${Avatar} name=${people.display(member.name)} by=${member.name} online=${member.online} size="small" />
          <span class="grow cut"><bdi>${people.display(member.name) || 'deleted user'}</bdi>${member.account === me.value.account ? html` <span
            class="soft">(you)</span>` : ''}</span>
          ${ROLE_WORDS[member.role] && html`<span class="tag">${ROLE_WORDS[member.role]}</span>`}
          ${member.name && member.account !== me.value.account && html`<button class="icon-button" aria-label=${`What to do with ${member.name}`}
            onClick=${(event) => openPopup(event.currentTarget, member.name, (close) => html`<${MemberMenu} member=${member} here=${here} rank=${rank} change=${change} close=${close} />`, { menu: true })}>
            <${Icon} name="more" size=${18} /></button>`}
        </li>`)}
      </ul>
      ${members?.more && html`<button class="button slim" onClick=${() => load(members.list.at(-1).account)}>Show more</button>`}
    </section>
    <div><button class="button danger" onClick=${leave}><${Icon} name="leave" size=${18} />Leave the room</button></div>`;
}

function MemberMenu({ member, here, rank, change, close }) {
  const theirs = RANK[member.role] ?? 1;
  const user = member.name;
  const item = menuItems(close);
  const role = (to) => () => change({ set_role: { room: here, user, role: to } });
  const remove = async () => {
    if (await ask({ title: `Remove ${user} from the room?`, words: 'They keep what they have read.', action: 'Remove', danger: true })) change({ remove_from_room: { room: here, user } });
  };
  return html`${item('send', 'Write to them', () => writeTo(user))}
    ${rank === 3 && theirs !== 3 && item('shield', 'Make an owner', role('owner'))}
    ${rank === 3 && theirs !== 2 && item('shield', 'Make a moderator', role('moderator'))}
    ${rank === 3 && theirs !== 1 && item('people', 'Make a plain member', role('member'))}
    ${(rank === 3 || (rank === 2 && theirs === 1)) && item('leave', 'Remove from the room', remove, true)}`;
}

function Invite({ chat }) {
  const [name, setName] = useState('');
  const [words, setWords] = useState('');
  const submit = async (event) => {
    event.preventDefault();
    const user = name.trim().replace(/^@/, '');
    if (!user) return;
    try {
      await act({ invite_to_room: { room: { conversation: chat.id }, user } }, { quiet: true });
      setWords(`${user} is invited.`);
      setName('');
    } catch (error) {
      setWords(error.message);
    }
  };
  return html`<form class="field" onSubmit=${submit}>
    <label for="invite">Invite somebody</label>
    <div class="row"><input id="invite" class="input" autocomplete="off" placeholder="Name" value=${name}
      onInput=${(event) => setName(event.target.value)} /><button class="button" type="submit">Invite</button></div>
    <p class="hint" role="status">${words}</p>
  </form>`;
}

function Settings({ chat, rank }) {
  const now = { name: chat.name, topic: chat.room.topic, public: chat.room.public };
  /** What was changed here; what others change meanwhile does not touch it. */
  const [mine, setMine] = useState({});
  const [fault, setFault] = useState('');
  const { name, topic, public: open } = { ...now, ...mine };
  const set = (what, value) => setMine({ ...mine, [what]: value });
  const changed = Object.fromEntries(Object.entries(mine).map(([what, value]) => [what, value.trim?.() ?? value]).filter(([what, value]) => value !== now[what]));
  const dirty = Object.keys(changed).length > 0;
  // What was saved is nobody's change any more.
  useEffect(() => setMine(changed), Object.values(now));
  const submit = async (event) => {
    event.preventDefault();
    setFault('');
    try {
      await act({ change_room: { room: { conversation: chat.id }, ...changed } }, { quiet: true });
    } catch (error) {
      setFault(error.message);
    }
  };
  return html`<form class="stack" onSubmit=${submit} aria-label="Settings of the room">
    ${rank === 3 && html`<div class="field"><label for="rename">Name</label><input id="rename" class="input" maxlength="32" value=${name}
      onInput=${(event) => set('name', event.target.value)} /></div>`}
    <div class="field"><label for="topic">Topic</label><input id="topic" class="input" maxlength="256" value=${topic}
      onInput=${(event) => set('topic', event.target.value)} /></div>
    ${rank === 3 && html`<label class="check"><input type="checkbox" checked=${open} onChange=${(event) => set('public', event.target.checked)} /><span>Public</span></label>`}
    <p class="fault" role="alert">${fault}</p>
    ${dirty && html`<div><button class="button main slim" type="submit">Save</button></div>`}
  </form>`;
}


// Rooms: finding one, and making one.

import { html, useState } from '../preact.js';
import { chats, connection, outbox } from '../state/app.js';
import { go, route } from '../state/route.js';
import { Avatar } from '../ui/avatar.js';
import { Icon } from '../ui/icon.js';
import { usePages } from '../ui/pages.js';
import { Page } from './page.js';

export function Rooms() {
  const [query, setQuery] = useState('');
  // Asked anew when one has come into a room or left one, not with every message.
  const mine = chats.version.value >= 0 && chats.sorted().filter((chat) => chat.room).map((chat) => `${chat.id}${chat.name}`).sort().join();
  const load = async (last) => {
    const pattern = query.trim().replace(/^#/, '');
    const { rooms = [], more } = await connection.call('list_rooms', { pattern, limit: 50, after: last?.name, position: connection.cursor });
    return { list: rooms, more };
  };
  const [page, more] = usePages(load, query, [query, mine]);
  return html`<${Page} title="Rooms">
    <${MakeRoom} />
    <section class="card" aria-labelledby="all-rooms">
      <h2 id="all-rooms">Public rooms, and yours</h2>
      <input class="input" type="search" placeholder="Find a room" aria-label="Find a room" value=${query} onInput=${(event) => setQuery(event.target.value)} />
      <ul class="list" aria-label="Rooms">
        ${page?.list.map((room) => html`<li key=${room.conversation}><a class="row grow" href=${`#/room/${encodeURIComponent(room.name)}`}>
          <${Avatar} name=${room.name} room=${true} />
          <span class="grow"><span class="row"><bdi class="cut strong">${room.name}</bdi>
            ${!room.public && html`<${Icon} name="lock" size=${14} />`}</span>
          <span class="soft small cut block"><bdi>
            ${[`${room.members ?? 0} ${room.members === 1 ? 'member' : 'members'}`, room.topic].filter(Boolean).join(' · ')}</bdi></span></span>
        </a>${room.role ? html`<span class="tag accent">joined</span>` : html`<span class="tag">open to all</span>`}</li>`)}
      </ul>
      ${page?.list.length === 0 && html`<p class="soft">${query ? 'No room is called so.' : 'There is no room yet.'}</p>`}
      ${page?.more && html`<button class="button" onClick=${more}>Show more</button>`}
    </section>
  <//>`;
}

function MakeRoom() {
  const [name, setName] = useState('');
  const [topic, setTopic] = useState('');
  const [open, setOpen] = useState(true);
  const [fault, setFault] = useState('');
  const [busy, setBusy] = useState(false);
  const submit = async (event) => {
    event.preventDefault();
    const plainName = name.trim().replace(/^#/, '');
    if (!/^[\p{L}\p{N}_.-]{1,32}$/u.test(plainName)) {
      setFault('A room’s name has 1 to 32 letters, digits, and _ . -');
      return;
    }
    setBusy(true);
    setFault('');
    try {
      const { room_created: made } = await outbox.write({ create_room: { name: plainName, topic: topic.trim(), public: open } });
      if (made) await chats.joined(made.conversation);
      // It may have taken long: who is elsewhere by now stays there.
      if (route.value.view === 'rooms') go(`room/${encodeURIComponent(plainName)}`);
    } catch (error) {
      setFault(error.code === 'room_name_taken' ? 'Another room has this name.' : error.message);
    }
    setBusy(false);
  };
  return html`<form class="card stack" onSubmit=${submit} aria-labelledby="make-room" novalidate>
    <h2 id="make-room">Make a room</h2>
    <div class="field"><label for="room-name">Name</label><input id="room-name" class="input" maxlength="33" autocomplete="off" placeholder="tea"
      value=${name} onInput=${(event) => setName(event.target.value)} /></div>
    <div class="field"><label for="room-topic">Topic <span class="soft">(may be empty)</span></label><input id="room-topic"
      class="input" maxlength="256" autocomplete="off" value=${topic} onInput=${(event) => setTopic(event.target.value)} /></div>
    <label class="check"><input type="checkbox" checked=${open} onChange=${(event) => setOpen(event.target.checked)} /><span>Public<br /><span
      class="soft small">Everybody may find, read and join it. Otherwise only who is invited.</span></span></label>
    <p class="fault" role="alert">${fault}</p>
    <div><button class="button main" type="submit" disabled=${busy}>Make the room</button></div>
  </form>`;
}

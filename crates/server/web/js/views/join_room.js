// A room one is not in: what it is, and the way in.

import { html, useEffect, useState } from '../preact.js';
import { act, chats, connection } from '../state/app.js';
import { same } from '../state/chats.js';
import { go } from '../state/route.js';
import { Avatar } from '../ui/avatar.js';

export function JoinRoom({ name }) {
  const [room, setRoom] = useState(undefined);
  const [fault, setFault] = useState(null);
  const [tries, setTries] = useState(0);
  const [busy, setBusy] = useState(false);
  const invitation = chats.invitations.value.find((one) => same(one.room_name, name));
  useEffect(() => {
    setFault(null);
    const failed = (error) => (error.code === 'unavailable' ? setFault(error) : setRoom(null));
    connection.call('get_room', { room: { room: name } }).then((reply) => setRoom(reply.room ?? null), failed);
  }, [name, tries]);
  if (fault && !invitation) {
    return html`<div class="empty" role="alert">
      <h2><bdi>#${name}</bdi></h2><p>${fault.message}</p>
      <button class="button main" onClick=${() => setTries(tries + 1)}>Try again</button>
    </div>`;
  }
  if (room === undefined && !invitation) return html`<div class="empty" aria-busy="true"></div>`;
  if (!room?.public && !invitation) {
    // A room that one has left, or was removed from, is still known.
    return html`<div class="empty">
      <h2>${room ? 'You are no longer in' : 'There is no room'} <bdi>#${name}</bdi></h2>
      <p>${room ? 'It is private: somebody has to invite you.' : 'Or it is private, and nobody has invited you.'}</p>
      <a class="button" href="#/rooms">All rooms</a>
    </div>`;
  }
  const join = async () => {
    setBusy(true);
    await act({ join_room: { room: invitation ? { conversation: invitation.conversation } : { room: name } } });
    setBusy(false);
  };
  const decline = () => {
    act({ decline_invitation: { room: { conversation: invitation.conversation } } });
    go('');
  };
  const members = room?.members ?? invitation?.members ?? 0;
  const topic = room?.topic ?? invitation?.topic;
  return html`<div class="empty">
    <${Avatar} room=${true} size="large" />
    <h2><bdi>#${room?.name ?? name}</bdi></h2>
    ${topic && html`<p><bdi>${topic}</bdi></p>`}
    <p>${invitation ? html`<bdi>${invitation.by?.name ?? 'Somebody'}</bdi> invites you to this room.` : 'A public room: everybody may join and read it.'}
      ${members > 0 && ` ${members} ${members === 1 ? 'member' : 'members'}.`}</p>
    <div class="row">
      ${invitation && html`<button class="button" onClick=${decline}>Decline</button>`}
      <button class="button main" onClick=${join} disabled=${busy}>Join</button>
    </div>
  </div>`;
}

// A room one is not in: what it is, and the way in.

import { html, useEffect, useState } from '../../vendor/preact.js';
import { act, chats, connection } from '../state/app.js';
import { same } from '../state/chats.js';
import { go } from '../state/route.js';

export function JoinRoom({ name, alone }) {
  const [room, setRoom] = useState(null);
  const [busy, setBusy] = useState(false);
  const invitation = chats.invitations.value.find((one) => same(one.room_name, name));
  useEffect(() => {
    connection.call('get_room', { room: { room: name } }).then((reply) => setRoom(reply.room), () => setRoom(null));
  }, [name]);
  if (alone && !room && !invitation) {
    return html`<div class="empty"><h2>There is no room <bdi>#${name}</bdi></h2><p>Or it is private, and nobody has invited you.</p>
      <div class="row"><a class="button" href="#/rooms">All rooms</a></div></div>`;
  }
  const join = async () => {
    setBusy(true);
    await act({ join_room: { room: invitation ? { conversation: invitation.conversation } : { room: name } } });
    setBusy(false);
  };
  const decline = async () => {
    await act({ decline_invitation: { room: { conversation: invitation.conversation } } });
    go('');
  };
  const words = invitation ? html`<bdi>${invitation.by?.name ?? 'Somebody'}</bdi> invites you to this room.` : 'You are not in this room. Everybody may read and join it.';
  return html`<div class=${alone ? 'empty' : 'composer'}><div class="column"><div class="card row" style=${{ flexWrap: 'wrap' }}>
    <p class="grow">${words} ${(room?.members ?? invitation?.members ?? 0) > 0 && html`<span class="soft">${room?.members ?? invitation?.members} members</span>`}</p>
    ${invitation && html`<button class="button" onClick=${decline}>Decline</button>`}
    <button class="button main" onClick=${join} disabled=${busy}>Join #${name}</button>
  </div></div></div>`;
}

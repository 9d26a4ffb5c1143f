// Where a conversation begins, and what happened in it besides messages.

import { html } from '../preact.js';
import { me, people } from '../state/app.js';
import { Avatar } from '../ui/avatar.js';

export function Beginning({ chat, name, room, empty }) {
  const title = room ? (chat?.name ?? name) : people.display(chat?.name ?? name);
  return html`<div class="beginning">
    <${Avatar} name=${title} by=${chat?.name ?? name} room=${room} size="large" />
    <h2><bdi>${room ? `#${title}` : title}</bdi></h2>
    <p>${room ? (chat?.room?.topic ? html`<bdi>
      ${chat.room.topic}</bdi>` : 'This is where the room begins.') : empty ? 'Say hello. Messages wait for those who are away.' : 'This is where your conversation begins.'}</p>
  </div>`;
}

const nameOf = (person) => html`<bdi><strong>${person?.account === me.value?.account ? 'You' : person?.name || 'a deleted user'}</strong></bdi>`;

export function Notice({ message }) {
  const { kind, member, by, invited_by: inviter, role, name, topic, public: open } = message.notice;
  const words = {
    room_opened: () => html`${nameOf(by)} made the room`,
    member_joined: () => html`${nameOf(member)} joined${inviter ? html`, invited by ${nameOf(inviter)}` : ''}`,
    member_left: () => html`${nameOf(member)} left`,
    member_removed: () => html`${nameOf(by)} removed ${nameOf(member)}`,
    role_changed: () => html`${nameOf(member)} ${member?.account === me.value?.account ? 'are' : 'is'} now ${ROLES[role] ?? 'a member'}`,
    room_changed: () => html`${nameOf(by)} ${[name && `called the room #${name}`, topic !== undefined && (topic ? `set the topic: ${topic}` : 'removed the topic'), open !== undefined && (open ? 'made the room public' : 'made the room private')].filter(Boolean).join(', ')}`,
  };
  return html`<p class="notice" data-id=${message.id}>${words[kind]?.()}</p>`;
}

const ROLES = { owner: 'an owner', moderator: 'a moderator', member: 'a member' };

// Desktop notifications, where the person has asked for them: of direct messages and mentions, while the page is not looked at.

import { signal } from '../preact.js';
import { recall, remember } from '../net/storage.js';
import { plain } from '../text/markdown.js';

const PATIENCE_MS = 1000;

export const wanted = signal(Boolean(recall('look', {}).notify));

export function possible() {
  return 'Notification' in globalThis;
}

/** Asks the browser for leave. Says whether notifications will come. */
export async function switchOn() {
  const answer = possible() ? await Notification.requestPermission() : 'denied';
  wanted.value = answer === 'granted';
  remember('look', { ...recall('look', {}), notify: wanted.value });
  return wanted.value;
}

export function switchOff() {
  wanted.value = false;
  remember('look', { ...recall('look', {}), notify: false });
}

/** What is read at once, in another tab or elsewhere, is not told. */
export function notify(message, me, chats) {
  if (!wanted.value || document.hasFocus() || message.author === me?.account || message.deleted) return;
  if (!possible() || Notification.permission !== 'granted') return;
  setTimeout(() => chats.get(message.conversation)?.readUpTo >= message.id || show(message, me, chats), PATIENCE_MS);
}

function show(message, me, chats) {
  const chat = chats.get(message.conversation);
  const named = message.mentions?.some((mention) => mention.account === me?.account);
  if (chat?.room && !named) return;
  const author = message.author_display_name || message.author_name;
  const title = chat?.room ? `${author} in #${chat.name}` : author;
  let shown;
  try {
    shown = new Notification(title, { body: plain(message.body, 140) || 'sent a file', tag: `threefold-${message.conversation}`, icon: '/icon.svg' });
  } catch {
    // On some phones only service workers may.
    return;
  }
  shown.onclick = () => {
    window.focus();
    location.hash = chat?.room ? `#/room/${encodeURIComponent(chat.name)}` : `#/c/${encodeURIComponent(message.author_name)}`;
    shown.close();
  };
}

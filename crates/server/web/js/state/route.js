// Which view is open: the part of the address behind `#`. Nothing else decides it, so going back, reloading and links all work.

import { signal } from '../preact.js';

export const route = signal(parse(location.hash));

addEventListener('hashchange', () => {
  route.value = parse(location.hash);
});

/** {view, name, message}: `#/c/alice`, `#/room/tea/53249`, `#/k/53248`, `#/settings`, ... */
function parse(hash) {
  const [view = '', name = '', rest = ''] = hash.replace(/^#\/?/, '').split('/').map(decoded);
  return { view, name, message: view === 'c' || view === 'room' || view === 'k' ? Number(rest) || 0 : 0, rest };
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

export function go(path, { replace = false } = {}) {
  const hash = `#/${path}`;
  if (replace) {
    history.replaceState(null, '', hash);
    route.value = parse(hash);
  } else location.hash = hash;
}

/** By this a conversation's draft is kept: a person's name, which stays, or a room's number, for its name may change. */
export function chatKey(chat) {
  return chat.name && !chat.room ? `c/${chat.name.toLowerCase()}` : `k/${chat.id}`;
}

/** The address of a conversation, or of a message in it. */
export function chatPath(chat, message = 0) {
  const place = chat.room ? `room/${encodeURIComponent(chat.name)}` : chat.name ? `c/${encodeURIComponent(chat.name)}` : `k/${chat.id}`;
  return message ? `${place}/${message}` : place;
}

// The first thing the page does is to knock at the server that it came from: the connection comes about while all else is made ready, which
// takes as long.

import { address } from './servers.js';

const own = address(location.host, '/ws');
let socket = null;
try {
  socket = new WebSocket(own);
} catch {
  // Whoever connects will find out.
}

/** A socket to that address: the one that is there already, if nobody has it yet. */
export function opened(at) {
  const taken = at === own ? socket : null;
  if (taken) socket = null;
  return taken && taken.readyState <= WebSocket.OPEN ? taken : new WebSocket(at);
}

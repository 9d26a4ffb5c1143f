// The quiet line at the top: no connection, or a cluster that cannot take writes. It waits a moment before it speaks, because most
// changes of server take less time than reading about them.

import { html, useEffect, useState } from '../preact.js';
import { tally } from '../net/outbox.js';
import { connection, outbox, phase } from '../state/app.js';

const PATIENCE_MS = 700;

export function Banner() {
  const state = connection.state.value;
  const condition = connection.condition.value;
  const [late, setLate] = useState(false);
  const away = state === 'reconnecting' || state === 'connecting';
  useEffect(() => {
    setLate(false);
    if (!away) return undefined;
    const timer = setTimeout(() => setLate(true), PATIENCE_MS);
    return () => clearTimeout(timer);
  }, [away]);
  const words = (away && late && lost(state)) || (state === 'online' && CONDITIONS[condition.state]);
  return html`<div role="status" aria-live="polite" class=${words ? `banner ${state === 'online' ? 'bad' : ''}` : 'hidden-visually'}>
    ${words && html`<span class="pulse" aria-hidden="true"></span><span>${words}</span>`}
  </div>`;
}

function lost(state) {
  const words = state === 'reconnecting' ? 'Reconnecting …' : phase.value === 'in' ? 'Connecting …' : 'Looking for a server …';
  const waiting = outbox.version.value >= 0 && tally(outbox.waiting());
  return `${words}${waiting && ` ${waiting} waiting and will be sent.`}`;
}

const CONDITIONS = {
  frozen: 'The cluster is frozen: too few servers are left to go on safely. You can read; what you write is kept here and sent when it goes on.',
  removed: 'This server has left the cluster. The page goes to another one.',
};

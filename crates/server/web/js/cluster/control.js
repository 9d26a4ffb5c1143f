// Killing and starting servers, where `threefold up` runs them on this machine. The server that gave out this page says whether, and
// hands over the address and the token of that `up`'s control endpoint; ordinary servers have nothing to hand over. It is asked when
// the page begins, for no other server tells its page: by the time somebody looks it may be dead.

import { signal } from '../preact.js';

/** Behind the first sight. */
const FIRST_MS = 500;
const AGAIN_MS = 4000;

/** {address, token}; null: nothing can be done from here; undefined: that is not known. */
export const control = signal(undefined);

/** Finds out. */
async function find() {
  try {
    const answer = await fetch('/up', { cache: 'no-store' });
    if (answer.ok) {
      control.value = answer.status === 200 ? await answer.json() : null;
      return;
    }
  } catch {
    // The server of this page is down at the moment.
  }
  setTimeout(find, AGAIN_MS);
}

setTimeout(find, FIRST_MS);

/** `deed`: 'kill' or 'start'. Says why not, if not. */
export async function order(server, deed) {
  const { address, token } = control.value;
  let answer;
  try {
    answer = await fetch(`http://${address}/servers/${encodeURIComponent(server)}/${deed}`, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
  } catch {
    throw new Error('`threefold up` does not answer: has it been stopped?');
  }
  if (answer.status === 401) {
    // Another `up` has taken the place of the one this page knew.
    find();
  }
  if (!answer.ok) throw new Error((await answer.text()).trim() || `it was refused (${answer.status})`);
}

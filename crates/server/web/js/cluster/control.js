// Killing and starting servers, where `threefold up` runs them on this machine. The server that gave out this page says whether, and
// hands over the address and the token of that `up`'s control endpoint; ordinary servers have nothing to hand over.

import { signal } from '../../vendor/preact.js';

const AGAIN_MS = 4000;

/** {address, token}, or null: nothing can be done from here. */
export const control = signal(null);

let known = false;
let timer = 0;

/** Finds out; once it is known, nothing is asked again. */
export async function find() {
  clearTimeout(timer);
  if (known) return;
  try {
    const answer = await fetch('/up', { cache: 'no-store' });
    known = answer.ok;
    control.value = answer.status === 200 ? await answer.json() : null;
  } catch {
    // The server of this page is down at the moment.
  }
  if (!known) timer = setTimeout(find, AGAIN_MS);
}

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
    known = false;
    find();
  }
  if (!answer.ok) throw new Error((await answer.text()).trim() || `it was refused (${answer.status})`);
}

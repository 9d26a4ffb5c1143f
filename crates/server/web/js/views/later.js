// A view whose code is fetched when it is first shown, or before, while there is nothing else to do: the server that gave out the page
// may die.
//
// Browsers ask for a module once: where nobody has answered, its address is of no use any more, nor is that of a module that it needs. So
// it is seen first that the server answers, each try has an address of its own, and at last the page is loaded again, which loses nothing.

import { html, useEffect, useState } from '../preact.js';

const fetched = new Map();
let failures = 0;
/** A server that has not answered by then hangs; or the network is slow, so the next time it has twice as long. */
const PATIENCE_MS = 5000;
const MOST_PATIENCE = 8;
let patience = 1;

/** The view's module; asked for once, and again after a failure. */
export function fetchView(path) {
  const known = fetched.get(path);
  if (known) return known;
  const asked = ask(path);
  fetched.set(path, asked);
  asked.catch(() => fetched.delete(path));
  return asked;
}

async function ask(path) {
  try {
    await fetch('/icon.svg', { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE_MS * patience) });
  } catch (error) {
    // One that refuses takes no time.
    if (error.name === 'TimeoutError') patience = Math.min(MOST_PATIENCE, patience * 2);
    throw error;
  }
  const address = failures ? `${path}?again=${failures}` : path;
  try {
    return await import(address);
  } catch (error) {
    failures += 1;
    throw error;
  }
}

/** `view`: its path and its name. */
export function Later({ view: [path, name] }) {
  const [view, setView] = useState(null);
  const [failed, setFailed] = useState(false);
  const [tries, setTries] = useState(0);
  useEffect(() => {
    let here = true;
    fetchView(path).then(
      (module) => here && setView(() => module[name]),
      () => here && setFailed(true),
    );
    return () => {
      here = false;
    };
  }, [tries]);
  if (view) return html`<${view} />`;
  if (!failed) return null;
  const again = () => {
    setFailed(false);
    setTries(tries + 1);
  };
  return html`<div class="empty" role="alert">
    <h1>This part of the page could not be fetched</h1>
    <p>The server that gave out this page may be down at the moment.</p>
    <button class="button main" onClick=${again}>Try again</button>
    ${tries > 0 && html`<button class="button" onClick=${() => location.reload()}>Load the page again</button>`}
  </div>`;
}

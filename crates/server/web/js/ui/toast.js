// Short words at the bottom edge, for what has no place of its own.

import { html, signal } from '../preact.js';

const SHOWN_MS = 5000;
const toasts = signal([]);

export function say(words) {
  const toast = { words, key: Symbol(words) };
  toasts.value = [...toasts.value.slice(-2), toast];
  setTimeout(() => {
    toasts.value = toasts.value.filter((one) => one !== toast);
  }, SHOWN_MS);
}

let told = false;
/** Said once: what is written lasts no longer than the page. */
export function forgetful() {
  if (!told) say('This browser keeps nothing: leave the page open until everything is sent.');
  told = true;
}

export function Toasts() {
  return html`<div class="toasts" role="status" aria-live="polite">
    ${toasts.value.map((toast) => html`<div class="toast" key=${toast.key} dir="auto">${toast.words}</div>`)}
  </div>`;
}

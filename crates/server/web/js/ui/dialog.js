// Dialogs: the browser's own, so that focus, Escape and what lies behind are as people expect.

import { html, signal, useEffect, useRef } from '../preact.js';
import { Icon } from './icon.js';

export function Dialog({ title, onClose, children, kind = '' }) {
  const element = useRef(null);
  useEffect(() => {
    const dialog = element.current;
    const before = document.activeElement;
    // What had the focus may be gone by then: it stays in the list.
    const around = before.closest('.scroller');
    dialog.showModal();
    return () => {
      dialog.close();
      (before.isConnected ? before : around)?.focus({ preventScroll: true });
    };
  }, []);
  const outside = (event) => event.target === element.current && onClose();
  return html`<dialog ref=${element} class=${kind} aria-label=${title} onCancel=${(event) => {
    event.preventDefault();
    onClose();
  }} onClick=${outside}>
    <div class="dialog-head"><h2 class="grow cut"><bdi>${title}</bdi></h2><button class="icon-button" aria-label="Close" onClick=${onClose}>
      <${Icon} name="close" /></button></div>
    <div class="dialog-body">${children}</div>
  </dialog>`;
}

/** What is open on top of everything: a function that makes it, or null. */
const shown = signal(null);

/** Opens a dialog: `content(close)`. */
export function open(content) {
  shown.value = content;
}

export const close = () => {
  shown.value = null;
};

export function DialogHost() {
  return shown.value && shown.value(close);
}

/** Asks whether it shall be done. */
export function ask({ title, words, action, danger = false }) {
  return new Promise((resolve) => {
    const answer = (yes) => () => {
      close();
      resolve(yes);
    };
    open(() => html`<${Dialog} title=${title} onClose=${answer(false)}>
      <p>${words}</p>
      <div class="dialog-foot">
        <button class="button" onClick=${answer(false)}>Cancel</button>
        <button class=${danger ? 'button danger' : 'button main'} onClick=${answer(true)}>${action}</button>
      </div>
    <//>`);
  });
}

// A small popup beside what opened it: menus and the emoji grid. One at a time; Escape or a click elsewhere closes it, and the focus
// returns.

import { html, signal, useEffect, useLayoutEffect, useRef } from '../preact.js';
import { Icon } from './icon.js';

const current = signal(null);
let opened = 0;

/** `content(close)` makes what is in it. `menu`: arrows go from item to item. */
export function openPopup(anchor, label, content, { menu = false } = {}) {
  const box = anchor.getBoundingClientRect();
  current.value = { anchor, box, label, content, menu, key: ++opened };
}

export function close() {
  const popup = current.value;
  current.value = null;
  // From a message's buttons it goes to the message, where the keys are.
  if (popup?.anchor.isConnected) (popup.anchor.closest('.message') ?? popup.anchor).focus({ preventScroll: true });
}

/** What makes the items of a menu: each closes it, and does something. */
export const menuItems = (close) => (icon, words, action, danger) => html`<button class="option ${danger ? 'danger' : ''}" role="menuitem" onClick=${() => {
  close();
  action();
}}><${Icon} name=${icon} size=${18} />${words}</button>`;

export function PopupHost() {
  const popup = current.value;
  return popup && html`<${Popup} key=${popup.key} popup=${popup} />`;
}

function Popup({ popup }) {
  const element = useRef(null);
  useLayoutEffect(() => {
    const { width, height } = element.current.getBoundingClientRect();
    const { box } = popup;
    const left = Math.min(Math.max(8, box.right - width), innerWidth - width - 8);
    const below = box.bottom + 6 + height < innerHeight;
    const top = below ? box.bottom + 6 : Math.max(8, box.top - height - 6);
    Object.assign(element.current.style, { left: `${left}px`, top: `${top}px` });
    element.current.querySelector('button, input, a')?.focus({ preventScroll: true });
  }, []);
  useEffect(() => {
    const elsewhere = (event) => !element.current?.contains(event.target) && close();
    const timer = setTimeout(() => addEventListener('pointerdown', elsewhere), 0);
    // The height alone changes when a phone's keyboard goes.
    const width = innerWidth;
    const resized = () => innerWidth !== width && close();
    addEventListener('resize', resized);
    return () => {
      clearTimeout(timer);
      removeEventListener('pointerdown', elsewhere);
      removeEventListener('resize', resized);
    };
  }, []);
  const onKeyDown = (event) => {
    if (event.key === 'Escape' || (event.key === 'Tab' && popup.menu)) {
      event.preventDefault();
      event.stopPropagation();
      close();
      return;
    }
    const buttons = [...element.current.querySelectorAll('button:not(:disabled)')];
    const at = buttons.indexOf(document.activeElement);
    const columns = popup.menu ? 1 : 8;
    const step = { ArrowDown: columns, ArrowUp: -columns, ...(popup.menu ? {} : { ArrowRight: 1, ArrowLeft: -1 }) }[event.key];
    if (step && at >= 0) {
      event.preventDefault();
      buttons[(at + step + buttons.length) % buttons.length]?.focus();
    }
  };
  return html`<div ref=${element} class="popup" style=${{ position: 'fixed', zIndex: 25 }} role=${popup.menu ? 'menu' : 'dialog'}
    aria-label=${popup.label} onKeyDown=${onKeyDown}>
    ${popup.content(close)}
  </div>`;
}

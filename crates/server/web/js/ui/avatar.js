// Whose it is, at a glance: initials on a colour that follows from the name.

import { html } from '../preact.js';

function hueOf(text) {
  let hash = 7;
  for (const sign of text.toLowerCase()) hash = (hash * 31 + sign.codePointAt(0)) % 3600;
  return hash % 360;
}

function initials(name) {
  const words = name.split(/[\s._-]+/).filter(Boolean);
  const [first = '?', second = ''] = words;
  const [one] = first;
  const [two = ''] = second || first.slice(one.length);
  return (one + two).toUpperCase();
}

export function Avatar({ name, room = false, online = false, size = '', by = name }) {
  if (room) return html`<span class="avatar room ${size}" aria-hidden="true">#</span>`;
  return html`<span class="avatar ${size}" style=${{ '--hue': hueOf(by || '?') }} aria-hidden="true">
    ${name ? initials(name) : '–'}${online && html`<span class="presence"></span>`}
  </span>`;
}

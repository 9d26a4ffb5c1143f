// Emoji to pick from.

import { html, useState } from '../preact.js';
import { GROUPS, findEmoji } from '../text/emoji.js';

export function EmojiGrid({ choose }) {
  const [query, setQuery] = useState('');
  const shown = query ? [findEmoji(query, 64)] : GROUPS;
  return html`<div class="stack" style=${{ gap: '.35rem' }}>
    <div>
      ${shown.map((group) => html`<div class="emoji-grid">
        ${group.map(({ emoji, words }) => html`<button key=${emoji} type="button" aria-label=${words[0].replaceAll('_', ' ')} title=${words[0]}
          onClick=${() => choose(emoji)}>${emoji}</button>`)}
      </div>`)}
      ${query && shown[0].length === 0 && html`<p class="soft small">No emoji is called so.</p>`}
    </div>
    <input class="input" type="search" placeholder="Find an emoji" aria-label="Find an emoji" value=${query} onInput=${(event) => setQuery(event.target.value)} />
  </div>`;
}

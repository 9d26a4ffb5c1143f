// What stands beside the list while nothing is open; for newcomers, what to do first.

import { html } from '../preact.js';
import { chats, me } from '../state/app.js';
import { Icon } from '../ui/icon.js';

export function Welcome() {
  const started = chats.version.value >= 0 && chats.map.size > 0;
  if (!chats.loaded.value) return html`<div class="empty" aria-busy="true"></div>`;
  if (started) {
    return html`<div class="empty">
      <span class="art"><${Icon} name="logo" size=${72} /></span>
      <h1>Choose a conversation</h1>
      <p>or <a href="#/new">begin a new one</a>.</p>
    </div>`;
  }
  return html`<div class="empty">
    <span class="art"><${Icon} name="logo" size=${72} /></span>
    <h1>Welcome, <bdi>${me.value.name}</bdi></h1>
    <p>Nothing has been said yet. Here is how to begin:</p>
    <ol class="steps">
      <li><span><a href="#/new">Find somebody</a> by their name and write to them. Nobody else here? Open this page in another browser and make a second account.</span></li>
      <li><span><a href="#/rooms">Make a room</a>, or join one that is public, to talk with many.</span></li>
      <li><span>Look at <a href="#/cluster">the cluster</a>: stop a server there and go on talking. Nothing is lost.</span></li>
    </ol>
  </div>`;
}

// Beginning a conversation: whom to write to.

import { html, useEffect, useRef, useState } from '../preact.js';
import { me, people } from '../state/app.js';
import { Page } from './page.js';
import { PersonRow } from './person_row.js';

const PAUSE_MS = 150;

export function NewChat() {
  const [query, setQuery] = useState('');
  const [found, setFound] = useState(null);
  const [fault, setFault] = useState('');
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  useEffect(() => {
    let here = true;
    const timer = setTimeout(() => {
      people.find(query.trim().replace(/^@/, ''), 50).then(
        (accounts) => here && (setFound(accounts), setFault('')),
        (error) => here && setFault(error.message),
      );
    }, query ? PAUSE_MS : 0);
    return () => {
      here = false;
      clearTimeout(timer);
    };
  }, [query]);
  const others = found?.filter((account) => !account.disabled && account.account !== me.value.account);
  return html`<${Page} title="New conversation">
    <div class="field"><label for="whom">With whom?</label>
      <input id="whom" ref=${field} class="input" type="search" placeholder="A name, or a part of it" autocomplete="off" value=${query}
        onInput=${(event) => setQuery(event.target.value)} /></div>
    <p class="fault" role="alert">${fault}</p>
    <ul class="list" aria-label="People" aria-busy=${found ? undefined : 'true'}>
      ${others?.map((account) => html`<${PersonRow} key=${account.account} account=${account} href=${`#/c/${encodeURIComponent(account.name)}`} />`)}
    </ul>
    ${others?.length === 0 && html`<p class="soft">
      ${query ? 'Nobody is called so.' : 'You are the only one here so far. Open this page in another browser, or ask somebody to come.'}</p>`}
    <p class="soft small" style=${{ marginTop: '1.5rem' }}>To talk with several, <a href="#/rooms">make a room</a>. For notes to yourself, <a
      href=${`#/c/${encodeURIComponent(me.value.name)}`}>write to yourself</a>.</p>
  <//>`;
}

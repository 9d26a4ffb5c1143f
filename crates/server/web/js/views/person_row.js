// A person: in a list, and beside their name.

import { html, useEffect, useState } from '../preact.js';
import { connection, people } from '../state/app.js';
import { same } from '../state/chats.js';
import { go } from '../state/route.js';
import { ago } from '../text/time.js';
import { Avatar } from '../ui/avatar.js';
import { Icon } from '../ui/icon.js';
import { openPopup } from '../ui/popup.js';

export function PersonRow({ account, href, children }) {
  const title = account.display_name || account.name;
  const about = [account.display_name && `@${account.name}`, botOf(account), account.online ? 'online' : account.last_seen_ms && `last seen ${ago(account.last_seen_ms)}`].filter(Boolean).join(' · ');
  const inside = html`<${Avatar} name=${title} by=${account.name} online=${account.online} />
    <span class="grow"><bdi class="cut block strong">${title}</bdi><span class="soft small cut block">${about}</span></span>`;
  return html`<li>${href ? html`<a class="row grow" href=${href}>
    ${inside}</a>` : html`<span class="row grow" style=${{ gap: '.75rem' }}>${inside}</span>`}${children}</li>`;
}

/** Programs are told from people. */
export const botOf = ({ bot, owner_name: owner }) => bot && (owner ? `bot of ${owner}` : 'bot');

/** What the servers know of somebody; empty while that is not known. Asked again when they come or go. */
export function useAccount(name) {
  const [account, setAccount] = useState({});
  const online = people.isOnline(name);
  const away = connection.state.value !== 'online';
  useEffect(() => {
    if (away || !name) return undefined;
    let here = true;
    people.search(name, 50).then((found) => here && setAccount(found.find((one) => same(one.name, name)) ?? {}), () => {});
    return () => {
      here = false;
    };
  }, [name, online, away]);
  return account;
}

/** Who somebody is, and the way to write to them. */
export function showPerson(anchor, name) {
  openPopup(anchor, name, (close) => html`<${Person} name=${name} close=${close} />`);
}

export const writeTo = (name) => go(`c/${encodeURIComponent(name)}`);

function Person({ name, close }) {
  const account = { name, display_name: people.met.get(name.toLowerCase())?.display_name, online: people.isOnline(name), ...useAccount(name) };
  return html`<ul class="list" style=${{ padding: '0 .6rem' }}><${PersonRow} account=${account} /></ul>
    <button class="option" onClick=${() => {
      close();
      writeTo(name);
    }}><${Icon} name="send" size=${18} />Write to them</button>`;
}

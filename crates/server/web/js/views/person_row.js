// A person in a list.

import { html } from '../../vendor/preact.js';
import { ago } from '../text/time.js';
import { Avatar } from '../ui/avatar.js';

export function PersonRow({ account, href, children }) {
  const title = account.display_name || account.name;
  const about = [account.display_name && `@${account.name}`, account.online ? 'online' : account.last_seen_ms && `last seen ${ago(account.last_seen_ms)}`].filter(Boolean).join(' · ');
  const inside = html`<${Avatar} name=${title} by=${account.name} online=${account.online} />
    <span class="grow"><bdi class="cut" style=${{ display: 'block', fontWeight: 550 }}>${title}</bdi><span class="soft small cut"
      style=${{ display: 'block' }}>${about}</span></span>`;
  return html`<li>${href ? html`<a class="row grow" style=${{ color: 'inherit', textDecoration: 'none', gap: '.75rem' }} href=${href}>
    ${inside}</a>` : html`<span class="row grow" style=${{ gap: '.75rem' }}>${inside}</span>`}${children}</li>`;
}

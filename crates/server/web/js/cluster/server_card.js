// One server: what it is at the moment, where its log stands, and, beside `up`, what one can do to it.

import { html, useState } from '../preact.js';
import { alike } from '../net/servers.js';
import { connection } from '../state/app.js';
import { say } from '../ui/toast.js';
import { isUp, lagOf, standing, termOf } from './changes.js';
import { control, order } from './control.js';
import { samples, tell } from './watch.js';

/** The bar of the log shows at least so many entries: less behind than that is hardly seen. */
const LEAST_ENTRIES = 100;

export function Server({ status, server, old }) {
  const { word, tone, words } = standing(status, server, old);
  const up = isUp(server) && !old;
  const here = connection.state.value === 'online' && alike(connection.server.value) === alike(server.client_address ?? '');
  const id = `server-${server.name}`;
  return html`<li class="server ${up ? '' : 'gone'}" aria-labelledby=${id} data-server=${server.name} data-standing=${word}>
    <div class="row">
      <span class="beacon ${tone}" aria-hidden="true"></span>
      <h3 id=${id} class="cut grow"><bdi>${server.name}</bdi></h3>
      <span class="tag ${tone}">${word}</span>
    </div>
    <${Log} status=${status} server=${server} up=${up} words=${words} />
    ${here && html`<p class="small here">This page talks with it</p>`}
    <dl class="facts">
      <${Fact} name="Address">${server.client_address}<//>
      ${up &&
      html`<${Fact} name="Term">${termOf(server)}<//>
        <${Fact} name="Process">${server.pid}<//>
        <${Fact} name="Up for">${duration(server.uptime_ms ?? 0)}<//>
        <${Fact} name="Clients">${server.clients ?? 0}<//>`}
    </dl>
    ${control.value && html`<${Deeds} name=${server.name} up=${up} />`}
  </li>`;
}

function Fact({ name, children }) {
  return html`<div><dt>${name}</dt><dd class="cut">${children}</dd></div>`;
}

/** How much of the log is applied, of what the newest server has. */
function Log({ status, server, up, words }) {
  const lag = lagOf(status, server);
  const greatest = Math.max(LEAST_ENTRIES, ...samples.value.flatMap((sample) => Object.values(sample.lags)));
  const part = up ? Math.max(0, 100 - (lag / greatest) * 100) : 0;
  const at = (server.applied_index ?? 0).toLocaleString();
  const said = up ? ` · log applied up to ${at}` : '';
  return html`<div class="log">
    <p class="small soft">${words}${said}</p>
    <div class="log-bar" aria-hidden="true"><span style=${{ width: `${part}%` }}></span></div>
  </div>`;
}

function Deeds({ name, up }) {
  const [busy, setBusy] = useState('');
  const act = (deed) => async () => {
    setBusy(deed);
    tell('page', deed === 'kill' ? `You killed ${name}` : `You started ${name}`);
    try {
      await order(name, deed);
    } catch (error) {
      tell('warning', `It could not be done: ${error.message}`);
      say(error.message);
    }
    setBusy('');
  };
  return html`<div class="deeds">
    <button class="button slim danger" disabled=${!up || Boolean(busy)} onClick=${act('kill')}>Kill<span class="hidden-visually"> ${name}</span></button>
    <button class="button slim" disabled=${up || Boolean(busy)} onClick=${act('start')}>Start<span class="hidden-visually"> ${name}</span></button>
  </div>`;
}

/** "12 s", "3 min", "2 h 5 min", "4 d 2 h". */
function duration(ms) {
  const seconds = Math.floor(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 24 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} d ${hours % 24} h`;
}

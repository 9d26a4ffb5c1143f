// The cluster, watched: its servers as they are now, a minute of figures, what happened; beside `up`, buttons that kill and start servers,
// and a conversation that counts itself meanwhile. It shows what `threefold status` prints, from the same answer.

import { html, useEffect, useState } from '../preact.js';
import { connection, me } from '../state/app.js';
import { Icon } from '../ui/icon.js';
import { Toasts } from '../ui/toast.js';
import { leaderOf, termOf, toneOf } from './changes.js';
import { Chart } from './chart.js';
import { control } from './control.js';
import { Counter } from './counter.js';
import { Server } from './server_card.js';
import { events, OLD_MS, samples, seenAt, status, watch } from './watch.js';

const TICK_MS = 500;

export function ClusterPage() {
  const [now, setNow] = useState(Date.now());
  useEffect(() => {
    const ticking = setInterval(() => setNow(Date.now()), TICK_MS);
    const unwatch = watch();
    return () => {
      clearInterval(ticking);
      unwatch();
    };
  }, []);
  const found = status.value;
  const old = now - seenAt.value > OLD_MS;
  return html`<header class="head">
      <a class="icon-button ${me.value ? 'only-narrow' : ''}" href="#/" aria-label=${me.value ? 'Back to the list' : 'Back to signing in'}><${Icon} name="back" /></a>
      <h1 class="grow cut">The cluster</h1>
    </header>
    <div class="page" tabindex="-1">
      <div class="cluster">
        ${found ? html`<${State} status=${found} now=${now} old=${old} />` : html`<p class="soft" role="status">Asking the servers …</p>`}
        ${found &&
        html`<ul class="servers" aria-label="Servers">
          ${found.servers.map((server) => html`<${Server} key=${server.id || server.name} status=${found} server=${server} old=${old} />`)}
        </ul>`}
        <div class="halves">
          <${Counter} />
          <${Timeline} />
        </div>
        ${found && html`<${Figures} now=${Math.max(now, seenAt.value)} />`}
        ${control.value === null && html`<p class="soft small">On one machine, <code>threefold up</code> gives this page buttons that kill and start each server.</p>`}
      </div>
    </div>
    ${!me.value && html`<${Toasts} />`}`;
}

function State({ status, now, old }) {
  const leader = leaderOf(status);
  const tone = old ? 'bad' : toneOf(status.state);
  const seconds = Math.round((now - seenAt.value) / 1000);
  return html`<section class="state ${tone}" aria-labelledby="the-state">
    <span class="beacon large ${tone}" aria-hidden="true"></span>
    <div class="grow">
      <h2 id="the-state">${old ? 'No server answers' : TITLES[status.state] ?? status.state}</h2>
      <p>${old ? `Looking for one that lives. What is shown is ${seconds} seconds old.` : sentence(status.detail)}</p>
      ${!old && html`<p class="small soft">
        ${leader ? html`<bdi>${leader.name}</bdi> leads in term ${termOf(leader)}` : 'Nobody leads'}${connection.state.value === 'online' ? ` · seen through ${connection.server.value}` : ''}${leader?.version ? ` · version ${leader.version}` : ''}
      </p>`}
    </div>
  </section>`;
}

const TITLES = { normal: 'All is well', degraded: 'Degraded, and going on', 'sole survivor': 'Sole survivor', frozen: 'Frozen', removed: 'This server was removed' };

function sentence(words = '') {
  return words ? `${words[0].toUpperCase()}${words.slice(1)}${/[.!?]$/.test(words) ? '' : '.'}` : '';
}

function Figures({ now }) {
  const list = samples.value;
  const points = (value) => list.map((sample) => ({ at: sample.at, value: value(sample) }));
  const marks = events.value.filter((event) => event.tone === 'bad' || event.tone === 'lead');
  return html`<section class="figures" aria-label="The last minute">
    <${Chart} title="Commits" unit="writes/s" now=${now} marks=${marks} least=${10} lines=${[{ name: 'rate', points: points((sample) => sample.rate) }]} />
    <${Chart} title="Commit latency" unit="ms" now=${now} marks=${marks} least=${1}
      lines=${[{ name: 'the slowest of a hundred', faint: true, points: points((sample) => sample.tail) }, { name: 'half of them', points: points((sample) => sample.latency) }]} />
    <${Chart} title="Furthest behind" unit="entries" now=${now} marks=${marks} least=${10} lines=${[{ name: 'lag', points: points((sample) => Math.max(0, ...Object.values(sample.lags))) }]} />
  </section>`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', second: '2-digit' });

function Timeline() {
  const list = events.value;
  return html`<section class="card timeline" aria-labelledby="what-happened">
    <h2 id="what-happened">What happened</h2>
    ${list.length === 0 && html`<p class="soft small">Nothing since this page looks: deaths, elections and returns will stand here.</p>`}
    <div class="told" role="log" aria-labelledby="what-happened" tabindex=${list.length > 0 ? '0' : undefined}><ol>
      ${list.map((event) => html`<li key=${event.key}>
        <span class="beacon ${event.tone}" aria-hidden="true"></span>
        <span>${event.words}</span>
        <time class="soft">${clock.format(event.at)}</time>
      </li>`)}
    </ol></div>
  </section>`;
}

// The counters of the conversation that shows the promise, and what they come to.

import { html } from '../preact.js';
import { me } from '../state/app.js';
import { control } from './control.js';
import { begin, counts, end, stage } from './promise.js';

export function Counter() {
  const now = stage.value;
  const tally = counts.value;
  const running = ['beginning', 'talking', 'ending', 'leaving'].includes(now);
  return html`<section class="card promise" aria-labelledby="the-promise" data-stage=${now}>
    <h2 id="the-promise">The promise, counted</h2>
    <p class="soft">Two accounts made for this talk, ten messages a second. ${control.value ? 'Kill servers meanwhile' : 'Servers may die meanwhile'}: whatever is acknowledged is delivered, once and in order.</p>
    <dl class="counts">
      <${Count} name="Sent" value=${tally.sent} of=${tally.sent} />
      <${Count} name="Acknowledged" value=${tally.acknowledged} of=${tally.sent} />
      <${Count} name="Delivered" value=${tally.delivered} of=${tally.sent} />
    </dl>
    <p class="verdict small" role="status">${verdict(now, tally)}</p>
    <div class="row">
      ${me.value || running
        ? html`<button class="button ${running ? '' : 'main'}" disabled=${running && now !== 'talking'} onClick=${running ? end : begin}>
            ${running ? 'Stop' : tally.began ? 'Talk again' : 'Let them talk'}
          </button>`
        : html`<p class="small">It needs somebody who is signed in: <a href="#/">sign in</a> first.</p>`}
    </div>
  </section>`;
}

function Count({ name, value, of }) {
  return html`<div>
    <dt>${name}</dt>
    <dd>${value.toLocaleString()}</dd>
    <dd class="meter" aria-hidden="true"><span style=${{ width: `${of ? (100 * value) / of : 0}%` }}></span></dd>
  </div>`;
}

function verdict(now, tally) {
  const faults = [tally.doubled && `${tally.doubled} doubled`, tally.disordered && `${tally.disordered} out of order`, tally.refused && `${tally.refused} refused: ${tally.why}`].filter(Boolean);
  const pause = tally.longest ? ` The longest pause between two was ${(tally.longest / 1000).toFixed(1)} s.` : '';
  if (faults.length) return `This must not be: ${faults.join(', ')}.`;
  if (now === 'beginning') return 'The two come in …';
  if (now === 'ending') return `Waiting for the last ${tally.sent - tally.delivered || 'one'} …`;
  if (now === 'talking') {
    const open = tally.sent - tally.acknowledged;
    return `${open > 12 ? `${open} wait to be acknowledged: they are kept, and said again. ` : 'Nothing doubled, nothing out of order. '}${pause}`;
  }
  if (now === 'ended' && tally.why) return `It came to nothing: ${tally.why}`;
  if (now === 'ended' || now === 'leaving') return `All ${tally.sent.toLocaleString()} arrived, each once and in order.${pause}`;
  return 'Nothing was said yet.';
}

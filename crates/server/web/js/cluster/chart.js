// A small chart of the last minute: lines over time, in SVG, newest at the right.

import { h, html } from '../preact.js';
import { WINDOW_MS } from './watch.js';

const WIDTH = 300;
const HEIGHT = 64;
const ROOM = 3;

/** The next of 1, 2, 5, 10, 20, ... that is not below. */
function ceiling(value) {
  const power = 10 ** Math.floor(Math.log10(Math.max(value, 1e-9)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= value) ?? value;
}

export function number(value) {
  if (value >= 100 || Number.isInteger(value)) return Math.round(value).toLocaleString();
  if (value >= 10) return value.toFixed(0);
  return value.toFixed(value >= 1 ? 1 : 2);
}

/**
 * `lines`: [{name, points: [{at, value}], faint}]; the last one is filled. `marks`: [{at, tone}]. `least`: what the scale reaches at least.
 */
export function Chart({ title, unit, lines, marks = [], now, least = 1 }) {
  const values = lines.flatMap((line) => line.points.map((point) => point.value));
  const top = ceiling(Math.max(least, ...values));
  const x = (at) => WIDTH - ((now - at) / WINDOW_MS) * WIDTH;
  const y = (value) => HEIGHT - ROOM - (value / top) * (HEIGHT - 2 * ROOM);
  const path = (points) => points.map((point, place) => `${place ? 'L' : 'M'}${x(point.at).toFixed(1)} ${y(point.value).toFixed(1)}`).join('');
  const main = lines[lines.length - 1];
  const newest = main.points[main.points.length - 1]?.value ?? 0;
  const greatest = Math.max(0, ...main.points.map((point) => point.value));
  const said = `${title}: ${number(newest)} ${unit} now, at most ${number(greatest)} in the last minute`;
  const shown = marks.filter((mark) => now - mark.at < WINDOW_MS);
  return html`<figure class="chart">
    <figcaption><span>${title}</span><strong>${number(newest)} <small>${unit}</small></strong></figcaption>
    ${h(
      'svg',
      { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: 'none', role: 'img', 'aria-label': said },
      h('line', { class: 'grid', x1: 0, x2: WIDTH, y1: y(0), y2: y(0) }),
      h('line', { class: 'grid', x1: 0, x2: WIDTH, y1: y(top), y2: y(top) }),
      shown.map((mark) => h('line', { key: mark.key, class: `mark ${mark.tone}`, x1: x(mark.at), x2: x(mark.at), y1: 0, y2: HEIGHT })),
      lines.map((line) => line.points.length > 1 && h('path', { key: line.name, class: line.faint ? 'line faint' : 'line', d: path(line.points) })),
      main.points.length > 1 && h('path', { class: 'area', d: `${path(main.points)}L${x(main.points[main.points.length - 1].at).toFixed(1)} ${y(0)}L${x(main.points[0].at).toFixed(1)} ${y(0)}Z` }),
    )}
    <div class="scale" aria-hidden="true"><span>60 s ago</span><span>scale to ${number(top)}</span></div>
  </figure>`;
}

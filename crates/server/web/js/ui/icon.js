// The icons: strokes on a field of 24 by 24.

import { h } from '../preact.js';

const PATHS = {
  logo: 'M3 9.2 12 4l9 5.2-9 5.2zM3 14.2l9 5.2 9-5.2',
  search: 'M10.5 17a6.5 6.5 0 1 0 0-13 6.5 6.5 0 0 0 0 13zM20 20l-4.8-4.8',
  plus: 'M12 5v14M5 12h14',
  back: 'M15 5l-7 7 7 7',
  close: 'M6 6l12 12M18 6 6 18',
  send: 'M5 12h13M12.5 6l6 6-6 6',
  emoji: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM8.5 14.5c1.8 2 5.2 2 7 0M9 9.5h.01M15 9.5h.01',
  attach: 'M19.5 11.5 12 19a4.6 4.6 0 0 1-6.5-6.5l7.8-7.8a3.1 3.1 0 0 1 4.4 4.4l-7.7 7.7a1.6 1.6 0 0 1-2.3-2.2l7-7',
  reply: 'M9 6 4 11l5 5M4.5 11H14a6 6 0 0 1 6 6v1',
  edit: 'M4 20h4L19 9l-4-4L4 16zM13 7l4 4',
  trash: 'M5 7h14M10 7V4.5h4V7M7 7l1 13h8l1-13M10.5 11v5.5M13.5 11v5.5',
  more: 'M5.5 12h.01M12 12h.01M18.5 12h.01',
  settings: 'M4 7h9M17 7h3M4 17h3M11 17h9M15 9.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5zM9 19.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5z',
  down: 'M12 5v14M6 13l6 6 6-6',
  check: 'M5 12.5l4.5 4.5L19 7.5',
  seen: 'M2.5 12.5 7 17l9-9.5M12 15l2 2 8-9.5',
  clock: 'M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18zM12 7.5V12l3 2',
  warning: 'M12 4 2.8 20h18.4zM12 10v4.5M12 17.2h.01',
  lock: 'M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3',
  people: 'M9 11.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7zM2.5 20c.4-3.7 3-5.5 6.5-5.5s6.1 1.8 6.5 5.5M16 5a3.3 3.3 0 0 1 0 6.3M18 15c2 .7 3.2 2.4 3.5 5',
  file: 'M6 3h8l4 4v14H6zM14 3v4h4',
  copy: 'M8 8h12v12H8zM16 8V4H4v12h4',
  shield: 'M12 3l7.5 2.8V11c0 5-3 8.5-7.5 10-4.5-1.5-7.5-5-7.5-10V5.8z',
  leave: 'M14 4H5v16h9M10 12h10M16.5 8l4 4-4 4',
  download: 'M12 4v11M7 10.5l5 5 5-5M5 20h14',
};

/** An icon; it says nothing to screen readers, its button does. */
export function Icon({ name, size = 20 }) {
  return h(
    'svg',
    { width: size, height: size, viewBox: '0 0 24 24', fill: 'none', stroke: 'currentColor', 'stroke-width': name === 'more' ? 2.6 : 1.8, 'stroke-linecap': 'round', 'stroke-linejoin': 'round', 'aria-hidden': 'true' },
    h('path', { d: PATHS[name] }),
  );
}

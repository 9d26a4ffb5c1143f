// How the page looks: light, dark, or as the system does.

import { signal } from '../preact.js';
import { recall, remember } from '../net/storage.js';

/** 'system', 'light', 'dark' */
export const theme = signal(recall('look', {}).theme ?? 'system');

/** There is room for the list or for what is open, not for both. */
const query = matchMedia('(max-width: 46rem)');
export const narrow = signal(query.matches);
query.addEventListener('change', () => {
  narrow.value = query.matches;
});

export function applyLook() {
  const root = document.documentElement;
  if (theme.value === 'light' || theme.value === 'dark') root.dataset.theme = theme.value;
  else delete root.dataset.theme;
}

export function chooseTheme(choice) {
  theme.value = choice;
  remember('look', { ...recall('look', {}), theme: choice });
  applyLook();
}

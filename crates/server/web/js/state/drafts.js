// What is being written, kept for each conversation until it is sent: {text, reply, files}.

import { signal } from '../../vendor/preact.js';
import { recall, remember } from '../net/storage.js';

/** Grows when a draft begins or ends to be there. */
export const draftsVersion = signal(0);

export function draft(key) {
  return recall(`draft:${key}`) ?? { text: '', reply: 0, files: [] };
}

/** What was kept under another key, before it was known what conversation it is. */
export function moveDraft(from, to) {
  const kept = recall(`draft:${from}`);
  if (!kept) return;
  if (!recall(`draft:${to}`)) remember(`draft:${to}`, kept);
  remember(`draft:${from}`, null);
  draftsVersion.value += 1;
}

export function keepDraft(key, value) {
  const there = value.text.trim() !== '' || value.files.length > 0 || value.reply;
  const before = recall(`draft:${key}`) !== null;
  remember(`draft:${key}`, there ? value : null);
  if (Boolean(there) !== before) draftsVersion.value += 1;
}

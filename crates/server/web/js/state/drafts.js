// What is being written, kept for each conversation until it is sent: {text, reply, files}.

import { signal } from '../../vendor/preact.js';
import { recall, remember } from '../net/storage.js';
import { forgetful } from '../ui/toast.js';

/** Grows when a draft begins or ends to be there. */
export const draftsVersion = signal(0);

export function draft(key) {
  return recall(`draft:${key}`) ?? { text: '', reply: 0, files: [] };
}

export function keepDraft(key, value) {
  const there = value.text.trim() !== '' || value.files.length > 0 || value.reply;
  const before = recall(`draft:${key}`) !== null;
  if (!remember(`draft:${key}`, there ? value : null)) forgetful();
  if (Boolean(there) !== before) draftsVersion.value += 1;
}

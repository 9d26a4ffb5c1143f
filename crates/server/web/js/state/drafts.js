// What is being written, kept for each conversation until it is sent: {text, reply, files, edit}; `edit` is the message that is being
// edited, with its new text in `draft`. All tabs have the same.

import { signal } from '../preact.js';
import { onChangedElsewhere, recall, remember } from '../net/storage.js';
import { forgetful } from '../ui/toast.js';

/** Grows when a draft begins or ends to be there. */
export const draftsVersion = signal(0);

export function draft(key) {
  return recall(`draft:${key}`) ?? { text: '', reply: 0, files: [] };
}

export function keepDraft(key, value) {
  const there = value.text.trim() !== '' || value.files.length > 0 || value.reply || value.edit;
  const before = recall(`draft:${key}`) !== null;
  if (!remember(`draft:${key}`, there ? value : null)) forgetful();
  if (Boolean(there) !== before) draftsVersion.value += 1;
}

onChangedElsewhere('draft:', () => {
  draftsVersion.value += 1;
});

/** Calls back when another tab has gone on with a draft; until what it returns is called. */
export function onDraftElsewhere(key, listener) {
  return onChangedElsewhere(`draft:${key}`, (name) => name === `draft:${key}` && listener(draft(key)));
}

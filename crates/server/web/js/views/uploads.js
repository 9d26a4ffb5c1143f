// Files on their way up, for the composer: added, shown with their progress, taken back, tried again.

import { effect, html, signal, useRef } from '../preact.js';
import { connection, phase } from '../state/app.js';
import { draft, keepDraft } from '../state/drafts.js';
import { upload } from '../net/files.js';
import { wouldLose } from '../net/storage.js';
import { size } from '../text/time.js';
import { Icon } from '../ui/icon.js';
import { say } from '../ui/toast.js';

const MOST = 10;
let lastKey = 0;

/** The files of each conversation's draft: a signal with a list. They go on while another conversation is looked at. */
const lists = new Map();

effect(() => {
  if (phase.value === 'in') return;
  for (const list of lists.values()) for (const entry of list.peek()) entry.stop?.abort();
  lists.clear();
});

// What is on its way up, or what the browser does not keep, would be lost with the page.
addEventListener('beforeunload', (event) => {
  const busy = [...lists.values()].some((list) => list.peek().some((one) => !one.file && !one.why));
  if (busy || wouldLose()) event.preventDefault();
});

/** `kept`: files that were up already when the draft was kept. */
export function useUploads(place, kept) {
  if (!lists.has(place)) lists.set(place, signal([]));
  const held = lists.get(place);
  const done = useRef(null);
  const take = (files) => {
    const entries = files.map((file) => ({ key: `k${file.attachment}`, name: file.name, bytes: file.bytes, part: 1, file }));
    held.value = [...entries, ...held.peek().filter((one) => !one.file)];
  };
  if (!done.current) {
    // Another tab may have changed the draft since.
    take(kept);
    done.current = kept;
  }
  const list = held.value;
  const set = (change) => {
    held.value = change(held.value);
  };
  const patch = (key, change) => set((all) => all.map((one) => (one.key === key ? { ...one, ...change } : one)));

  const begin = async (entry) => {
    const { largestFile } = connection;
    if (largestFile && entry.bytes > largestFile) {
      patch(entry.key, { why: `Too large: at most ${size(largestFile)}.` });
      return;
    }
    patch(entry.key, { why: '', part: 0 });
    try {
      const file = await upload(entry.source, (part) => patch(entry.key, { part }), entry.stop.signal);
      patch(entry.key, { part: 1, file });
      // Perhaps nobody looks on: the draft has it all the same.
      if (lists.get(place) === held) keepDraft(place, { ...draft(place), files: ready(held.value) });
    } catch (error) {
      if (error.code !== 'cancelled') patch(entry.key, { why: error.message });
    }
  };
  const add = (files) => {
    const room = MOST - held.value.length;
    if (files.length > room) say(`A message takes at most ${MOST} files.`);
    const fresh = files.slice(0, Math.max(0, room)).map((source) => ({ key: ++lastKey, name: source.name || 'picture.png', bytes: source.size, part: 0, source, stop: new AbortController() }));
    set((all) => [...all, ...fresh]);
    for (const entry of fresh) begin(entry);
  };
  const remove = (entry) => {
    entry.stop?.abort();
    set((all) => all.filter((one) => one.key !== entry.key));
    if (entry.file) connection.call('discard_attachment', { attachment: entry.file.attachment }).catch(() => {});
  };
  // The same array while nothing has changed, so that the draft is not kept again for every bit of progress.
  const files = ready(list);
  if (files.length !== done.current.length || files.some((file, place) => file !== done.current[place])) done.current = files;
  const failed = list.some((one) => one.why);
  return { list, done: done.current, failed, busy: list.some((one) => !one.file && !one.why), add, remove, take, retry: begin, clear: () => set(() => []) };
}

function ready(list) {
  return list.filter((one) => one.file).map((one) => one.file);
}

export function Uploads({ uploads }) {
  if (uploads.list.length === 0) return null;
  return html`<ul class="uploads" aria-label="Files to send">
    ${uploads.list.map((entry) => html`<li class="upload" key=${entry.key}>
      <${Icon} name="file" size=${18} />
      <span class="cut" title=${entry.name}><bdi>${entry.name}</bdi><br /><span class=${entry.why ? 'fault' : 'soft'}>${entry.why || size(entry.bytes)}</span></span>
      <span class="row" style=${{ gap: 0 }}>
        ${entry.why && html`<button class="link-button" onClick=${() => uploads.retry(entry)}>Retry</button>`}
        <button class="icon-button" aria-label=${`Remove ${entry.name}`} onClick=${() => uploads.remove(entry)}><${Icon} name="close" size=${16} /></button>
      </span>
      ${!entry.file && !entry.why && html`<progress max="1" value=${entry.part} aria-label=${`${entry.name} is being sent up`}></progress>`}
    </li>`)}
  </ul>`;
}

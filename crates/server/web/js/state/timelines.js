// The windows of the conversations that were open lately, so that going back to one is instant.

import { effect, untracked } from '../preact.js';
import { anew, connection, me, onEvent, people, phase } from './app.js';
import { Timeline } from './timeline.js';

const KEPT = 8;
const kept = new Map();

onEvent((event) => {
  for (const timeline of kept.values()) timeline.apply(event);
});

effect(() => {
  if (phase.value !== 'in') kept.clear();
});

// What is shown is looked at again, around the place where it is.
effect(() => {
  if (anew.value === 0) return;
  untracked(() => {
    for (const timeline of kept.values()) timeline.load(timeline.sight?.() ?? 0);
  });
});

/** The window of a conversation: `key` names it for as long as it is open. */
export function timelineOf(key, place, id) {
  let timeline = kept.get(key);
  if (!timeline) timeline = new Timeline(place, id, { connection, me, people });
  else kept.delete(key);
  if (id) timeline.id = id;
  kept.set(key, timeline);
  for (const old of [...kept.keys()].slice(0, -KEPT)) kept.delete(old);
  return timeline;
}
